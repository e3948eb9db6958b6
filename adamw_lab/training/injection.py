"""Steps that are spoilt on purpose, so that what a detector finds can be held against the truth."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adamw_lab.suggest import did_you_mean

KINDS = ("gradient", "noise", "batch")
DEFAULTS: dict[str, Any] = {"at": None, "rate": None, "factor": 100.0, "kind": "gradient", "start": 1, "seed": 0}


class SpikeInjector:
    """Spoils some steps of a run; which ones is a pure function of the arguments, so that a resumed run meets the same.

    Args:
        total_steps: steps of the run.
        at: the steps to spoil, from 1; or
        rate: each step is spoilt with this probability, in [0, 1].
        factor: what the gradients, or the numbers of a batch, are multiplied by (default 100).
        kind: "gradient" (default): all gradients, before the optimizer sees them, whose direction stays; "noise": they
            are replaced by Gaussian noise of `factor` times the norm of each; "batch": the inputs, where tokens are
            replaced by random ones, whatever the factor.
        start: no step before this one is spoilt (default 1).
        seed: of the choice of steps by rate, of noise and of random tokens (default 0; in a run, that of the run).

    Raises:
        ValueError: see `check_spikes`.
    """

    def __init__(self, total_steps: int, **options: Any) -> None:
        check_spikes(**options)
        options = {**DEFAULTS, **options}
        self.factor, self.kind, self.seed = options["factor"], options["kind"], options["seed"]
        if options["at"] is not None:
            steps = options["at"]
        else:
            generator = torch.Generator().manual_seed(options["seed"])
            steps = ((torch.rand(total_steps, generator=generator) < options["rate"]).nonzero().flatten() + 1).tolist()
        self._steps = {step for step in steps if options["start"] <= step <= total_steps}

    def truth(self) -> list[int]:
        """The steps that are spoilt, from 1, in order."""
        return sorted(self._steps)

    def spoils(self, step: int) -> bool:
        """Whether this step, from 1, is spoilt."""
        return step in self._steps

    def batch(self, step: int, inputs: Tensor) -> Tensor:
        """The inputs of a step, spoilt if that is the kind and the step."""
        if self.kind != "batch" or not self.spoils(step):
            return inputs
        if inputs.is_floating_point():
            return inputs * self.factor
        high = int(inputs.max()) + 1
        return torch.randint(0, high, inputs.shape, generator=self._generator(step)).to(inputs.device)

    def gradients(self, step: int, model: nn.Module) -> None:
        """Spoil the gradients of a step if that is the kind and the step."""
        if self.kind == "batch" or not self.spoils(step):
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if self.kind == "gradient":
            torch._foreach_mul_(gradients, self.factor)
            return
        generator = self._generator(step)
        for gradient in gradients:
            noise = torch.randn(gradient.shape, generator=generator).to(gradient)
            gradient.copy_(noise * (self.factor * gradient.norm() / noise.norm()))

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(hash((self.seed, step)))


def check_spikes(**options: Any) -> None:
    """Refuse what `SpikeInjector` does not take.

    Raises:
        ValueError: an unknown option, neither or both of `at` and `rate`, or a value out of range.
    """
    for name in options:
        if name not in DEFAULTS:
            raise ValueError(f"unknown option {name!r} of spikes; allowed: {', '.join(DEFAULTS)}."
                             f"{did_you_mean(name, DEFAULTS)}")
    options = {**DEFAULTS, **options}
    if (options["at"] is None) == (options["rate"] is None):
        raise ValueError(f"spikes need at or rate, one of them; given: at={options['at']!r}, rate={options['rate']!r}")
    if options["kind"] not in KINDS:
        raise ValueError(f"Invalid kind of spikes: {options['kind']!r}; allowed: {', '.join(KINDS)}."
                         f"{did_you_mean(str(options['kind']), KINDS)}")
    at, rate = options["at"], options["rate"]
    if rate is not None and not (_number(rate) and 0 <= rate <= 1):
        raise ValueError(f"Invalid rate of spikes: {rate!r}; allowed: a number from 0 to 1")
    if at is not None and not (isinstance(at, Sequence) and all(_whole(step, 1) for step in at)):
        raise ValueError(f"Invalid at of spikes: {at!r}; allowed: a list of steps, whole numbers from 1")
    if not _number(options["factor"]):
        raise ValueError(f"Invalid factor of spikes: {options['factor']!r}; allowed: a finite number")
    for name, least in (("start", 1), ("seed", 0)):
        if not _whole(options[name], least):
            raise ValueError(f"Invalid {name} of spikes: {options[name]!r}; allowed: a whole number of at least "
                             f"{least}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
