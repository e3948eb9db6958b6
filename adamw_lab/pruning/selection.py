"""The exact k-th smallest of all elements of many tensors, and masks of the k smallest, without joining them.

Radix selection: a float's bits, as an integer that orders as the floats do, are counted 16 at a time from
the top; two passes settle a float32, four a float64. Histograms add up over tensors and, by one all-reduce
a pass, over ranks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

_DIGIT = 16
_BINS = 1 << _DIGIT
_SLICE = 1 << 20
"""Elements handled at once where a step needs temporaries."""
_SHARED = 1 << 17
"""Elements from which on a tensor is shared among threads."""
_INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}
_FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def kth_smallest(
    tensors: Iterable[Tensor],
    k: int,
    group: dist.ProcessGroup | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Tensor:
    """The k-th smallest element, k from 1, of all tensors together: exactly torch.kthvalue of their concatenation.

    Args:
        tensors: Floating-point tensors of any shapes and strides. Walked several times (twice for float32,
            four times for float64), one tensor at a time, so an object whose `__iter__` computes them anew
            never holds two. Contiguous or channels_last float32 and float64 are read where they lie; lower
            precision is widened a tensor at a time.
        k: 1 is the smallest. -0.0 and 0.0 are equal, and come back as 0.0; infinities count as any value.
        group: Ranks that each hold a part of every tensor (perhaps an empty one): the k-th smallest over
            all of them, the same on each. Every rank must give as many tensors, in the same order. None:
            this process alone.
        names: What to call the tensors in an error; their index otherwise.

    Returns:
        A 0-d float32 tensor (float64 if any tensor is) on the first tensor's device.

    Raises:
        ValueError: k is not from 1 to the number of elements; or there are NaNs: says where and how many.
        TypeError: a tensor is not floating-point, or `tensors` can be walked only once.
    """
    return _select(tensors, k, group, names, least=1)[0]


def lowest_masks(
    tensors: Iterable[Tensor],
    k: int,
    group: dist.ProcessGroup | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Iterator[Tensor]:
    """Masks, one a tensor and made as they are asked for, that are True at exactly the k smallest elements of all.

    Equal elements at the threshold are taken in order of tensor, then rank, then position (row-major), so
    the same input gives the same masks. Selection, with its errors and collectives, happens in the call;
    arguments, k from 0, and errors are those of `kth_smallest`. Every mask has its tensor's shape and device.
    """
    threshold, ties = _select(tensors, k, group, names, least=0)
    ahead = None if group is None else _ties_ahead(tensors, threshold, group)
    return _masks(tensors, threshold, ties, ahead)


def _masks(
    tensors: Iterable[Tensor], threshold: Tensor, ties: int, ahead: list[int] | None
) -> Iterator[Tensor]:
    taken = 0
    for index, tensor in enumerate(tensors):
        values = tensor.detach().to(threshold.dtype)
        limit = threshold.to(values.device)
        mask = values < limit
        if ahead is not None:
            taken = ahead[index]
        if taken < ties:
            taken += _mark_ties(mask, values, limit, ties - taken)
        yield mask


def _mark_ties(mask: Tensor, values: Tensor, limit: Tensor, most: int) -> int:
    """Set `mask` at the first `most` elements that equal `limit`; returns how many there were to set."""
    equal = values == limit
    count = int(equal.count_nonzero())  # sum would widen the mask to int64 first
    if count <= most:
        mask |= equal
        return count
    chosen = equal.flatten() if equal.is_contiguous() else equal.contiguous().flatten()
    left = most
    for part in chosen.split(_SLICE):
        here = int(part.count_nonzero())
        if here > left:
            part[part.nonzero().flatten()[left:]] = False
        left -= min(left, here)
    mask |= chosen.view(equal.shape)
    return most


def _ties_ahead(tensors: Iterable[Tensor], threshold: Tensor, group: dist.ProcessGroup) -> list[int]:
    """For each tensor, how many elements equal to the threshold come before this rank's part of it."""
    counts = [(t.detach().to(threshold.dtype) == threshold.to(t.device)).count_nonzero() for t in tensors]
    mine = torch.stack([c.to(threshold.device) for c in counts])
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, mine, group=group)
    table = torch.stack(parts, dim=1)
    before = table.flatten().cumsum(0).view(table.shape) - table
    return before[:, dist.get_rank(group)].tolist()


def _select(
    tensors: Iterable[Tensor],
    k: int,
    group: dist.ProcessGroup | None,
    names: Sequence[str] | None,
    least: int,
) -> tuple[Tensor, int]:
    """The k-th smallest value, and how many of the elements equal to it are among the k smallest."""
    if iter(tensors) is tensors:
        raise TypeError("tensors can be walked only once; allowed: a list, or an object that makes iterators")
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        threshold, ties, _ = select(_Walk(tensors, pool, names), k, group, names, least)
    return threshold, ties


def select(
    source: Any, k: int, group: dist.ProcessGroup | None = None, names: Sequence[str] | None = None, least: int = 0,
) -> tuple[Tensor, int, int]:
    """Find the k-th smallest key that a source counts; `kth_smallest` says what the arguments and errors are.

    Args:
        source: has `top() -> (histogram of the keys' top 16 bits, NaNs in each tensor)` and
            `below(prefix, shift) -> histogram of the 16 bits above shift where those above are prefix`; its `dtype`
            and `device` are read after `top`.

    Returns:
        The value; how many of the elements equal to it are among the k smallest; how many equal it in all.
    """
    histogram, nans = source.top()
    _reduce(histogram, group)
    _refuse_nans(nans, group, names)
    sums = _running(histogram)
    total = int(sums[-1])
    if isinstance(k, bool) or not isinstance(k, int) or not least <= k <= total:
        raise ValueError(f"Invalid k: {k!r}; allowed: from {least} to {total}, the number of elements")
    if k == 0:
        return torch.tensor(-torch.inf, dtype=source.dtype, device=source.device), 0, 0
    digit, left = _locate(sums, k)
    prefix = digit - _BINS // 2
    for shift in range(torch.finfo(source.dtype).bits - 2 * _DIGIT, -1, -_DIGIT):
        histogram = source.below(prefix, shift)
        _reduce(histogram, group)
        digit, left = _locate(_running(histogram), left)
        prefix = prefix << _DIGIT | digit
    return _float_of(prefix, source.dtype, source.device), left, int(histogram[digit])


class _Walk:
    """Tensors as a source for `select`: float32, unless one of them is float64."""

    def __init__(self, tensors: Iterable[Tensor], pool: ThreadPoolExecutor, names: Sequence[str] | None) -> None:
        self._tensors, self._pool, self._names = tensors, pool, names
        self.dtype, self.device = torch.float32, None

    def top(self) -> tuple[Tensor, Tensor]:
        counted = self._top()
        if counted is None:
            self.dtype = torch.float64
            counted = self._top()
        return counted

    def below(self, prefix: int, shift: int) -> Tensor:
        counters = _Counters(self.dtype, self._pool)
        for tensor in self._tensors:
            counters.of(tensor).below(_flat(tensor, self.dtype), prefix, shift)
        return counters.histogram(self.device)

    def _top(self) -> tuple[Tensor, Tensor] | None:
        """None if a tensor is wider than the dtype."""
        counters, nans = _Counters(self.dtype, self._pool), []
        for index, tensor in enumerate(self._tensors):
            if tensor.dtype not in _FLOATS:
                allowed = ", ".join(map(str, _FLOATS))
                raise TypeError(f"tensor {_name(index, self._names)} is {tensor.dtype}; allowed: {allowed}")
            if tensor.dtype is torch.float64 and self.dtype is not torch.float64:
                return None
            self.device = tensor.device if self.device is None else self.device
            nans.append(counters.of(tensor).top(_flat(tensor, self.dtype)))
        if self.device is None:
            raise ValueError("no tensors given: there is nothing to choose from")
        return counters.histogram(self.device), torch.stack([n.to(self.device) for n in nans])


def _flat(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """All elements in one dimension, in the order they lie in memory: a view where they lie densely."""
    tensor = tensor.detach().resolve_neg()
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor.permute(order).reshape(-1).to(dtype)


def _reduce(counts: Tensor, group: dist.ProcessGroup | None) -> None:
    if group is not None:
        dist.all_reduce(counts, group=group)


def _refuse_nans(nans: Tensor, group: dist.ProcessGroup | None, names: Sequence[str] | None) -> None:
    _reduce(nans, group)
    found = [f"{n} in tensor {_name(i, names)}" for i, n in enumerate(nans.tolist()) if n]
    if found:
        raise ValueError(f"NaN cannot be ranked: {', '.join(found)}")


def _name(index: int, names: Sequence[str] | None) -> str:
    return str(index) if names is None else names[index]


def _running(histogram: Tensor) -> np.ndarray:
    return histogram.cpu().numpy().cumsum()


def _locate(sums: np.ndarray, k: int) -> tuple[int, int]:
    """The bin that holds the k-th element, by the bins' running sums; and k counted from that bin's start."""
    digit = int(sums.searchsorted(k))
    return digit, k - int(sums[digit - 1] if digit else 0)


def _lowest(dtype: torch.dtype) -> int:
    return torch.iinfo(_INTEGER[dtype]).min


def _float_of(key: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    bits = key if key >= 0 else _lowest(dtype) - key
    return torch.tensor(bits, dtype=_INTEGER[dtype], device="cpu").view(dtype).to(device)


class _Counters:
    """A counter for each device that tensors lie on, made when first needed."""

    def __init__(self, dtype: torch.dtype, pool: ThreadPoolExecutor) -> None:
        self._dtype, self._pool = dtype, pool
        self._counters: dict[torch.device, _TorchCounter | _CompiledCounter] = {}

    def of(self, tensor: Tensor) -> "_TorchCounter | _CompiledCounter":
        device = tensor.device
        if device not in self._counters:
            if device.type == "cpu" and _compiled() is not None:
                self._counters[device] = _CompiledCounter(self._dtype, self._pool)
            else:
                self._counters[device] = _TorchCounter(self._dtype, device)
        return self._counters[device]

    def histogram(self, device: torch.device) -> Tensor:
        return reduce(torch.add, (c.histogram().to(device) for c in self._counters.values()))


class _TorchCounter:
    """Counts on any device, a slice at a time so that the keys need little memory."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._integer, self._lowest = _INTEGER[dtype], _lowest(dtype)
        self._top_shift = torch.finfo(dtype).bits - _DIGIT
        self._counts = torch.zeros(_BINS, dtype=torch.int64, device=device)

    def top(self, values: Tensor) -> Tensor:
        nans = torch.zeros((), dtype=torch.int64, device=values.device)
        for part in values.split(_SLICE):
            nans += part.isnan().sum()
            self._add((self._keys(part) >> self._top_shift) + _BINS // 2)
        return nans

    def below(self, values: Tensor, prefix: int, shift: int) -> None:
        for part in values.split(_SLICE):
            keys = self._keys(part)
            self._add((keys[keys >> (shift + _DIGIT) == prefix] >> shift) & (_BINS - 1))

    def histogram(self) -> Tensor:
        return self._counts

    def _keys(self, values: Tensor) -> Tensor:
        bits = values.view(self._integer)
        return torch.where(bits < 0, self._lowest - bits, bits)

    def _add(self, digits: Tensor) -> None:
        self._counts += torch.bincount(digits, minlength=_BINS)


class _CompiledCounter:
    """Counts on the CPU by the loops of `counting`, a thread and a histogram for each share of a large
    tensor.
    """

    def __init__(self, dtype: torch.dtype, pool: ThreadPoolExecutor) -> None:
        self._integer, self._lowest = _INTEGER[dtype], _lowest(dtype)
        self._infinity = int(torch.tensor(torch.inf, dtype=dtype, device="cpu").view(self._integer))
        self._top_shift = torch.finfo(dtype).bits - _DIGIT
        self._pool = pool
        self._rows = np.zeros((torch.get_num_threads(), _BINS), np.int64)

    def top(self, values: Tensor) -> Tensor:
        count = _compiled().count_top
        nans = self._share(
            values, lambda bits, row: count(bits, self._lowest, self._infinity, self._top_shift, row)
        )
        return torch.tensor(sum(nans), dtype=torch.int64, device="cpu")

    def below(self, values: Tensor, prefix: int, shift: int) -> None:
        count = _compiled().count_below
        self._share(values, lambda bits, row: count(bits, self._lowest, prefix, shift, row))

    def histogram(self) -> Tensor:
        return torch.from_numpy(self._rows.sum(0))

    def _share(self, values: Tensor, count: Callable) -> list:
        bits = values.view(self._integer).numpy()
        if len(bits) < _SHARED:
            return [count(bits, self._rows[0])]
        share = -(-len(bits) // len(self._rows))
        parts = [bits[i : i + share] for i in range(0, len(bits), share)]
        return list(self._pool.map(count, parts, self._rows))


@cache
def _compiled():
    """The module of compiled loops; None without Numba."""
    try:
        from adamw_lab.pruning import counting
    except ImportError:
        return None
    return counting
