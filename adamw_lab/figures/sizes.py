"""The figure of what changes with the size of a model."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from adamw_lab.analysis.recorded import MEASURE, gains_by_size
from adamw_lab.figures.effects import GREY, TITLES
from adamw_lab.figures.lines import intervals
from adamw_lab.figures.style import COLOURS, new_figure

MODELS = (("*", "-"), ("x", "--"))
"""Marker and dashes of each model; the markers are no optimizer's."""


def fig_by_size(ax: Axes, table: pd.DataFrame, colour: str, marker: str, dashes: str, label: str) -> None:
    """Values over the number of parameters (the index of `table`, a column a seed): seeds faint, mean, 95 % interval.

    On a logarithmic axis the mean and its interval are those of the logarithms.
    """
    log = ax.get_yscale() == "log"
    mean, low, high = intervals((np.log(table) if log else table).to_numpy())
    if log:
        mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    ax.plot(table.index, table, marker, color=colour, alpha=0.3, markersize=3)
    ax.errorbar(table.index, mean, yerr=[mean - low, high - mean], color=colour, marker=marker, markersize=5,
                capsize=2, linestyle=dashes, label=label)


def size_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """Against the number of parameters: AdamWSPAM less AdamW, and how often and how far AdamW's gradient norm jumps."""
    figure, axes = new_figure(3, width=7.0, height=2.4)
    axes[2].set_yscale("log")
    for task, runs, (marker, dashes) in zip(tasks, tables, MODELS, strict=True):
        plain = runs[runs["optimizer"] == "adamw"]
        gain = gains_by_size(runs, "adamwspam", "adamw", MEASURE[task])
        gain = gain / abs(plain.groupby("parameters")[MEASURE[task]].mean().iloc[0]) * 100
        spikes = {name: plain.pivot(index="parameters", columns="seed", values=name)
                  for name in ("spike_rate", "highest_norm")}
        for ax, table, optimizer in zip(axes, (gain, 100 * spikes["spike_rate"], spikes["highest_norm"]),
                                        ("adamwspam", "adamw", "adamw"), strict=True):
            fig_by_size(ax, table, COLOURS[optimizer], marker, dashes, TITLES[task].split(",")[0])
    for ax, label in zip(axes, ("AdamWSPAM's gain on AdamW (%)", "steps with a jump of the norm (%)",
                                "highest norm / median norm"), strict=True):
        ax.set(xscale="log", xlabel="parameters", ylabel=label)
    axes[0].axhline(0, color=GREY, linewidth=0.8)
    axes[1].legend(loc="center right")
    axes[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[2].yaxis.set_major_formatter("{x:g}")
    axes[2].yaxis.set_minor_formatter(NullFormatter())
    return figure
