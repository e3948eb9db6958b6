"""Gradient spikes in a model small enough to see: a noisy bowl, spikes of known place and size, any optimizer."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Make = Callable[[list[nn.Parameter]], Optimizer]


def descend_bowl(make: Make, *, steps: int = 300, spikes: Mapping[int, float] | None = None, noise: float = 1.0,
                 size: int = 64, seed: int = 0) -> pd.DataFrame:
    """Descend w²/2 in each of `size` weights from w = 1 by gradients w + noise·ε, ε standard normal, some multiplied
    into spikes. The loss is their mean.

    Args:
        make: parameters -> an optimizer that keeps `exp_avg` and `exp_avg_sq`.
        steps: how many.
        spikes: step, from 1 -> factor on that step's gradient; None (default): none.
        noise: deviation of the gradients' noise.
        size: number of weights.
        seed: of the noise, which is the same for every optimizer.

    Returns:
        A row a step: `step`, `loss` after it, `grad_norm` before it (with the spike), `first_moment` and
        `second_moment` (root mean squares over the weights of m and of √v, uncorrected), `update` (root mean square of
        the change of a weight).

    Raises:
        ValueError: a spike outside the run, or a size, number of steps or noise out of range.
    """
    w = nn.Parameter(torch.ones(_checked_size(size), dtype=torch.float64))
    optimizer = make([w])

    def step(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w.grad = g
        optimizer.step()
        state = optimizer.state[w]
        return w.detach().clone(), state["exp_avg"].clone(), state["exp_avg_sq"].clone()

    return _descend(step, steps, spikes, noise, size, seed)


def descend_bowl_by(rule: Callable[..., Tensor], options: Mapping[str, Any], *, steps: int = 300,
                    spikes: Mapping[int, float] | None = None, noise: float = 1.0, size: int = 64,
                    seed: int = 0) -> pd.DataFrame:
    """`descend_bowl` by a rule of `optim.textbook` with Adam's two moments: the same, and fast enough for a slider.

    `options` are the rule's.
    """
    w, state = torch.ones(_checked_size(size), dtype=torch.float64), {}

    def step(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal w
        w = rule(w, g, state, **options)
        return w, state["exp_avg"], state["exp_avg_sq"]

    with torch.inference_mode():
        return _descend(step, steps, spikes, noise, size, seed)


def _descend(step: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], steps: int, spikes: Mapping[int, float] | None,
             noise: float, size: int, seed: int) -> pd.DataFrame:
    """`step`: gradient -> weights, m and v after it, which it does not change later."""
    spikes = dict(spikes or {})
    for name, value, low in (("steps", steps, 1), ("noise", noise, 0)):
        if not (math.isfinite(value) and value >= low):
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: a number of at least {low}")
    for at in spikes:
        if not 1 <= at <= steps:
            raise ValueError(f"Invalid spike at step {at!r}; allowed: from 1 to {steps}")
    generator = torch.Generator().manual_seed(seed)
    noises = noise * torch.randn(steps, size, generator=generator, dtype=torch.float64)
    w = torch.ones(size, dtype=torch.float64)
    gradients, walked = [], []
    for t, noisy in enumerate(noises.unbind(), start=1):
        g = w + noisy
        gradients.append(g * spikes[t] if t in spikes else g)
        walked.append(step(gradients[-1]))
        w = walked[-1][0]
    weights, m, v = (torch.stack(kind) for kind in zip(*walked, strict=True))
    moves = torch.diff(weights, dim=0, prepend=torch.ones(1, size, dtype=torch.float64))
    return pd.DataFrame({
        "step": range(1, steps + 1), "loss": weights.square().mean(1) / 2,
        "grad_norm": torch.stack(gradients).norm(dim=1),
        "first_moment": _rms(m), "second_moment": _rms(v.sqrt()), "update": _rms(moves)})


def _checked_size(size: int) -> int:
    if not (math.isfinite(size) and size >= 1):
        raise ValueError(f"Invalid size value: {size!r}; allowed: a number of at least 1")
    return size


def spike_scores(gradients: Tensor, history: int = 100, least: int = 10) -> Tensor:
    """The gradient spike score of SPAM (arXiv 2501.06842), by what is known at each step: |g_t| by the mean of |g|.

    Element by element, the mean over up to `history` steps before t, as in `norm_scores`. The paper looks back on a run
    that has ended and takes the mean over all of it, later steps included; it speaks of a spike above 50.
    `gradients` is [T, …] and so is the result, which is 0 for the first `least` steps.
    """
    sizes = gradients.abs()
    scores = torch.zeros_like(sizes)
    for t in range(least, len(sizes)):
        scores[t] = sizes[t] / sizes[max(0, t - history) : t].mean(dim=0)
    return scores


def norm_scores(norms: Sequence[float] | Tensor, history: int = 100, least: int = 10) -> Tensor:
    """How many deviations each norm lies above the mean of up to `history` norms before it, [T]: the note's detector.

    0 for the first `least`, of which no deviation is worth the name.
    """
    norms = torch.as_tensor(norms, dtype=torch.float64)
    scores = torch.zeros_like(norms)
    for t in range(least, len(norms)):
        seen = norms[max(0, t - history) : t]
        scores[t] = (norms[t] - seen.mean()) / seen.std()
    return scores


def spoilt_gradients(steps: int = 1000, elements: int = 64, count: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise whose size wanders, as in training, with spikes of known place and size.

    Returns:
        The gradients [steps, elements], and what each step's was multiplied by [steps]: 1, or for the `count` spikes,
        all after the first tenth of the steps, 10 to 1000, uniform on a logarithmic scale.
    """
    generator = torch.Generator().manual_seed(seed)
    wander = torch.cumsum(0.02 * torch.randn(steps, 1, generator=generator), 0).exp()
    gradients, factors = wander * torch.randn(steps, elements, generator=generator), torch.ones(steps)
    quiet = steps // 10
    places = torch.randperm(steps - quiet, generator=generator)[:count] + quiet
    factors[places] = 10 ** (1 + 2 * torch.rand(count, generator=generator))
    return gradients * factors[:, None], factors


def precision_recall(scores: Tensor, truth: Tensor, thresholds: Sequence[float]) -> pd.DataFrame:
    """How a detector that calls a spike above a threshold fares against the truth.

    Returns:
        A row a threshold: `threshold`, `precision` (of its calls, those that are spikes; NaN where there are none) and
        `recall` (of the spikes, those that it calls), fractions.

    Raises:
        ValueError: there is no spike to find.
    """
    truth = truth.bool()
    if not truth.any():
        raise ValueError("truth holds no spike: recall is not defined")
    rows = []
    for threshold in thresholds:
        called = scores > threshold
        hits = int((called & truth).sum())
        rows.append({"threshold": threshold, "precision": hits / int(called.sum()) if called.any() else math.nan,
                     "recall": hits / int(truth.sum())})
    return pd.DataFrame(rows)


def steps_until_calm(spiked: pd.DataFrame, calm: pd.DataFrame, column: str, at: int, share: float = 0.1) -> int:
    """Steps from a spike at step `at` until `column` is back within `share` of the run without it, for good."""
    after = spiked["step"] >= at
    apart = (spiked[column] - calm[column]).abs()[after] > share * calm[column][after]
    last: Any = apart[apart].index.max()
    return 0 if pd.isna(last) else int(spiked["step"][last]) - at + 1


def _rms(t: Tensor) -> Tensor:
    """[T, n] -> [T]."""
    return t.square().mean(1).sqrt()
