"""Which weights AdamWPrune removes, and when: pools of weights that share one exact threshold.

A mask lives in the sign of `exp_avg_sq`: -0.0 is pruned. Everything here is derived from that when it is needed.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adamw_lab.optim.kernels.dispatch import choose_kernel, forced_kernel
from adamw_lab.optim.kernels.eager import fill_pruned, is_pruned
from adamw_lab.optim.policy import moment_steps
from adamw_lab.optim.work import local
from adamw_lab.pruning import (
    IMPORTANCE,
    allocate,
    lowest_masks,
    nm_mask,
    parse_pattern,
    resolve_importance,
    select,
    sparsity_at,
)

SETTINGS = ("target_sparsity", "begin_step", "end_step", "update_every", "schedule", "importance", "scope", "pattern",
            "regrow")
SEES_NAN = {score for name, score in IMPORTANCE.items() if name != "random"}
"""Scores that a NaN among the weights makes NaN; any other must not hide it."""
MOST_TIES = 1 << 18
"""Elements at the threshold whose positions are listed: 4 MB of them."""
PIECE = 1 << 18
"""Elements scored at a time: their temporaries stay in cache, and are no transient worth speaking of."""


def pools(optimizer: Any) -> list["Pool"]:
    """The optimizer's prunable parameters; groups that agree in every setting are one pool."""
    found: dict[tuple, Pool] = {}
    index = 0
    for group in optimizer.param_groups:
        names = group.get("param_names", range(index, index + len(group["params"])))
        index += len(group["params"])
        if not group["prunable"]:
            continue
        pool = found.setdefault(tuple(group[name] for name in SETTINGS), Pool(group))
        pool.groups.append(group)
        for name, p in zip(names, group["params"], strict=True):
            if p.ndim >= 2 and p.is_floating_point():
                pool.entries.append(Entry(name, p, group, optimizer))
    return [pool for pool in found.values() if pool.entries]


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

    def pieces(self) -> list["Piece"]:
        """The parameter in slices along its first dimension; whole where it is sharded, so that ranks stay in step."""
        self.optimizer._init_state(self.group, self.p)
        w, state = self.weight, self.state
        rows = max(1, PIECE * len(w) // max(1, w.numel())) if shard_group(self.p) is None else max(1, len(w))
        tensors = {"w": w, "m": state["exp_avg"], "v": state["exp_avg_sq"], "vmax": state.get("max_exp_avg_sq"),
                   "g": self.p.grad}
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

    def score(self, importance: Any, pattern: str | None, seed: int) -> Tensor:
        """Importance of every element, lowest to be pruned first: -inf what is pruned already, +inf what must stay."""
        step = float(self.entry.state["step"])
        if step == 0:
            score = self.w.abs()
        else:
            by_m, by_v = _corrections(self.entry)
            score = importance(self.w, self.m / by_m, self.v / by_v, seed=seed)
        if importance not in SEES_NAN:
            score = torch.where(self.w.isnan(), math.nan, score)
        score = torch.where(is_pruned(self.v), -math.inf, score)
        if pattern is None:
            return score
        return torch.where(nm_mask(score, *parse_pattern(pattern)), score, math.inf)


class Scores:
    """The scores of some parameters, piece by piece, computed anew each time they are walked through."""

    def __init__(self, entries: list[Entry], settings: dict[str, Any], step: int) -> None:
        self.pieces = [piece for entry in entries for piece in entry.pieces()]
        self.names = [str(piece.entry.key) for piece in self.pieces]
        self._importance, self._pattern = resolve_importance(settings["importance"]), settings["pattern"]
        group = process_group(entries)  # ranks that hold the same weights must draw the same scores
        rank = 0 if group is None else torch.distributed.get_rank(group)
        self._seeds = [hash((step, rank, i)) for i in range(len(self.pieces))]

    def __iter__(self) -> Iterator[Tensor]:
        for piece, seed in zip(self.pieces, self._seeds, strict=True):
            yield piece.score(self._importance, self._pattern, seed)


class Regrowth:
    """What brings pruned weights back: the largest gradient, so lowest -|g|; live weights score +inf."""

    def __init__(self, entries: list[Entry]) -> None:
        self.pieces = [piece for entry in entries for piece in entry.pieces()]

    def __iter__(self) -> Iterator[Tensor]:
        for piece in self.pieces:
            nothing = torch.full_like(piece.w, math.inf)
            yield nothing if piece.g is None else torch.where(is_pruned(piece.v), -piece.g.abs(), nothing)


class Pool:
    """Weights that share their settings and their threshold; the clock is that of the group that has stepped most."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = {name: settings[name] for name in SETTINGS}
        self.groups: list[dict[str, Any]] = []
        self.entries: list[Entry] = []

    def step(self) -> int:
        """The number of steps taken; reading it waits for the device."""
        return int(max(float(group["group_step"]) for group in self.groups))

    def update_if_due(self, last: int | None) -> tuple[int, dict[str, float]]:
        """Update the mask if this step is one to do so.

        Args:
            last: the step at which this was last called; a step that overflowed gradients held back comes twice.

        Returns:
            The number of steps until the next update may be due, and what this one did.
        """
        begin, end, every = (self.settings[name] for name in ("begin_step", "end_step", "update_every"))
        begin = max(begin, 1)
        step = self.step()
        if step < begin:
            return begin - step, {}
        if step > end:
            return sys.maxsize, {}
        since = (step - begin) % every
        due = (since == 0 or step == end) and step != last and not self._initializing()
        done = self.update(step) if due else {}
        return (sys.maxsize if step == end else min(step + every - since, end) - step), done

    @torch.no_grad()
    def update(self, step: int) -> dict[str, float]:
        """Prune up to the sparsity that the schedule wants at `step`; returns telemetry.

        Raises:
            ValueError: a score is NaN; names the parameters. Nothing is pruned then.
        """
        s = self.settings
        target = sparsity_at(step, begin_step=s["begin_step"], end_step=s["end_step"], target=s["target_sparsity"],
                             schedule=s["schedule"])
        before, total = count_pruned(self.entries)
        if s["scope"] == "global":
            parts, wanted = [self.entries], [round(target * total)]
        else:
            parts = [[entry] for entry in self.entries]
            wanted = allocate([tuple(entry.p.shape) for entry in self.entries], target, s["scope"])
        done = [self._update(part, count, step) for part, count in zip(parts, wanted, strict=True)]
        revived = sum(exchanged for _, exchanged in done)
        newly = sum(pruned for pruned, _ in done) - before + revived
        return {"target_sparsity": target, "newly_pruned": newly, "revived": revived}

    def _update(self, entries: list[Entry], count: int, step: int) -> tuple[int, int]:
        """Prune `count` elements of `entries`; what is pruned stays so, but for `regrow`.

        Returns:
            How many are pruned now, and how many came back to life.
        """
        group = process_group(entries)
        pruned, total = count_pruned(entries)
        count = max(count, pruned)
        regrow = self.settings["regrow"] if step < self.settings["end_step"] else 0.0
        exchanged = min(round(regrow * (total - count)), count)
        if not exchanged and _prune_fused(entries, self.settings, count):
            return count, 0
        scores = Scores(entries, self.settings, step)
        masks = lowest_masks(scores, count + exchanged, group, names=scores.names)
        for piece, mask in zip(scores.pieces, masks, strict=True):
            piece.prune(mask)
        if exchanged:
            regrowth = Regrowth(entries)
            for piece, mask in zip(regrowth.pieces, lowest_masks(regrowth, exchanged, group), strict=True):
                piece.v.masked_fill_(mask & is_pruned(piece.v), 0.0)
        return count, exchanged

    def _initializing(self) -> bool:
        """Whether this is the step that distributed checkpointing takes to make the state: lr 0, gradients 0."""
        if any(float(group["lr"]) != 0 for group in self.groups):
            return False
        grads = [local(entry.p.grad) for entry in self.entries if entry.p.grad is not None]
        moving = sum(int(g.count_nonzero()) for g in grads)
        return summed(moving, self.entries) == 0


def _prune_fused(entries: list[Entry], settings: dict[str, Any], count: int) -> bool:
    """Prune the `count` lowest by compiled loops that hold no scores, and return True; False where there are none.

    Where more share the threshold's score than may go, their positions are listed; for too many of them it is False.
    """
    rows = [_row(entry) for entry in entries]
    if settings["pattern"] is not None or not all(_fusable(e, r) for e, r in zip(entries, rows, strict=True)):
        return False
    if len({(row[0].dtype, len(row)) for row in rows}) > 1:
        return False
    from adamw_lab.pruning.fused import SCORES, FusedScores  # imports Numba

    if settings["importance"] not in SCORES:
        return False
    source = FusedScores(settings["importance"], list(zip(*rows, strict=True)), [_corrections(e) for e in entries])
    threshold, ties, equal = select(source, count, names=[str(entry.key) for entry in entries])
    if equal > MOST_TIES:
        return False
    source.prune(float(threshold), ties)
    return True


def _row(entry: Entry) -> list[Tensor]:
    """The tensors that a pruned weight is zeroed in."""
    entry.optimizer._init_state(entry.group, entry.p)
    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    return [entry.weight, *(local(entry.state[name]) for name in names if name in entry.state)]


def _fusable(entry: Entry, row: list[Tensor]) -> bool:
    """Whether the CPU kernel serves the parameter, whole and after its first step."""
    kernel = choose_kernel(row, forced_kernel(entry.group["kernel"]))
    return kernel == "cpu" and shard_group(entry.p) is None and float(entry.state["step"]) > 0


def _corrections(entry: Entry) -> tuple[float, float]:
    k = float(moment_steps(entry.group, float(entry.state["step"])))
    beta1, beta2 = entry.group["betas"]
    return 1 - beta1**k, 1 - beta2**k


def count_pruned(entries: list[Entry]) -> tuple[int, int]:
    """(pruned, all) elements of some parameters, over all ranks."""
    pruned = sum(int(entry.mask().count_nonzero()) for entry in entries)  # sum would widen each mask to int64
    return summed(pruned, entries), sum(entry.p.numel() for entry in entries)


def summed(count: int, entries: list[Entry]) -> int:
    """`count` added up over the ranks that share the parameters."""
    group = process_group(entries)
    if group is None:
        return count
    total = torch.tensor(count, dtype=torch.int64, device=entries[0].weight.device)
    torch.distributed.all_reduce(total, group=group)
    return int(total)


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
