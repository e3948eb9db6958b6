"""The spike lab: gradient spikes in a noisy bowl, and what AdamW, AdamWSPAM and SPAM make of them, step by step."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adamw_lab.figures.spikes import fig_bowl
from adamw_lab.optim import textbook
from adamw_lab.spikes import descend_bowl_by
from adamw_lab.widgets.controls import log_slider, number, scale, slider
from adamw_lab.widgets.explorer import Explorer, explore

CONTROLS = {
    "spike_factor": log_slider(100.0, 1.0, 10_000.0, "size of a spike", "what the gradient is multiplied by"),
    "spike_at": slider(100, 1, 400, "first spike at", "the step of the first one"),
    "spikes": slider(1, 0, 8, "number of spikes", "how many, equally far apart"),
    "apart": slider(40, 1, 150, "steps between", "from one spike to the next"),
    "theta": log_slider(50.0, 1.0, 10_000.0, "θ of AdamWSPAM", "clips g² above θ·v̂; published SPAM keeps its 5,000"),
    "spike_sigma": scale(2.0, {"off": None} | {f"{s:g}": s for s in (1.0, 2.0, 3.0, 5.0, 10.0)}, "σ of AdamWSPAM",
                         "a norm so many deviations above the recent ones makes it forget m"),
    "reset_interval": slider(0, 0, 400, "reset every", "steps from one reset of m and v to the next, in both; 0: never",
                             step=10),
    "warmup_steps": slider(0, 0, 200, "warm-up", "steps of warm-up after a reset, in both", step=5),
    "lr": log_slider(0.02, 0.001, 0.3, "learning rate", "of all three"),
    "steps": slider(200, 50, 400, "steps", "of each descent", step=10),
    "seed": number(0, "seed", "of the noise, the same for all"),
}
QUANTITIES = ("first_moment", "second_moment", "update", "loss")


def spike_lab(given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_spike_lab` under controls; `given` as in `explore`."""
    return explore(fig_spike_lab, CONTROLS, given, rows=2, columns=2, height=3.6, notebook="05_adamw_spam")


def fig_spike_lab(first_moment: Axes, second_moment: Axes, update: Axes, loss: Axes, *, spike_factor: float = 100.0,
                  spike_at: int = 100, spikes: int = 1, apart: int = 40, theta: float = 50.0,
                  spike_sigma: float | None = 2.0, reset_interval: int = 0, warmup_steps: int = 0, lr: float = 0.02,
                  steps: int = 200, seed: int = 0) -> dict[str, pd.DataFrame]:
    """m, √v, the change of a weight and the loss of AdamW, AdamWSPAM and published SPAM over the same spiked steps.

    Args:
        spike_factor, spike_at, spikes, apart: size, first step, number and distance of the spikes.
        theta, spike_sigma: AdamWSPAM's; published SPAM has its own θ and no norm detector.
        reset_interval, warmup_steps: of both.
        lr, steps, seed: as `descend_bowl`.

    Returns:
        name -> table of `descend_bowl`, by the textbook's rules.

    Raises:
        ValueError: a spike after the last step.
    """
    places = {spike_at + apart * k: spike_factor for k in range(spikes)}
    resets = {"reset_interval": reset_interval, "warmup_steps": warmup_steps}
    rules = {"adamw": (textbook.adamw, {}),
             "adamwspam": (textbook.adamw_spam, {"theta": theta, "spike_sigma": spike_sigma, **resets}),
             "adamwspam_published": (textbook.spam_published, resets)}
    runs = {name: descend_bowl_by(rule, {"lr": lr, **options}, steps=steps, spikes=places, seed=seed)
            for name, (rule, options) in rules.items()}
    for ax, column in zip((first_moment, second_moment, update, loss), QUANTITIES, strict=True):
        fig_bowl(ax, runs, column, places)
        ax.set_xlim(0, steps)
        ax.minorticks_off()  # ticks are what takes time in a redraw
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for ax in (first_moment, second_moment):
        ax.tick_params(labelbottom=False)
        ax.set_xlabel("")
    if first_moment.get_legend() is None:
        first_moment.legend(loc="upper right", fontsize=6.5)
    return runs
