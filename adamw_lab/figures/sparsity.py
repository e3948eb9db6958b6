"""Figures of how sparse a model is."""

import pandas as pd
from matplotlib.axes import Axes

from adamw_lab.figures.style import COLOURS


def fig_sparsity(ax: Axes, report: pd.DataFrame) -> None:
    """Sparsity of each layer as a bar, the first on top, with its number of weights; a line marks that of all.

    `report` is `sparsity_report`'s: a row a layer with the columns layer, elements, zeros and sparsity (fractions). A
    second call with the same axes and layers moves the bars and the line that are there.
    """
    overall = 100 * report["zeros"].sum() / report["elements"].sum()
    labels = [f"{row.layer} ({_short(row.elements)})" for row in report.itertuples()]
    if [text.get_text() for text in ax.get_yticklabels()] != labels or not ax.texts:
        ax.clear()
        _empty_bars(ax, labels)
    for bar, share in zip(ax.patches, report["sparsity"], strict=True):
        bar.set_width(100 * share)
    (line,), (text,) = ax.lines, ax.texts
    line.set_xdata([overall, overall])
    text.set(x=overall, text=f" all weights {overall:.1f} % ", ha="right" if overall > 50 else "left")


def _empty_bars(ax: Axes, labels: list[str]) -> None:
    heights = range(len(labels))
    ax.barh(heights, [0.0] * len(labels), color=COLOURS["adamwprune"], height=0.75)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.text(0, -0.9, "", va="bottom", fontsize=7)
    ax.set_yticks(heights, labels, fontsize=6.5)
    ax.set(xlabel="weights that are 0 (%)", xlim=(0, 100), ylim=(len(labels) - 0.4, -0.9))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def _short(count: int) -> str:
    """A number of weights in two or three digits."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return str(count)
