"""What loops compiled by Numba share: many tensors in one launch, addressed by pointers, on torch's number of threads.

Imported only where Numba is.
"""

import os
import threading
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from adamw_lab.garbage import uncollected

CHUNK = 16_384
"""Elements that a thread takes at a time: all that a step reads and writes of them stays in its cache."""
SHARE = 2 * CHUNK
"""Elements for which it pays to wake another thread, as torch does at 32,768."""
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
# Numba's simplest threading layer aborts the process when two threads launch at once.
LAUNCH = threading.Lock()
_THREADS_OF: list[int] = []
"""The process in which Numba's threads have begun, if any."""


def kept_njit(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit` that keeps its code on disk, or in memory alone where no folder for it can be written to.

    Functions that differ in what they enclose get files of their own. Numba would number their code within one index,
    without a lock: of two processes that compile at once, one could then load the code of the other's function.
    """
    def decorate(function: Callable) -> Callable:
        enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
        function.__qualname__ += f"_{zlib.crc32(repr(enclosed).encode()):08x}"
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # a container that is read-only, without a home
            return numba.njit(**options)(function)

    return decorate


def addresses(columns: list[list[Tensor]]) -> np.ndarray:
    """Where the tensors of each column begin, int64 [columns, tensors]."""
    return np.array([list(map(Tensor.data_ptr, column)) for column in columns], dtype=np.int64)


@lru_cache(maxsize=64)
def chunks(numels: tuple[int, ...]) -> np.ndarray:
    """Rows (tensor, first element, elements) that cover all tensors."""
    rows = [(i, start, min(CHUNK, n - start)) for i, n in enumerate(numels) for start in range(0, n, CHUNK)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def launch(kernel: Callable, chunks: np.ndarray, *arguments: Any) -> None:
    """Call a parallel kernel, `kernel(*arguments)`, that works on these chunks.

    Raises:
        RuntimeError: in a fork of a process in which one was called before. GNU's OpenMP would end it without a trace.
    """
    with LAUNCH:
        _refuse_in_a_fork()
        _use_threads(chunks)
        call(kernel, *arguments)


def call(kernel: Callable, *arguments: Any) -> None:
    """Call what `kept_njit` made. Its first call loads it from disk, or compiles it."""
    with nullcontext() if kernel.signatures else uncollected():
        kernel(*arguments)


def _refuse_in_a_fork() -> None:
    if not _THREADS_OF:
        _THREADS_OF.append(os.getpid())
    elif _THREADS_OF[0] != os.getpid() and numba.threading_layer() == "omp":
        raise RuntimeError("this process was forked from one in which OpenMP's threads had begun, and has none of "
                           "them; start it by multiprocessing's 'spawn' or 'forkserver', or step with kernel='eager'")


def _use_threads(chunks: np.ndarray) -> None:
    """Let the next launch run on as many threads as torch does, or on fewer where there is less than `SHARE` for each:
    on a busy machine a thread waits for its turn, and all the others for it."""
    threads = torch.get_num_threads()
    busy = max(1, min(threads, numba.config.NUMBA_NUM_THREADS, int(chunks[:, 2].sum()) // SHARE))
    numba.set_num_threads(busy)
    if torch.get_num_threads() != threads:  # starting Numba's threads has told the OpenMP that torch shares to use all
        torch.set_num_threads(threads)


@intrinsic
def pointer(typing_context, address, scalar):
    """An address, taken as a pointer to the type of `scalar`."""
    to = types.CPointer(scalar)

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(to))

    return to(address, scalar), codegen
