"""Pruning during training with any torch optimizer, by hooks: the baselines, on one schedule and selection.

Each keeps a byte mask a weight, and what its score needs beside it; `state_bytes` says how much.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from adamw_lab.pruning.allocation import allocate, check_scope
from adamw_lab.pruning.schedules import check_schedule, sparsity_at
from adamw_lab.pruning.scores import random
from adamw_lab.pruning.selection import lowest_masks


class Pruner(ABC):
    """Prunes an optimizer's weights after its steps; a subclass says which by `_score`.

    At `begin_step`, every `update_every` steps after it and at `end_step` the masks are chosen anew, so
    that exactly round(s · n) weights are pruned, s from `sparsity_at`. After every step the pruned weights
    are set to 0. Steps are counted by the optimizer's post-hook, from 1 for the first after the pruner is
    attached.

    Covered are weights with ndim >= 2 of groups that do not say `prunable=False`. Every rank must hold them whole.

    Args:
        optimizer: Any torch optimizer; its steps are hooked.
        target_sparsity: Fraction of the covered weights to prune, in [0, 1).
        begin_step: First step of the schedule, where sparsity is still 0.
        end_step: Step at which the target is reached, and of the last update.
        update_every: Steps between updates.
        schedule: A name of `SCHEDULES`.
        scope: "global", "layer" or "erk"; see `allocate`.

    Raises:
        ValueError: an argument out of range, nothing to prune, or a sharded parameter; at an update, NaN among the
            scores or weights, with the parameter's name. Nothing is pruned then.
    """

    stored: tuple[str, ...] = ("mask",)
    """What is kept of every weight, on its device, in a tensor of its shape."""
    final = True
    """Whether what is pruned stays so."""

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        target_sparsity: float = 0.7,
        begin_step: int,
        end_step: int,
        update_every: int = 50,
        schedule: str = "cubic",
        scope: str = "global",
    ) -> None:
        check_schedule(begin_step=begin_step, end_step=end_step, target=target_sparsity, schedule=schedule,
                       update_every=update_every)
        check_scope(scope)
        self.target_sparsity, self.schedule, self.scope = target_sparsity, schedule, scope
        self.begin_step, self.end_step, self.update_every = begin_step, end_step, update_every
        self.step = 0
        self.optimizer = optimizer
        self._weights: dict[str | int, Tensor] = {
            key: p for key, p, group in keyed_parameters(optimizer) if group.get("prunable", True) and p.ndim >= 2
        }
        if not self._weights:
            raise ValueError("nothing to prune: the optimizer has no prunable parameter with two or more dimensions")
        for key, p in self._weights.items():
            if hasattr(p, "placements"):
                raise ValueError(f"parameter {key!r} is sharded; allowed: parameters that every rank holds whole")
        self._state = {name: self._new_state(p) for name, p in self._weights.items()}
        self._last: dict[str, float] = {}
        self._hooks = [optimizer.register_step_post_hook(self._after_step)]

    def sparsity(self) -> float:
        """The pruned fraction of the covered weights."""
        pruned = sum(int(state["mask"].count_nonzero()) for state in self._state.values())
        return pruned / sum(p.numel() for p in self._weights.values())

    def masks(self) -> dict[str | int, Tensor]:
        """Copies of the masks, True where pruned, by the parameter's name, or its index where it has none."""
        return {name: state["mask"].clone() for name, state in self._state.items()}

    def telemetry(self) -> dict[str, float]:
        """Of the last step, if it updated the masks: `target_sparsity`, and how many weights are `newly_pruned` and
        `revived`.
        """
        return dict(self._last)

    def state_bytes(self) -> int:
        """Bytes that this pruner keeps between steps, beside the optimizer's own."""
        return sum(t.nbytes for state in self._state.values() for t in state.values())

    def state_dict(self) -> dict[str, Any]:
        """Step and tensors; load it together with model and optimizer."""
        return {"step": self.step, "state": {name: dict(state) for name, state in self._state.items()}}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it was saved for other parameters, or by another kind of pruner. Nothing is loaded then.
        """
        if saved["state"].keys() != self._state.keys():
            differing = sorted(map(str, saved["state"].keys() ^ self._state.keys()))
            raise ValueError(f"state of other parameters: {', '.join(differing)} are not in both")
        for name, state in self._state.items():
            for key, tensor in state.items():
                other = saved["state"][name].get(key)
                if other is None or other.shape != tensor.shape:
                    found = "none" if other is None else f"of shape {tuple(other.shape)}"
                    raise ValueError(f"state of another pruner or model: the {key} of parameter {name!r} is {found}; "
                                     f"allowed: {tuple(tensor.shape)}")
        self.step = saved["step"]
        for name, state in self._state.items():
            for key, tensor in state.items():
                tensor.copy_(saved["state"][name][key])

    def remove(self) -> None:
        """Take the hooks off; weights that are 0 now may then train again."""
        for hook in self._hooks:
            hook.remove()

    def _new_state(self, p: Tensor) -> dict[str, Tensor]:
        return {key: torch.zeros_like(p, dtype=torch.bool if key == "mask" else None) for key in self.stored}

    @abstractmethod
    def _score(self, name: str | int, p: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Importance of each weight, of p's shape; lowest is pruned first."""

    @torch.no_grad()
    def _after_step(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        if _skipped(optimizer):
            return
        self.step += 1
        self._last = {}
        on_the_way = self.begin_step <= self.step < self.end_step
        if self.step == self.end_step or on_the_way and (self.step - self.begin_step) % self.update_every == 0:
            self._update()
        for name, p in self._weights.items():
            p.masked_fill_(self._state[name]["mask"], 0)

    def _update(self) -> None:
        sparsity = sparsity_at(
            self.step,
            begin_step=self.begin_step,
            end_step=self.end_step,
            target=self.target_sparsity,
            schedule=self.schedule,
        )
        names = list(self._weights)
        pruned = [int(state["mask"].count_nonzero()) for state in self._state.values()] if self.final else None
        counts = allocate([p.shape for p in self._weights.values()], sparsity, self.scope, pruned)
        parts = [names] if self.scope == "global" else [[name] for name in names]
        chosen: dict[str | int, Tensor] = {}
        for part, count in zip(parts, [counts] if self.scope == "global" else counts, strict=True):
            masks = lowest_masks(_Scores(self._scores, part), count, names=[str(name) for name in part])
            chosen |= zip(part, masks, strict=True)
        self._last = {"target_sparsity": sparsity, "newly_pruned": 0, "revived": 0}
        for name, mask in chosen.items():
            old = self._state[name]["mask"]
            self._last["newly_pruned"] += int((mask & ~old).count_nonzero())
            self._last["revived"] += int((old & ~mask).count_nonzero())
            self._set_mask(mask, self._weights[name], self._state[name])

    def _set_mask(self, mask: Tensor, p: Tensor, state: dict[str, Tensor]) -> None:
        state["mask"].copy_(mask)

    def _scores(self, names: list[str | int]) -> Iterator[Tensor]:
        """The scores of these parameters; NaN where a weight is, whatever the score, so that it is reported."""
        for name in names:
            p = self._weights[name]
            yield self._score(name, p, self._state[name]).masked_fill(p.isnan(), math.nan)


class _Scores:
    """Scores computed anew at each walk, so that selection holds one tensor at a time."""

    def __init__(self, make: Callable[[list], Iterator[Tensor]], names: list) -> None:
        self._make, self._names = make, names

    def __iter__(self) -> Iterator[Tensor]:
        return self._make(self._names)


class MagnitudePruner(Pruner):
    """Gradual magnitude pruning (Zhu and Gupta, arXiv 1710.01878): the score is |w|. The pruned stay so.

    Keeps 1 byte a weight. There, masked weights keep their values and might return; here they are 0 and do
    not. Arguments are `Pruner`'s.
    """

    def _score(self, name: str | int, p: Tensor, state: dict[str, Tensor]) -> Tensor:
        return torch.where(state["mask"], -math.inf, p.abs())


class RandomPruner(Pruner):
    """The control: each weight has a random score, fixed by `seed` and its place. The pruned stay so.

    Keeps 1 byte a weight. Arguments are `Pruner`'s, and `seed`.
    """

    def __init__(self, optimizer: Optimizer, *, seed: int = 0, **options: Any) -> None:
        self.seed = seed
        super().__init__(optimizer, **options)

    def _score(self, name: str | int, p: Tensor, state: dict[str, Tensor]) -> Tensor:
        index = list(self._weights).index(name)
        return random(p, p, p, seed=self.seed * len(self._weights) + index)


class MovementPruner(Pruner):
    """Movement pruning (Sanh, Wolf, Rush, arXiv 2005.07683): the score is S = −Σ w · ∂L/∂w over all steps so far.

    It is high where weights have moved away from zero (an optimizer that maximizes L turns the sign). The gradient is
    straight-through: taken where masked weights are 0, it counts for all of them, each with the value it had when it
    was masked. So the score of a masked weight goes on, and the weight returns with that value once it ranks high
    enough. The published code masks the weights' own gradients too; here the optimizer's moments see them, while the
    masked weights do not move.

    Keeps 1 byte and two numbers a weight: mask, score, and the values of the masked. The gradients must be
    there when the optimizer steps, so a step with a closure is refused. Arguments are `Pruner`'s.
    """

    stored = ("mask", "score", "masked_values")
    final = False

    def __init__(self, optimizer: Optimizer, **options: Any) -> None:
        super().__init__(optimizer, **options)
        self._hooks.append(optimizer.register_step_pre_hook(self._before_step))

    def _score(self, name: str | int, p: Tensor, state: dict[str, Tensor]) -> Tensor:
        return state["score"]

    @torch.no_grad()
    def _before_step(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        if any(callable(a) for a in (*args, *kwargs.values())):
            raise ValueError("MovementPruner needs gradients before the step; allowed: step() without a closure")
        if getattr(optimizer, "grad_scale", None) is not None:
            raise ValueError("MovementPruner needs true gradients; allowed: GradScaler.unscale_() before the step")
        if _skipped(optimizer):
            return
        for name, p, group in keyed_parameters(optimizer):
            if name in self._state and p.grad is not None:
                state, sign = self._state[name], 1 if group.get("maximize") else -1
                state["score"].addcmul_(torch.where(state["mask"], state["masked_values"], p), p.grad, value=sign)

    def _set_mask(self, mask: Tensor, p: Tensor, state: dict[str, Tensor]) -> None:
        p.copy_(torch.where(state["mask"], state["masked_values"], p))
        state["masked_values"].copy_(torch.where(mask, p, 0))
        super()._set_mask(mask, p, state)


def _skipped(optimizer: Optimizer) -> bool:
    """Whether a GradScaler found an overflow, and the optimizer, which knows of it, leaves the weights alone."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def keyed_parameters(optimizer: Optimizer) -> Iterator[tuple[str | int, Tensor, dict[str, Any]]]:
    """(key, parameter, group) of all of them; the key is the name, or the index where the group has no names."""
    index = 0
    for group in optimizer.param_groups:
        names = group.get("param_names", range(index, index + len(group["params"])))
        index += len(group["params"])
        for name, p in zip(names, group["params"], strict=True):
            yield name, p, group


PRUNERS: dict[str, type[Pruner]] = {
    "magnitude": MagnitudePruner,
    "movement": MovementPruner,
    "random": RandomPruner,
}
"""name -> baseline."""
