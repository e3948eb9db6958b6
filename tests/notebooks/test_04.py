"""Notebook 04 at its defaults: its findings follow from the rules and from the recorded runs."""

import re

import pytest


def test_04_finds_what_it_says(said):
    adam, amsgrad = map(float, re.search(r"Adam ends at x = (\S+), AMSGrad at (\S+);", said).groups())
    assert adam > 0.9 and amsgrad < -0.9
    assert "above 0.47 on the first problem, 0.9996 on the second: the default 0.999 is too small for that" in said
    assert "divided by 1.01 with the maximum of raw v, by 10.00 with that of the corrected one" in said
    long, short = map(int, re.search(r"(\d+)% of Adam's, .* at beta2 0.999, (\d+)% at 0.99", said).groups())
    assert 100 >= long > short
    assert float(re.search(r"loss in the noisy bowl by (\S+)\.\n", said)[1]) > 1.5
    assert float(re.search(r"(\d+)% of the gradients are scaled down", said)[1]) == pytest.approx(61, abs=10)
    assert re.search(r"averaged over the others: AMSGrad \S+, .*cosine -\S+, lower", said)
    off = float(re.search(r"Trained again, 1 recorded run differs by at most (\S+) nats", said)[1])
    assert off < 0.05, "another machine rounds differently, not more"
