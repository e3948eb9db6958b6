"""How many weights each layer loses, and the fixed patterns N:M."""

import re
from collections.abc import Sequence
from fractions import Fraction
from math import prod

import torch
from torch import Tensor

from adamw_lab.suggest import did_you_mean

SCOPES = ("global", "layer", "erk")


def allocate(shapes: Sequence[Sequence[int]], sparsity: float, scope: str,
             pruned: Sequence[int] | None = None) -> int | list[int]:
    """How many elements to prune of layers of these shapes.

    Args:
        shapes: A weight's shape each, output dimension first.
        sparsity: Fraction to prune, in [0, 1).
        scope: "global": one number for all layers together, round(sparsity · n).
            "layer": a number each, round(sparsity · n) of its own n.
            "erk": a number each, in all round(sparsity · n); see `erk`.
        pruned: How many of each are pruned and stay so: no number is below that. With "erk" the other layers make up
            for it, as far as they can. None (default): none are.

    Raises:
        ValueError: unknown scope, or sparsity out of range.
    """
    check_scope(scope)
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"Invalid sparsity: {sparsity!r}; allowed: from 0 to below 1")
    sizes = [prod(shape) for shape in shapes]
    pruned = [0] * len(sizes) if pruned is None else pruned
    if scope == "layer":
        return [max(round(sparsity * size), least) for size, least in zip(sizes, pruned, strict=True)]
    wanted = max(round(sparsity * sum(sizes)), sum(pruned))
    return wanted if scope == "global" else _at_least(erk(shapes, wanted), pruned)


def _at_least(counts: list[int], least: Sequence[int]) -> list[int]:
    """Raise each count to its least, and lower the others by as much, in proportion to what they have to spare."""
    lacking = sum(max(low - count, 0) for count, low in zip(counts, least, strict=True))
    spare = [max(count - low, 0) for count, low in zip(counts, least, strict=True)]
    if not lacking:
        return counts
    shares = [Fraction(lacking * s, sum(spare)) for s in spare]
    given = [int(share) for share in shares]
    by_remainder = sorted(range(len(spare)), key=lambda i: (given[i] - shares[i], i))
    for i in by_remainder[: lacking - sum(given)]:
        given[i] += 1
    return [max(count, low) - gift for count, low, gift in zip(counts, least, given, strict=True)]


def check_scope(scope: str) -> None:
    """Refuse what is not one of `SCOPES`, by a ValueError."""
    if scope not in SCOPES:
        hint = did_you_mean(str(scope), SCOPES)
        raise ValueError(f"unknown scope {scope!r}; allowed: {', '.join(SCOPES)}.{hint}")


def erk(shapes: Sequence[Sequence[int]], pruned: int) -> list[int]:
    """Share `pruned` elements out by Erdős–Rényi-Kernel (Evci et al., arXiv 1911.11134).

    A layer's density is proportional to (the sum of its shape) / (their product): for a convolution
    (out + in + height + width) / (out · in · height · width), so that small layers stay denser. Layers that
    this would make denser than 1 stay dense and the others share the rest. Counts are rounded by largest
    remainder; exact in total.
    """
    sizes, sums = [prod(shape) for shape in shapes], [sum(shape) for shape in shapes]
    dense: set[int] = set()
    while True:
        free = [i for i in range(len(sizes)) if i not in dense]
        left = sum(sizes) - pruned - sum(sizes[i] for i in dense)
        whole = sum(sums[i] for i in free) or 1
        keep = {i: Fraction(left * sums[i], whole) for i in free}
        over = {i for i in free if keep[i] >= sizes[i]}
        if not over:
            break
        dense |= over
    kept = [sizes[i] if i in dense else int(keep[i]) for i in range(len(sizes))]
    by_remainder = sorted(free, key=lambda i: (kept[i] - keep[i], i))
    for i in by_remainder[: left - sum(kept[i] for i in free)]:
        kept[i] += 1
    return [size - k for size, k in zip(sizes, kept, strict=True)]


def parse_pattern(pattern: str) -> tuple[int, int]:
    """"2:4" -> (2, 4): N weights kept of every M, with 1 <= N < M.

    Raises:
        ValueError: not of that form.
    """
    match = re.fullmatch(r"(\d+):(\d+)", pattern) if isinstance(pattern, str) else None
    if match is None or not 1 <= int(match[1]) < int(match[2]):
        raise ValueError(f"Invalid pattern: {pattern!r}; allowed: 'N:M' with 1 <= N < M, such as '2:4'")
    return int(match[1]), int(match[2])


def nm_mask(score: Tensor, n: int, m: int, name: str = "weight") -> Tensor:
    """True at the m − n lowest scores among every m consecutive along the input dimension; n of m are kept.

    The input dimension is the second: a linear layer's inputs, a convolution's input channels (each kernel
    position by itself, the grouping that sparse tensor cores read from a channels-last weight). Of equal
    scores the first goes first.

    Args:
        score: Shape [out, in, ...]; lowest is pruned.
        name: What to call the layer in an error.

    Returns:
        A bool mask of the score's shape.

    Raises:
        ValueError: no input dimension, one that m does not divide, or NaN among the scores.
    """
    if score.ndim < 2 or score.shape[1] % m:
        shape = tuple(score.shape)
        raise ValueError(f"pattern {n}:{m} does not fit {name} of shape {shape}: {m} must divide dimension 1")
    if nans := int(score.isnan().sum()):
        raise ValueError(f"NaN cannot be ranked: {nans} in tensor {name}")
    groups = score.movedim(1, -1).unflatten(-1, (-1, m))
    lowest = groups.argsort(dim=-1, stable=True)[..., : m - n]
    mask = torch.zeros(groups.shape, dtype=torch.bool, device=score.device).scatter_(-1, lowest, True)
    return mask.flatten(-2).movedim(-1, 1)
