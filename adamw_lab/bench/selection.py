"""How fast, and in how much memory, the exact k-th smallest of many scores is found."""

import multiprocessing
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from adamw_lab.pruning import kth_smallest

LARGEST = 2_359_296
"""Elements of the largest tensor: a 512 x 512 x 3 x 3 convolution, as in ResNet-18 and ResNet-50."""


def bench_selection(
    sizes: Sequence[int] = (1_000_000, 25_000_000, 60_000_000), repeats: int = 5
) -> list[dict[str, float]]:
    """Find the 70 % quantile of random scores in tensors of at most `LARGEST` elements, by both ways in turn.

    Returns:
        A row for each size: `elements`, `threads`; `kth_smallest_seconds`, `kthvalue_seconds` (torch.kthvalue, its
        concatenation included) and `kthvalue_alone_seconds` (of scores joined beforehand), medians of `repeats` after
        one uncounted; `ratio` and `ratio_alone`, how many times as long torch takes; `kth_smallest_bytes` and
        `kthvalue_bytes`, by which the call raised the peak memory of a fresh process; `largest_tensor_bytes`.

    Raises:
        RuntimeError: the two do not agree.
    """
    return [_row(size, repeats) for size in sizes]


def _row(size: int, repeats: int) -> dict[str, float]:
    scores, k = _scores(size), _k(size)
    joined = torch.cat(scores)
    ways: dict[str, Callable[[], Tensor]] = {
        "kth_smallest": lambda: kth_smallest(scores, k),
        "kthvalue": lambda: _kthvalue(scores, k),
        "kthvalue_alone": lambda: torch.kthvalue(joined, k).values,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        found = []
        for name, way in ways.items():
            start = perf_counter()
            found.append(float(way()))
            seconds[name].append(perf_counter() - start)
        if len(set(found)) != 1:
            raise RuntimeError(f"the {k}-th smallest of {size} scores differs: {dict(zip(ways, found, strict=True))}")
    medians = {name: median(times[1:]) for name, times in seconds.items()}
    return {
        "elements": size,
        "threads": torch.get_num_threads(),
        **{f"{name}_seconds": value for name, value in medians.items()},
        "ratio": medians["kthvalue"] / medians["kth_smallest"],
        "ratio_alone": medians["kthvalue_alone"] / medians["kth_smallest"],
        "kth_smallest_bytes": _in_fresh_process("kth_smallest", size),
        "kthvalue_bytes": _in_fresh_process("kthvalue", size),
        "largest_tensor_bytes": max(t.nbytes for t in scores),
    }


def _scores(size: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.empty(len(part)).normal_(generator=generator) for part in torch.empty(size).split(LARGEST)]


def _k(size: int) -> int:
    return int(0.7 * size)


def _kthvalue(scores: list[Tensor], k: int) -> Tensor:
    return torch.kthvalue(torch.cat(scores), k).values


def _in_fresh_process(way: str, size: int) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_growth, (way, size))


def _peak_growth(way: str, size: int) -> int:
    """Bytes by which one call raises this process's peak resident memory."""
    call = {"kth_smallest": kth_smallest, "kthvalue": _kthvalue}[way]
    call([torch.arange(300_000.0)], 5)  # what is loaded and compiled once is not the call's
    scores = _scores(size)
    before = _peak()
    call(scores, _k(size))
    return _peak() - before


def _peak() -> int:
    """Peak resident memory in bytes of this process: on Linux not by getrusage, which starts from the parent's."""
    if sys.platform == "linux":
        (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
