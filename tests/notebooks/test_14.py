"""Notebook 14: an optimizer written in a cell joins everything; the committed figure is of the runs that it names."""

import re
from pathlib import Path

import pandas as pd
import papermill
import pytest

from adamw_lab.analysis.recorded import WORTH

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "notebooks" / "14_your_own_optimizer.ipynb"


def test_it_finds_what_it_says_and_records_its_figure(tmp_path, monkeypatch):
    monkeypatch.chdir(PATH.parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = papermill.execute_notebook(PATH.name, str(tmp_path / "out.ipynb"), progress_bar=False,
                                      parameters={"record_to": str(tmp_path)})
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    said = "\n".join(output.get("text", "") + "".join(output.get("data", {}).get("text/plain", ""))
                     for output in outputs)
    assert "20 steps by the class are those of the formula" in said
    assert "Lion: gradients 9e-10 times as long, a first step 1 times as long" in said
    assert "refused: optimizer 'adamw' exists" in said and "cannot be <class 'dict'>" in said
    assert "it keeps 4 bytes a parameter, AdamW 8." in said
    assert re.findall(r"^(\d)\. ", said, flags=re.MULTILINE) == list("123456"), "each finding has a number of its own"
    gain, low, high, word = re.search(r"5\. Lion less AdamW, 8 seeds: (\S+) points \[(\S+), (\S+)\]: ([a-z ]+)\.",
                                      said).groups()
    sure = abs(float(gain)) > 100 * WORTH["accuracy"] and float(low) * float(high) > 0
    assert word == (("more" if float(gain) > 0 else "less") if sure else "no difference found")
    metrics = next(read(output) for output in outputs if "state bytes a parameter" in str(output.get("data")))
    assert metrics["state bytes a parameter"] == 4 and metrics["bytes a parameter moved"] == 20
    assert 0.1 < metrics["learning rates away at the bottom"] <= 1.0
    assert metrics["step by torch fused"] > 0
    assert {metrics[f"chosen lr, {name}"] for name in ("sgd", "adamw", "lion")} <= set(RATES)
    assert metrics["chosen lr, lion"] < metrics["chosen lr, sgd"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    runs = pd.read_csv(tmp_path / "your-own.csv")
    assert runs["part"].value_counts().to_dict() == {"tuning": 27, "paired": 24}
    assert len(pd.read_csv(tmp_path / "your-own-paths.csv")) == 3 * 201


RATES = [0.0001, 0.000316, 0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0]


def read(output):
    table = pd.Series(dtype=float)
    for line in output["data"]["text/plain"].splitlines()[1:]:
        name, value = line.rsplit(maxsplit=1)
        table[name.strip()] = float(value)
    return table


def test_the_recorded_runs_are_those_of_its_defaults():
    runs = pd.read_csv(ROOT / "figures" / "data" / "your-own.csv")
    tuning, paired = (runs[runs["part"] == part] for part in ("tuning", "paired"))
    assert sorted(tuning["lr"].unique()) == pytest.approx(RATES) and set(tuning["seed"]) == {0}
    assert paired.groupby("optimizer")["seed"].agg(sorted).map(tuple).unique().tolist() == [tuple(range(1, 9))]
    best = tuning.loc[tuning.groupby("optimizer")["validation_loss"].idxmin()].set_index("optimizer")["lr"]
    assert (paired["lr"] == paired["optimizer"].map(best)).all()
    assert (runs["weight_decay"] == 0).all() and (runs["epochs"] == 3).all()
