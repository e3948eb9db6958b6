"""The parameters that AdamWPrune prunes, in pieces: their scores, their marks, and counts over ranks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adamw_lab.optim.kernels.eager import fill_pruned, is_pruned
from adamw_lab.optim.policy import moment_steps
from adamw_lab.optim.work import local, placed_as
from adamw_lab.pruning import IMPORTANCE, nm_mask, parse_pattern, resolve_importance

SEES_NAN = {score for name, score in IMPORTANCE.items() if name != "random"}
"""Scores that a NaN among the weights makes NaN; any other must not hide it."""
PIECE = 1 << 18
"""Elements scored at a time: their temporaries stay in cache, and are no transient worth speaking of."""


class Entry:
    """One prunable parameter with its state, on this rank."""

    def __init__(self, key: str | int, p: Tensor, group: dict[str, Any], optimizer: Any) -> None:
        self.key, self.p, self.group, self.optimizer = key, p, group, optimizer

    @property
    def weight(self) -> Tensor:
        return local(self.p)

    @property
    def state(self) -> dict[str, Tensor]:
        return self.optimizer.state.get(self.p, {})

    def mask(self) -> Tensor:
        """Where this rank's part of it is pruned."""
        v = self.state.get("exp_avg_sq")
        return torch.zeros_like(self.weight, dtype=torch.bool) if v is None else is_pruned(local(v))

    def whole_mask(self) -> Tensor:
        """Where it is pruned, as a DTensor if the parameter is one."""
        if not hasattr(self.p, "placements"):
            return self.mask()
        from torch.distributed.tensor import DTensor  # costs half a second, which only sharded models owe

        return DTensor.from_local(self.mask(), self.p.device_mesh, self.p.placements, run_check=False,
                                  shape=self.p.shape, stride=self.p.stride())

    def pieces(self, whole: bool = False) -> list["Piece"]:
        """The parameter in slices along its first dimension; `whole` in one, and so where it is sharded, for ranks to
        stay in step.
        """
        self.optimizer._init_state(self.group, self.p)
        w, state = self.weight, self.state
        rows = max(1, len(w) if whole or shard_group(self.p) is not None else PIECE * len(w) // max(1, w.numel()))
        tensors = {"w": w, "m": state["exp_avg"], "v": state["exp_avg_sq"], "vmax": state.get("max_exp_avg_sq"),
                   "g": None if self.p.grad is None else placed_as(self.p, self.p.grad)}
        split = {name: local(t).split(rows) for name, t in tensors.items() if t is not None}
        return [Piece(self, **{name: parts[i] for name, parts in split.items()}) for i in range(len(split["w"]))]


@dataclass
class Piece:
    """A slice of a parameter, of its moments and its gradient: views, to be written to."""

    entry: Entry
    w: Tensor
    m: Tensor
    v: Tensor
    vmax: Tensor | None = None
    g: Tensor | None = None

    def prune(self, mask: Tensor) -> None:
        """Set weight and moments to zero where `mask`, and leave the mark."""
        fill_pruned(mask, self.w, self.m, self.v, self.vmax)

    def score(self, importance: Callable[..., Tensor], pattern: str | None, seed: int) -> Tensor:
        """Importance of every element, lowest to be pruned first: -inf what is pruned already, +inf what must stay."""
        w = _wide(self.w)
        if float(self.entry.state["step"]) == 0:
            score = w.abs()
        else:  # in half precision a moment may overflow by its correction
            by_m, by_v = corrections(self.entry)
            score = importance(w, _wide(self.m) / by_m, _wide(self.v) / by_v, seed=seed)
        if importance not in SEES_NAN:
            score = torch.where(w.isnan(), math.nan, score)
        pruned = is_pruned(self.v)
        score = torch.where(pruned, -math.inf, score)
        if pattern is None:
            return score
        may_go = nm_mask(score.nan_to_num(math.inf, math.inf, -math.inf), *parse_pattern(pattern))
        below_inf = score.clamp(max=torch.finfo(score.dtype).max)  # of NaN it is NaN
        return torch.where(may_go | pruned | score.isnan(), below_inf, math.inf)


def _wide(t: Tensor) -> Tensor:
    return t if t.dtype is torch.float64 else t.float()


class Scores:
    """The scores of some parameters, piece by piece, computed anew each time they are walked through.

    A function of the user's own sees whole layers (of a sharded one, this rank's part), since it may compare their
    elements; the lab's scores do not.
    """

    def __init__(self, entries: list[Entry], settings: dict[str, Any], step: int) -> None:
        self._importance, self._pattern = resolve_importance(settings["importance"]), settings["pattern"]
        whole = self._importance not in IMPORTANCE.values()
        self.pieces = [piece for entry in entries for piece in entry.pieces(whole)]
        self.names = [str(piece.entry.key) for piece in self.pieces]
        group = process_group(entries)  # ranks that hold the same weights must score them alike
        rank = 0 if group is None else torch.distributed.get_rank(group)
        self._seeds = [hash((step, rank, i)) for i in range(len(self.pieces))]

    def __iter__(self) -> Iterator[Tensor]:
        for piece, seed in zip(self.pieces, self._seeds, strict=True):
            yield piece.score(self._importance, self._pattern, seed)

    def may_go(self) -> int:
        """How many elements a pattern lets go, on this rank."""
        return sum(int((score < math.inf).count_nonzero()) for score in self)


class Regrowth:
    """What brings pruned weights back: the largest gradient, so lowest -|g|; live weights score +inf.

    No gradient, and one of NaN, counts as 0.
    """

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[Tensor]:
        for piece in self._pieces:
            g = torch.zeros_like(piece.w) if piece.g is None else piece.g
            yield torch.where(is_pruned(piece.v), -g.abs().nan_to_num(0.0, math.inf), math.inf)


def corrections(entry: Entry) -> tuple[float, float]:
    """1 - β1^k and 1 - β2^k, by which the moments are divided after k steps since the last full reset."""
    k = float(moment_steps(entry.group, float(entry.state["step"])))
    beta1, beta2 = entry.group["betas"]
    return 1 - beta1**k, 1 - beta2**k


def pruned_counts(entries: list[Entry]) -> list[int]:
    """How many elements of each parameter are pruned, over all ranks."""
    return summed([int(entry.mask().count_nonzero()) for entry in entries], entries)  # sum would widen to int64


def summed(counts: list[int], entries: list[Entry]) -> list[int]:
    """`counts`, each added up over the ranks that share the parameters."""
    group = process_group(entries)
    if group is None:
        return counts
    total = torch.tensor(counts, dtype=torch.int64, device=entries[0].weight.device)
    torch.distributed.all_reduce(total, group=group)
    return total.tolist()


def process_group(entries: list[Entry]) -> Any:
    """The process group over which parameters are sharded; None if they are whole.

    Raises:
        RuntimeError: some are sharded and some are not, so that no count over ranks would be right.
    """
    groups = {shard_group(entry.p) for entry in entries}
    if len(groups) > 1:
        raise RuntimeError("prunable parameters must all be sharded over the same ranks, or all be whole: put the "
                           "others in a group with prunable=False")
    return groups.pop()


def shard_group(p: Tensor) -> Any:
    """The process group over which a DTensor is sharded; None for a plain or a replicated tensor.

    Raises:
        RuntimeError: sharded over more than one dimension of the mesh.
    """
    dims = [i for i, placement in enumerate(getattr(p, "placements", ())) if placement.is_shard()]
    if len(dims) > 1:
        raise RuntimeError(f"pruning needs parameters sharded over one mesh dimension, got {p.placements}")
    return p.device_mesh.get_group(dims[0]) if dims else None
