"""Figures of what prunes: agreement between importance scores, and sparsity schedules."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from adamw_lab.figures.lines import keep_lines, move_line
from adamw_lab.figures.style import OTHER_COLOURS
from adamw_lab.pruning import SCHEDULES, sparsity_at
from adamw_lab.pruning.schedules import check_schedule

COLOURS = tuple(OTHER_COLOURS.values())


def fig_agreement(ax: Axes, table: pd.DataFrame) -> None:
    """A square table of rank correlations (-1 to 1), each written in its cell; blue agrees, red disagrees."""
    ax.imshow(table, cmap="RdBu", vmin=-1, vmax=1)
    for i, j in np.ndindex(*table.shape):
        value = table.iloc[i, j]
        ax.text(j, i, f"{value:.2f}".replace("0.", ".").replace("1.00", "1"), ha="center", va="center", fontsize=6,
                color="white" if abs(value) > 0.6 else "black")
    names = [name.replace("_", " ") for name in table.columns]
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=6.5)
    ax.set_yticks(range(len(names)), names, fontsize=6.5)
    ax.grid(visible=False)
    ax.tick_params(length=0)


def fig_schedules(ax: Axes, schedules: Sequence[str], *, target: float, begin_step: int, end_step: int,
                  total_steps: int, update_every: int) -> None:
    """Sparsity in % over a run, as it is applied: a stair at every mask update; a line for each schedule.

    A second call with the same axes moves what is there.
    """
    for name in schedules:
        check_schedule(begin_step=begin_step, end_step=end_step, target=target, schedule=name,
                       update_every=update_every)
    if {line.get_gid() for line in ax.lines} != set(schedules):
        keep_lines(ax, set())  # in the order of fresh axes
    updates = [*range(begin_step, end_step, update_every), end_step]
    for name in schedules:
        levels = [100 * sparsity_at(step, begin_step=begin_step, end_step=end_step, target=target, schedule=name)
                  for step in updates]
        move_line(ax, name, [0, *updates, total_steps], [0, *levels, levels[-1]], drawstyle="steps-post",
                  color=COLOURS[list(SCHEDULES).index(name)], label=name.replace("_", " "))
    ax.set(xlabel="step", ylabel="weights pruned (%)", ylim=(0, max(108 * target, 1)), xlim=(0, total_steps))
    ax.legend(loc="lower left", ncols=4, handlelength=1.2, columnspacing=1, bbox_to_anchor=(0, 1), borderaxespad=0.1)
