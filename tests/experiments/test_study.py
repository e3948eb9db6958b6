"""A study from its points to its table and figure, on a network that trains in a second."""

import re
from functools import partial

import pandas as pd
import pytest

from adamw_lab.experiments import study as module
from adamw_lab.experiments.catalogue import STUDIES, Profile, Study
from adamw_lab.experiments.design import LEAN
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.tuning import Space, edge_arms, grid_arms

BASE = {"model": "mlp", "dataset": "digits", "epochs": 1, "train_size": 100, "precision": "float32", "threads": 1}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A study of one optimizer that works and one that fails when it is made; figures/data in a folder of its own."""
    arms = {"adamw": {"optimizer": "adamw"},
            "broken": {"optimizer": "adamwprune", "optimizer_options": {"target_sparsity": 1.5}}}
    tiny = Study("Does it run?", "08_resnet_experiment.ipynb", arms, {"quick": Profile(BASE, (0,))}, "A note.")
    working = Study("Does it run?", tiny.notebook, {"adamw": arms["adamw"]}, tiny.profiles, "A note.")
    monkeypatch.setitem(STUDIES, "tiny", tiny)
    monkeypatch.setitem(STUDIES, "working", working)
    monkeypatch.setattr(module, "RECORDS", tmp_path / "data")
    return tmp_path / "runs"


def test_a_study_runs_names_its_failures_and_skips_what_is_done(tiny, capsys):
    assert module.run_study("tiny", jobs=2, out=tiny, record=True) == 1
    said = capsys.readouterr().out
    assert "Does it run?" in said and "adamw_seed0 done in" in said and "A note." in said
    assert re.search("failed: broken_seed0: cell [0-9]+: ValueError: ", said) and "1.5" in said
    failed = next(tiny.glob("broken_seed0-*/notebook.ipynb"))
    assert str(failed) in said and not (failed.parent / "done.json").exists()
    assert {path.name for path in next(tiny.glob("adamw_seed0-*")).iterdir()} >= {
        "notebook.ipynb", "history.parquet", "summary.json", "provenance.json", "done.json"}
    assert "1 done, 0 skipped because they were done before, 1 failed" in said
    assert not (tiny.parent / "data").exists(), "a study with failures records nothing"

    assert module.run_study("working", out=tiny, record=True) == 0
    said = capsys.readouterr().out
    assert "0 done, 1 skipped because they were done before, 0 failed" in said
    assert f"figure: {tiny / 'working-quick.svg'}" in said and (tiny / "working-quick.png").is_file()
    runs = pd.read_csv(tiny.parent / "data" / "working-quick.csv")
    epochs = pd.read_csv(tiny.parent / "data" / "working-quick-epochs.csv")
    assert runs["optimizer"].tolist() == ["adamw"] and runs["hardware"].str.len().min() > 0
    assert epochs["epoch"].tolist() == [1] and not epochs.isna().any(axis=None)


def test_settings_that_training_refuses_start_nothing(monkeypatch, tmp_path):
    wrong = Study("?", "08_resnet_experiment.ipynb", {"a": {"epochs": -1}}, {"quick": Profile(BASE, (0,))})
    monkeypatch.setitem(STUDIES, "wrong", wrong)
    with pytest.raises(ValueError, match="epochs"):
        module.run_study("wrong", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_each_end_is_a_line_with_the_time_left(capsys):
    ends = [("skipped", 0.0, ""), ("done", 40.0, ""), ("failed", 1.0, "ValueError: no"), ("done", 60.0, "")]
    with module.Progress(8, jobs=2) as progress:
        for label, (status, seconds, error) in zip("abcd", ends, strict=True):
            progress.report(Outcome(Point(label, None, {}, None), status, seconds, error))
    assert capsys.readouterr().out.splitlines() == [
        "[2/8] b done in 40 s; about 02:00 left", "[3/8] c FAILED: ValueError: no",
        "[4/8] d done in 60 s; about 01:40 left"]


def test_the_table_has_mean_range_sparsity_and_seconds():
    runs = pd.DataFrame({"arm": ["sgd", "sgd", "adamw", "adamw"], "seed": [0, 1, 0, 1],
                         "validation_accuracy": [0.90, 0.92, 0.97, 0.98], "sparsity": [0.0, 0.0, 0.7, 0.7],
                         "seconds": [10.0, 12.0, 20.0, 22.0]})
    first, second = module.table(runs).splitlines()[1:]
    assert first.split() == ["adamw", "97.50", "%", "97.00", "to", "98.00", "2", "70.0%", "21"]
    assert second.split()[:3] == ["sgd", "91.00", "%"]


def test_the_table_says_what_diverged_and_means_what_did_not():
    runs = pd.DataFrame({"arm": ["sgd", "sgd", "adamw", "adamw"], "seed": [0, 1, 0, 1],
                         "validation_accuracy": [None, None, 0.97, None], "sparsity": [None, None, 0.0, 0.0],
                         "seconds": [10.0, 12.0, 20.0, 22.0]}).astype({"validation_accuracy": float, "sparsity": float})
    first, second = module.table(runs).splitlines()[1:]
    assert first.split() == ["adamw", "97.00", "%", "97.00", "to", "97.00", "2,", "1", "diverged", "0.0%", "21"]
    assert second.split() == ["sgd", "-", "-", "2,", "2", "diverged", "-", "11"]


def test_a_run_that_diverged_late_counts_as_diverged(tiny, monkeypatch, capsys):
    arms = {"adamw": {"optimizer": "adamw"}, "sgd": {"optimizer": "sgd", "lr": 1e30}}
    monkeypatch.setitem(STUDIES, "wild", Study("?", STUDIES["tiny"].notebook, arms, {"quick": Profile(BASE, (0,))}))
    before = module.results

    def late(points, folder):
        runs, history = before(points, folder)
        assert runs["status"].tolist() == ["finished", "diverged"]
        return runs.assign(validation_accuracy=[0.5, 0.9]), history

    monkeypatch.setattr(module, "results", late)
    assert module.run_study("wild", out=tiny) == 0
    said = capsys.readouterr().out
    assert "sgd                   -" in said and "1, 1 diverged" in said and "90.00" not in said


GROWING = {"adamw": Space((1e-3, 1e-2), (0.0,))}


@pytest.fixture
def growing(monkeypatch, tmp_path):
    """A tuning study on a network that trains in a moment."""
    study = Study("Which rate?", LEAN, grid_arms(GROWING), {"quick": Profile({**BASE, "device": "cpu"}, (0,))},
                  figure="", more=partial(edge_arms, GROWING))
    monkeypatch.setitem(STUDIES, "growing", study)
    monkeypatch.setattr(module, "RECORDS", tmp_path / "data")
    return study, tmp_path / "runs"


def test_the_lean_notebook_trains_and_a_grid_grows_at_its_edge(growing, capsys):
    study, out = growing
    first = module.all_points(study, "quick", out)
    assert [point.label for point in first] == ["adamw_lr0.001_wd0_seed0", "adamw_lr0.01_wd0_seed0"]
    with pytest.raises(ValueError, match="no run of study 'growing', profile 'quick', is done .* nothing to collect"):
        module.run_study("growing", out=out, collect=True)

    assert module.run_study("growing", out=out, record=True, jobs=2) == 0
    grown = module.all_points(study, "quick", out)
    assert len(grown) > len(first) and grown[: len(first)] == first, "the best lay on the edge"
    files = {path.name for path in grown[0].run_dir.iterdir()}
    assert files >= {"history.parquet", "telemetry.parquet", "summary.json", "provenance.json", "done.json",
                     "notebook.ipynb"}
    runs = pd.read_csv(out.parent / "data" / "growing-quick.csv")
    assert len(runs) == len(grown) and runs["highest_norm"].min() >= 1 and runs["commit"].notna().all()

    capsys.readouterr()
    assert module.run_study("growing", out=out, collect=True) == 0
    assert "0 done, 0 skipped" in capsys.readouterr().out
