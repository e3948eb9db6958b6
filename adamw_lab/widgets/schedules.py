"""The schedule designer: learning rate and sparsity over a run, drawn as they will be applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.schedules import fig_lr_schedule
from adamw_lab.figures.scores import fig_schedules
from adamw_lab.pruning import SCHEDULES
from adamw_lab.widgets.controls import log_slider, several, slider, tick
from adamw_lab.widgets.explorer import Explorer, explore

CONTROLS = {
    "total_steps": slider(600, 50, 5000, "steps", "length of the run", step=50),
    "lr": log_slider(0.02, 1e-5, 1.0, "learning rate", "where the schedule begins"),
    "min_lr": slider(0.0, 0.0, 0.02, "lowest rate", "where the cosine ends", step=0.001),
    "anneal": tick(True, "cosine annealing", "off: the learning rate stays as it is"),
    "initial_warmup": slider(0, 0, 1000, "initial warm-up", "by torch's schedulers; the lab's optimizers have none",
                             step=10),
    "reset_interval": slider(200, 0, 1000, "reset every", "AdamWSPAM: steps from one reset to the next; 0: never",
                             step=10),
    "warmup_steps": slider(80, 0, 500, "warm-up after it", "AdamWSPAM: of the update, after a reset", step=5),
    "target_sparsity": slider(0.7, 0.0, 0.99, "target sparsity", "share of the weights that is pruned in the end",
                              step=0.01),
    "begin_step": slider(60, 0, 5000, "pruning begins", "the first mask update", step=10),
    "end_step": slider(450, 1, 5000, "target reached at", "the last mask update", step=10),
    "update_every": slider(50, 1, 500, "update every", "steps from one mask update to the next"),
    "schedules": several(("cubic",), SCHEDULES.keys(), "sparsity schedule", "how sparsity grows; Ctrl chooses several"),
}


def schedule_designer(given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_designed` under controls; `given` as in `explore`."""
    return explore(fig_designed, CONTROLS, given, columns=2, height=2.6, notebook="04_adamw_adv")


def fig_designed(rates: Axes, sparsity: Axes, *, total_steps: int = 600, lr: float = 0.02, min_lr: float = 0.0,
                 anneal: bool = True, initial_warmup: int = 0, reset_interval: int = 0, warmup_steps: int = 0,
                 target_sparsity: float = 0.7, begin_step: int = 60, end_step: int = 450, update_every: int = 50,
                 schedules: Sequence[str] = ("cubic",)) -> None:
    """Learning rate, as `fig_lr_schedule`, and sparsity, as `fig_schedules`, of one run.

    Raises:
        ValueError: what the optimizers or torch's schedulers would refuse, a pruning that ends after the run, or no
            schedule.
    """
    if not schedules:
        raise ValueError(f"no sparsity schedule is chosen; allowed: one or more of {', '.join(SCHEDULES)}")
    if end_step > total_steps:
        raise ValueError(f"Invalid end_step value: {end_step!r}; allowed: up to total_steps = {total_steps!r}")
    fig_lr_schedule(rates, total_steps, lr=lr, min_lr=min_lr, anneal=anneal, initial_warmup=initial_warmup,
                    reset_interval=reset_interval, warmup_steps=warmup_steps)
    fig_schedules(sparsity, schedules, target=target_sparsity, begin_step=begin_step, end_step=end_step,
                  total_steps=total_steps, update_every=update_every)
