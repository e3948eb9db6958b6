"""Settings are checked when they are given; the texts are those of torch.optim.Adam, and of the same kind."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from torch import Tensor

from adamw_lab.optim.kernels.dispatch import forced_kernel


def check_group(group: dict[str, Any]) -> None:
    """Refuse settings of a parameter group that are out of range.

    Raises:
        ValueError: names the setting, its value and what is allowed.
    """
    lr = group["lr"]
    for name in ("lr", "eps", "weight_decay"):
        if not is_number(group[name]):
            raise ValueError(f"Invalid {name} value: {group[name]!r}; allowed: a number")
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    _adam_range(0.0 <= lr, f"Invalid learning rate: {lr}")
    _adam_range(0.0 <= group["eps"], f"Invalid epsilon value: {group['eps']}")
    if not are_numbers(group["betas"], 2) or any(isinstance(b, Tensor) for b in group["betas"]):
        raise ValueError(f"Invalid betas: {group['betas']}; allowed: two floats")
    for i, beta in enumerate(group["betas"]):
        _adam_range(0.0 <= beta < 1.0, f"Invalid beta parameter at index {i}: {beta}")
    _adam_range(0.0 <= group["weight_decay"], f"Invalid weight_decay value: {group['weight_decay']}")
    forced_kernel(group["kernel"])
    for name, allowed, fits in _RULES:
        if not fits(group[name]):
            raise ValueError(f"Invalid {name} value: {group[name]!r}; allowed: {allowed}")


def check_min_lr(group: dict[str, Any]) -> None:
    """Refuse a `min_lr` above `lr` in settings that are given; a scheduler may bring `lr` below it later.

    Raises:
        ValueError: names both.
    """
    lr = group["lr"]
    if not isinstance(lr, Tensor) and group["total_steps"] is not None and group["min_lr"] > lr > 0:
        raise ValueError(f"Invalid min_lr value: {group['min_lr']!r}; allowed: from 0 to lr = {lr}")


def is_number(x: Any) -> bool:
    """Whether it is a real number, or a tensor, which may hold one."""
    return isinstance(x, Real | Tensor) and not isinstance(x, bool)


def are_numbers(x: Any, n: int) -> bool:
    """Whether it is a tuple or list of n numbers."""
    return isinstance(x, tuple | list) and len(x) == n and all(map(is_number, x))


def _adam_range(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _whole(low: int) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, Integral) and not isinstance(x, bool) and x >= low


def _positive(x: Any) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool) and x > 0


def _optional(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda x: x is None or fits(x)


def _fractions(x: Any) -> bool:
    return are_numbers(x, 2) and all(0.0 <= f <= 1.0 for f in x)


_RULES = (
    ("clip_norm", "None or a number above 0", _optional(_positive)),
    ("total_steps", "None or a whole number of at least 1", _optional(_whole(1))),
    ("min_lr", "a number of at least 0", lambda x: is_number(x) and x >= 0),
    ("theta", "None or a number above 0", _optional(_positive)),
    ("spike_sigma", "None or a number above 0", _optional(_positive)),
    ("history", "a whole number of at least 10", _whole(10)),
    ("spike_decay", "two factors from 0 to 1, on the first and the second moment", _fractions),
    ("reset_interval", "a whole number; 0: never", _whole(0)),
    ("warmup_steps", "a whole number of at least 0", _whole(0)),
    ("grace_steps", "a whole number of at least 0", _whole(0)),
    ("amsgrad", "True or False", lambda x: isinstance(x, bool)),
    ("maximize", "True or False", lambda x: isinstance(x, bool)),
    ("restart_bias_correction", "True or False", lambda x: isinstance(x, bool)),
)
