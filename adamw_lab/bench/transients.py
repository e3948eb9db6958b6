"""The memory that a call takes and gives back."""

import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

MARK = "transient_bytes"
EXPECTED = b"Memory block of unknown size was allocated before the profiling started"
"""What torch warns of in C++ when memory is released that is older than the profiler: by design not counted here."""


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
    with _without_warning(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
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


@contextmanager
def _without_warning() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and at the end pass all of it on but the lines `EXPECTED`.

    Python's `sys.stderr` of a notebook is not written there. Without such a descriptor nothing is done.
    """
    try:
        stderr = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            with open(stderr, "wb") as onward:
                onward.writelines(line for line in held if EXPECTED not in line)


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
