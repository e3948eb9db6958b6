"""Figures of learning rate schedules, drawn as the optimizers apply them."""

import numpy as np
import torch
from matplotlib.axes import Axes

from adamw_lab.figures.style import COLOURS
from adamw_lab.optim.schedules import cosine_annealing, reset_warmup


def applied_rates(total_steps: int, *, lr: float, min_lr: float = 0.0, anneal: bool = True, reset_interval: int = 0,
                  warmup_steps: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The learning rates that the lab's optimizers put on the update and on the decay, at steps 1 to `total_steps`.

    Args:
        total_steps: length of the run, and of the cosine.
        lr, min_lr: where the cosine begins and ends.
        anneal: False: lr throughout.
        reset_interval: steps between full resets of the moments (AdamWSPAM); 0: none.
        warmup_steps: of the update, after a reset; the decay is not warmed up.

    Raises:
        ValueError: what the optimizers would refuse.
    """
    for name, value, low in (("total_steps", total_steps, 1), ("reset_interval", reset_interval, 0),
                             ("warmup_steps", warmup_steps, 0)):
        if value < low:
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: a whole number of at least {low}")
    if not 0 <= min_lr <= lr:
        raise ValueError(f"Invalid min_lr value: {min_lr!r}; allowed: from 0 to lr = {lr!r}")
    steps = torch.arange(1, total_steps + 1, dtype=torch.float64)
    decay = cosine_annealing(steps, total_steps, lr, min_lr) if anneal else torch.full_like(steps, lr)
    if not reset_interval:
        return decay.numpy(), decay.numpy()
    since = torch.where(steps >= reset_interval, steps % reset_interval, torch.inf)
    return (decay * reset_warmup(since, warmup_steps)).numpy(), decay.numpy()


def fig_lr_schedule(ax: Axes, total_steps: int, **schedule: float) -> None:
    """Learning rate against steps, of the update, and of the decay where it differs; arguments of `applied_rates`."""
    update, decay = applied_rates(total_steps, **schedule)
    steps = np.arange(1, total_steps + 1)
    if not np.array_equal(update, decay):
        ax.plot(steps, decay, "--", color="#9A9A9A", label="of the decay")
    ax.plot(steps, update, color=COLOURS["adamwadv"], label="of the update")
    ax.set(xlabel="step", ylabel="learning rate", xlim=(0, total_steps), ylim=(0, 1.05 * decay.max()))
    if len(ax.lines) > 1:
        ax.legend(loc="upper right")
