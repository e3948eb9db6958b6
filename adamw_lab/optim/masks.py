"""Which weights AdamWPrune removes, and when: pools of weights that share one exact threshold.

A mask lives in the sign of `exp_avg_sq`: -0.0 is pruned. Everything here is derived from that when it is needed.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from adamw_lab.optim.kernels.dispatch import forced_kernel, why_not
from adamw_lab.optim.kernels.eager import is_pruned
from adamw_lab.optim.pieces import (
    Entry,
    Regrowth,
    Scores,
    corrections,
    process_group,
    pruned_counts,
    shard_group,
    summed,
)
from adamw_lab.optim.work import local, placed_as
from adamw_lab.pruning import allocate, lowest_masks, select, sparsity_at

SETTINGS = ("target_sparsity", "begin_step", "end_step", "update_every", "schedule", "importance", "scope", "pattern",
            "regrow")
MOST_TIES = 1 << 18
"""Elements at the threshold whose positions are listed: 4 MB of them."""


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


class Pool:
    """Weights that share their settings and their threshold; the clock is that of the group that has stepped most."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = {name: settings[name] for name in SETTINGS}
        self.groups: list[dict[str, Any]] = []
        self.entries: list[Entry] = []

    def step(self) -> int:
        """The number of steps taken; reading it waits for the device."""
        return int(max(float(group["group_step"]) for group in self.groups))

    def update_if_due(self, last: int | None) -> tuple[int, "Update | None"]:
        """Select what goes if this step is one to do so.

        Args:
            last: the step at which this was last called; a step that overflowed gradients held back comes twice.

        Returns:
            The number of steps until the next update may be due, and this one's, not yet applied; None: not due.
        """
        begin, end, every = (self.settings[name] for name in ("begin_step", "end_step", "update_every"))
        begin = max(begin, 1)
        step = self.step()
        if step < begin:
            return begin - step, None
        if step > end:
            return sys.maxsize, None
        since = (step - begin) % every
        due = (since == 0 or step == end) and step != last and not self._initializing()
        update = self.update(step) if due else None
        return (sys.maxsize if step == end else min(step + every - since, end) - step), update

    @torch.no_grad()
    def update(self, step: int) -> "Update":
        """Select the weights to prune for the sparsity that the schedule wants at `step`.

        Raises:
            ValueError: a score is NaN; names the parameters.
        """
        s = self.settings
        target = sparsity_at(step, begin_step=s["begin_step"], end_step=s["end_step"], target=s["target_sparsity"],
                             schedule=s["schedule"])
        pruned = pruned_counts(self.entries)
        wanted = allocate([tuple(entry.p.shape) for entry in self.entries], target, s["scope"], pruned)
        parts = [self.entries] if s["scope"] == "global" else [[entry] for entry in self.entries]
        counts = [wanted] if s["scope"] == "global" else wanted
        selections = [self._select(part, count, step) for part, count in zip(parts, counts, strict=True)]
        return Update(target, sum(pruned), selections)

    def _select(self, entries: list[Entry], count: int, step: int) -> "Selection":
        """`count` elements of `entries` to be pruned; what is pruned stays so, but for `regrow`."""
        group = process_group(entries)
        last = step >= self.settings["end_step"]
        live = sum(entry.p.numel() for entry in entries) - count
        exchanged = 0 if last else min(round(self.settings["regrow"] * live), count)
        fused = None if exchanged else _select_fused(entries, self.settings, count)
        if fused is not None:
            return Selection(count, fused)
        scores = Scores(entries, self.settings, step)
        if self.settings["pattern"] is not None and last:  # more than `count` where adopted zeros are too many
            (count,) = summed([scores.may_go()], entries)
        masks = lowest_masks(scores, count + exchanged, group, names=scores.names)
        return Selection(count, partial(_prune, entries, scores, masks, exchanged))

    def _initializing(self) -> bool:
        """Whether this is the step that distributed checkpointing takes to make the state: lr 0, gradients 0."""
        if any(float(group["lr"]) != 0 for group in self.groups):
            return False
        grads = [local(placed_as(entry.p, entry.p.grad)) for entry in self.entries if entry.p.grad is not None]
        return summed([sum(int(g.count_nonzero()) for g in grads)], self.entries) == [0]


@dataclass
class Selection:
    """Elements that are chosen to go: how many will be pruned then, and what does it and returns how many revived."""

    pruned: int
    prune: Callable[[], int]


@dataclass
class Update:
    """A pool's update of its mask. All is selected before anything is pruned, so that an error leaves all as it was."""

    target: float
    before: int
    selections: list[Selection]

    @torch.no_grad()
    def apply(self) -> dict[str, float]:
        """Prune; returns telemetry."""
        revived = sum(selection.prune() for selection in self.selections)
        newly = sum(selection.pruned for selection in self.selections) - self.before + revived
        return {"target_sparsity": self.target, "newly_pruned": newly, "revived": revived}


def _prune(entries: list[Entry], scores: Scores, masks: Iterable[Tensor], exchanged: int) -> int:
    """Prune where the masks say, then bring `exchanged` back; returns how many were pruned before and live now.

    Between the two an m of -0.0 tells what is newly pruned, so that no mask of the whole model need be held.
    """
    for piece, mask in zip(scores.pieces, masks, strict=True):
        new = mask & ~is_pruned(piece.v) if exchanged else None
        piece.prune(mask)
        if new is not None:
            piece.m.masked_fill_(new, -0.0)
    if not exchanged:
        return 0
    regrowth, revived = Regrowth(scores.pieces), 0
    masks = lowest_masks(regrowth, exchanged, process_group(entries), names=scores.names)
    for piece, mask in zip(scores.pieces, masks, strict=True):
        new = is_pruned(piece.m)
        piece.v.masked_fill_(mask, 0.0)
        piece.m.masked_fill_(new, 0.0)
        revived += int((mask & ~new).count_nonzero())
    return summed([revived], entries)[0]


def _select_fused(entries: list[Entry], settings: dict[str, Any], count: int) -> Callable[[], int] | None:
    """What prunes the `count` lowest by compiled loops that hold no scores, and returns 0; None where there are none.

    Where more share the threshold's score than may go, their positions are listed; for too many of them it is None.
    """
    rows = [_row(entry) for entry in entries]
    if settings["pattern"] is not None or not all(_fusable(e, r) for e, r in zip(entries, rows, strict=True)):
        return None
    if len({(row[0].dtype, len(row)) for row in rows}) > 1:
        return None
    from adamw_lab.pruning.fused import SCORES, FusedScores  # imports Numba

    if settings["importance"] not in SCORES:
        return None
    source = FusedScores(settings["importance"], list(zip(*rows, strict=True)), [corrections(e) for e in entries])
    threshold, ties, equal = select(source, count, names=[str(entry.key) for entry in entries])
    nothing_new = threshold == -torch.inf
    if equal > MOST_TIES and not nothing_new:
        return None

    def prune() -> int:
        if not nothing_new:
            source.prune(float(threshold), ties)
        return 0

    return prune


def _row(entry: Entry) -> list[Tensor]:
    """The tensors that a pruned weight is zeroed in."""
    entry.optimizer._init_state(entry.group, entry.p)
    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    return [entry.weight, *(local(entry.state[name]) for name in names if name in entry.state)]


def _fusable(entry: Entry, row: list[Tensor]) -> bool:
    """Whether the CPU kernel serves the parameter, whole and after its first step.

    A kernel that is forced need not serve what no step moves.
    """
    serves = forced_kernel(entry.group["kernel"]) in (None, "cpu") and not why_not("cpu", row)
    return serves and shard_group(entry.p) is None and float(entry.state["step"]) > 0
