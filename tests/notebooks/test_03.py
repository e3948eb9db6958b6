"""Notebook 03 at its defaults: its findings follow from the rules and from the recorded runs."""

import re

import pytest


def test_03_finds_what_it_says(said):
    most, least, off = map(float, re.search(
        r"Adam with L2 decays by (\S+) to (\S+) times what was asked for, AdamW by just that, within (\S+)%\.\n",
        said).groups())
    assert most == pytest.approx(1 / 0.1, rel=0.03) and least == pytest.approx(0.1, rel=0.05) and off < 1
    assert float(re.search(r"at least (\S+) times harder", said)[1]) > 5
    counts = re.search(r"by rising learning rate, ([\d, ]+) with Adam, ([\d, ]+) with AdamW; seeds", said).groups()
    few, more = ([int(count) for count in of.split(", ")] for of in counts)
    assert len(few) == len(more) == 5 and sum(more) > sum(few)
    off = float(re.search(r"Trained again, 3 recorded runs differ by at most (\S+) nats", said)[1])
    assert off < 0.02, "another machine rounds differently, not more"
