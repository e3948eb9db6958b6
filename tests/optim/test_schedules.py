"""The schedules are pure functions of the step, alike for numbers and tensors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.optim.schedules import cosine_annealing, reset_warmup


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=17, eta_min=0.01)
    for t in range(1, 18):
        assert cosine_annealing(t, 17, 0.3, 0.01) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


@given(st.integers(1, 400), st.integers(1, 300))
def test_cosine_starts_at_lr_only_falls_and_ends_at_min_lr(step, total):
    now, later = (cosine_annealing(t, total, 1.0, 0.1) for t in (step, step + 1))
    assert 0.1 <= later <= now <= 1.0
    assert cosine_annealing(1, total, 1.0, 0.1) == 1.0
    if step > total:
        assert now == pytest.approx(0.1)


@given(st.integers(0, 50), st.integers(0, 40))
def test_warmup_is_the_printed_formula(k, n):
    expected = 1 - 0.99 * 0.5 * (1 + math.cos(math.pi * k / (n + 1))) if k < n else 1.0
    assert reset_warmup(float(k), n) == pytest.approx(expected)


def test_no_warmup_before_the_first_reset():
    assert reset_warmup(math.inf, 10) == 1.0
    assert reset_warmup(torch.tensor(math.inf), 10) == 1.0


@given(st.integers(0, 60), st.integers(0, 40))
def test_tensors_give_what_numbers_give(k, n):
    step = torch.tensor(float(k), dtype=torch.float64)
    assert float(reset_warmup(step, n)) == pytest.approx(reset_warmup(float(k), n))
    assert float(cosine_annealing(step, n + 1, 0.5)) == pytest.approx(cosine_annealing(float(k), n + 1, 0.5))
