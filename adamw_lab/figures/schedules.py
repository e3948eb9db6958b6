"""Figures of learning rate schedules, drawn as the optimizers apply them."""

import numpy as np
import torch
from matplotlib.axes import Axes
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from adamw_lab.figures.lines import keep_lines, move_line
from adamw_lab.figures.style import COLOURS
from adamw_lab.optim import AdamWAdv
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
    _check_floor(lr, min_lr)
    steps = torch.arange(1, total_steps + 1, dtype=torch.float64)
    decay = cosine_annealing(steps, total_steps, lr, min_lr) if anneal else torch.full_like(steps, lr)
    if not reset_interval:
        return decay.numpy(), decay.numpy()
    since = torch.where(steps >= reset_interval, steps % reset_interval, torch.inf)
    return (decay * reset_warmup(since, warmup_steps)).numpy(), decay.numpy()


def torch_rates(total_steps: int, *, lr: float, min_lr: float = 0.0, anneal: bool = True, warmup_steps: int
                ) -> np.ndarray:
    """The learning rates that torch's schedulers put on an optimizer, at steps 1 to `total_steps`: an initial warm-up.

    `LinearLR` from lr / warmup_steps at the first step to lr after `warmup_steps`, then `CosineAnnealingLR` down to
    `min_lr` (`anneal` False: none), joined by `SequentialLR` and read from a real optimizer. The lab's optimizers warm
    up after resets alone; made without `total_steps`, they take these schedulers as any torch optimizer does.

    Raises:
        ValueError: a warm-up that leaves no step, or a min_lr above lr.
    """
    if not 1 <= warmup_steps < total_steps:
        raise ValueError(f"Invalid warmup_steps value: {warmup_steps!r}; allowed: from 1 to below total_steps = "
                         f"{total_steps!r}")
    _check_floor(lr, min_lr)
    optimizer = AdamWAdv([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    warm = LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps)
    after = CosineAnnealingLR(optimizer, T_max=total_steps - warmup_steps, eta_min=min_lr if anneal else lr)
    scheduler, rates = SequentialLR(optimizer, [warm, after], milestones=[warmup_steps]), []
    for _ in range(total_steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def fig_lr_schedule(ax: Axes, total_steps: int, *, initial_warmup: int = 0, **schedule: float) -> None:
    """Learning rate against steps, of the update, and of the decay where it differs; arguments of `applied_rates`.

    With `initial_warmup` also that of an optimizer under torch's schedulers, `torch_rates`. A second call with the same
    axes moves what is there.
    """
    update, decay = applied_rates(total_steps, **schedule)
    steps = np.arange(1, total_steps + 1)
    shown = {"of the update": (update, {"color": COLOURS["adamwadv"]})}
    if not np.array_equal(update, decay):
        shown = {"of the decay": (decay, {"color": "#9A9A9A", "linestyle": "--"})} | shown
    if initial_warmup:
        torchs = {name: schedule[name] for name in ("lr", "min_lr", "anneal") if name in schedule}
        shown["under torch's LinearLR, then cosine" if schedule.get("anneal", True) else "under torch's LinearLR"] = (
            torch_rates(total_steps, warmup_steps=initial_warmup, **torchs),
            {"color": COLOURS["sgd"], "linestyle": (0, (1, 1))})
    if {line.get_gid() for line in ax.lines} != set(shown):
        keep_lines(ax, set())  # in the order of fresh axes
    for label, (rates, look) in shown.items():
        move_line(ax, label, steps, rates, label=label, **look)
    ax.set(xlabel="step", ylabel="learning rate", xlim=(0, total_steps), ylim=(0, 1.05 * decay.max()))
    if len(ax.lines) > 1:
        ax.legend(loc="upper right")
    elif ax.get_legend():
        ax.get_legend().remove()


def _check_floor(lr: float, min_lr: float) -> None:
    if not 0 <= min_lr <= lr:
        raise ValueError(f"Invalid min_lr value: {min_lr!r}; allowed: from 0 to lr = {lr!r}")
