"""Notebook 07 at its defaults finds what it says."""

import re


def test_gates_learn_what_no_optimizer_teaches_the_plain_network(said):
    assert "solved by GRU, adamw" in said or "solved by LSTM, adamw; GRU, adamw" in said
    stuck = re.search(r"No better than knowing nothing: (.*)\.\n", said)[1]
    assert "RNN, adamw" in stuck.split("; ") and "GRU, adamw" not in stuck
    plain, residual = (int(re.search(text, said)[1]) for text in (
        r"plain network reads (\d+)% of the digits", r"residual one (\d+)%"))
    assert plain < 60 < 85 < residual
    thrown, clipped, adam, adam_clipped, spam = (int(x) for x in re.search(
        r"thrown off from (\d+)% .* clipped from (\d+)%\. Adam solves (\d+)%, clipped (\d+)%, AdamWSPAM (\d+)%",
        said).groups())
    assert clipped == 0 < 15 < thrown
    assert adam < 50 < 65 < min(adam_clipped, spam)
