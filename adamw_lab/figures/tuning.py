"""Figures of tuning: how much the learning rate matters, and what to expect of so many trials."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from adamw_lab.analysis.recorded import MEASURE, best_by_trials, normalized
from adamw_lab.analysis.stats import performance_profile, profile_interval
from adamw_lab.figures.effects import UNITS, name_lines, task_panels
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, WIDTH, new_figure, share_row_labels, stacks


def _reached(task: str, runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The runs with what they reached on validation, less being better, as `reached`; and what that is.

    An accuracy counts by what it lacks: at 97 and at 98 % that tells more.
    """
    if MEASURE[task].endswith("accuracy"):
        return runs.assign(reached=100 * (1 - runs["validation_accuracy"])), "validation error (%)"
    return runs.assign(reached=runs["validation_loss"]), f"validation loss ({UNITS[task]})"


def _fit(label: str) -> str:
    """In two lines where panels are low."""
    return label.replace(" (", "\n(") if stacks(7.0) else label


def sensitivity_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """What each learning rate reaches on validation, the better of its weight decays, a line an optimizer."""
    figure, axes, spare = task_panels(tasks, height=2.5)
    for ax, task, runs in zip(axes, tasks, tables, strict=True):
        finished, label = _reached(task, runs[runs["status"] == "finished"])
        for name, own in finished.groupby("optimizer", sort=False):
            best = own.groupby("lr")["reached"].min()
            ax.plot(best.index, best, color=COLOURS[name], marker=MARKERS[name], label=NAMES[name])
        ax.set(xscale="log", xlabel="learning rate", ylabel=_fit(label))
        _log_where_wide(ax)
    name_lines(figure, spare, axes[0].get_legend_handles_labels()[0])
    return figure


def expected_best_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """The best validation result to expect of so many trials, drawn at random from those that were made."""
    figure, axes, spare = task_panels(tasks, height=2.5)
    for ax, task, runs in zip(axes, tasks, tables, strict=True):
        runs, label = _reached(task, runs)
        for name, own in runs.groupby("optimizer", sort=False):
            best = best_by_trials(own.assign(reached_loss=own["reached"]), "reached_loss")
            ax.plot(best.index, best, color=COLOURS[name], marker=MARKERS[name], label=NAMES[name])
        ax.set(xlabel="trials", ylabel=_fit(label))
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        _log_where_wide(ax)
    name_lines(figure, spare, axes[0].get_legend_handles_labels()[0])
    return figure


def _log_where_wide(ax: Axes) -> None:
    """A logarithmic axis with plain numbers where the values span more than a factor of three."""
    values = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    low, high = values.min(), values.max()
    if 0 < 3 * low < high:
        ax.set_yscale("log")
        if low > 0.5:  # per cent
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())


def profiles_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """Performance profiles of the tuned optimizers: the share of runs that score above so much, over all tasks.

    On each task 0 is the worst optimizer's mean and 1 the best one's. A panel an optimizer, with the 95 % interval of
    the bootstrap as a band, beside AdamW.
    """
    scaled = [normalized(runs, MEASURE[task]) for task, runs in zip(tasks, tables, strict=True)]
    others = [name for name in scaled[0] if name != "adamw" and all(name in own for own in scaled)]
    thresholds = np.linspace(-0.5, 1.5, 201)
    columns, width = (2, WIDTH) if stacks(7.0) else (4, 7.0)
    rows = -(-len(others) // columns)
    figure, axes = new_figure(columns, rows=rows, width=width, height=1.5 * rows)
    for ax, other in zip(axes, others, strict=False):
        for name in ("adamw", other):
            scores = [own[name] for own in scaled]
            low, high = profile_interval(scores, thresholds)
            ax.fill_between(thresholds, 100 * low, 100 * high, color=COLOURS[name], alpha=0.15, linewidth=0)
            ax.plot(thresholds, 100 * performance_profile(scores, thresholds), color=COLOURS[name], label=NAMES[name],
                    marker=MARKERS[name], markevery=25)
        ax.set(title=NAMES[other], xlabel="normalized score")
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel("runs above it (%)")
        ax.set_xticks(np.arange(-0.5, 2, 0.5))
    share_row_labels(axes)
    for ax in axes[len(others):]:
        ax.set_axis_off()
    return figure
