"""How fast this machine's memory is, by the two ways in which an optimizer meets it."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch


def memory_speed(elements: int = 25_000_000, repeats: int = 9) -> dict[str, float]:
    """Gigabytes a second of a copy and of a pass in place, medians over turns of one after the other.

        copy:      y <- x          8 bytes a float32 element, 4 read and 4 written
        in place:  x <- −x         8 bytes, 4 read and 4 written to where they were read

    A processor that writes to memory which it has not read reads it first, line by line, so that a copy moves 12 bytes
    where 8 are counted. In place nothing is read twice, as in a step of an optimizer.

    Args:
        elements: of each of two tensors; far more than the caches hold, 25 M (100 MB) by default.
        repeats: turns, after one that does not count.

    Returns:
        {"copy", "in_place"}: GB/s of the bytes counted; "ratio": the median over the turns of in place by copy.

    Raises:
        ValueError: fewer than one element or turn.
    """
    for name, value in (("elements", elements), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: a whole number of at least 1")
    x, y = torch.ones(elements), torch.zeros(elements)
    turns = [(_seconds(lambda: y.copy_(x)), _seconds(lambda: x.neg_())) for _ in range(repeats + 1)][1:]
    gigabytes = 8 * elements / 1e9
    return {"copy": gigabytes / median(copy for copy, _ in turns),
            "in_place": gigabytes / median(in_place for _, in_place in turns),
            "ratio": median(copy / in_place for copy, in_place in turns)}


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
