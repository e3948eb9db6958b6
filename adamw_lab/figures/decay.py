"""Figures of weight decay: what it comes to by coordinate, and the map of learning rate and decay."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure

LABELS = {"adam": "Adam, L2", "adamw": "AdamW, decoupled", "sgd": "SGD, L2"}


def fig_effective_decay(ax: Axes, tables: Mapping[str, pd.DataFrame], weight_decay: float) -> None:
    """Effective by asked-for decay against the noise of a gradient; 1 is as asked for.

    `tables` are those of `decay.effective_decay` by the optimizer's name, markers; the line is what a weight of 1 ought
    to feel under Adam with L2 regularization, 1 / sqrt(sigma² + weight_decay²).
    """
    for size, (name, table) in zip((6.5, 4.5, 3.5), tables.items(), strict=False):
        ax.plot(table["noise"], table["effective_decay"] / weight_decay, MARKERS[name], color=COLOURS[name],
                markersize=size, markerfacecolor="white" if name == "sgd" else None,  # without momentum: hollow
                label=LABELS.get(name, NAMES[name]))
    noise = np.geomspace(table["noise"].min(), table["noise"].max(), 100)
    ax.plot(noise, 1 / np.hypot(noise, weight_decay), color=COLOURS["adam"], linewidth=0.8, label="1 / √(σ² + λ²)")
    ax.set(xscale="log", yscale="log", xlabel="deviation of the gradient σ", ylabel="effective by asked-for decay")
    ax.legend(loc="lower left")


def fig_shrinkage(ax: Axes, shrinkage: np.ndarray) -> None:
    """Share of a network's weights by `decay.l2_shrinkage`, in bins of a sixth of a decade; 1 is a decoupled decay."""
    logs = np.log10(shrinkage)
    edges = np.arange(np.floor(logs.min()), np.ceil(logs.max()) + 1 / 6, 1 / 6)
    ax.hist(shrinkage, bins=10**edges, weights=np.full(len(shrinkage), 100 / len(shrinkage)), color=COLOURS["adam"],
            label=LABELS["adam"])
    ax.axvline(1, color=COLOURS["adamw"], label=LABELS["adamw"])
    ax.set(xscale="log", xlabel="shrinks so many times faster than lr × weight decay", ylabel="weights (%)")
    ax.legend(loc="upper right")


def map_of(runs: pd.DataFrame, optimizer: str, metric: str = "validation_loss") -> pd.DataFrame:
    """Means over seeds: a row for each learning rate, a column for each weight decay; NaN if a seed diverged."""
    own = runs[runs["optimizer"] == optimizer]
    return own.groupby(["lr", "weight_decay"])[metric].agg(lambda column: column.mean(skipna=False)).unstack()


def fig_map(ax: Axes, table: pd.DataFrame, low: float, high: float) -> AxesImage:
    """A map of `map_of` in colours from `low` (dark) to `high` on a log scale; a dot marks the best of each row."""
    image = ax.imshow(np.log10(table), cmap="viridis", vmin=np.log10(low), vmax=np.log10(high), origin="lower",
                      aspect="auto")
    ax.plot(np.nanargmin(table.to_numpy(), axis=1), range(len(table)), "o", color="white", markeredgecolor="black",
            markeredgewidth=0.6, clip_on=False)
    ax.set_xticks(range(table.shape[1]), [f"{value:g}" for value in table.columns], rotation=60)
    ax.set_yticks(range(table.shape[0]), [f"{value:g}" for value in table.index])
    ax.set(xlabel="weight decay", ylabel="learning rate")
    ax.grid(visible=False)
    return image


def decay_figure(runs: pd.DataFrame) -> Figure:
    """The map of learning rate and weight decay for Adam with L2 regularization and for AdamW, in the same colours.

    `runs` has the columns optimizer ("adam", "adamw"), lr, weight_decay, seed and validation_loss (nats).
    """
    tables = {name: map_of(runs, name) for name in ("adam", "adamw")}
    low = min(table.min(axis=None) for table in tables.values())
    figure, axes = new_figure(2, width=7.0, height=2.5)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        image = fig_map(ax, table, low, np.log(10))
        ax.set_title(LABELS[name])
    bar = figure.colorbar(image, ax=axes, label="validation loss (nats)", pad=0.02)
    ticks = [tick for tick in (0.1, 0.15, 0.2, 0.3, 0.5, 1, 2) if low <= tick]
    bar.set_ticks(np.log10(ticks), labels=[f"{tick:g}" for tick in ticks])
    return figure
