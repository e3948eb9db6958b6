"""Figures of hyperparameters: what a setting does over its range, as curves and as a map."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from adamw_lab.analysis.recorded import against, floor, scores, spared
from adamw_lab.figures.effects import GREY, TITLES
from adamw_lab.figures.lines import fig_curve
from adamw_lab.figures.style import OTHER_COLOURS, new_figure

THETAS = {"theta_5": 5, "element": 50, "theta_500": 500, "theta_5000": 5000}
"""Arms of the SPAM studies in which elements are clipped and nothing else is done -> theta."""
BETAS = {"β₁ (β₂ = 0.999)": ("0.8_0.999", "0.9_0.999", "0.95_0.999"),
         "β₂ (β₁ = 0.9)": ("0.9_0.99", "0.9_0.999", "0.9_0.9999")}
"""what is moved (and what is not) -> pairs of betas."""
PROBLEMS = {"LeNet-5, batch 8": ("b8_", "teal", "*"), "LeNet-5, batch 64": ("b64_", "purple", "x"),
            "GPT": ("", "rose", "+")}
"""problem -> prefix of its arms, colour and marker, none of which is an optimizer's."""


def rates_map_figure(runs: pd.DataFrame) -> Figure:
    """A map of the learning rate and the size: how far each rate is behind the best of its size, mean of the seeds.

    A ring marks, size by size, the rate that is best on validation.
    """
    by = runs.groupby(["parameters", "lr"])[["test_loss", "validation_loss"]].mean()
    loss, validation = (by[name].unstack() for name in by)
    behind = loss.sub(loss.min(axis=1), axis=0)
    figure, (ax,) = new_figure(height=2.3)
    image = ax.imshow(behind, cmap="cividis_r", origin="lower", aspect="auto", vmin=0)
    for (row, column), value in np.ndenumerate(behind.to_numpy()):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                color="white" if value > 0.55 * behind.max(axis=None) else "black")
    ax.plot(validation.to_numpy().argmin(axis=1), range(len(loss)), "o", markersize=19, color="none",
            markeredgecolor="black", markeredgewidth=1.2)
    ax.set_xticks(range(loss.shape[1]), [f"{rate:g}" for rate in loss.columns])
    ax.set_yticks(range(len(loss)), [f"{size:,}" for size in loss.index])
    ax.set(xlabel="learning rate", ylabel="parameters")
    ax.grid(visible=False)
    figure.colorbar(image, ax=ax, label="behind the best rate (nats)")
    return figure


def betas_curves_figure(runs: pd.DataFrame, gpt: pd.DataFrame) -> Figure:
    """The test loss against each beta, the other at its default: in percent of the default's, paired by seed."""
    figure, axes = new_figure(2, width=7.0, height=2.5)
    for ax, (title, arms) in zip(axes, BETAS.items(), strict=True):
        for problem, (prefix, colour, marker) in PROBLEMS.items():
            table = runs if prefix else gpt
            default = -scores(table, f"{prefix}0.9_0.999", "test_loss")
            each = [(100 * (-scores(table, prefix + arm, "test_loss") / default - 1)).tolist() for arm in arms]
            fig_curve(ax, range(len(arms)), each, OTHER_COLOURS[colour], marker, problem)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_xticks(range(len(arms)), [arm.split("_")[title.startswith("β₂")] for arm in arms])
        ax.set(xlabel=title, ylabel="test loss beside the default's (%)")
    axes[0].legend(loc="upper left")
    return figure


def theta_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """What a clip by element is worth against its threshold: on spoilt steps, and where none is spoilt; a panel a task.

    Of the loss of AdamW without the clip, paired by seed; the grey band counts as no difference.
    """
    figure, axes = new_figure(len(tasks), width=7.0, height=2.5)
    for ax, task, runs in zip(axes, tasks, tables, strict=True):
        none = against(runs[~runs["arm"].str.contains("+", regex=False)], "adamw", "test_loss")
        shown = {"what spikes cost": (spared(runs, "spikes"), "purple", "x"),
                 "loss without spikes": (none, "green", "*")}
        noise = floor(runs, "test_loss")
        ax.axhspan(-noise, noise, color="#B0B0B0", alpha=0.3, linewidth=0)
        for label, (table, colour, marker) in shown.items():
            each = table.set_index("arm")["each"]
            fig_curve(ax, list(THETAS.values()), [each[arm] for arm in THETAS], OTHER_COLOURS[colour], marker, label)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set(xscale="log", xlabel="θ (the higher, the less is clipped)", ylabel="less than AdamW's by (nats)",
               title=TITLES[task])
        ax.set_xticks(list(THETAS.values()), [f"{theta:,}" for theta in THETAS.values()])
        ax.xaxis.set_minor_locator(NullLocator())
    axes[0].legend(loc="upper right")
    return figure
