"""Where and in which precision a run computes, and what makes it repeat to the bit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(name: str) -> str:
    """The device that `name` means here: "auto" is cuda, else mps, else cpu.

    Raises:
        ValueError: this machine does not have it.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.mps.is_available(), "cpu": True}
    here = [kind for kind, available in present.items() if available]
    if name == "auto":
        return here[0]
    device = torch.device(name)
    if device.type not in here:
        raise ValueError(f"device {name!r} is not on this machine; allowed: auto, {', '.join(here)}")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise ValueError(f"device {name!r} is not on this machine; allowed: an index below {count}")
    return name


def resolve_precision(name: str, device: str) -> str:
    """The precision that `name` means on `device`: "auto" is bfloat16 where the hardware computes in it.

    Raises:
        ValueError: bfloat16 on a device without it, where it would be emulated at a loss.
    """
    if name == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    if name == "bfloat16" and not has_bfloat16(device):
        raise ValueError(f"precision 'bfloat16': device {device!r} here does not compute in it; "
                         "allowed: auto, float32")
    return name


def has_bfloat16(device: str) -> bool:
    """Whether a device has bfloat16 arithmetic: GPUs since NVIDIA's Ampere, CPUs with AMX or AVX512_BF16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return False


@contextmanager
def reproducible(seed: int, device: str, threads: int) -> Iterator[None]:
    """Inside, torch repeats to the bit: seeded, deterministic kernels only, a fixed number of threads.

    An operation without a deterministic kernel raises torch's own RuntimeError. Afterwards everything is as
    before, the global random state included; only CUBLAS_WORKSPACE_CONFIG stays set, which cuBLAS reads once.
    """
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
              torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark,
              torch.utils.deterministic.fill_uninitialized_memory)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    on_cuda = torch.device(device).type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        try:
            _set_determinism(threads, True, False, False, False)
            torch.manual_seed(seed)
            yield
        finally:
            _set_determinism(*before)


def _set_determinism(threads: int, deterministic: bool, warn_only: bool, benchmark: bool, fill: bool) -> None:
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = fill
