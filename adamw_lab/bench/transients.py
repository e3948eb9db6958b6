"""The memory that a call takes and gives back."""

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def transient_bytes(call: Callable[[], Any], device: str = "cpu") -> int:
    """Bytes by which `call` raises the memory in use above what it was before, at its highest.

    On the CPU: the highest of torch's tensors, told by its profiler, plus the highest of NumPy's arrays and Python's
    own objects, told by tracemalloc. The two need not come at the same time, so the sum is an upper bound. What
    compiled Numba code takes for itself is in neither; that is stacks, a few kilobytes a thread. On a GPU: what the
    caching allocator says.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells of itself on stderr
    tracemalloc.start()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            call()
            of_python = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return _highest(profiled) + of_python


def _highest(profiled: profile) -> int:
    """The highest sum of the allocations and releases that a profile holds, counted from 0."""
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    in_use = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        in_use += event.nbytes()
        highest = max(highest, in_use)
    return highest
