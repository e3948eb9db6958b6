"""Recorded tables: what they hold, how they are made again, and that the committed ones are complete."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from adamw_lab import cli
from adamw_lab.experiments import tables
from adamw_lab.training import TrainConfig, fit

TINY = [{**tables.SMALL, "model": "mlp", "train_size": 60, "batch_size": 30, "epochs": 2, "seed": seed,
         "optimizer": "adamwadv", "optimizer_options": {"amsgrad": False, "clip_norm": clip}}
        for seed, clip in ((0, 1e-3), (1, None))]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(tables.TABLES, "tiny", lambda: TINY)
    monkeypatch.setattr(tables, "RECORDS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_committed_tables_are_of_these_runs(name):
    recorded, points = tables.load_table(name), tables.TABLES[name]()
    assert len(recorded) == len(points) and (recorded["status"] == "finished").all()
    for row, point in zip(recorded.to_dict("records"), points, strict=True):
        settings = {**point, **point.get("optimizer_options", {})}
        settings.pop("optimizer_options", None)
        for setting, value in settings.items():
            assert pd.isna(row[setting]) if value is None else row[setting] == value, setting


def test_every_point_is_a_training():
    for points in tables.TABLES.values():
        assert all(TrainConfig(**point) for point in points())


def test_a_row_is_what_a_run_measured():
    table = tables.fit_table(TINY)
    result = fit(TrainConfig(**TINY[0]), progress=False)
    row = table.iloc[0]
    assert row["validation_loss"] == result.summary["validation_loss"] and row["steps"] == 4
    assert table["clipped"].tolist() == [1.0, 0.0] and row["clip_norm"] == 1e-3 and pd.isna(table["clip_norm"][1])


def test_a_table_is_recorded_and_trained_again_to_the_same_numbers(tiny):
    result = CliRunner().invoke(cli.app, ["record", "tiny", "--out", str(tiny)])
    assert result.exit_code == 0 and result.output.strip() == str(tiny / "tiny.csv")
    again = tables.train_again("tiny", 2)
    assert again["again"].tolist() == pytest.approx(again["recorded"].tolist(), rel=1e-6)
    assert sorted(again["seed"]) == [0, 1]
    assert tables.load_table("tiny")["hardware"].notna().all()


def test_what_is_refused(tiny):
    result = CliRunner().invoke(cli.app, ["record", "tiny", "dekay"])
    assert result.exit_code == 2 and "unknown table 'dekay'; allowed: " in result.stderr
    assert not list(tiny.iterdir()), "nothing was trained"
    with pytest.raises(OSError, match="tiny.csv"):
        tables.load_table("tiny")
    (tiny / "tiny.csv").write_text("seed,validation_loss\n0,1.0\n1,1.0\n")
    with pytest.raises(ValueError, match="Invalid count: 3; allowed: from 1 to 2"):
        tables.train_again("tiny", 3)
