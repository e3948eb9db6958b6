"""Notebook 02 with other settings than its own: the formulas that it asserts hold there as well."""

import re
from pathlib import Path

import papermill
import pytest

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "02_adam.ipynb"


def test_02_finds_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(PATH.parent)
    book = papermill.execute_notebook(PATH.name, str(tmp_path / "out.ipynb"), progress_bar=False,
                                      parameters={"steps": 400, "beta2": 0.99, "eps": 1e-6, "noise": 0.5, "seed": 1})
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert "the same by hand, textbook, torch and kernel, over 50 steps" in said
    assert "A gradient that never changes has variance 0 and v_hat 9." in said
    assert "one gradient after 20,000 zeros: a step of 1.00 learning rates (the formula: 1.00)" in said
    assert "eps 1e-8: 0.50 or 0.03 learning rates" in said
    found = re.search(r"the step is (\S+) learning rates, by the formula (\S+)\.\n", said)
    measured, formula = map(float, found.groups())
    assert measured == pytest.approx(formula, abs=0.03) and formula == 0.71
    found = re.search(r"gets (\S+) as far by Adam, (\S+) by SGD; the share's root is (\S+)\.\n", said)
    adam, sgd, root = map(float, found.groups())
    assert adam == pytest.approx(root, rel=0.1) and sgd == pytest.approx(root**2, rel=0.1)
    found = re.search(r"varies (\d+)-fold for SGD, (\S+)-fold for Adam", said)
    spread, adams = map(float, found.groups())
    assert spread > 10 * adams
