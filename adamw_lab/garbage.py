"""Pauses of Python's search for garbage, where much is made that will stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it Python does not search for garbage.

    Importing Numba, and loading or compiling its code, makes so many objects that Python would search through all it
    has several times, and finds nothing: that was a third of an optimizer's first step.
    """
    pause = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()
