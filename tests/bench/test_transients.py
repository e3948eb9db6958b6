"""What a call takes for a moment, of torch, NumPy and Python."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from adamw_lab.bench.transients import transient_bytes

MIB = 1 << 20
RELEASE = """
import os, sys, torch
from adamw_lab.bench.transients import transient_bytes
kept = [torch.ones(1000)]
transient_bytes(lambda: (print("python", file=sys.stderr), os.write(2, b"library\\n"), kept.clear()))
print("after", file=sys.stderr)
"""


def test_a_tensor_that_comes_and_goes_counts():
    assert transient_bytes(lambda: torch.ones(MIB).sum()) == pytest.approx(4 * MIB, rel=0.02)


def test_two_at_once_count_twice_and_one_after_the_other_once():
    def both():
        return float((torch.ones(MIB) + torch.ones(MIB))[0])

    def in_turn():
        for _ in range(3):
            torch.ones(MIB)

    assert transient_bytes(both) == pytest.approx(12 * MIB, rel=0.02)
    assert transient_bytes(in_turn) == pytest.approx(4 * MIB, rel=0.02)


def test_arrays_of_numpy_count():
    assert transient_bytes(lambda: np.ones(MIB).sum()) == pytest.approx(8 * MIB, rel=0.02)


def test_what_was_there_before_does_not():
    kept = []
    found = transient_bytes(lambda: kept[0].add_(1), prepare=lambda: kept.append(torch.ones(MIB)))
    assert found < 0.02 * MIB


def test_of_the_messages_only_torchs_on_older_memory_is_left_out():
    done = subprocess.run([sys.executable, "-c", RELEASE], capture_output=True, text=True, check=True)
    assert sorted(done.stderr.splitlines()) == ["after", "library", "python"]


def test_a_call_that_fails_leaves_the_messages_as_they_were(capfd):
    def fail():
        os.write(2, b"[W1 CPUAllocator.cpp:245] Memory block of unknown size was allocated before the profiling started"
                    b", and so on\nbefore\n")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        transient_bytes(fail)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_a_process_without_the_descriptor_measures_too(monkeypatch):
    def closed(descriptor):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    assert transient_bytes(lambda: torch.ones(MIB).sum()) == pytest.approx(4 * MIB, rel=0.02)
