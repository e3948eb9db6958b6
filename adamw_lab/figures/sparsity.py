"""Figures of how sparse a model is."""

import pandas as pd
from matplotlib.axes import Axes

from adamw_lab.figures.style import COLOURS


def fig_sparsity(ax: Axes, report: pd.DataFrame) -> None:
    """Sparsity of each layer as a bar, the first on top, with its number of weights; a line marks that of all.

    `report` is `sparsity_report`'s: a row a layer with the columns layer, elements, zeros and sparsity (fractions).
    """
    heights = range(len(report))
    ax.barh(heights, 100 * report["sparsity"], color=COLOURS["adamwprune"], height=0.75)
    overall = 100 * report["zeros"].sum() / report["elements"].sum()
    ax.axvline(overall, color="black", linewidth=0.8)
    ax.text(overall, -0.9, f" all weights {overall:.1f} % ", ha="right" if overall > 50 else "left", va="bottom",
            fontsize=7)
    labels = [f"{row.layer} ({_short(row.elements)})" for row in report.itertuples()]
    ax.set_yticks(heights, labels, fontsize=6.5)
    ax.set(xlabel="weights that are 0 (%)", xlim=(0, 100), ylim=(len(report) - 0.4, -0.9))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def _short(count: int) -> str:
    """A number of weights in two or three digits."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return str(count)
