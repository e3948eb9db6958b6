"""Figures of an optimizer of one's own beside those of the workbook: learning rates, and gains paired by seed."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.analysis.recorded import WORTH, against
from adamw_lab.figures.effects import fig_effects
from adamw_lab.figures.landscapes import fig_paths
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure
from adamw_lab.landscapes import LANDSCAPES

RECORDED = {"lion": "Lion"}
"""Optimizers of the recorded runs that only a notebook registers -> what they are called where they are not."""


def _title(name: str) -> str:
    """What an optimizer is called: by what is registered as `name` or, failing that, by `RECORDED`."""
    return RECORDED.get(name, name) if NAMES[name] == name else NAMES[name]


def fig_rates(ax: Axes, runs: pd.DataFrame) -> None:
    """Validation loss against the learning rate, the mean over seeds, a line an optimizer; diverged runs are left out.

    `runs` has a row a run and the columns optimizer, lr, status, validation_loss.
    """
    for name, own in runs[runs["status"] == "finished"].groupby("optimizer", sort=False):
        means = own.groupby("lr")["validation_loss"].mean()
        ax.plot(means.index, means, color=COLOURS[name], marker=MARKERS[name], label=_title(name))
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation loss (nats)")


def fig_gains(ax: Axes, runs: pd.DataFrame, other: str = "adamw", measure: str = "test_accuracy") -> None:
    """Each optimizer's accuracy less that of `other`: every seed faint, the mean and its interval strong.

    `runs` has a row a run and the columns optimizer, seed, status and `measure`, a fraction.
    """
    runs = runs.assign(arm=runs["optimizer"])
    effects = against(runs, other, measure)
    effects = effects[effects["arm"] != other]
    fig_effects(ax, effects, [_title(name) for name in effects["arm"]], WORTH["accuracy"], scale=100.0)
    ax.set(xlabel=f"gain on {_title(other)} (points)")


def own_figure(paths: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Paths on one landscape, validation loss by learning rate, and gains paired by seed.

    `paths` holds the tables of `descents.descend` and the columns optimizer and landscape; `runs` those of `fig_rates`
    and `fig_gains`, and `part`: "tuning" or "paired".
    """
    figure, (left, middle, right) = new_figure(3, width=7.0, height=2.4)
    place = paths["landscape"].iloc[0]
    fig_paths(left, place, dict(list(paths.groupby("optimizer", sort=False))))
    left.set_title(LANDSCAPES[place].title)
    for line in left.lines:
        line.set_label(RECORDED.get(line.get_label(), line.get_label()))
    left.legend(fontsize=6.5, loc="upper center", handlelength=1.2)
    fig_rates(middle, runs[runs["part"] == "tuning"])
    middle.set_title("Validation loss by rate")
    middle.legend(fontsize=6.5)
    fig_gains(right, runs[runs["part"] == "paired"])
    right.set_title("Test accuracy")
    return figure
