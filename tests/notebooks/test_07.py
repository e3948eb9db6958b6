"""Notebook 07 at its defaults finds what it says."""

import re

import pytest

pytestmark = pytest.mark.timeout(300)  # it trains for longer than the others


def test_gates_learn_what_no_optimizer_teaches_the_plain_network(said):
    assert re.search(r"solved by (LSTM, AdamW; )?GRU, AdamW", said)
    assert "the plain RNN is brought through by no optimizer" in said
    stuck = re.search(r"No better than knowing nothing: (.*)\.\n", said)[1]
    assert "RNN, AdamW" in stuck.split("; ") and "GRU, AdamW" not in stuck
    plain, residual = (int(re.search(text, said)[1]) for text in (
        r"plain network reads (\d+)% of the digits", r"residual one (\d+)%"))
    assert plain < 60 < 85 < residual
    thrown, clipped, solved = re.search(r"thrown off from (\d+)% .* clipped from (\d+)%\. Solved: (.*)\.\n",
                                         said).groups()
    assert int(clipped) == 0 < 15 < int(thrown)
    rates = {name: int(rate) for name, rate in re.findall(r"([^,]+?) (\d+)%(?:, )?", solved)}
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    assert rates["Adam"] < 50 < 65 < min(rates["Adam + clip"], rates["AdamWSPAM"])
    assert rates["SGD + momentum"] < rates["SGD + momentum + clip"]
