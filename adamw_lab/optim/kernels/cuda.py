"""The update rule in one pass over memory, compiled by Triton: one launch for all tensors of one dtype.

As in `cpu`, a table of addresses and one of chunks make all tensors a single grid. Every scalar is read from device
memory, so none costs a synchronization. Arithmetic is in float32 (float64 for float64), whatever the storage.
With TRITON_INTERPRET=1 the same code runs on CPU tensors, which is how it is tested without a GPU. The device's code
is in `triton_loops`, imported on the first step, so that this module is there without Triton too.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adamw_lab.optim.kernels import Scalar, Tensors, Terms, dispatch, eager

BLOCK = 1024
"""Elements a program."""
_SHARED = 10
"""Scalars that all tensors share; after them in the table come the lists with a scalar a tensor."""


def update(tensors: Tensors, terms: Terms) -> Tensor | None:
    """One step of every parameter, in place. Returns the number of elements clipped, None if the term is off."""
    columns, params = tensors.columns(), tensors.params
    device, dtype = params[0].device, params[0].dtype
    addresses, chunks = _table(tensors)
    numbers, clipped = _numbers(terms, len(params), device)
    if len(chunks):
        code, wide = _code(), dtype == torch.float64
        with _on(device):
            code.step[(len(chunks),)](
                addresses, chunks, numbers, clipped, len(params), STORED=code.STORED[dtype],
                REAL=code.REAL[wide], BITS=code.BITS[wide], AMSGRAD=len(columns) == 5,
                CLIP=terms.clip_scale is not None, CLIP_WHERE_ZERO=terms.clip_where_zero, PRUNE=terms.prune,
                BLOCK=BLOCK)
    torch.autograd.graph.increment_version([t for i, column in enumerate(columns) if i != 1 for t in column])
    return None if terms.clip_scale is None else clipped.reshape(())


def norm(tensors: Tensors) -> Tensor:
    """The 2-norm of all gradients, 0-d float64, summed in float64 and in the same order every time."""
    addresses, chunks = _table(tensors)
    device = tensors.params[0].device
    sums = torch.empty(len(chunks), dtype=torch.float64, device=device)
    if len(chunks):
        code = _code()
        with _on(device):
            code.squares[(len(chunks),)](addresses, chunks, sums, len(tensors.params),
                                         STORED=code.STORED[tensors.grads[0].dtype], BLOCK=BLOCK)
    return sums.sum().sqrt()


def detect(group: dict[str, Any], norm: Tensor, moved: Scalar) -> Tensor:
    """As `policy._detect_in_tensors`, in one launch for its thirty."""
    norms = group["norms"]
    spike = torch.empty((), dtype=torch.bool, device=norms.device)
    with _on(norms.device):
        _code().detect[(1,)](norm.to(norms), norms, group["norms_seen"], group["spikes"], spike,
                             norms.new_full((), group["spike_sigma"]), moved if isinstance(moved, Tensor) else norms,
                             HISTORY=len(norms), ALWAYS=not isinstance(moved, Tensor),
                             BLOCK=1 << (len(norms) - 1).bit_length())
    return spike


def advance(steps: list[Tensor], moved: Scalar) -> list[Scalar]:
    """Add `moved`, 0 or 1, to each parameter's step counter; returns what they are then."""
    quickest = dispatch.load_kernel("cpu") if dispatch.installed("cpu") else eager
    return quickest.advance(steps, moved)


@cache
def _code() -> ModuleType:
    from adamw_lab.optim.kernels import triton_loops

    return triton_loops


def _on(device: torch.device) -> AbstractContextManager:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _table(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """The addresses of all columns, and the chunks, on the device."""
    if tensors.table is None:
        device = tensors.params[0].device
        pointers = tuple(tuple(map(Tensor.data_ptr, column)) for column in tensors.columns())
        stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
        tensors.table = (_addresses(pointers, device, stream),
                         _chunks(tuple(map(Tensor.numel, tensors.params)), device, stream))
    return tensors.table


@lru_cache(maxsize=16)
def _addresses(pointers: tuple[tuple[int, ...], ...], device: torch.device, stream: int) -> Tensor:
    """One row a column. It is often the same as at the last step, since the allocator gives gradients the same places.
    Only on the stream that it was sent on is it sure to have arrived.
    """
    return _to_device(torch.tensor(pointers, dtype=torch.int64, device="cpu"), device)


@lru_cache(maxsize=64)
def _chunks(numels: tuple[int, ...], device: torch.device, stream: int) -> Tensor:
    """Rows (tensor, first element, elements of the tensor) that cover all tensors, a program each."""
    rows = [(i, start, n) for i, n in enumerate(numels) for start in range(0, n, BLOCK)]
    return _to_device(torch.tensor(rows, dtype=torch.int64, device="cpu").reshape(-1, 3), device)


def _numbers(terms: Terms, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All scalars of the step as one float64 vector on the device, and a counter there that is 0: one transfer, and a
    copy for each scalar that the device alone knows.
    """
    shared = [terms.beta1, 1 - terms.beta1, terms.beta2, 1 - terms.beta2, terms.eps, terms.grad_factor, terms.keep_m,
              terms.keep_v, terms.decay, 0.0 if terms.found_inf is None else terms.found_inf]
    lists = [terms.step_size, terms.bias2_sqrt, [0.0] * count if terms.clip_scale is None else terms.clip_scale]
    host = np.zeros(_SHARED + 3 * count + 1)
    theirs: list[tuple[slice, Tensor]] = []
    for at, number in enumerate(shared):
        if isinstance(number, Tensor):
            theirs.append((slice(at, at + 1), number))
        else:
            host[at] = number
    for i, numbers in enumerate(lists):
        begin = _SHARED + i * count
        if isinstance(numbers, Tensor):
            theirs.append((slice(begin, begin + count), numbers))
        elif isinstance(numbers[0], Tensor) and len(set(map(id, numbers))) == 1:
            theirs.append((slice(begin, begin + count), numbers[0]))
        elif isinstance(numbers[0], Tensor):
            for at, number in enumerate(numbers, begin):
                theirs.append((slice(at, at + 1), number))
        else:
            host[begin : begin + count] = numbers
    table = _to_device(torch.from_numpy(host), device)
    for where, number in theirs:
        table[where].copy_(number)
    return table, table[-1:].view(torch.int64)


def _to_device(table: Tensor, device: torch.device) -> Tensor:
    """A small table of the host on the device; from pinned memory, so that nothing waits."""
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table
