"""`adamw-lab bench`: which tables it makes, and where they go."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from adamw_lab import cli
from adamw_lab.cli import benchmarks


@pytest.fixture
def measured(monkeypatch):
    """Benchmarks that note that they ran, in place of those that take minutes."""
    ran = []

    def made(name):
        def run():
            ran.append(name)
            return pd.DataFrame({"way": [name], "seconds": [1 / 3], "steps": [7]}), ["way", "seconds"]

        return run

    monkeypatch.setattr(benchmarks, "BENCHMARKS", {name: made(name) for name in benchmarks.BENCHMARKS})
    return ran


def run(*arguments):
    return CliRunner().invoke(cli.app, ["bench", *map(str, arguments)])


def test_all_benchmarks_run_and_leave_their_tables(measured, tmp_path):
    result = run("--out", tmp_path / "new")
    assert result.exit_code == 0
    assert measured == list(benchmarks.BENCHMARKS) == ["step_time", "memory", "selection", "training", "batch"]
    assert {p.name for p in (tmp_path / "new").iterdir()} == {f"{name}.csv" for name in measured}
    assert (tmp_path / "new/memory.csv").read_text() == "way,seconds,steps\nmemory,0.3333333,7\n"
    assert "memory\n   way  seconds\nmemory   0.3333\n" in result.stdout


def test_one_benchmark_by_name(measured, tmp_path):
    assert run("selection", "--out", tmp_path).exit_code == 0
    assert measured == ["selection"]


def test_an_unknown_benchmark_is_refused_before_any_runs(measured, tmp_path):
    result = run("memory", "selections", "--out", tmp_path)
    assert result.exit_code == 2
    assert ("unknown benchmark 'selections'; allowed: step_time, memory, selection, training, batch. "
            "Did you mean 'selection'?") in result.stderr
    assert not measured
