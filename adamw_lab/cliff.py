"""The cliff of a recurrent network of two parameters, where gradients explode (after Pascanu et al., arXiv 1211.5063).

    x_0 = 1/2 ,   x_t = w σ(x_{t-1}) + b ,   L = (σ(x_T) − 0.7)²            σ: the logistic function

Where w is large there are two states in which x can stay. Across the line in (w, b) on which one of them ends, x_T
jumps, and with it the loss.
"""

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

STEPS = 50
"""T, the length of the sequence."""
TARGET = 0.7


def cliff_loss(w: Tensor, b: Tensor, steps: int = STEPS) -> Tensor:
    """L for each pair of w and b, tensors of one shape."""
    x = torch.full_like(w, 0.5)
    for _ in range(steps):
        x = w * torch.sigmoid(x) + b
    return (torch.sigmoid(x) - TARGET) ** 2


def cliff_gradient(w: Tensor, b: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor, Tensor]:
    """L, ∂L/∂w and ∂L/∂b. With s = σ(x_{t-1}), each step multiplies what came before by w σ'(x_{t-1}) = w s (1 − s):

    ∂x_t/∂w = s + w s (1 − s) ∂x_{t-1}/∂w ,   ∂x_t/∂b = 1 + w s (1 − s) ∂x_{t-1}/∂b
    """
    x = torch.full_like(w, 0.5)
    by_w, by_b = torch.zeros_like(w), torch.zeros_like(w)
    for _ in range(steps):
        s = torch.sigmoid(x)
        factor = w * s * (1 - s)
        by_w, by_b = s + factor * by_w, 1 + factor * by_b
        x = w * s + b
    s = torch.sigmoid(x)
    outer = 2 * (s - TARGET) * s * (1 - s)
    return (s - TARGET) ** 2, outer * by_w, outer * by_b


def cliff_starts(count: int, seed: int = 0) -> Tensor:
    """Places [count, 2] on the low side of the cliff, w in [5, 7) and b in [−2.5, −1.5), float64."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return torch.stack([5 + 2 * place[:, 0], place[:, 1] - 2.5], dim=1)


def descend_cliff(make: Callable[[list[nn.Parameter]], Optimizer], starts: Tensor, *, steps: int = 200,
                  clip_norm: float | None = None) -> tuple[Tensor, pd.DataFrame]:
    """Descend from many places at once, each as if it were alone.

    Args:
        make: parameters -> an optimizer that works element by element, without a norm over all.
        starts: [N, 2], a row (w, b) each.
        steps: how many.
        clip_norm: clip the gradient of each place to this norm first; None (default): do not.

    Returns:
        The paths [steps + 1, N, 2], and a row a place: `largest_gradient` (its norm, before clipping), `longest_step`
        and the last `loss`.

    Raises:
        ValueError: fewer than one step, or starts of another shape.
    """
    if steps < 1:
        raise ValueError(f"Invalid steps value: {steps!r}; allowed: a whole number of at least 1")
    if starts.ndim != 2 or starts.shape[1] != 2:
        raise ValueError(f"Invalid shape of starts: {list(starts.shape)}; allowed: [N, 2], a row (w, b) each")
    places = nn.Parameter(starts.clone())
    optimizer = make([places])
    path, largest = [starts.clone()], torch.zeros(len(starts), dtype=starts.dtype)
    for _ in range(steps):
        _, *gradient = cliff_gradient(*places.detach().unbind(1))
        places.grad = torch.stack(gradient, dim=1)
        norms = places.grad.norm(dim=1, keepdim=True)
        largest = torch.maximum(largest, norms.squeeze(1))
        if clip_norm is not None:
            places.grad = places.grad * (clip_norm / (norms + 1e-6)).clamp(max=1.0)
        optimizer.step()
        path.append(places.detach().clone())
    walked = torch.stack(path)
    return walked, pd.DataFrame({"largest_gradient": largest,
                                 "longest_step": walked.diff(dim=0).norm(dim=2).amax(dim=0),
                                 "loss": cliff_loss(*walked[-1].unbind(1))})
