"""Figures of gradient spikes: what one does to an optimizer, and how well it is noticed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from adamw_lab.figures.lines import keep_lines, mark_spike, move_line
from adamw_lab.figures.style import COLOURS, NAMES, OTHER_COLOURS, OTHER_MARKERS, WIDTH, new_figure
from adamw_lab.optim import build_optimizer
from adamw_lab.spikes import descend_bowl

QUANTITIES = {"loss": "loss", "first_moment": "m, root mean square", "second_moment": "√v, root mean square",
              "update": "change of a weight", "grad_norm": "gradient norm"}


def fig_bowl(ax: Axes, runs: Mapping[str, pd.DataFrame], column: str, spikes: Mapping[int, float],
             colours: Mapping[str, str] = COLOURS) -> None:
    """One quantity of `spikes.descend_bowl` over the steps, a line for each optimizer.

    The keys of `runs` are those of `NAMES`, or others that have a place in `colours`. Dotted lines mark the spikes. A
    second call with the same axes moves what is there.
    """
    marks = {mark_spike(ax, step) for step in spikes}
    for name, run in runs.items():
        move_line(ax, name, run["step"], run[column], color=colours[name], label=NAMES[name])
    keep_lines(ax, marks | set(runs))
    if ax.get_yscale() != "log":
        ax.set(yscale="log", xlabel="step", ylabel=QUANTITIES[column])
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.relim()
    ax.autoscale_view()


def fig_detection(ax: Axes, curves: Mapping[str, pd.DataFrame], quantity: str) -> None:
    """Precision or recall of detectors in % against the threshold, a line each; where nothing is called, no precision.

    Args:
        curves: name of the detector -> table of `spikes.precision_recall`.
        quantity: "precision" or "recall".
    """
    label = {"precision": "calls that are right (%)", "recall": "spikes that are found (%)"}[quantity]
    for (name, curve), colour, marker in zip(curves.items(), OTHER_COLOURS.values(), OTHER_MARKERS.values(),
                                             strict=False):
        ax.plot(curve["threshold"], 100 * curve[quantity], color=colour, marker=marker, label=name)
    ax.set(xscale="log", xlabel="threshold", ylabel=label, ylim=(-4, 104))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def fig_clipped(ax: Axes, table: pd.DataFrame) -> None:
    """Elements clipped in % against θ, both logarithmic; where nothing is clipped there is no dot.

    `table` has the columns `theta` and `clipped` (a fraction).
    """
    some = table[table["clipped"] > 0]
    ax.plot(some["theta"], 100 * some["clipped"], color=COLOURS["adamwspam"], marker="o")
    ax.set(xscale="log", yscale="log", xlabel="θ", ylabel="elements clipped (%)",
           xlim=(0.7 * table["theta"].min(), 1.4 * table["theta"].max()))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def spike_figure(at: int = 150, factor: float = 100.0, steps: int = 600, lr: float = 0.02) -> Figure:
    """Change of a weight and loss around one spike in the bowl, for AdamW and AdamWSPAM; computed, in a second."""
    options = {"adamw": {}, "adamwspam": {"spike_sigma": None}}
    runs = {name: descend_bowl(lambda params, name=name: build_optimizer(name, params, lr=lr, **options[name]),
                               steps=steps, spikes={at: factor}) for name in options}
    figure, axes = new_figure(2, width=WIDTH, height=2.0)
    for ax, column in zip(axes, ("second_moment", "update"), strict=True):
        fig_bowl(ax, runs, column, {at: factor})
        _name_late(ax, runs, column)
    axes[1].set_yticks([2e-3, 5e-3, 1e-2, 2e-2])
    axes[1].yaxis.set_major_formatter("{x:g}")
    return figure


def _name_late(ax: Axes, runs: Mapping[str, pd.DataFrame], column: str) -> None:
    """The names of two optimizers above and beneath the late halves of their lines, where the other's is not."""
    late = {name: run[column][len(run) // 2:] for name, run in runs.items()}
    steps = max(run["step"].iloc[-1] for run in runs.values())
    ax.set(xlim=(0, steps), xticks=range(0, steps, 200), ymargin=0.12)
    for name, values in late.items():
        above = values.mean() == max(other.mean() for other in late.values())
        end = values.max() if above else values.min()
        ax.annotate(NAMES[name], (1, end), (0, 3 if above else -3), xycoords=ax.get_yaxis_transform(),
                    textcoords="offset points", ha="right", va="bottom" if above else "top", fontsize=6.5,
                    color=0.75 * np.array(to_rgb(COLOURS[name])))
