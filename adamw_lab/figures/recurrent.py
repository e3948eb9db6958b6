"""Figures of recurrent networks in training: a task that needs a memory, and gradients that explode."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from adamw_lab.figures.gradients import CLIPPED
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES

QUANTITIES = {"loss": "mean squared error", "grad_norm": "gradient norm, before clipping",
              "moved": "length of the step"}
IGNORANCE = {"knows nothing": 1 / 6, "knows the second": 1 / 12}
"""What a network errs by on the adding problem."""


def fig_adding(ax: Axes, runs: Mapping[str, pd.DataFrame], window: int = 20) -> None:
    """Loss on the adding problem over the steps, a running mean of `window`, with what ignorance costs.

    Args:
        runs: optimizer -> table of `vanishing.train`.
        window: in steps.
    """
    for label, error in IGNORANCE.items():
        ax.axhline(error, color="#9A9A9A", linewidth=0.8, linestyle=":")
        ax.text(0.99, error * 1.04, label, fontsize=6.5, color="#6E6E6E", ha="right", va="bottom",
                transform=ax.get_yaxis_transform())
    for name, run in runs.items():
        ax.plot(run["step"], run["loss"].rolling(window, min_periods=1).mean(), color=COLOURS[name],
                marker=MARKERS[name], markevery=max(1, len(run) // 6), label=NAMES[name])
    ax.set(yscale="log", xlabel="step", ylabel="mean squared error", ylim=(None, 1))
    ax.yaxis.set_minor_formatter(NullFormatter())


def fig_explosion(ax: Axes, runs: Mapping[str, pd.DataFrame], column: str) -> None:
    """A quantity of `vanishing.train` over the steps, dashed where gradients were clipped.

    Args:
        runs: optimizer, with " + clip" behind it where its gradients were clipped -> table of `vanishing.train`.
        column: a key of `QUANTITIES`.
    """
    for name, run in runs.items():
        optimizer = name.removesuffix(CLIPPED)
        clipped = name != optimizer
        ax.plot(run["step"], run[column], color=COLOURS[optimizer], linestyle="--" if clipped else "-", linewidth=0.9,
                marker=MARKERS[optimizer], markevery=max(1, len(run) // 6),
                markerfacecolor="white" if clipped else COLOURS[optimizer], label=NAMES[optimizer] + CLIPPED * clipped)
    ax.set(yscale="log", xlabel="step", ylabel=QUANTITIES[column])
    ax.yaxis.set_minor_formatter(NullFormatter())
