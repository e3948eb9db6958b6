"""Figures of tuning: how much the learning rate matters, and what to expect of so many trials."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.analysis.recorded import MEASURE, best_by_trials, normalized
from adamw_lab.analysis.stats import performance_profile
from adamw_lab.figures.effects import TITLES
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure


def _scaled(task: str) -> tuple[str, float, str]:
    accuracy = MEASURE[task].endswith("accuracy")
    return (("validation_accuracy", 100.0, "validation accuracy (%)") if accuracy
            else ("validation_loss", 1.0, "validation loss"))


def sensitivity_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """What each learning rate reaches on validation, the better of its weight decays, a line an optimizer."""
    figure, axes = new_figure(len(tasks), width=7.0, height=3.0)
    for ax, task, runs in zip(axes, tasks, tables, strict=True):
        measure, scale, label = _scaled(task)
        finished = runs[runs["status"] == "finished"]
        for name, own in finished.groupby("optimizer", sort=False):
            by = own.groupby("lr")[measure]
            best = scale * (by.max() if scale > 1 else by.min())
            ax.plot(best.index, best, color=COLOURS[name], marker=MARKERS[name], label=NAMES[name])
        ax.set(xscale="log", title=TITLES[task], xlabel="learning rate", ylabel=label)
        low, high = ax.get_ylim()
        if scale == 1 and high > 10 * max(low, 1e-9):
            ax.set_yscale("log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def expected_best_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """The best validation result to expect of so many trials, drawn at random from those that were made."""
    figure, axes = new_figure(len(tasks), width=7.0, height=2.7)
    for ax, task, runs in zip(axes, tasks, tables, strict=True):
        measure, scale, label = _scaled(task)
        for name, own in runs.groupby("optimizer", sort=False):
            best = scale * best_by_trials(own, measure)
            ax.plot(best.index, best, color=COLOURS[name], marker=MARKERS[name], label=NAMES[name])
        ax.set(title=TITLES[task], xlabel="trials", ylabel=label)
        if scale == 1:
            ax.set_yscale("log")
    axes[0].legend(fontsize=6)
    return figure


def profiles_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """Performance profiles of the tuned optimizers: the share of runs that score above so much, over all tasks.

    On each task 0 is the worst optimizer's mean and 1 the best one's.
    """
    figure, (ax,) = new_figure(height=2.6)
    scaled = [normalized(runs, MEASURE[task]) for task, runs in zip(tasks, tables, strict=True)]
    thresholds = np.linspace(-0.5, 1.5, 201)
    for name in scaled[0]:
        if all(name in own for own in scaled):
            shares = 100 * performance_profile([own[name] for own in scaled], thresholds)
            ax.plot(thresholds, shares, color=COLOURS[name], label=NAMES[name])
    ax.set(xlabel="normalized score", ylabel="runs above it (%)")
    ax.legend(fontsize=6)
    return figure
