"""Figure of a run as far as it has come. A second call with the same axes moves the lines that are there."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from adamw_lab.figures.lines import move_line
from adamw_lab.figures.style import COLOURS, MARKERS

GREY = "#9A9A9A"


def fig_live(axes: Sequence[Axes], telemetry: pd.DataFrame, history: pd.DataFrame, optimizer: str, total_steps: int
             ) -> None:
    """Into three axes, against steps: the loss, of every batch and on validation; accuracy, of every epoch; the length
    of the gradient, and of the update by that of the weights.

    `telemetry` and `history` are those of `RunResult`, or their beginnings.
    """
    losses, accuracies, lengths = axes
    colour, marker = COLOURS[optimizer], MARKERS[optimizer]
    move_line(losses, "batch", telemetry["step"], telemetry["loss"], color=GREY, linewidth=0.8, label="each batch")
    move_line(losses, "validation", history["step"], history["validation_loss"], color=colour, marker=marker,
              label="validation")
    for gid, part, style in (("training", "train", {"linestyle": "--", "color": GREY}),
                             ("validation", "validation", {"color": colour, "marker": marker})):
        move_line(accuracies, gid, history["step"], 100 * history[f"{part}_accuracy"], label=gid, **style)
    move_line(lengths, "gradient", telemetry["step"], telemetry["grad_norm"], color=colour, linewidth=0.8,
              label="gradient")
    move_line(lengths, "update", telemetry["step"], telemetry["update_to_weight"], color="black", linewidth=0.8,
              label="update / weights")
    if losses.get_legend() is None:
        losses.set(ylabel="loss", yscale="log", ylim=(0.02, 5))
        accuracies.set(ylabel="accuracy (%)", ylim=(-2, 102))
        lengths.set(ylabel="length", yscale="log", ylim=(2e-4, 50))
        for ax in axes:
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_xlabel("step")
            ax.legend(loc="best" if ax is not accuracies else "lower right")
    for ax in axes:
        ax.set_xlim(0, max(total_steps, 1))
    for ax in (losses, lengths) if len(telemetry) else ():
        ax.relim()
        ax.set_autoscaley_on(True)
        ax.autoscale_view(scalex=False)
