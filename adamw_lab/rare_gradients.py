"""The counterexample of Reddi, Kale and Kumar (arXiv 1904.09237): where Adam walks away from the minimum.

    f_t(x) = size * x  at every `period`-th step, beginning with the first;  f_t(x) = -x  at all others;  x in [-1, 1]

With size > period - 1 the gradients of a period add up to more than 0, and x = -1 is best. But Adam divides the rare,
large gradient by a sqrt(v) that it has just raised, and the small ones by what is left of it.
"""

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from adamw_lab.optim import textbook

PROBLEMS = {"size 3, every 3rd": (3.0, 3), "size 101, every 101st": (101.0, 101)}
"""The paper's two: (size, period). The second is its f = 1010 x and -10 x by ten, which Adam does not notice."""


def gradient(step: int, size: float, period: int) -> float:
    """The gradient at step number 1, 2, …; ValueError where -1 is not the minimum."""
    _check(size, period)
    return size if (step - 1) % period == 0 else -1.0


def descend(*, size: float = 3.0, period: int = 3, beta2: float | None = None, lr: float = 0.5, steps: int = 600,
            amsgrad: bool = False) -> pd.DataFrame:
    """Adam on the counterexample from x = 0: beta1 = 0, learning rate lr / sqrt(t), no decay, x clipped to [-1, 1].

    Args:
        size, period: the problem.
        beta2: None (default): the paper's 1 / (1 + size²).
        lr: of the first step.
        steps: how many.
        amsgrad: divide by the largest v so far.

    Returns:
        A row a step: `step` and `x` after it.
    """
    beta2 = 1 / (1 + size**2) if beta2 is None else beta2
    x, state, path = torch.zeros(1, dtype=torch.float64), {}, []
    for step in range(1, steps + 1):
        g = torch.full_like(x, gradient(step, size, period))
        x = textbook.adamw(x, g, state, lr=lr / math.sqrt(step), betas=(0.0, beta2), weight_decay=0.0, amsgrad=amsgrad)
        x = x.clamp(-1, 1)
        path.append(float(x))
    return pd.DataFrame({"step": range(1, steps + 1), "x": path})


def away_by_towards(beta2: ArrayLike, size: float = 3.0, period: int = 3, amsgrad: bool = False) -> np.ndarray:
    """How far a period takes x from the minimum by how far towards it, once v repeats itself (beta1 = 0).

        v_k = (1 - beta2) * sum over j >= 0 of beta2^j g²_{k-j}           k: steps since the large gradient
        away / towards = sum over the small gradients of 1 / sqrt(v_k)  /  (size / sqrt(v_0))

    Above 1 it goes the wrong way. AMSGrad divides by the largest v throughout, that of the large gradient, so that it
    is (period - 1) / size, below 1, whatever beta2. `beta2` in (0, 1), any shape; so is the result.
    """
    _check(size, period)
    beta2 = np.asarray(beta2, dtype=float)[..., None]
    if amsgrad:
        return np.full(beta2.shape[:-1], (period - 1) / size)
    first = 1 + (1 - beta2) * (size**2 - 1) / (1 - beta2**period)
    small = 1 + (first - 1) * beta2 ** np.arange(1, period)
    return (np.sqrt(first / small) / size).sum(axis=-1)


def turning_point(size: float = 3.0, period: int = 3) -> float:
    """The beta2 from which on Adam goes towards the minimum: where `away_by_towards` is 1; 0 if it always does."""
    from scipy.optimize import brentq

    if period == 2:  # one small gradient alone never makes up for the large one
        return 0.0
    return float(brentq(lambda beta2: float(away_by_towards(beta2, size, period)) - 1, 1e-9, 1 - 1e-9))


def _check(size: float, period: int) -> None:
    if period < 2:
        raise ValueError(f"Invalid period: {period!r}; allowed: a whole number of at least 2")
    if not size > period - 1:
        raise ValueError(f"Invalid size: {size!r}; allowed: above period - 1 = {period - 1}, so that -1 is the minimum")
