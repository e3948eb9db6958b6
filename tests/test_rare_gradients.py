"""The counterexample of AMSGrad's paper: paths by hand, and the closed form against steps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.optim import textbook
from adamw_lab.rare_gradients import PROBLEMS, away_by_towards, descend, gradient, turning_point


def test_the_gradients_add_up_to_more_than_nothing():
    assert [gradient(step, 3.0, 3) for step in range(1, 7)] == [3, -1, -1, 3, -1, -1]
    for size, period in PROBLEMS.values():
        assert sum(gradient(step, size, period) for step in range(1, period + 1)) == size - period + 1 > 0


def test_the_first_steps_by_hand():
    """beta2 = 0.1: v is 0.9 * 9, then 0.81 + 0.9; both corrected."""
    path = descend(size=3.0, period=3, lr=0.5, steps=2)["x"]
    assert path[0] == pytest.approx(-0.5)
    second = 0.5 / math.sqrt(2) / math.sqrt(1.71 / (1 - 0.1**2))
    assert path[1] == pytest.approx(-0.5 + second, rel=1e-6)


@pytest.mark.parametrize("size", [2.5, 3.0, 10.0])
def test_adam_leaves_the_minimum_and_amsgrad_finds_it(size):
    assert descend(size=size)["x"].iloc[-1] > 0.9
    assert descend(size=size, amsgrad=True)["x"].iloc[-1] < -0.9


def test_with_a_long_memory_adam_finds_it_too():
    assert turning_point(3.0, 3) < 0.9
    assert descend(beta2=0.9)["x"].iloc[-1] < -0.9


@given(st.integers(2, 12), st.floats(0.05, 5.0), st.sampled_from([0.05, 0.5, 0.9]), st.booleans())
def test_the_closed_form_is_what_steps_add_up_to(period, more, beta2, amsgrad):
    size = period - 1 + more
    periods = 2 + math.ceil(40 / (1 - beta2) / period)  # until v repeats itself
    state, x, moves = {}, torch.zeros(1, dtype=torch.float64), []
    for step in range(1, periods * period + 1):
        g = torch.full_like(x, gradient(step, size, period))
        new = textbook.adamw(x, g, state, lr=1.0, betas=(0.0, beta2), eps=0.0, weight_decay=0.0, amsgrad=amsgrad)
        moves.append(float(new - x))
        x = new
    measured = sum(moves[1 - period :]) / -moves[-period]
    assert measured == pytest.approx(float(away_by_towards(beta2, size, period, amsgrad)), rel=1e-6)


def test_adam_turns_at_the_turning_point():
    for size, period in PROBLEMS.values():
        turn = turning_point(size, period)
        before, after = away_by_towards([turn - 1e-5, turn + 1e-5], size, period)
        assert before > 1 > after
    assert turning_point(101.0, 101) > 0.999, "the default beta2 forgets too fast for the paper's second problem"
    assert turning_point(1.5, 2) == 0.0 and float(away_by_towards(1e-6, 1.5, 2)) < 1


@pytest.mark.parametrize(("size", "period", "message"), [
    (2.0, 3, r"Invalid size: 2.0; allowed: above period - 1 = 2"),
    (3.0, 1, "Invalid period: 1; allowed: .* at least 2")])
def test_no_counterexample_is_refused(size, period, message):
    for call in (lambda: gradient(1, size, period), lambda: away_by_towards(0.9, size, period)):
        with pytest.raises(ValueError, match=message):
            call()
