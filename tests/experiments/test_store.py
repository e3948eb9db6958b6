"""The store: names by what determines a result, runs that are finished or not there."""

import json
import shutil

import nbformat
import pandas as pd
import pytest

from adamw_lab.experiments import store

SOURCE = '''
"""About the module."""
import math

def area(r):
    """Of a circle."""
    # exact enough
    return math.pi * r ** 2
'''


def test_code_without_docs_ignores_docstrings_comments_and_layout():
    bare = store.code_without_docs(SOURCE)
    assert "circle" not in bare and "exact" not in bare and "math.pi * r ** 2" in bare
    assert store.code_without_docs(SOURCE.replace("Of a circle.", "Of a disc.")) == bare
    assert store.code_without_docs(SOURCE.replace("r ** 2", "r ** 3")) != bare
    assert store.code_without_docs('class A:\n    """Nothing else."""') == "class A:\n    pass"


@pytest.fixture
def package(tmp_path):
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "adv.py").write_text(SOURCE)
    (tmp_path / "data.py").write_text("x = 1")
    return tmp_path


def test_the_digest_follows_code_and_not_docs(package):
    def digest():
        store.source_digest.cache_clear()
        return store.source_digest(package, ("optim", "data.py"))

    first = digest()
    (package / "optim" / "adv.py").write_text(SOURCE.replace("exact enough", "never mind").replace("disc", "x"))
    (package / "figures.py").write_text("y = 2")
    assert digest() == first
    (package / "data.py").write_text("x = 2")
    assert digest() != first


def test_every_computing_part_exists():
    assert all((store.PACKAGE / part).exists() for part in store.COMPUTING)
    assert len(store.source_digest()) == 64


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path / "book.ipynb", "x = 1  # one")


def write_notebook(path, code, prose="prose"):
    cells = [nbformat.v4.new_markdown_cell(prose), nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_the_name_follows_code_parameters_and_source(notebook, tmp_path):
    def name(notebook=notebook, digest="s", **parameters):
        return store.run_name("adam_seed0", notebook, {"lr": 1e-3, "run_dir": "here", **parameters}, digest)

    first = name()
    assert first.startswith("adam_seed0-") and len(first) == len("adam_seed0-") + 12
    assert name(run_dir="elsewhere") == first
    assert name(lr=1e-4) != first
    assert name(threads=1) != first
    assert name(digest="t") != first
    assert name(write_notebook(tmp_path / "prose.ipynb", "x = 1 # 1", "other prose")) == first
    assert name(write_notebook(tmp_path / "code.ipynb", "x = 2")) != first


def test_the_order_of_the_parameters_does_not_matter(notebook):
    names = {store.run_name("a", notebook, parameters, "s") for parameters in ({"a": 1, "b": 2}, {"b": 2, "a": 1})}
    assert len(names) == 1


def make_run(folder, name, *, seed, done=True, **more):
    run = folder / name
    run.mkdir(parents=True)
    summary = {"optimizer": "adam", "seed": seed, "validation_accuracy": 0.5,
               "config": {"lr": 1e-3, "seed": seed, "optimizer_options": {"eps": 1e-6}}, **more}
    store.write_json(run / "summary.json", summary)
    pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0]}).to_parquet(run / "history.parquet")
    if done:
        store.mark_done(run, seconds=1.0)
    return run


def test_finished_runs_load_as_one_table(tmp_path):
    make_run(tmp_path, "a", seed=0)
    make_run(tmp_path, "b", seed=1, sparsity=0.7)
    make_run(tmp_path, "half", seed=2, done=False)
    runs = store.load_runs(tmp_path)
    assert list(runs["run"]) == ["a", "b"]
    assert list(runs["seed"]) == [0, 1] and list(runs["lr"]) == [1e-3, 1e-3]
    assert json.loads(runs["optimizer_options"][0]) == {"eps": 1e-6}
    assert runs["sparsity"].isna().tolist() == [True, False]


def test_curves_load_with_their_run(tmp_path):
    make_run(tmp_path, "a", seed=0)
    make_run(tmp_path, "b", seed=1)
    curves = store.load_history(tmp_path)
    assert curves["run"].tolist() == ["a", "a", "b", "b"] and curves["seed"].tolist() == [0, 0, 1, 1]
    assert curves["train_loss"].tolist() == [2.0, 1.0, 2.0, 1.0]


def test_runs_of_a_notebook_without_a_summary_show_their_parameters(tmp_path):
    make_run(tmp_path, "a", seed=0)
    (tmp_path / "b").mkdir()
    store.write_json(tmp_path / "b" / "point.json", {"label": "b", "parameters": {"x": 2, "mode": "loud"}})
    store.mark_done(tmp_path / "b", label="b")
    runs = store.load_runs(tmp_path).set_index("run")
    assert runs.loc["b", "x"] == 2 and runs.loc["b", "mode"] == "loud" and runs.loc[["a"], "x"].isna().all()
    assert store.load_history(tmp_path)["run"].unique().tolist() == ["a"]


def test_a_study_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "optimizers-quick", "a", seed=0)
    assert store.load_runs("optimizers-quick")["run"].tolist() == ["a"]
    with pytest.raises(ValueError, match="no runs at 'nothing'"):
        store.load_runs("nothing")


def test_an_empty_store_is_an_empty_table(tmp_path):
    assert store.load_runs(tmp_path).empty and store.load_history(tmp_path).empty


def test_done_is_the_last_thing_written(tmp_path):
    run = make_run(tmp_path, "a", seed=0, done=False)
    assert not store.is_done(run)
    store.mark_done(run, label="a")
    assert store.is_done(run) and json.loads((run / "done.json").read_text()) == {"label": "a"}
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    shutil.rmtree(run)
    assert not store.is_done(run)
