"""What a weight decay comes to, coordinate by coordinate: measured on weights that only noise and the decay move."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Make = Callable[[list[nn.Parameter], float], Optimizer]


def effective_decay(make: Make, noises: Sequence[float], *, weight_decay: float, steps: int = 300, copies: int = 64,
                    seed: int = 0) -> pd.DataFrame:
    """How fast a weight shrinks, by the noise of its gradient, measured per unit of the learning rate.

    A flat loss: the gradient of a coordinate is nothing but noise of deviation sigma. Many copies of a weight begin at
    1, once with the decay and once without, under the same noise; d is the mean difference at the end, and

        effective decay = -log(1 + d) / (steps * lr)

    which is `weight_decay` where the decay is decoupled (arXiv 1711.05101, up to terms in lr * weight_decay).

    Args:
        make: (parameters, weight decay) -> an optimizer of constant learning rate.
        noises: the deviations sigma, above 0; a coordinate each.
        weight_decay: as the optimizer takes it.
        steps: how many.
        copies: weights a coordinate, over which the noise averages out.
        seed: of the noise, the same for every optimizer.

    Returns:
        A row a coordinate: `noise` and `effective_decay`; NaN where the weight went through zero.

    Raises:
        ValueError: a noise, a number of steps or of copies that is out of range.
    """
    for name, value in (("steps", steps), ("copies", copies)):
        if value < 1:
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: a whole number of at least 1")
    for noise in noises:
        if not (math.isfinite(noise) and noise > 0):
            raise ValueError(f"Invalid noise: {noise!r}; allowed: a number above 0")
    ends, lr = {}, math.nan
    for decay in (weight_decay, 0.0):
        ends[decay], lr = _walk(make, noises, decay, steps, copies, seed)
    left = 1 + (ends[weight_decay] - ends[0.0]).mean(dim=1)
    rate = -left.log() / (steps * lr)
    return pd.DataFrame({"noise": list(noises), "effective_decay": rate.tolist()})


def _walk(make: Make, noises: Sequence[float], decay: float, steps: int, copies: int,
          seed: int) -> tuple[Tensor, float]:
    """The weights at the end, [coordinates, copies], and the learning rate."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor(noises, dtype=torch.float64).unsqueeze(1)
    w = nn.Parameter(torch.ones(len(noises), copies, dtype=torch.float64))
    optimizer = make([w], decay)
    for _ in range(steps):
        w.grad = scale * torch.randn(w.shape, generator=generator, dtype=torch.float64)
        optimizer.step()
    return w.detach(), float(optimizer.param_groups[0]["lr"])


def l2_shrinkage(second_moment: Tensor, eps: float = 1e-8) -> Tensor:
    """How many times faster than lr * weight_decay Adam with L2 shrinks a weight: 1 / (sqrt(v_hat) + eps).

    `second_moment` is the bias-corrected v_hat, any shape; so is the result. With a decoupled decay it is 1 everywhere.
    """
    return 1 / (second_moment.sqrt() + eps)
