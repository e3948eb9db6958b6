"""The update rule in one pass over memory, compiled by Numba: one launch for all tensors of a group.

Tensors are cut into chunks; a table of addresses and one of chunks make them a single parallel loop. Within a chunk the
loop runs over plain slices, which is what vectorizes. Numba writes past autograd, so versions are bumped by hand.
"""

import math
from functools import cache

import numpy as np
import torch
from numba import carray, prange
from torch import Tensor

from adamw_lab import compiled
from adamw_lab.compiled import kept_njit, pointer
from adamw_lab.optim.kernels import Scalar, Tensors, Terms, eager

BLOCK = 128
"""Elements that are clipped, or spared that, together; few, so that all columns of memory are read side by side."""
WORDS = compiled.CHUNK // 32
"""Words of bits that mark a chunk's clipped elements. Word i, bit k stands for element WORDS * k + i: the elements of a
block have one bit of successive words, which vectorizes."""
BITS = np.uint32(1) << np.arange(32, dtype=np.uint32)


def update(tensors: Tensors, terms: Terms) -> Tensor | None:
    """One step of every parameter, in place. Returns the number of elements clipped, None if the term is off."""
    addresses, chunks = _table(tensors)
    columns, real = tensors.columns(), compiled.NUMPY[tensors.params[0].dtype]
    kept = (terms.keep_m, terms.keep_v) == (1.0, 1.0)
    clips = terms.clip_scale is not None and min(terms.clip_scale) < math.inf
    spam = not kept or clips or terms.norm_follows
    kernel = _kernel(real, len(columns) == 5, spam, terms.prune, terms.norm_follows)
    clip_above = -1.0 if terms.clip_where_zero else 0.0
    scalars = np.array([terms.beta1, 1 - terms.beta1, terms.beta2, 1 - terms.beta2, terms.eps, terms.grad_factor,
                        terms.decay, terms.keep_m, terms.keep_v, clip_above], dtype=real)
    infinite = [math.inf] * len(terms.step_size)
    per_tensor = np.array([terms.step_size, terms.bias2_sqrt, terms.clip_scale or infinite], dtype=real)
    clipped, squares = np.zeros(len(chunks), dtype=np.int64), np.zeros(len(chunks))
    marks = np.empty((len(chunks) if clips and terms.norm_follows else 0, WORDS), dtype=np.uint32)
    compiled.launch(kernel, chunks, addresses, chunks, scalars, per_tensor, clipped, squares, marks)
    if terms.norm_follows:
        tensors.norm = torch.tensor(math.sqrt(squares.sum()), dtype=torch.float64, device="cpu")
        tensors.followed = addresses, chunks, scalars, per_tensor, clipped, marks
        if not _damping_kernel(real, len(columns) == 5).signatures:  # let no later step compile
            _damp(tensors, 1.0, chunks[:0])
    elif terms.clip_scale is not None and not spam:  # so far nothing can be clipped: likewise
        later, none = _kernel(real, len(columns) == 5, True, terms.prune, False), chunks[:0]
        if not later.signatures:
            compiled.launch(later, none, addresses, none, scalars, per_tensor, clipped[:0], squares[:0], marks)
    torch.autograd.graph.increment_version([t for i, column in enumerate(columns) if i != 1 for t in column])
    return torch.tensor(int(clipped.sum()), device="cpu") if terms.clip_scale is not None else None


def damp(tensors: Tensors, keep_m: float) -> None:
    """Make the last update what it had been if `terms.keep_m` had been `keep_m` and not 1, but for roundings.

    The update has made m = b1 m_before + n, with n = (1 - b1) g, and moved p by it:

        m' = keep_m * m + (1 - keep_m) * n ;  p <- p + step_size * (m - m') / (sqrt(v or vmax) / bias2_sqrt + eps)
    """
    _damp(tensors, keep_m, tensors.followed[1])
    torch.autograd.graph.increment_version([*tensors.params, *tensors.exp_avgs])


def _damp(tensors: Tensors, keep_m: float, chunks: np.ndarray) -> None:
    addresses, _, scalars, per_tensor, clipped, marks = tensors.followed
    kernel = _damping_kernel(scalars.dtype.type, len(addresses) == 5)
    compiled.launch(kernel, chunks, addresses, chunks, scalars, per_tensor, clipped, marks, scalars.dtype.type(keep_m))


def norm(tensors: Tensors) -> Tensor:
    """The 2-norm of all gradients, 0-d float64, summed in float64."""
    addresses, chunks = _table(tensors)
    sums = np.zeros(len(chunks))
    compiled.launch(_norm_kernel(compiled.NUMPY[tensors.grads[0].dtype]), chunks, addresses, chunks, sums)
    return torch.tensor(math.sqrt(sums.sum()), dtype=torch.float64, device="cpu")


def advance(steps: list[Tensor], moved: Scalar) -> list[Scalar]:
    """Add `moved`, in host memory always 1, to each parameter's step counter; returns what they are then."""
    if set(map(Tensor.dtype.__get__, steps)) != {torch.float32} or not all(map(Tensor.is_cpu.__get__, steps)):
        return eager.advance(steps, moved)  # somebody has put others there
    addresses, values = compiled.addresses([steps])[0], np.empty(len(steps), dtype=np.float32)
    compiled.call(_count, addresses, values)
    torch.autograd.graph.increment_version(steps)
    return values.tolist()


def _table(tensors: Tensors) -> tuple[np.ndarray, np.ndarray]:
    """The addresses of all columns, and the chunks."""
    if tensors.table is None:
        numels = tuple(map(Tensor.numel, tensors.params))
        tensors.table = compiled.addresses(tensors.columns()), compiled.chunks(numels)
    return tensors.table


@kept_njit()
def _count(addresses, values):
    for i in range(len(addresses)):
        counter = carray(pointer(addresses[i], np.float32(0)), 1)
        counter[0] += np.float32(1)
        values[i] = counter[0]


@cache
def _norm_kernel(real):
    zero = real(0)

    # sums may be split over vector lanes, which nothing else in these kernels may
    @kept_njit(parallel=True, fastmath={"contract", "reassoc"})
    def kernel(addresses, chunks, sums):
        for c in prange(len(chunks)):
            row, start, size = chunks[c]
            g = carray(pointer(addresses[1, row], zero), start + size)[start:]
            quarter = size // 4
            second, third, fourth = g[quarter:], g[2 * quarter:], g[3 * quarter:]
            total = 0.0
            for i in range(quarter):  # four places read side by side: memory gives more than to one reader
                w, x, y, z = np.float64(g[i]), np.float64(second[i]), np.float64(third[i]), np.float64(fourth[i])
                total += w * w + x * x + y * y + z * z
            for i in range(4 * quarter, size):
                x = np.float64(g[i])
                total += x * x
            sums[c] = total

    return kernel


# A sum, that it may be split over vector lanes of the width of the numbers, as an integer's would not be.
@kept_njit(error_model="numpy", fastmath={"contract", "reassoc"})
def _near(g, v, factor, bound, tiny):
    near = np.float32(0)
    for i in range(len(g)):
        gi = g[i] * factor
        near += np.float32(1) if gi * gi >= v[i] * bound - tiny else np.float32(0)
    return near


@kept_njit(fastmath={"contract", "reassoc"})
def _square(g):
    square = 0.0
    for i in range(len(g)):
        square += np.float64(g[i]) * np.float64(g[i])
    return square


@kept_njit(error_model="numpy")
def _mark(words, bit, within, g, factor):
    for i in range(len(g)):
        words[i] |= bit if abs(within[i]) < abs(g[i] * factor) else np.uint32(0)


@kept_njit(error_model="numpy")
def _clip_marked(words, bit, within, v, square_of_v):
    for i in range(len(v)):
        limit = math.copysign(math.sqrt(v[i] * square_of_v), within[i])
        within[i] = limit if words[i] & bit else within[i]


@cache
def _kernel(real, amsgrad: bool, spam: bool, prune: bool, norm_follows: bool):
    """The loop with the terms that are on; compiled once for each combination and kept on disk."""
    zero, one, almost, tiny = real(0), real(1), real(0.999), np.finfo(real).tiny
    block = BLOCK if spam else compiled.CHUNK

    @kept_njit(parallel=True, error_model="numpy", fastmath={"contract"})
    def kernel(addresses, chunks, scalars, per_tensor, clipped, squares, marks):
        beta1, gain1, beta2, gain2, eps, factor, decay, keep_m, keep_v, clip_above = scalars
        for c in prange(len(chunks)):
            row, start, size = chunks[c]
            step_size, root_gain, scale = per_tensor[0, row], one / per_tensor[1, row], per_tensor[2, row]
            bound = keep_v * scale * almost
            count, square = 0, 0.0
            if spam:
                within = np.empty(block, dtype=real)
            for begin in range(start, start + size, block):
                stop = min(begin + block, start + size)
                p = carray(pointer(addresses[0, row], zero), stop)[begin:]
                g = carray(pointer(addresses[1, row], zero), stop)[begin:]
                m = carray(pointer(addresses[2, row], zero), stop)[begin:]
                v = carray(pointer(addresses[3, row], zero), stop)[begin:]
                if amsgrad:
                    vmax = carray(pointer(addresses[4, row], zero), stop)[begin:]
                source, gain = g, factor
                if norm_follows:
                    square += _square(g)
                if spam:
                    # Clipping is rare, and the root of its limit dear: where no square comes near, no root is taken.
                    near = _near(g, v, factor, bound, tiny)
                    if near > 0 or keep_v == zero:
                        before = count
                        for i in range(len(p)):
                            gi = g[i] * factor
                            vi = v[i] * keep_v if keep_v != zero else zero
                            limit = math.sqrt(vi * scale)
                            if vi > clip_above:
                                if gi > limit:
                                    gi = limit
                                    count += 1
                                elif gi < -limit:
                                    gi = -limit
                                    count += 1
                            within[i] = gi
                        source, gain = within, one
                        if norm_follows and count > before:
                            if before == 0:
                                marks[c, :] = 0
                            word, bit = (begin - start) % WORDS, BITS[(begin - start) // WORDS]
                            _mark(marks[c, word:], bit, within, g, factor)
                for i in range(len(p)):
                    gi = source[i] * gain
                    mi = m[i]
                    vi = v[i]
                    if prune:
                        dead = (vi == zero) and np.signbit(vi)
                    if spam:
                        mi = mi * keep_m if keep_m != zero else zero
                        vi = vi * keep_v if keep_v != zero else zero
                    mi = beta1 * mi + gain1 * gi
                    vi = beta2 * vi + gain2 * gi * gi
                    pi = decay * p[i]
                    wi = vi
                    if amsgrad:
                        wi = vmax[i]
                        if spam:
                            wi = wi * keep_v if keep_v != zero else zero
                        if vi > wi or vi != vi:
                            wi = vi
                    # a division less than sqrt(w) / bias2_sqrt, for a rounding error more
                    pi = pi - step_size * mi / (math.sqrt(wi) * root_gain + eps)
                    if prune and dead:
                        pi = zero
                        mi = zero
                        vi = -zero
                        wi = zero
                    p[i] = pi
                    m[i] = mi
                    v[i] = vi
                    if amsgrad:
                        vmax[i] = wi
            clipped[c] = count
            squares[c] = square

    return kernel


@cache
def _damping_kernel(real, amsgrad: bool):
    zero, one = real(0), real(1)

    @kept_njit(parallel=True, error_model="numpy", fastmath={"contract"})
    def kernel(addresses, chunks, scalars, per_tensor, clipped, marks, keep):
        beta1, gain1, beta2, gain2, eps, factor, decay, keep_m, keep_v, clip_above = scalars
        for c in prange(len(chunks)):
            row, start, size = chunks[c]
            step_size, root_gain, scale = per_tensor[0, row], one / per_tensor[1, row], per_tensor[2, row]
            # a clipped g² was scale * v, and v has become (beta2 + gain2 * scale) * v
            square_of_v = scale / (beta2 + gain2 * scale)
            gain = (one - keep) * gain1
            within = np.empty(BLOCK, dtype=real)
            for begin in range(start, start + size, BLOCK):
                stop = min(begin + BLOCK, start + size)
                p = carray(pointer(addresses[0, row], zero), stop)[begin:]
                g = carray(pointer(addresses[1, row], zero), stop)[begin:]
                m = carray(pointer(addresses[2, row], zero), stop)[begin:]
                v = carray(pointer(addresses[3, row], zero), stop)[begin:]
                w = carray(pointer(addresses[4 if amsgrad else 3, row], zero), stop)[begin:]
                for i in range(len(p)):
                    within[i] = g[i] * factor
                if clipped[c] > 0:  # there are marks then
                    word, bit = (begin - start) % WORDS, BITS[(begin - start) // WORDS]
                    _clip_marked(marks[c, word:], bit, within, v, square_of_v)
                for i in range(len(p)):
                    before = m[i]
                    mi = (keep * before if keep != zero else zero) + gain * within[i]
                    back = step_size * (before - mi) / (math.sqrt(w[i]) * root_gain + eps)
                    if v[i] == zero and np.signbit(v[i]):  # pruned
                        mi = back = zero
                    m[i] = mi
                    p[i] += back

    return kernel
