"""Pauses of Python's search for garbage."""

import gc
import subprocess
import sys

import pytest

from adamw_lab.garbage import uncollected

FIRST_STEP = """
import gc, sys
import torch
from adamw_lab.optim import AdamWSPAM
p = torch.zeros(3, requires_grad=True)
p.grad = torch.ones(3)
optimizer = AdamWSPAM([p])
searches = []
gc.callbacks.append(lambda phase, info: phase == "start" and searches.append(info["generation"]))
optimizer.step()
assert "numba" in sys.modules
print(len(searches), gc.isenabled())
"""


def test_what_was_on_is_on_again_and_what_was_off_stays_off():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_error_ends_the_pause():
    with pytest.raises(ValueError, match="x"), uncollected():
        raise ValueError("x")
    assert gc.isenabled()


def test_a_first_step_hardly_searches():
    answer = subprocess.run([sys.executable, "-c", FIRST_STEP], capture_output=True, text=True, check=True).stdout
    searches, enabled = answer.split()
    assert int(searches) < 10 and enabled == "True"
