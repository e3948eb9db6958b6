"""Notebook 03 at its defaults: its findings follow from the rules and from the recorded runs."""

import re

import pytest


def test_03_finds_what_it_says(said):
    most, least, low, high = map(float, re.search(
        r"Adam with L2 decays by (\S+) to (\S+) times what was asked for, AdamW by (\S+) to (\S+)\.\n", said).groups())
    assert most == pytest.approx(1 / 0.1, rel=0.2) and least == pytest.approx(0.1, rel=0.05)
    assert low == pytest.approx(1, abs=0.02) and high == pytest.approx(1, abs=0.02)
    assert float(re.search(r"at least (\S+) times harder", said)[1]) > 5
    few, more = re.search(r"are \d+ to (\d+) with Adam, by learning rate, \d+ to (\d+) with AdamW", said).groups()
    assert int(more) > int(few)
    off = float(re.search(r"The 3 runs trained again differ .* by at most (\S+) nats", said)[1])
    assert off < 0.02, "another machine rounds differently, not more"
