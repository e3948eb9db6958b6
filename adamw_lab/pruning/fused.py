"""Scores, histograms and masks in one pass over weights and moments each, compiled by Numba.

Selecting by a score that is computed on the fly walks over w, m and v three times (twice to find a float32
threshold, once to prune) and holds no score longer than a block. The scores are those of `scores`, operation by
operation; roots are rounded correctly here, which torch's are not always. Imported only where Numba is.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numba import carray, njit, prange
from torch import Tensor

from adamw_lab import compiled
from adamw_lab.compiled import kept_njit, pointer

BLOCK = 2048
MAGNITUDE, HYBRID, GRADIENT, COHERENCE, VARIANCE, FISHER, SALIENCY = range(7)
SCORES = {"magnitude": MAGNITUDE, "hybrid": HYBRID, "gradient_magnitude": GRADIENT, "coherence": COHERENCE,
          "variance": VARIANCE, "fisher": FISHER, "saliency": SALIENCY}
"""The scores of `IMPORTANCE` that are compiled."""
EPS = 1e-8
_BITS = 16
_BINS = 1 << _BITS
_INTEGER = {np.float32: np.int32, np.float64: np.int64}


class FusedScores:
    """The scores of some parameters on the CPU, as a source for `selection.select`; what is pruned scores -inf.

    Args:
        score: a key of `SCORES`.
        columns: lists of dense tensors of one dtype, float32 or float64, with equal strides: weights, first moments,
            second moments with the mask as -0.0, and perhaps their maxima.
        corrections: for each parameter 1 - β1^t and 1 - β2^t, by which the moments are divided.
    """

    def __init__(self, score: str, columns: Sequence[list[Tensor]], corrections: Sequence[tuple[float, float]]) -> None:
        self.columns = columns
        self.dtype, self.device = columns[0][0].dtype, columns[0][0].device
        self._real = compiled.NUMPY[self.dtype]
        self._integer = _INTEGER[self._real]
        self._kind = SCORES[score]
        self._addresses = compiled.addresses(list(columns))
        self._chunks = compiled.chunks(tuple(w.numel() for w in columns[0]))
        self._corrections = np.array(corrections, dtype=self._real)

    def top(self) -> tuple[Tensor, Tensor]:
        """The histogram of the keys' top 16 bits, and the number of NaNs in each tensor."""
        histogram, nans = self._count(0, np.iinfo(self._integer).bits - _BITS, True)
        return histogram, torch.from_numpy(nans)

    def below(self, prefix: int, shift: int) -> Tensor:
        """The histogram of the 16 bits above `shift` of those keys whose bits above them are `prefix`."""
        return self._count(prefix, shift, False)[0]

    def prune(self, limit: float, ties: int) -> None:
        """Zero every weight that scores below `limit`, and the first `ties` that score just that; mark them all.

        First comes what is in an earlier tensor, then what is at an earlier row-major index.
        """
        equal = np.zeros(len(self._chunks), np.int64)
        self._launch(_prune_kernel(self._real, self._kind, len(self.columns) == 4), self._real(limit), equal)
        rows, offsets = self._positions(limit, equal)
        for row in np.unique(rows):
            taken = self._first(int(row), offsets[rows == row], ties)
            ties -= len(taken)
            for column, mark in zip(self.columns, (0.0, 0.0, -0.0, 0.0), strict=False):
                flat = column[row].detach().as_strided((column[row].numel(),), (1,))
                flat[torch.from_numpy(taken)] = mark
        torch.autograd.graph.increment_version([t for column in self.columns for t in column])

    def _positions(self, limit: float, equal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tensor of each element that scores `limit` and is still there, and how far it lies from its start."""
        where = np.flatnonzero(equal)
        found = np.empty((2, equal.sum()), np.int64)
        kernel = _find_kernel(self._real, self._kind)
        kernel(self._addresses, self._chunks[where], self._corrections, self._real(EPS), self._real(limit), found)
        return found[0], found[1]

    def _first(self, row: int, offsets: np.ndarray, most: int) -> np.ndarray:
        """Those of the offsets whose row-major index is lowest, at most so many."""
        tensor, left, index = self.columns[0][row], offsets.copy(), np.zeros_like(offsets)
        dims = [d for d in range(tensor.ndim) if tensor.shape[d] > 1]
        for d in sorted(dims, key=tensor.stride, reverse=True):
            place, left = np.divmod(left, tensor.stride(d))
            index += place * math.prod(tensor.shape[d + 1 :])
        return offsets[np.argsort(index)][:most]

    def _count(self, prefix: int, shift: int, first: bool) -> tuple[Tensor, np.ndarray]:
        threads = torch.get_num_threads()
        histograms = np.zeros((threads, _BINS), np.int64)
        nans = np.zeros((threads, len(self.columns[0])), np.int64)
        lowest = np.iinfo(self._integer).min
        infinity = int(np.array(np.inf, self._real).view(self._integer))
        self._launch(_count_kernel(self._real, self._kind, first), prefix, shift, lowest, infinity, histograms, nans)
        return torch.from_numpy(histograms.sum(0)), nans.sum(0)

    def _launch(self, kernel, *arguments) -> None:
        compiled.launch(kernel, self._chunks,
                        self._addresses, self._chunks, self._corrections, self._real(EPS), *arguments)


@njit(error_model="numpy")  # by its own, Numba looks before each division whether it is by zero
def _score(kind, w, m, v, by_m, by_v, eps):
    """One element's score, in the order of operations of `scores`; v as it is, and no correction a score can spare."""
    size = abs(w)
    if kind == MAGNITUDE:
        return size
    m = m / by_m
    if kind == GRADIENT:
        return math.sqrt(abs(m)) * size
    if kind == SALIENCY:
        return abs(w * m)
    v = v / by_v
    if kind == HYBRID:
        return abs(w * m) * size / (math.sqrt(v) + eps)
    if kind == COHERENCE:
        return abs(m / math.sqrt(v + eps)) * math.sqrt(abs(m)) * size
    if kind == VARIANCE:
        return math.sqrt(math.sqrt(v)) * size
    return w * w * v


@cache
def _count_kernel(real, kind: int, first: bool):
    zero, integer = real(0), _INTEGER[real]
    lowest_score = real(-np.inf)

    @kept_njit(parallel=True, error_model="numpy")
    def kernel(addresses, chunks, corrections, eps, prefix, shift, lowest, infinity, histograms, nans):
        threads = len(histograms)
        for thread in prange(threads):
            histogram = histograms[thread]
            scores = np.empty(BLOCK, real)
            keys = scores.view(integer)
            digits = np.empty(BLOCK, np.uint16)
            for c in range(thread, len(chunks), threads):
                row, begin, size = chunks[c]
                by_m, by_v = corrections[row]
                for start in range(begin, begin + size, BLOCK):
                    stop = min(start + BLOCK, begin + size)
                    w = carray(pointer(addresses[0, row], zero), stop)[start:]
                    m = carray(pointer(addresses[1, row], zero), stop)[start:]
                    v = carray(pointer(addresses[2, row], zero), stop)[start:]
                    # Apart from the counting, which cannot, these loops run on vectors.
                    for i in range(len(w)):
                        dead = (v[i] == zero) and np.signbit(v[i])
                        s = _score(kind, w[i], m[i], v[i], by_m, by_v, eps)
                        scores[i] = lowest_score if dead else s
                    if first:
                        bad = 0
                        for i in range(len(w)):
                            b = keys[i]
                            key = b if b >= 0 else lowest - b
                            bad += (key > infinity) | (key < -infinity)
                            digits[i] = (key >> shift) + 32768
                        nans[thread, row] += bad
                        for i in range(len(w)):
                            histogram[digits[i]] += 1
                    else:
                        for i in range(len(w)):
                            b = keys[i]
                            key = b if b >= 0 else lowest - b
                            if key >> (shift + 16) == prefix:
                                histogram[(key >> shift) & 65535] += 1

    return kernel


@cache
def _prune_kernel(real, kind: int, amsgrad: bool):
    zero = real(0)

    @kept_njit(parallel=True, error_model="numpy")
    def kernel(addresses, chunks, corrections, eps, limit, equal):
        for c in prange(len(chunks)):
            row, start, size = chunks[c]
            by_m, by_v = corrections[row]
            stop = start + size
            w = carray(pointer(addresses[0, row], zero), stop)[start:]
            m = carray(pointer(addresses[1, row], zero), stop)[start:]
            v = carray(pointer(addresses[2, row], zero), stop)[start:]
            if amsgrad:
                vmax = carray(pointer(addresses[3, row], zero), stop)[start:]
            count = 0
            for i in range(size):
                wi, mi, vi = w[i], m[i], v[i]
                dead = (vi == zero) and np.signbit(vi)
                s = _score(kind, wi, mi, vi, by_m, by_v, eps)
                gone = dead or s < limit
                count += (not dead) & (s == limit)
                w[i] = zero if gone else wi
                m[i] = zero if gone else mi
                v[i] = -zero if gone else vi
                if amsgrad:
                    vmax[i] = zero if gone else vmax[i]
            equal[c] = count

    return kernel


@cache
def _find_kernel(real, kind: int):
    zero = real(0)

    @kept_njit(error_model="numpy")
    def kernel(addresses, chunks, corrections, eps, limit, found):
        n = 0
        for c in range(len(chunks)):
            row, start, size = chunks[c]
            by_m, by_v = corrections[row]
            w = carray(pointer(addresses[0, row], zero), start + size)
            m = carray(pointer(addresses[1, row], zero), start + size)
            v = carray(pointer(addresses[2, row], zero), start + size)
            for i in range(start, start + size):
                dead = (v[i] == zero) and np.signbit(v[i])
                if not dead and _score(kind, w[i], m[i], v[i], by_m, by_v, eps) == limit:
                    found[0, n] = row
                    found[1, n] = i
                    n += 1

    return kernel
