"""What AdamWPrune would remove from a trained network, by any score, without removing it; and how far scores agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor

from adamw_lab.optim import AdamWPrune
from adamw_lab.optim.masks import pools
from adamw_lab.optim.pieces import corrections
from adamw_lab.pruning import allocate, lowest_masks, resolve_importance

BINS, CELLS = 60, 40
"""Bins of the sizes of weights, and cells of a side of the table of ranks."""


@dataclass(frozen=True)
class Layer:
    """A prunable weight as it was: `w`, Adam's bias-corrected moments `m` and `v`, and where it is `pruned`."""

    name: str
    w: Tensor
    m: Tensor
    v: Tensor
    pruned: Tensor


class Candidates:
    """The prunable weights of a network and what Adam knows of them: copies, so that what trains on changes nothing.

    What is computed once is kept: `scores` and `ranks` (of a score; ranks in (0, 1), ties share theirs), and
    `rank_table` (of two: how many weights have each pair of ranks, the first along the columns). Choices are those of
    AdamWPrune: what is pruned already goes first, as many go as `pruning.allocate` says, and of equal scores those that
    come first (`pruning.lowest_masks`).
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.scores = cache(self._scores)
        self.ranks = cache(self._ranks)
        self.rank_table = cache(self._rank_table)

    @classmethod
    @torch.no_grad()
    def of(cls, optimizer: AdamWPrune, names: Mapping[str, str] = MappingProxyType({})) -> Self:
        """Those of an optimizer that has taken a step; `names`: of a weight -> what the layer is called instead.

        Raises:
            ValueError: it has taken none, or has nothing to prune.
        """
        entries = [entry for pool in pools(optimizer) for entry in pool.entries]
        if not entries or not all(entry.state for entry in entries):
            what = "no weights that may be pruned" if not entries else "taken no step, so that Adam knows nothing yet"
            raise ValueError(f"the optimizer has {what}; allowed: AdamWPrune after at least one step")
        layers = []
        for entry in entries:
            by_m, by_v = corrections(entry)
            name = str(entry.key)
            layers.append(Layer(names.get(name, name), entry.weight.detach().clone(), entry.state["exp_avg"] / by_m,
                                entry.state["exp_avg_sq"] / by_v, entry.mask()))
        return cls(layers)

    def _scores(self, importance: str) -> list[Tensor]:
        score = resolve_importance(importance)
        return [score(layer.w, layer.m, layer.v, seed=i).masked_fill(layer.pruned, -torch.inf)
                for i, layer in enumerate(self.layers)]

    def _ranks(self, importance: str) -> Tensor:
        joined = torch.cat([score.flatten() for score in self.scores(importance)])
        return torch.from_numpy((rankdata(joined.cpu().numpy()) - 0.5) / len(joined))

    def _rank_table(self, one: str, other: str) -> np.ndarray:
        cells = [(self.ranks(score) * CELLS).long() for score in (other, one)]
        return torch.bincount(cells[0] * CELLS + cells[1], minlength=CELLS**2).view(CELLS, CELLS).numpy()

    @cached_property
    def size_edges(self) -> np.ndarray:
        """Edges of `BINS` bins for |w|, four decades up to the largest; what is smaller counts in the first bin."""
        largest = max(float(layer.w.abs().max()) for layer in self.layers) or 1.0
        return np.geomspace(1e-4 * largest, largest, BINS + 1)

    @cached_property
    def _size_bins(self) -> Tensor:
        inner = torch.from_numpy(self.size_edges[1:-1])
        return torch.cat([torch.bucketize(layer.w.abs().double().flatten().cpu(), inner) for layer in self.layers])

    def sizes(self, masks: Sequence[Tensor] | None = None) -> np.ndarray:
        """How many weights lie in each bin of `size_edges`: those that `masks` choose; None (default): all."""
        bins = self._size_bins
        if masks is not None:
            bins = bins[torch.cat([mask.flatten().cpu() for mask in masks])]
        return torch.bincount(bins, minlength=BINS).numpy()

    def masks(self, importance: str, sparsity: float, scope: str = "global") -> list[Tensor]:
        """Where each layer's weights go: bool tensors, exactly as many True as `sparsity` asks for.

        Args:
            importance: a key of `IMPORTANCE`.
            sparsity: share of the weights, in [0, 1).
            scope: "global", "layer" or "erk"; see `pruning.allocate`.

        Raises:
            ValueError: an unknown name, or a sparsity out of range.
        """
        counts = allocate([layer.w.shape for layer in self.layers], sparsity, scope,
                          [int(layer.pruned.count_nonzero()) for layer in self.layers])
        scores = self.scores(importance)
        if isinstance(counts, int):
            return list(lowest_masks(scores, counts))
        return [next(iter(lowest_masks([score], count))) for score, count in zip(scores, counts, strict=True)]

    def report(self, masks: Sequence[Tensor]) -> pd.DataFrame:
        """A row a layer, with the columns of `pruning.sparsity_report`: layer, elements, zeros, sparsity."""
        rows = [(layer.name, mask.numel(), int(mask.count_nonzero()))
                for layer, mask in zip(self.layers, masks, strict=True)]
        table = pd.DataFrame(rows, columns=["layer", "elements", "zeros"])
        return table.assign(sparsity=table["zeros"] / table["elements"])

    def agreement(self, one: str, other: str) -> float:
        """Spearman's rank correlation of two scores over all weights, from -1 to 1."""
        return float(torch.corrcoef(torch.stack([self.ranks(one), self.ranks(other)]))[0, 1])


def shared(masks: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The share of what `masks` remove that `others` remove too; NaN where nothing goes."""
    both = sum(int((a & b).count_nonzero()) for a, b in zip(masks, others, strict=True))
    gone = sum(int(a.count_nonzero()) for a in masks)
    return both / gone if gone else float("nan")


def shared_by_chance(masks: Sequence[Tensor], scope: str) -> float:
    """What `shared` would be on average between two random choices as large as `masks`; NaN where nothing goes.

    Random over all layers together if `scope` is "global", within each layer otherwise.
    """
    counts = [(int(mask.count_nonzero()), mask.numel()) for mask in masks]
    gone = sum(count for count, _ in counts)
    if not gone:
        return float("nan")
    if scope == "global":
        return gone / sum(size for _, size in counts)
    return sum(count * count / size for count, size in counts) / gone
