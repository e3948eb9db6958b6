"""Which kernel serves which tensors: one table on device and dtype, then the layout."""

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

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
    forced = argument or os.environ.get("ADAMW_LAB_KERNEL") or None
    if forced is not None and forced not in KERNELS:
        raise ValueError(f"Invalid kernel: {forced!r}; allowed: {', '.join(KERNELS)}")
    return forced


def choose_kernel(row: list[Tensor], forced: str | None = None) -> str:
    """The kernel for one parameter; `row` is the parameter, its gradient and its moments.

    Raises:
        RuntimeError: the forced kernel cannot serve it; the message says why.
    """
    if forced is not None:
        if reason := why_not(forced, row):
            raise RuntimeError(f"kernel {forced!r} cannot serve a parameter of shape {tuple(row[0].shape)}: {reason}")
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
    dtype, device, shape = p.dtype, p.device, p.shape
    if TABLE.get((device.type, dtype)) != kernel and not _interpreted(kernel, p):
        return f"it does not serve {dtype} on {device.type}"
    for t in row:
        if t.dtype != dtype or t.device != device:
            return "parameter, gradient and state differ in dtype or device"
        if t.shape != shape:  # a parameter that was given other data keeps its old state
            return "parameter, gradient and state differ in shape"
        if type(t).__torch_dispatch__ is not Tensor.__torch_dispatch__:
            return f"a {type(t).__name__} has no memory of its own"
    if not _same_dense_layout(row):
        return "parameter, gradient and state are not dense with the same strides"
    return None


@cache
def installed(kernel: str) -> bool:
    return kernel not in REQUIRES or importlib.util.find_spec(REQUIRES[kernel]) is not None


@cache
def load_kernel(name: str) -> Callable:
    """The `update` of a kernel; imports Numba or Triton on first use."""
    return importlib.import_module(f"adamw_lab.optim.kernels.{name}").update


@cache
def load_norm(name: str) -> Callable[[list[Tensor]], Tensor]:
    """The 2-norm of a list of gradients, 0-d: the CPU kernel has its own."""
    return importlib.import_module(f"adamw_lab.optim.kernels.{'cpu' if name == 'cpu' else 'eager'}").norm


def _interpreted(kernel: str, p: Tensor) -> bool:
    """Whether Triton's interpreter stands in for the GPU, so that its kernel can be tested on CPU tensors."""
    return kernel == "cuda" and os.environ.get("TRITON_INTERPRET") == "1" and ("cuda", p.dtype) in TABLE


def _same_dense_layout(row: list[Tensor]) -> bool:
    p, strides = row[0], row[0].stride()
    dense = p.is_contiguous() or p.ndim == 4 and p.is_contiguous(memory_format=torch.channels_last)
    if not dense:  # empty_like keeps strides only of a tensor without gaps and overlaps
        dense = torch.empty_like(p, device="meta").stride() == strides
    for t in row:
        if t.stride() != strides:
            return False
    return dense
