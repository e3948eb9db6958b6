"""Notebook 03 at another decay: its findings follow from the rules and from the recorded runs."""

import re
from pathlib import Path

import papermill
import pytest

PATH = Path(__file__).resolve().parents[2] / "notebooks" / "03_adamw.ipynb"


def test_03_finds_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(PATH.parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = papermill.execute_notebook(PATH.name, str(tmp_path / "out.ipynb"), progress_bar=False,
                                      parameters={"weight_decay": 0.2, "epochs": 1, "recompute": 1, "seed": 1})
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    most, least, low, high = map(float, re.search(
        r"Adam with L2 decays by (\S+) to (\S+) times what was asked for, AdamW by (\S+) to (\S+)\.\n", said).groups())
    assert most == pytest.approx(1 / 0.2, rel=0.2) and least == pytest.approx(0.1, rel=0.05)
    assert low == pytest.approx(1, abs=0.02) and high == pytest.approx(1, abs=0.02)
    assert float(re.search(r"at least (\S+) times harder", said)[1]) > 5
    few, more = re.search(r"are \d+ to (\d+) with Adam, by learning rate, \d+ to (\d+) with AdamW", said).groups()
    assert int(more) > int(few)
    off = float(re.search(r"The 1 runs trained again differ .* by at most (\S+) nats", said)[1])
    assert off < 0.02, "another machine rounds differently, not more"
