import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.pruning import SCHEDULES, sparsity_at

PLAN = {"begin_step": 10, "end_step": 110, "target": 0.8, "schedule": "cubic"}


@pytest.mark.parametrize("name", SCHEDULES)
def test_from_0_to_1(name):
    assert SCHEDULES[name](0.0) == 0.0
    assert SCHEDULES[name](1.0) == 1.0


@pytest.mark.parametrize(("name", "half"), [("cubic", 0.875), ("late_cubic", 0.125), ("linear", 0.5), ("one_shot", 0)])
def test_half_way(name, half):
    assert SCHEDULES[name](0.5) == half
    assert sparsity_at(60, **{**PLAN, "schedule": name}) == pytest.approx(0.8 * half)


@given(st.sampled_from(list(SCHEDULES)), *[st.integers(0, n) for n in (300, 300, 50, 100)])
def test_sparsity_never_shrinks(name, a, b, begin, length):
    plan = {"begin_step": begin, "end_step": max(1, begin + length), "target": 0.9, "schedule": name}
    early, late = sparsity_at(min(a, b), **plan), sparsity_at(max(a, b), **plan)
    assert 0 <= early <= late <= 0.9


def test_ends():
    assert [sparsity_at(step, **PLAN) for step in (0, 10, 110, 111)] == [0.0, 0.0, 0.8, 0.8]
    assert sparsity_at(10, **{**PLAN, "end_step": 10}) == 0.8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target": 1.0}, "Invalid target_sparsity: 1.0"),
        ({"target": -0.1}, "Invalid target_sparsity: -0.1"),
        ({"begin_step": 120}, "Invalid begin_step, end_step: 120, 110"),
        ({"begin_step": -1}, "Invalid begin_step: -1; allowed: a whole number of at least 0"),
        ({"schedule": "cubik"}, "unknown schedule 'cubik'; allowed: cubic, .*Did you mean 'cubic'"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        sparsity_at(5, **{**PLAN, **wrong})
