"""What a call takes for a moment, of torch, NumPy and Python."""

import numpy as np
import pytest
import torch

from adamw_lab.bench.transients import transient_bytes

MIB = 1 << 20


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
