"""Figures of what prunes: agreement between importance scores, and sparsity schedules."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from adamw_lab.pruning import sparsity_at

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


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
    """Sparsity in % over a run, as it is applied: a stair at every mask update; a line for each schedule."""
    steps = np.arange(total_steps + 1)
    updates = [s for s in steps if begin_step <= s < end_step and (s - begin_step) % update_every == 0] + [end_step]
    for name, colour in zip(schedules, COLOURS, strict=False):
        levels = [100 * sparsity_at(int(s), begin_step=begin_step, end_step=end_step, target=target, schedule=name)
                  for s in updates]
        ax.step([0, *updates, total_steps], [0, *levels, levels[-1]], where="post", color=colour,
                label=name.replace("_", " "))
    ax.set(xlabel="step", ylabel="weights pruned (%)", ylim=(0, 100 * target * 1.08), xlim=(0, total_steps))
    ax.legend(loc="lower right")
