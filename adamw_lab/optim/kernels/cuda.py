"""The update rule in one pass over memory, compiled by Triton: one launch for all tensors of one dtype.

As in `cpu`, a table of addresses and one of chunks make all tensors a single grid. Every scalar is read from device
memory, so none costs a synchronization. Arithmetic is in float32 (float64 for float64), whatever the storage.
With TRITON_INTERPRET=1 the same code runs on CPU tensors, which is how it is tested without a GPU.
"""

import math
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from adamw_lab.optim.kernels import Scalar, Tensors, Terms
from adamw_lab.optim.kernels.eager import advance, norm

__all__ = ["advance", "norm", "update"]

BLOCK = 1024
_STORED = {torch.float32: tl.float32, torch.float64: tl.float64, torch.bfloat16: tl.bfloat16,
           torch.float16: tl.float16}


def update(tensors: Tensors, terms: Terms) -> Tensor | None:
    """One step of every parameter, in place. Returns the number of elements clipped, None if the term is off."""
    columns, params = tensors.columns(), tensors.params
    device, dtype = params[0].device, params[0].dtype
    clipped = None if terms.clip_scale is None else torch.zeros((), dtype=torch.int64, device=device)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    pointers = [list(map(Tensor.data_ptr, column)) for column in columns]
    addresses = _to_device(torch.tensor(pointers, dtype=torch.int64, device="cpu"), device)
    chunks = _chunks(tuple(p.numel() for p in params), device)
    if not len(chunks):
        return clipped
    found_inf = 0.0 if terms.found_inf is None else terms.found_inf
    shared = _row([terms.beta1, 1 - terms.beta1, terms.beta2, 1 - terms.beta2, terms.eps, terms.grad_factor,
                   terms.keep_m, terms.keep_v, terms.decay, found_inf], real, device)
    lists = [terms.step_size, terms.bias2_sqrt, terms.clip_scale or [math.inf] * len(terms.step_size)]
    per_tensor = torch.stack([_row(column, real, device) for column in lists])
    with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
        _step[(len(chunks),)](
            addresses, chunks, shared, per_tensor, chunks if clipped is None else clipped, len(params),
            STORED=_STORED[dtype], REAL=tl.float64 if real == torch.float64 else tl.float32,
            BITS=tl.int64 if real == torch.float64 else tl.int32,
            AMSGRAD=len(columns) == 5, CLIP=clipped is not None, CLIP_WHERE_ZERO=terms.clip_where_zero,
            PRUNE=terms.prune, BLOCK=BLOCK)
    torch.autograd.graph.increment_version([t for i, column in enumerate(columns) if i != 1 for t in column])
    return clipped


def _to_device(table: Tensor, device: torch.device) -> Tensor:
    """A small table of the host on the device; from pinned memory, so that nothing waits."""
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table


def _row(values: list[Scalar] | Tensor, real: torch.dtype, device: torch.device) -> Tensor:
    """Numbers and 0-d tensors as one vector on the device."""
    if isinstance(values, Tensor):
        return values.to(real)
    row = _to_device(torch.tensor([0.0 if isinstance(x, Tensor) else x for x in values], dtype=real, device="cpu"),
                     device)
    for i, x in enumerate(values):
        if isinstance(x, Tensor):
            row[i].copy_(x.reshape(()))
    return row


@lru_cache(maxsize=64)
def _chunks(numels: tuple[int, ...], device: torch.device) -> Tensor:
    """Rows (tensor, first element, elements of the tensor) that cover all tensors, a program each."""
    rows = [(i, start, n) for i, n in enumerate(numels) for start in range(0, n, BLOCK)]
    return torch.tensor(rows, dtype=torch.int64, device="cpu").reshape(-1, 3).to(device)


@triton.jit
def _step(addresses, chunks, shared, per_tensor, clipped, tensors, STORED: tl.constexpr, REAL: tl.constexpr,
          BITS: tl.constexpr, AMSGRAD: tl.constexpr, CLIP: tl.constexpr, CLIP_WHERE_ZERO: tl.constexpr,
          PRUNE: tl.constexpr, BLOCK: tl.constexpr):
    chunk = chunks + 3 * tl.program_id(0).to(tl.int64)
    row, start, size = tl.load(chunk), tl.load(chunk + 1), tl.load(chunk + 2)
    at = start + tl.arange(0, BLOCK)
    live = at < tl.where(tl.load(shared + 9) == 0, size, 0)  # with an overflow in the gradients nothing is written

    p_at = tl.load(addresses + row).to(tl.pointer_type(STORED)) + at
    g_at = tl.load(addresses + tensors + row).to(tl.pointer_type(STORED)) + at
    m_at = tl.load(addresses + 2 * tensors + row).to(tl.pointer_type(STORED)) + at
    v_at = tl.load(addresses + 3 * tensors + row).to(tl.pointer_type(STORED)) + at
    p = tl.load(p_at, mask=live, other=0.0).to(REAL)
    g = tl.load(g_at, mask=live, other=0.0).to(REAL) * tl.load(shared + 5)
    m = tl.load(m_at, mask=live, other=0.0).to(REAL)
    v = tl.load(v_at, mask=live, other=0.0).to(REAL)
    mark = v
    pruned = (v == 0) & (v.to(BITS, bitcast=True) < 0)  # -0.0

    keep_m, keep_v = tl.load(shared + 6), tl.load(shared + 7)
    m = tl.where(keep_m == 0, 0.0, m * keep_m)
    v = tl.where(keep_v == 0, 0.0, v * keep_v)
    if CLIP:
        limit = tl.sqrt(v * tl.load(per_tensor + 2 * tensors + row))
        over = tl.abs(g) > limit
        if not CLIP_WHERE_ZERO:
            over = over & (v > 0)
        g = tl.where(over, tl.where(g < 0, -limit, limit), g)
        tl.atomic_add(clipped, tl.sum(over.to(tl.int64)))
    m = tl.load(shared) * m + tl.load(shared + 1) * g
    v = tl.load(shared + 2) * v + tl.load(shared + 3) * g * g
    largest = v
    if AMSGRAD:
        vmax_at = tl.load(addresses + 4 * tensors + row).to(tl.pointer_type(STORED)) + at
        vmax = tl.load(vmax_at, mask=live, other=0.0).to(REAL)
        vmax = tl.where(keep_v == 0, 0.0, vmax * keep_v)
        largest = tl.where((v > vmax) | (v != v), v, vmax)
    update = m / (tl.sqrt(largest) / tl.load(per_tensor + tensors + row) + tl.load(shared + 4))
    p = tl.load(shared + 8) * p - tl.load(per_tensor + row) * update
    if PRUNE:
        p = tl.where(pruned, 0.0, p)
        m = tl.where(pruned, 0.0, m)
        v = tl.where(pruned, mark, v)
        largest = tl.where(pruned, 0.0, largest)
    tl.store(p_at, p, mask=live)
    tl.store(m_at, m, mask=live)
    tl.store(v_at, v, mask=live)
    if AMSGRAD:
        tl.store(vmax_at, largest, mask=live)
