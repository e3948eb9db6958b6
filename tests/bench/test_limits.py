"""The speed of the memory: the right bytes by the right times."""

import pytest

from adamw_lab.bench import limits
from adamw_lab.bench.limits import memory_speed


def test_bytes_are_counted_alike_and_the_first_turn_is_not(monkeypatch):
    times = iter([9.0, 9.0, 2.0, 1.0, 6.0, 2.0, 4.0, 3.0])  # copy, in place, copy, …
    monkeypatch.setattr(limits, "_seconds", lambda call: next(times))
    found = memory_speed(elements=1000, repeats=3)
    assert found["copy"] == pytest.approx(8e-6 / 4) and found["in_place"] == pytest.approx(8e-6 / 2)
    assert found["ratio"] == pytest.approx(2.0)


def test_it_copies_and_turns_signs(monkeypatch):
    seen = []
    monkeypatch.setattr(limits, "_seconds", lambda call: seen.append(call().tolist()) or 1.0)
    memory_speed(elements=2, repeats=1)
    assert seen == [[1, 1], [-1, -1], [-1, -1], [1, 1]]


def test_real_times_are_positive():
    assert min(memory_speed(elements=1000, repeats=2).values()) > 0


@pytest.mark.parametrize("name", ["elements", "repeats"])
def test_nothing_to_measure_is_refused(name):
    with pytest.raises(ValueError, match=f"Invalid {name} value: 0; allowed: a whole number of at least 1"):
        memory_speed(**{name: 0})
