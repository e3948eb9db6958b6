"""Notebook 08 at its defaults, with other models, data and optimizers, and with parameters that are wrong."""

import json
import math
import re
from pathlib import Path

import papermill
import pytest

from adamw_lab.experiments import inspect_parameters
from adamw_lab.training import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "08_resnet_experiment.ipynb"
TINY = {"model": "mlp", "epochs": 1, "train_size": 100}


def test_it_finds_what_it_says(book, said):
    assert "resnet18: 11,172,810 parameters" in said and "The run finished: 80 steps" in said
    test, low, high, guess = (float(value) / 100 for value in re.search(
        r"Test accuracy .* (\S+)%, 95 % interval (\S+)% to (\S+)%; guessing gets (\S+)%", said).groups())
    assert 0.94 < test <= 1, "97.4 % was recorded; three standard errors of 270 images are 2.9 points"
    assert guess == pytest.approx(0.104, abs=0.002)
    n, z = 270, 1.96
    middle = (test + z**2 / (2 * n)) / (1 + z**2 / n)  # Wilson's interval, as it is printed
    half = z / (1 + z**2 / n) * math.sqrt(test * (1 - test) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=0.0011)
    best, epoch = re.search(r"Best validation accuracy (\S+)%, in epoch (\d)\.", said).groups()
    assert float(best) > 94 and 2 <= int(epoch) <= 4
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")


def execute(tmp_path, monkeypatch, **parameters):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return papermill.execute_notebook(str(NOTEBOOK), str(tmp_path / "out.ipynb"), parameters=parameters,
                                      progress_bar=False)


def test_it_runs_from_the_root_and_leaves_its_records(tmp_path, monkeypatch):
    run = tmp_path / "run"
    book = execute(tmp_path, monkeypatch, **TINY, optimizer="adamwprune", run_dir=str(run),
                   optimizer_options='{"target_sparsity": 0.5, "update_every": 1}',
                   training_options='{"model_options": {"hidden": 32}}')
    summary = json.loads((run / "summary.json").read_text())
    origin = json.loads((run / "provenance.json").read_text())
    assert summary["status"] == "finished" and summary["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert summary["config"]["optimizer_options"] == {"target_sparsity": 0.5, "update_every": 1}
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert f"mlp: {summary['parameters']:,} parameters" in said
    assert origin["torch"] and origin["hardware"] and origin["seed"] == 0


@pytest.mark.parametrize("settings", [
    {"model": "gpt", "dataset": "pydoc_text", "train_size": 2000,
     "training_options": {"model_options": {"layers": 1, "width": 32}, "data_options": {"context": 32}}},
    {"model": "lstm", "dataset": "adding_problem", "train_size": 100,
     "training_options": {"data_options": {"length": 6}}}], ids=["text", "numbers"])
def test_it_trains_sequences_too(tmp_path, monkeypatch, settings):
    book = execute(tmp_path, monkeypatch, epochs=1, **settings)
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert "The run finished" in said and "guessing gets" in said


def test_it_refuses_a_misspelt_parameter(tmp_path, monkeypatch):
    message = "unknown parameter 'optimiser'.*Did you mean 'optimizer'"
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        execute(tmp_path, monkeypatch, optimiser="adam")


def test_it_survives_a_run_that_diverges(tmp_path, monkeypatch):
    book = execute(tmp_path, monkeypatch, **TINY, optimizer="sgd", lr=1e30)
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert "The run diverged" in said


def test_it_takes_every_setting_of_a_training():
    parameters = inspect_parameters(NOTEBOOK)
    known = set(parameters) - {"training_options", "run_dir"}
    assert known < set(TrainConfig.model_fields)
    for name in known:
        assert parameters[name].default == TrainConfig.model_fields[name].default, name
