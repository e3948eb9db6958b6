"""The memory that a call takes and gives back."""

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

MARK = "transient_bytes"


def transient_bytes(call: Callable[[], Any], prepare: Callable[[], Any] | None = None, device: str = "cpu") -> int:
    """Bytes by which `call` raises the memory in use above what it was before, at its highest.

    `prepare`, if given, is called first and not counted. What is allocated there and released in `call` counts as
    released; of memory that is older than both the profiler would not know that.

    On the CPU: the highest of torch's tensors, told by its profiler, plus the highest of NumPy's arrays and Python's
    own objects, told by tracemalloc. The two need not come at the same time, so the sum is an upper bound. What
    compiled Numba code takes for itself is in neither; that is stacks, a few kilobytes a thread. On a GPU: what the
    caching allocator says.
    """
    prepare = prepare or (lambda: None)
    if torch.device(device).type == "cuda":
        prepare()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells of itself on stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        prepare()
        tracemalloc.start()
        try:
            with record_function(MARK):
                before = tracemalloc.get_traced_memory()[0]
                call()
            of_python = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
    return _highest(profiled) + of_python


def _highest(profiled: profile) -> int:
    """The most bytes of tensors in use after the mark, less those in use at it."""
    events = profiled.profiler.kineto_results.events()
    (mark,) = (e.start_ns() for e in events if e.name() == MARK)
    in_use = at_mark = highest = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        in_use += event.nbytes()
        if event.start_ns() < mark:
            at_mark = highest = in_use
        highest = max(highest, in_use)
    return highest - at_mark
