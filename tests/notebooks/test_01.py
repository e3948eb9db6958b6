"""Notebook 01 at its defaults: its findings are those that the rules imply."""

from pathlib import Path

import papermill
import pytest

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "01_what_is_an_optimizer.ipynb"


def test_01_finds_what_it_says(book, said):
    assert "by hand, by adamw_lab.optim.textbook, by torch, and Adam by the lab's kernel: the same" in said
    assert "SGD must stay below 0.02 and needs 230 steps to 1 % of the way" in said
    assert "Its first step is 20 times as long across the ditch as along it, Adam's 1." in said
    assert "costs SGD 1.00 times the mean loss" in said
    assert "AdaGrad's step is 3.2% of the learning rate, RMSprop's 100%." in said
    assert "RMSprop is itself again in 892 steps, Adam in 6,737, AdaGrad not within 11,980." in said
    shown = [output.get("data", {}) for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in data for data in shown) == 7
    assert "widgets" not in book.metadata and not any("widget" in kind for data in shown for kind in data)


def test_01_refuses_what_a_control_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(PATH.parent)
    with pytest.raises(papermill.PapermillExecutionError, match="Invalid steps value: 10; allowed: from 20 to 500"):
        papermill.execute_notebook(PATH.name, str(tmp_path / "out.ipynb"), progress_bar=False,
                                   parameters={"steps": 20, "explorer": '{"steps": 10}'})


def test_01_refuses_a_landscape_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(PATH.parent)
    with pytest.raises(papermill.PapermillExecutionError, match="unknown landscape 'hill'; allowed: quadratic"):
        papermill.execute_notebook(PATH.name, str(tmp_path / "out.ipynb"), progress_bar=False,
                                   parameters={"steps": 20, "landscape": "hill"})
