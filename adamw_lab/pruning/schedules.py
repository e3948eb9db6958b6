"""How sparsity grows: pure functions of the step."""

from collections.abc import Callable
from numbers import Integral, Real

from adamw_lab.suggest import did_you_mean


def cubic(tau: float) -> float:
    """1 − (1 − τ)³: fast while there is much to remove (Zhu and Gupta, arXiv 1710.01878)."""
    return 1.0 - (1.0 - tau) ** 3


def late_cubic(tau: float) -> float:
    """τ³: most is removed at the end, as AdamWPrune's project does."""
    return tau**3


def linear(tau: float) -> float:
    """τ."""
    return tau


def one_shot(tau: float) -> float:
    """0 before τ = 1, then 1: everything at the end step, as Han et al. (arXiv 1506.02626) prune a trained network."""
    return 1.0 if tau >= 1.0 else 0.0


_ALL: tuple[Callable[[float], float], ...] = (cubic, late_cubic, linear, one_shot)
SCHEDULES = {f.__name__: f for f in _ALL}
"""Name -> fraction of the target sparsity at τ, the fraction of the way from begin to end; each goes from 0 to 1."""


def check_schedule(*, begin_step: int, end_step: int, target: float, schedule: str, update_every: int = 1) -> None:
    """Refuse what no sparsity follows from.

    Raises:
        ValueError: an unknown schedule, a target outside [0, 1), or steps that are no whole numbers, negative or in the
            wrong order.
    """
    if schedule not in SCHEDULES:
        hint = did_you_mean(str(schedule), SCHEDULES)
        raise ValueError(f"unknown schedule {schedule!r}; allowed: {', '.join(SCHEDULES)}.{hint}")
    if not isinstance(target, Real) or not 0.0 <= target < 1.0:
        raise ValueError(f"Invalid target_sparsity: {target!r}; allowed: from 0 to below 1")
    steps = {"begin_step": (begin_step, 0), "end_step": (end_step, 1), "update_every": (update_every, 1)}
    for name, (step, least) in steps.items():
        if not isinstance(step, Integral) or isinstance(step, bool) or step < least:
            raise ValueError(f"Invalid {name}: {step!r}; allowed: a whole number of at least {least}")
    if begin_step > end_step:
        raise ValueError(f"Invalid begin_step, end_step: {begin_step!r}, {end_step!r}; allowed: begin <= end")


def sparsity_at(step: int, *, begin_step: int, end_step: int, target: float, schedule: str) -> float:
    """The fraction of weights that ought to be pruned at a step: 0 up to `begin_step`, `target` from `end_step` on.

    Between them target · schedule((step − begin_step) / (end_step − begin_step)). Errors are `check_schedule`'s.
    """
    check_schedule(begin_step=begin_step, end_step=end_step, target=target, schedule=schedule)
    if step >= end_step:
        return target
    if step <= begin_step:
        return 0.0
    return target * SCHEDULES[schedule]((step - begin_step) / (end_step - begin_step))


SHARES = {"begin_step": 0.1, "end_step": 0.75}
"""Where in a run pruning begins and reaches its target, as shares of the run's steps, unless told otherwise."""


def default_step(name: str, total_steps: int) -> int:
    """`begin_step` or `end_step` of a run of so many steps."""
    return max(1, round(SHARES[name] * total_steps))
