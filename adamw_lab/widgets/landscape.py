"""The landscape explorer: seven landscapes, any of the rules, and what their settings do to the way down."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adamw_lab.descents import LRS, RULES
from adamw_lab.figures.landscapes import CLASSICS, fig_trajectories, look
from adamw_lab.landscapes import LANDSCAPES, get_landscape
from adamw_lab.widgets.controls import choice, log_slider, number, scale, several, slider
from adamw_lab.widgets.explorer import Explorer, explore

ADAMS = (0.9, 0.999)
CONTROLS = {
    "landscape": choice("rosenbrock", {place.title: name for name, place in LANDSCAPES.items()}, "landscape",
                        "where the descents begin and what they descend"),
    "optimizers": several(CLASSICS, {look(name)["label"]: name for name in RULES}, "optimizers",
                          "which rules descend; Ctrl or Shift chooses several"),
    "lr": scale(None, {"best": None} | {f"{lr:.3g}": lr for lr in LRS}, "learning rate",
                "of all; best: each one's, that of nineteen with the lowest mean loss"),
    "beta1": scale(None, {"own": None} | {f"{beta:g}": beta for beta in (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)}, "β₁",
                   "decay rate of the first moment, SGD's momentum; own: each rule's, or 0.9 where β₂ is set"),
    "beta2": scale(None, {"own": None} | {f"{beta:g}": beta for beta in (0.5, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999)},
                   "β₂", "decay rate of the second moment, RMSprop's α; own: each rule's, or 0.999 where β₁ is set"),
    "weight_decay": scale(0.0, (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0), "weight decay", "pulls towards x = y = 0"),
    "noise": scale(None, {"own": None} | {f"{n:g}": n for n in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)}, "noise",
                   "standard deviation of the noise on each gradient; own: the landscape's"),
    "spike_at": slider(100, 0, 500, "spike at step", "one gradient is multiplied there; 0: none"),
    "spike_factor": log_slider(30.0, 1.0, 1000.0, "its factor", "what that gradient is multiplied by"),
    "steps": slider(200, 20, 500, "steps", "of each descent", step=10),
    "seed": number(0, "seed", "of the noise, the same for all"),
}


def landscape_explorer(given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_landscape` under controls; `given` as in `explore`."""
    return explore(fig_landscape, CONTROLS, given, columns=2, height=2.9, notebook="01_what_is_an_optimizer")


def fig_landscape(ax: Axes, losses: Axes, *, landscape: str = "rosenbrock", optimizers: Sequence[str] = CLASSICS,
                  lr: float | None = None, beta1: float | None = None, beta2: float | None = None,
                  weight_decay: float = 0.0, noise: float | None = None, spike_at: int = 0, spike_factor: float = 30.0,
                  steps: int = 200, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The paths of optimizers on a landscape, and their losses, as `fig_trajectories`.

    Args:
        beta1, beta2: None (default), both: each rule's own; one: Adam's.
        spike_at, spike_factor: the step whose gradient is multiplied, from 1 (0, the default: none), and by what.
        The others are those of `fig_trajectories`, whose result this is too.

    Raises:
        ValueError: as `descend`; or no optimizer.
    """
    if not optimizers:
        raise ValueError(f"no optimizer is chosen; allowed: one or more of {', '.join(RULES)}")
    betas = None
    if beta1 is not None or beta2 is not None:
        betas = tuple(adams if own is None else own for own, adams in zip((beta1, beta2), ADAMS, strict=True))
    runs = fig_trajectories(ax, landscape, optimizers, losses=losses, lr=lr, steps=steps, betas=betas,
                            weight_decay=weight_decay, noise=noise, seed=seed,
                            spikes={spike_at: spike_factor} if spike_at else {})
    ax.set_title(get_landscape(landscape).title)
    losses.minorticks_off()  # ticks are what takes time in a redraw
    for axis in (ax.xaxis, ax.yaxis, losses.xaxis):
        axis.set_major_locator(MaxNLocator(5))
    names = [look(name)["label"] for name in optimizers]
    if losses.get_legend() is None or [text.get_text() for text in losses.get_legend().texts] != names:
        shown = {line.get_label(): line for line in losses.lines}
        losses.legend([shown[name] for name in names], names, ncols=2, loc="upper right", columnspacing=1, fontsize=6.5)
    return runs
