"""Figures of AMSGrad: the counterexample, and what is left of a step in training."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.lines import name_ends
from adamw_lab.figures.style import COLOURS, OTHER_COLOURS, new_figure
from adamw_lab.rare_gradients import PROBLEMS, away_by_towards, descend, turning_point

RULES = {False: ("Adam", COLOURS["adam"]), True: ("AMSGrad", OTHER_COLOURS["purple"])}
"""amsgrad -> name and colour."""


def fig_counterexample(ax: Axes, paths: Mapping[bool, pd.DataFrame]) -> None:
    """x over the steps of `rare_gradients.descend`; `paths` by whether AMSGrad is on. The minimum is marked."""
    ax.axhline(-1, color="#9A9A9A", linewidth=0.8, linestyle=":")
    for amsgrad, path in paths.items():
        label, colour = RULES[amsgrad]
        ax.plot(path["step"], path["x"], color=colour, label=label)
    ax.text(path["step"].iloc[0], -0.97, "the minimum", va="bottom", fontsize=7, color="#606060")
    ax.set(xlabel="step", ylabel="x", ylim=(-1.1, 1.1), xscale="log",
           xlim=(0.8, max(path["step"].iloc[-1] for path in paths.values())))
    name_ends(ax)


def fig_turning(ax: Axes, problems: Mapping[str, tuple[float, int]], longest: float = 1e5) -> None:
    """Movement away from the minimum by movement towards it, by how long v remembers, 1 / (1 - beta2) steps.

    Above 1 Adam is wrong. A line for each (size, period) of `rare_gradients`, a dot where it turns; AMSGrad beside it,
    which never turns.
    """
    memory = np.geomspace(1.02, longest, 200)
    beta2 = 1 - 1 / memory
    ax.axhline(1, color="#9A9A9A", linewidth=0.8)
    for (name, (size, period)), style in zip(problems.items(), ("-", "--", ":"), strict=False):
        ax.plot(memory, away_by_towards(beta2, size, period), style, color=COLOURS["adam"], label=f"Adam, {name}")
        ax.plot(memory, away_by_towards(beta2, size, period, amsgrad=True), style, color=RULES[True][1],
                label=f"AMSGrad, {name}")
        turn = turning_point(size, period)
        ax.plot(1 / (1 - turn), 1, "o", color="black", markersize=3.5)
        ax.annotate(f"β₂ = {turn:.4f}", (1 / (1 - turn), 1), (0, 4), textcoords="offset points", fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel="memory of v, 1 / (1 − β₂) (steps)",
           ylabel="movement away /\nmovement towards", xlim=(1, 1.5 * longest))
    ax.legend(loc="upper right", fontsize=6.5, handlelength=1.4)


def fig_shortening(ax: Axes, shares: Mapping[str, np.ndarray]) -> None:
    """Cumulative share of the weights by how long AMSGrad's step is beside Adam's on the same state, a line each."""
    for (name, lengths), style in zip(shares.items(), ("-", "--", ":"), strict=False):
        ax.plot(np.sort(100 * lengths), np.linspace(0, 100, len(lengths)), style, color=RULES[True][1], label=name)
    ax.legend(loc="upper left")
    ax.set(xlabel="length of AMSGrad's step (% of Adam's)", ylabel="weights up to there (%)", xlim=(0, 102),
           ylim=(0, 101))


def amsgrad_figure() -> Figure:
    """The counterexample in two panels: the paths of both rules, and how long v must remember; computed at once."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.5)
    fig_counterexample(left, {amsgrad: descend(amsgrad=amsgrad) for amsgrad in (False, True)})
    left.set_title("A gradient of 3, then −1, −1")
    fig_turning(right, PROBLEMS)
    right.set_title("How long v must remember")
    return figure
