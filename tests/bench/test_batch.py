"""The bench of batches measures what it says, here on very little."""

from adamw_lab.bench.batch import bench_batch


def test_every_measurement_is_there(monkeypatch):
    monkeypatch.setattr("adamw_lab.bench.batch.HEAVY", "import pandas")
    table = bench_batch(heavy=2, light=3, workers=3, runs=5)
    assert table["name"].tolist() == ["papermill", "batch", "batch_one", "many", "many", "many", "load_runs"]
    assert (table["done"] == table["count"]).all() and (table["seconds"] > 0).all()
    assert table["ratio"].dropna().iloc[0] == 1.0
