"""Notebook 07 at its defaults finds what it says."""

import re

import pytest

from adamw_lab.figures import NAMES

pytestmark = pytest.mark.timeout(300)  # it trains for longer than the others


def test_gates_learn_what_no_optimizer_teaches_the_plain_network(said):
    solved = re.search(r"The adding problem is solved by (.*)\. No better than", said)[1].split("; ")
    assert {"GRU, AdamW", "GRU, AdamW + clip", "LSTM, AdamW"} <= set(solved)
    assert not any(name.startswith("RNN") for name in solved), "whatever the optimizer"
    assert "the plain RNN is brought through by no optimizer" in said
    stuck = re.search(r"No better than knowing nothing: (.*)\.\n", said)[1]
    assert "RNN, AdamW" in stuck.split("; ") and "GRU" not in stuck
    plain, residual = (int(re.search(text, said)[1]) for text in (
        r"plain network reads (\d+)% of the digits", r"residual one (\d+)%"))
    assert plain < 60 < 85 < residual


def test_at_the_cliff_clipping_keeps_and_the_spike_in_v_does_not(said):
    thrown, clipped, solved = re.search(r"thrown off from (\d+)% .*\s*clipped from (\d+)%\. Solved: (.*)\.\n",
                                         said).groups()
    assert int(clipped) == 0 < 15 < int(thrown)
    rates = {name: int(rate) for name, rate in re.findall(r"([^,]+?) (\d+)%(?:, )?", solved)}
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    assert rates["Adam"] < 50 < 65 < min(rates["Adam + clip"], rates["AdamWSPAM"])
    assert rates[NAMES["sgd"]] < rates[NAMES["sgd"] + " + clip"]


def test_an_exploding_network_is_thrown_far_unless_it_is_clipped(said):
    found = re.search(r"the gradient's norm is up to (\S+), (\S+) at the median; longest step: (.*)\.\n", said)
    assert float(found[1]) > 50 * float(found[2])
    steps = dict(part.rsplit(" ", 1) for part in found[3].split(", "))
    assert float(steps[NAMES["sgd"]]) > 1 > 0.1 > float(steps[NAMES["sgd"] + " + clip"])
    # 1,185 weights, none of which AdamW moves by much more than its rate at the start
    assert 0.05 < float(steps["AdamW"]) < 0.2 and 0.05 < float(steps["AdamW + clip"]) < 0.2


def test_its_key_numbers_are_recorded(said):
    assert re.search(r"error GRU, AdamWSPAM +\S+", said) and re.search(r"accuracy residual, AdamW +\S+", said)
