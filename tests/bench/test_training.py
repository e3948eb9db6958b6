"""The table of training speeds, on a small network and few images."""

import pytest

from adamw_lab.bench.training import bench_training


def test_every_way_trains_and_the_tutorial_is_the_measure():
    table = bench_training(["lenet5"], dataset="digits", batch_size=16, blocks=2, steps=1, compile=False, train_size=64)
    assert list(table["way"]) == ["tutorial", "fit, float32", "fit, looking", "fit", "bare"]
    assert table.set_index("way")["overhead"].notna().tolist() == [False, False, False, True, False]
    assert (table["images_per_second"] > 0).all()
    assert table.set_index("way")["ratio"]["tutorial"] == pytest.approx(1.0)
