"""Which kernel serves which tensors: one table on device and dtype, then the layout."""

import importlib
import importlib.util
import os
from functools import cache, lru_cache
from types import ModuleType

import torch
from torch import Tensor

from adamw_lab.garbage import uncollected

KERNELS = ("eager", "cpu", "cuda")

TABLE = {
    ("cpu", torch.float32): "cpu",
    ("cpu", torch.float64): "cpu",
    ("cuda", torch.float32): "cuda",
    ("cuda", torch.float64): "cuda",
    ("cuda", torch.bfloat16): "cuda",
    ("cuda", torch.float16): "cuda",
}
"""(device, dtype) -> kernel; whatever is not here goes to `eager`."""

REQUIRES = {"cpu": "numba", "cuda": "triton"}


def forced_kernel(argument: str | None) -> str | None:
    """The kernel that the optimizer's argument, or else the variable ADAMW_LAB_KERNEL, demands; None: the table."""
    forced = (os.environ.get("ADAMW_LAB_KERNEL") or None) if argument is None else argument
    if forced is not None and forced not in KERNELS:
        raise ValueError(f"Invalid kernel: {forced!r}; allowed: {', '.join(KERNELS)}")
    return forced


def choose_kernels(columns: list[list[Tensor]],
                   forced: str | None = None) -> list[tuple[str, torch.dtype, torch.device]]:
    """For each parameter `choose_kernel`, and the dtype and device. `columns`: parameters, gradients, moments."""
    if alike(columns):  # as nearly always, and much quicker to see than to look at each row
        row = [column[0] for column in columns]
        return [(choose_kernel(row, forced), row[0].dtype, row[0].device)] * len(columns[0])
    return [(choose_kernel(row, forced), row[0].dtype, row[0].device) for row in zip(*columns, strict=True)]


def alike(columns: list[list[Tensor]]) -> bool:
    """Whether what serves the first row serves all: one dtype and device, plain and dense, each row of one layout."""
    first = columns[0][0]
    read_device = Tensor.is_cpu.__get__ if first.is_cpu else Tensor.get_device  # as `Tensor.device`, but quicker
    for read in (Tensor.dtype.__get__, read_device):
        wanted = read(first)
        if not all(list(map(read, column)).count(wanted) == len(column) for column in columns):
            return False
    shapes, strides = (list(map(read, columns[0])) for read in (Tensor.shape.__get__, Tensor.stride))
    if not all(list(map(Tensor.shape.__get__, column)) == shapes and list(map(Tensor.stride, column)) == strides
               for column in columns[1:]):
        return False
    if any(map(Tensor.is_neg, columns[0])):
        return False
    types = {kind for column in columns for kind in set(map(type, column))}
    return all(map(_has_memory, types)) and _all_dense(tuple(shapes), tuple(strides))


def choose_kernel(row: list[Tensor], forced: str | None = None) -> str:
    """The kernel for one parameter; `row` is the parameter, its gradient and its moments.

    Raises:
        RuntimeError: the forced kernel cannot serve it, or none can; the message says why.
    """
    shape = row[0].shape
    if any(t.shape != shape for t in row):  # a parameter that was given other data keeps its old state
        raise RuntimeError(f"cannot move a parameter of shape {tuple(shape)}: parameter, gradient and state differ in "
                           f"shape: {', '.join(str(tuple(t.shape)) for t in row)}")
    if row[0].is_neg():
        raise RuntimeError(f"cannot move a parameter of shape {tuple(shape)} whose sign is not yet in its memory (a "
                           "view that torch negates when it is read); give the optimizer its resolve_neg()")
    if forced is not None:
        if reason := why_not(forced, row):
            raise RuntimeError(f"kernel {forced!r} cannot serve a parameter of shape {tuple(shape)}: {reason}")
        return forced
    kernel = TABLE.get((row[0].device.type, row[0].dtype), "eager")
    return "eager" if why_not(kernel, row) else kernel


def why_not(kernel: str, row: list[Tensor]) -> str | None:
    """Why `kernel` cannot serve the tensors of `row`; None if it can."""
    if kernel == "eager":
        return None
    if not installed(kernel):
        return f"{REQUIRES[kernel]} is not installed"
    p = row[0]
    dtype, device = p.dtype, p.device
    if TABLE.get((device.type, dtype)) != kernel and not _interpreted(kernel, p):
        return f"it does not serve {dtype} on {device.type}"
    for t in row:
        if t.dtype != dtype or t.device != device:
            return "parameter, gradient and state differ in dtype or device"
        if not _has_memory(type(t)):
            return f"a {type(t).__name__} has no memory of its own"
    if any(t.stride() != p.stride() for t in row) or not _dense(p.shape, p.stride()):
        return "parameter, gradient and state are not dense with the same strides"
    return None


@cache
def installed(kernel: str) -> bool:
    return kernel not in REQUIRES or importlib.util.find_spec(REQUIRES[kernel]) is not None


@cache
def load_kernel(name: str) -> ModuleType:
    """The module of a kernel, with its `update`, `norm` and `advance`; imports Numba or Triton on first use."""
    with uncollected():
        return importlib.import_module(f"adamw_lab.optim.kernels.{name}")


def _interpreted(kernel: str, p: Tensor) -> bool:
    """Whether Triton's interpreter stands in for the GPU, so that its kernel can be tested on CPU tensors."""
    return kernel == "cuda" and os.environ.get("TRITON_INTERPRET") == "1" and ("cuda", p.dtype) in TABLE


def _has_memory(kind: type) -> bool:
    """Whether tensors of a class lie at their own address; a wrapper of other tensors does not."""
    return kind.__torch_dispatch__ is Tensor.__torch_dispatch__


def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the elements fill their memory, in any order of dimensions, without gaps and overlaps."""
    expected = 1
    for stride, size in sorted((stride, size) for size, stride in zip(shape, strides, strict=True) if size != 1):
        if stride != expected and 0 not in shape:
            return False
        expected *= size
    return True


@lru_cache(maxsize=64)
def _all_dense(shapes: tuple, strides: tuple) -> bool:
    return all(map(_dense, shapes, strides))
