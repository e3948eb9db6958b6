"""Optimizers on landscapes and on gradients made by hand: the textbook's rules, fast enough for a slider.

Everything is float64 and nothing is random but the noise, which depends on the seed alone: all optimizers see the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim import Optimizer

from adamw_lab.landscapes import Landscape, get_landscape
from adamw_lab.optim import OPTIMIZERS, textbook
from adamw_lab.optim.own import own_names
from adamw_lab.suggest import did_you_mean

Make = Callable[..., Optimizer]
Step = Callable[[np.ndarray], np.ndarray]

LRS = tuple(float(lr) for lr in np.round(10.0 ** (np.arange(-16, 3) / 4), 6))
"""Learning rates that are tried where none is given: four a decade, from 1e-4 to 3.16."""


@dataclass(frozen=True)
class Rule:
    """A rule of the textbook and how it is set.

    Attributes:
        step: the function of `textbook`.
        options: settings that differ from its own.
        betas: (b1, b2) -> the settings that stand for them.
        arithmetic: whether it is element by element and takes NumPy arrays of any shape; the others look at the norm
            of the whole and take one tensor.
        anneals: whether it takes `total_steps`.
    """

    step: Callable
    options: Mapping[str, Any] = field(default_factory=dict)
    betas: Callable[[tuple[float, float]], dict[str, Any]] = lambda betas: {"betas": betas}
    arithmetic: bool = True
    anneals: bool = False


RULES: dict[str, Rule] = {
    "sgd_plain": Rule(textbook.sgd, {"momentum": 0.0}, lambda betas: {}),
    "sgd": Rule(textbook.sgd, betas=lambda betas: {"momentum": betas[0]}),
    "adagrad": Rule(textbook.adagrad, betas=lambda betas: {}),
    "rmsprop": Rule(textbook.rmsprop, betas=lambda betas: {"alpha": betas[1]}),
    "adam": Rule(textbook.adam),
    "adamw": Rule(textbook.adamw),
    "adamw_clip": Rule(textbook.adamw_adv, {"amsgrad": False}, arithmetic=False),
    "adamwadv": Rule(textbook.adamw_adv, arithmetic=False, anneals=True),
    "adamwspam": Rule(textbook.adamw_spam, arithmetic=False),
    "adamwspam_published": Rule(textbook.spam_published, arithmetic=False),
}
"""name -> `Rule`: `optim.OPTIMIZERS` by their names, but for AdamWPrune, and `sgd_plain`, SGD without its momentum."""


def descend(landscape: str | Landscape, optimizer: str | Make, steps: int = 200, *, lr: float,
            betas: tuple[float, float] | None = None, eps: float | None = None, weight_decay: float = 0.0,
            noise: float | None = None, spikes: Mapping[int, float] | None = None,
            start: Sequence[float] | None = None, seed: int = 0) -> pd.DataFrame:
    """Walk down a landscape.

    Args:
        landscape: a key of `LANDSCAPES`, or a `Landscape`.
        optimizer: a key of `RULES`; the name of one that `optim.register` added; or a torch optimizer's class, or
            whatever makes one of `([parameter], lr=…)` and those of `betas`, `eps` and `weight_decay` that are set.
        steps: how many, at least 1.
        lr: learning rate, at least 0.
        betas: decay rates of the first and second moment, each in [0, 1); None (default): each rule's own. SGD's
            momentum is the first, RMSprop's alpha the second, and AdaGrad has none.
        eps: added to the denominator; None (default): each rule's own. SGD has none.
        weight_decay: at least 0 (default); the rules differ in what they do with it.
        noise: deviation of the normal noise on each gradient; None (default): the landscape's own.
        spikes: step, from 1 -> factor on that step's gradient; None (default): none.
        start: x and y; None (default): the landscape's own.
        seed: of the noise.

    Returns:
        steps + 1 rows, the start first: `step`, `x`, `y`, `loss` there, and the gradient that led there, `grad_x` and
        `grad_y`, noise and spike included. What overflows is inf or NaN.

    Raises:
        ValueError: a setting out of range, or an unknown name.
    """
    place, optimizer = get_landscape(landscape), _own(optimizer)
    settings = _checked(optimizer, lr, betas, eps, weight_decay)
    noises = _noises(steps, place.noise if noise is None else noise, spikes or {}, seed)
    begin = np.array(place.start if start is None else start, dtype=float)
    path, gradients = _walk(place, stepper(optimizer, begin, steps=steps, **settings), begin, noises, spikes or {})
    with np.errstate(all="ignore"):
        losses = place.value(path[:, 0], path[:, 1])
    return pd.DataFrame({"step": np.arange(steps + 1), "x": path[:, 0], "y": path[:, 1], "loss": losses,
                         "grad_x": gradients[:, 0], "grad_y": gradients[:, 1]})


def sweep(landscape: str | Landscape, optimizer: str | Make, lrs: Iterable[float] = LRS, steps: int = 200, *,
          betas: tuple[float, float] | None = None, noise: float | None = None, seed: int = 0) -> pd.DataFrame:
    """The same descent at several learning rates; rules of plain arithmetic take them all at once.

    Returns:
        A row a learning rate: `lr`, `mean_loss` (over the steps; inf where the descent diverged) and `last_loss`, both
        less the landscape's lowest loss.

    Raises:
        ValueError: as `descend`.
    """
    place, lrs, optimizer = get_landscape(landscape), [float(lr) for lr in lrs], _own(optimizer)
    for lr in lrs:
        settings = _checked(optimizer, lr, betas, None, 0.0)
    if not (isinstance(optimizer, str) and RULES[optimizer].arithmetic):
        runs = [descend(place, optimizer, steps, lr=lr, betas=betas, noise=noise, seed=seed) for lr in lrs]
        losses = np.stack([run["loss"] for run in runs], axis=1)
    else:
        noises = _noises(steps, place.noise if noise is None else noise, {}, seed)
        begin = np.broadcast_to(np.array(place.start, dtype=float), (len(lrs), 2))
        settings["lr"] = np.array(lrs)[:, None]
        path, _ = _walk(place, stepper(optimizer, begin, steps=steps, **settings), begin, noises, {})
        with np.errstate(all="ignore"):
            losses = place.value(path[..., 0], path[..., 1])
    with np.errstate(all="ignore"):
        gaps = np.nan_to_num(losses - place.lowest, nan=np.inf, posinf=np.inf)
        return pd.DataFrame({"lr": lrs, "mean_loss": gaps[1:].mean(axis=0), "last_loss": gaps[-1]})


def best_lr(landscape: str | Landscape, optimizer: str | Make, lrs: Iterable[float] = LRS, steps: int = 200,
            **options: Any) -> float:
    """The learning rate of `sweep` with the lowest mean loss over the steps: down soonest, and staying there."""
    table = sweep(landscape, optimizer, lrs, steps, **options)
    return float(table["lr"][table["mean_loss"].idxmin()])


def respond(optimizer: str | Make, gradients: np.ndarray, *, lr: float = 1.0,
            betas: tuple[float, float] | None = None, eps: float | None = None) -> np.ndarray:
    """What an optimizer makes of gradients that are given: the change of each weight at each step, [T, n].

    Args:
        optimizer: as for `descend`.
        gradients: [T, n], of n weights over T steps.
        lr: learning rate; at 1, the default, the changes are in learning rates.
        betas, eps: as for `descend`.

    Raises:
        ValueError: as `descend`, or gradients of another shape.
    """
    gradients, optimizer = np.asarray(gradients, dtype=float), _own(optimizer)
    if gradients.ndim != 2:
        raise ValueError(f"Invalid shape of gradients: {gradients.shape}; allowed: [T, n], steps by weights")
    begin = np.zeros(gradients.shape[1])
    settings = _checked(optimizer, lr, betas, eps, 0.0)
    step = stepper(optimizer, begin, steps=len(gradients), **settings)
    with np.errstate(all="ignore"):
        weights = np.stack([begin, *(step(g) for g in gradients)])
    return np.diff(weights, axis=0)


def _own(optimizer: str | Make) -> str | Make:
    """An optimizer that was registered as what makes it, like all here without weight decay unless that is set."""
    if isinstance(optimizer, str) and optimizer in own_names() and optimizer not in RULES:
        return partial(OPTIMIZERS[optimizer].cls, weight_decay=0.0)
    return optimizer


def stepper(optimizer: str | Make, start: np.ndarray, *, steps: int, **settings: Any) -> Step:
    """A function from each step's gradient to the weights after it, both of the shape of `start`.

    `settings` go to the rule or to the maker of the optimizer; `steps` is the length of the run for those that anneal.
    """
    if not isinstance(optimizer, str):
        return _torch_stepper(optimizer, start, settings)
    rule = RULES[optimizer]
    if rule.anneals:
        settings["total_steps"] = steps
    state: dict[str, Any] = {}
    p = start if rule.arithmetic else torch.from_numpy(start)

    def step(g: np.ndarray) -> np.ndarray:
        nonlocal p
        p = rule.step(p, g if rule.arithmetic else torch.from_numpy(g), state, **settings)
        return p if rule.arithmetic else p.numpy()

    return step


def _torch_stepper(make: Make, start: np.ndarray, settings: dict[str, Any]) -> Step:
    w = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = make([w], **settings)

    def step(g: np.ndarray) -> np.ndarray:
        w.grad = torch.tensor(g)
        optimizer.step()
        return w.detach().numpy().copy()

    return step


def _walk(place: Landscape, step: Step, begin: np.ndarray, noises: np.ndarray, spikes: Mapping[int, float]
          ) -> tuple[np.ndarray, np.ndarray]:
    """Positions and gradients, [steps + 1, …, 2]; the first gradient is NaN."""
    path = np.empty((len(noises) + 1, *begin.shape))
    gradients = np.full_like(path, np.nan)
    path[0] = begin
    with np.errstate(all="ignore"):
        for t, noise in enumerate(noises, start=1):
            at, g = path[t - 1], gradients[t]
            g[..., 0], g[..., 1] = place.gradient(at[..., 0], at[..., 1])
            g += noise
            if t in spikes:
                g *= spikes[t]
            path[t] = step(g)
    return path, gradients


def _noises(steps: int, noise: float, spikes: Mapping[int, float], seed: int) -> np.ndarray:
    """[steps, 2]; the same first steps whatever the number of steps."""
    if not (isinstance(steps, int | np.integer) and steps >= 1):
        raise ValueError(f"Invalid steps value: {steps!r}; allowed: a whole number of at least 1")
    if not 0 <= noise < np.inf:
        raise ValueError(f"Invalid noise value: {noise!r}; allowed: a number of at least 0")
    for at in spikes:
        if not 1 <= at <= steps:
            raise ValueError(f"Invalid spike at step {at!r}; allowed: from 1 to {steps}")
    return noise * np.random.default_rng(seed).standard_normal((steps, 2))


def _checked(optimizer: str | Make, lr: float, betas: tuple[float, float] | None, eps: float | None,
             weight_decay: float) -> dict[str, Any]:
    """The settings in the optimizer's own words."""
    for name, value in (("lr", lr), ("eps", 0.0 if eps is None else eps), ("weight_decay", weight_decay)):
        if not 0 <= value < np.inf:
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: a number of at least 0")
    if betas is not None and not (len(betas) == 2 and all(0 <= beta < 1 for beta in betas)):
        raise ValueError(f"Invalid betas: {betas!r}; allowed: two numbers in [0, 1)")
    if not isinstance(optimizer, str):
        given = {"betas": betas, "eps": eps, "weight_decay": weight_decay or None}
        return {"lr": lr} | {name: value for name, value in given.items() if value is not None}
    if optimizer not in RULES:
        raise ValueError(f"unknown optimizer {optimizer!r}; allowed: {', '.join(RULES)}."
                         f"{did_you_mean(optimizer, RULES)}")
    rule = RULES[optimizer]
    settings = dict(rule.options) | {"lr": lr, "weight_decay": weight_decay}
    settings |= rule.betas(betas) if betas is not None else {}
    if eps is not None and rule.step is not textbook.sgd:
        settings["eps"] = eps
    return settings
