"""Pure functions of the step: the annealing of the learning rate and the warm-up after a reset.

Each takes a number or a tensor and returns the same kind. The host computes with numbers where the step lives in
host memory; on an accelerator the step is a 0-d tensor and nothing here forces a synchronization.
"""

import math

import torch
from torch import Tensor

Number = float | Tensor


def cos(x: Number) -> Number:
    return torch.cos(x) if isinstance(x, Tensor) else math.cos(x)


def sqrt(x: Number) -> Number:
    return torch.sqrt(x) if isinstance(x, Tensor) else math.sqrt(x)


def minimum(x: Number, y: Number) -> Number:
    """The smaller of two numbers, either of which may be a tensor."""
    if isinstance(x, Tensor):
        return torch.clamp(x, max=y)
    return torch.clamp(y, max=x) if isinstance(y, Tensor) else min(x, y)


def where(condition: bool | Tensor, x: Number, y: Number) -> Number:
    """x where the condition holds, else y; numbers as float64, where torch alone would take them as float32."""
    if not isinstance(condition, Tensor):
        return x if condition else y
    real = torch.float32 if condition.device.type == "mps" else torch.float64
    x, y = (n if isinstance(n, Tensor) else torch.full((), n, dtype=real, device=condition.device) for n in (x, y))
    return torch.where(condition, x, y)


def cosine_annealing(step: Number, total_steps: int, lr: Number, min_lr: Number = 0.0) -> Number:
    """Learning rate of step number `step` (1, 2, …) on a cosine from `lr` down to `min_lr` (SGDR, arXiv 1608.03983).

        eta(t) = min_lr + (lr - min_lr) * (1 + cos(pi * (t - 1) / total_steps)) / 2

    The first step takes `lr`; from step `total_steps` + 1 on it stays at `min_lr`. This is torch's CosineAnnealingLR
    with T_max = total_steps, stepped after each optimizer step.
    """
    done = minimum(step - 1, total_steps) / total_steps
    return min_lr + (lr - min_lr) * (1 + cos(math.pi * done)) / 2


def reset_warmup(steps_since_reset: Number, warmup_steps: int) -> Number:
    """Factor on the update at the k-th step after a reset, k = 0 at the reset step itself (SPAM, arXiv 2501.06842).

        s(k) = 1 - 0.99 * (1 + cos(pi * k / (warmup_steps + 1))) / 2   for k < warmup_steps, otherwise 1

    It is 0.01 at the reset step. `steps_since_reset` is infinite before the first reset, where s = 1.
    """
    k = minimum(steps_since_reset, warmup_steps)
    return where(k < warmup_steps, 1 - 0.99 * (1 + cos(math.pi * k / (warmup_steps + 1))) / 2, 1.0)
