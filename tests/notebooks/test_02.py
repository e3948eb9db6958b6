"""Notebook 02 at its defaults: its findings follow from the rules."""

import re

import pytest


def test_02_finds_what_it_says(said):
    assert "the same by hand, textbook, torch and kernel, over 50 steps" in said
    assert "A gradient that never changes has variance 0 and v_hat 9." in said
    assert "one gradient after 20,000 zeros: a step of 3.16 learning rates (the formula: 3.16)" in said
    assert "0.50 learning rates with eps beside the corrected root, 0.03 beside the uncorrected one" in said
    found = re.search(r"the step is (\S+) learning rates, by the formula (\S+)\.\n", said)
    measured, formula = map(float, found.groups())
    assert measured == pytest.approx(formula, abs=0.03) and formula == 0.71
    found = re.search(r"gets (\S+) as far by Adam, (\S+) by SGD; the share's root is (\S+)\.\n", said)
    adam, sgd, root = map(float, found.groups())
    assert adam == pytest.approx(root, rel=0.1) and sgd == pytest.approx(root**2, rel=0.1)
    folds = {name: float(fold) for fold, name in re.findall(r"(\S+)-fold for ([^,.]+)[,.]", said)}
    assert list(folds) == ["SGD", "SGD + momentum", "AdaGrad", "RMSprop", "Adam"] and folds["SGD"] > 10 * folds["Adam"]
