"""What a GPU does with each chunk of a tensor; `cuda` prepares the tables. Imported only where Triton is.

A chunk that is whole, of tensors that lie at multiples of 16 bytes, is moved 16 bytes at a time and unmasked. Triton
heeds a hint on a pointer only where the pointer is made, so each branch makes its own.
"""

import torch
import triton
import triton.language as tl

STORED = {torch.float32: tl.float32, torch.float64: tl.float64, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
# whether the arithmetic is in float64 -> its type, and that of its bits
REAL = {False: tl.float32, True: tl.float64}
BITS = {False: tl.int32, True: tl.int64}


@triton.jit(do_not_specialize=["tensors"])
def step(addresses, chunks, numbers, clipped, tensors, STORED: tl.constexpr, REAL: tl.constexpr, BITS: tl.constexpr,
         AMSGRAD: tl.constexpr, CLIP: tl.constexpr, CLIP_WHERE_ZERO: tl.constexpr, PRUNE: tl.constexpr,
         BLOCK: tl.constexpr):
    """One chunk: `numbers` are ten scalars, then three for each tensor, in the order of `cuda._numbers`."""
    row, start, size = _chunk(chunks, BLOCK)
    size = tl.where(tl.load(numbers + 9) == 0, size, 0)  # with an overflow in the gradients nothing is written
    bits = tl.load(addresses + row) | tl.load(addresses + tensors + row)
    bits = bits | tl.load(addresses + 2 * tensors + row) | tl.load(addresses + 3 * tensors + row)
    if AMSGRAD:
        bits = bits | tl.load(addresses + 4 * tensors + row)
    if (start + BLOCK <= size) & (bits % 16 == 0):
        _update(addresses, row, start, size, numbers, clipped, tensors, STORED, REAL, BITS, AMSGRAD, CLIP,
                CLIP_WHERE_ZERO, PRUNE, BLOCK, True)
    else:
        _update(addresses, row, start, size, numbers, clipped, tensors, STORED, REAL, BITS, AMSGRAD, CLIP,
                CLIP_WHERE_ZERO, PRUNE, BLOCK, False)


@triton.jit(do_not_specialize=["tensors"])
def squares(addresses, chunks, sums, tensors, STORED: tl.constexpr, BLOCK: tl.constexpr):
    """The sum of the squares of one chunk of the gradients."""
    row, start, size = _chunk(chunks, BLOCK)
    if (start + BLOCK <= size) & (tl.load(addresses + tensors + row) % 16 == 0):
        g = _load(_place(addresses, 1, tensors, row, start, STORED, BLOCK, True), start, size, tl.float64, BLOCK, True)
    else:
        g = _load(_place(addresses, 1, tensors, row, start, STORED, BLOCK, False), start, size, tl.float64, BLOCK,
                  False)
    tl.store(sums + tl.program_id(0), tl.sum(g * g))


@triton.jit
def detect(norm, norms, seen, spikes, spike, sigma, moved, HISTORY: tl.constexpr, ALWAYS: tl.constexpr,
           BLOCK: tl.constexpr):
    """Judge a norm by a ring of earlier ones, which it enters unless `moved` is 0; see `policy.detect_spike`."""
    at = tl.arange(0, BLOCK)
    x, before = tl.load(norm), tl.load(seen)
    count = tl.minimum(before, HISTORY)
    known = at < count
    ring = tl.load(norms + at, mask=known, other=0.0)
    mean = tl.sum(ring) / count
    from_mean = tl.where(known, ring - mean, 0.0)
    deviation = tl.sqrt(tl.sum(from_mean * from_mean) / (count - 1))
    limit = tl.where(count >= 9, mean + tl.load(sigma) * deviation, float("inf"))
    entry = tl.where(x > limit, limit, x)  # NaN stays
    enters = (entry > 0) & (entry < float("inf"))
    if not ALWAYS:
        enters = enters & (tl.load(moved) != 0)
    if enters:
        tl.store(norms + before % HISTORY, entry)
        tl.store(seen, before + 1)
    found = enters & (x > limit)
    tl.store(spikes, tl.load(spikes) + found.to(tl.int64))
    tl.store(spike, found)


@triton.jit
def _chunk(chunks, BLOCK: tl.constexpr):
    chunk = chunks + 3 * tl.program_id(0).to(tl.int64)
    start = tl.multiple_of(tl.load(chunk + 1), BLOCK)
    return tl.load(chunk), start, tl.load(chunk + 2)


@triton.jit
def _place(addresses, column: tl.constexpr, tensors, row, start, STORED: tl.constexpr, BLOCK: tl.constexpr,
           WHOLE: tl.constexpr):
    pointer = tl.load(addresses + column * tensors + row).to(tl.pointer_type(STORED))
    if WHOLE:
        pointer = tl.multiple_of(pointer, 16)
    return pointer + (start + tl.arange(0, BLOCK))


@triton.jit
def _load(place, start, size, REAL: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr):
    if WHOLE:
        x = tl.load(place)
    else:
        x = tl.load(place, mask=start + tl.arange(0, BLOCK) < size, other=0.0)
    return x.to(REAL)


@triton.jit
def _store(place, x, start, size, BLOCK: tl.constexpr, WHOLE: tl.constexpr):
    if WHOLE:
        tl.store(place, x)
    else:
        tl.store(place, x, mask=start + tl.arange(0, BLOCK) < size)


@triton.jit
def _update(addresses, row, start, size, numbers, clipped, tensors, STORED: tl.constexpr, REAL: tl.constexpr,
            BITS: tl.constexpr, AMSGRAD: tl.constexpr, CLIP: tl.constexpr, CLIP_WHERE_ZERO: tl.constexpr,
            PRUNE: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr):
    p_at = _place(addresses, 0, tensors, row, start, STORED, BLOCK, WHOLE)
    g_at = _place(addresses, 1, tensors, row, start, STORED, BLOCK, WHOLE)
    m_at = _place(addresses, 2, tensors, row, start, STORED, BLOCK, WHOLE)
    v_at = _place(addresses, 3, tensors, row, start, STORED, BLOCK, WHOLE)
    p = _load(p_at, start, size, REAL, BLOCK, WHOLE)
    g = _load(g_at, start, size, REAL, BLOCK, WHOLE)
    m = _load(m_at, start, size, REAL, BLOCK, WHOLE)
    v = _load(v_at, start, size, REAL, BLOCK, WHOLE)
    if AMSGRAD:
        vmax_at = _place(addresses, 4, tensors, row, start, STORED, BLOCK, WHOLE)
        vmax = _load(vmax_at, start, size, REAL, BLOCK, WHOLE)
    beta1, gain1 = tl.load(numbers).to(REAL), tl.load(numbers + 1).to(REAL)
    beta2, gain2 = tl.load(numbers + 2).to(REAL), tl.load(numbers + 3).to(REAL)
    eps, factor = tl.load(numbers + 4).to(REAL), tl.load(numbers + 5).to(REAL)
    keep_m, keep_v = tl.load(numbers + 6).to(REAL), tl.load(numbers + 7).to(REAL)
    decay = tl.load(numbers + 8).to(REAL)
    own = numbers + 10 + row
    step_size, bias2_sqrt = tl.load(own).to(REAL), tl.load(own + tensors).to(REAL)

    g = g * factor
    mark = v
    pruned = (v == 0) & (v.to(BITS, bitcast=True) < 0)  # -0.0
    m = tl.where(keep_m == 0, 0.0, m * keep_m)
    v = tl.where(keep_v == 0, 0.0, v * keep_v)
    if CLIP:
        limit = tl.sqrt(v * tl.load(own + 2 * tensors).to(REAL))
        over = tl.abs(g) > limit
        if not CLIP_WHERE_ZERO:
            over = over & (v > 0)
        g = tl.where(over, tl.where(g < 0, -limit, limit), g)
        count = tl.sum(over.to(tl.int64))
        if count > 0:
            tl.atomic_add(clipped, count)
    m = beta1 * m + gain1 * g
    v = beta2 * v + gain2 * g * g
    largest = v
    if AMSGRAD:
        vmax = tl.where(keep_v == 0, 0.0, vmax * keep_v)
        largest = tl.where((v > vmax) | (v != v), v, vmax)
    p = decay * p - step_size * (m / (tl.sqrt(largest) / bias2_sqrt + eps))
    if PRUNE:
        p = tl.where(pruned, 0.0, p)
        m = tl.where(pruned, 0.0, m)
        v = tl.where(pruned, mark, v)
        largest = tl.where(pruned, 0.0, largest)
    _store(p_at, p, start, size, BLOCK, WHOLE)
    _store(m_at, m, start, size, BLOCK, WHOLE)
    _store(v_at, v, start, size, BLOCK, WHOLE)
    if AMSGRAD:
        _store(vmax_at, largest, start, size, BLOCK, WHOLE)
