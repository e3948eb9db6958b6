"""TensorBoard gets the numbers that the run's tables hold."""

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from adamw_lab.cli import app
from adamw_lab.training import TrainConfig, fit
from adamw_lab.training.tensorboard import export_tensorboard


def test_the_scalars_are_the_tables(tmp_path):
    fit(TrainConfig(model="mlp", dataset="digits", train_size=128, epochs=2, batch_size=32, device="cpu",
                    precision="float32", threads=1, telemetry_every=4), tmp_path / "run", progress=False)
    events = EventAccumulator(str(export_tensorboard(tmp_path / "run", tmp_path / "logs")))
    events.Reload()
    steps = pd.read_parquet(tmp_path / "run/telemetry.parquet")
    found = events.Scalars("step/loss")
    assert [e.step for e in found] == steps["step"].tolist()
    assert [e.value for e in found] == pytest.approx(steps["loss"].tolist(), rel=1e-6)
    layers = pd.read_parquet(tmp_path / "run/layers.parquet").set_index(["layer", "step"])["grad_norm"]
    assert events.Scalars("layer/grad_norm/1.weight")[0].value == pytest.approx(layers["1.weight", 4], rel=1e-6)
    assert len(events.Scalars("epoch/validation_accuracy")) == 2


def test_the_command_line_writes_them_too(tmp_path):
    settings = ["model=mlp", "train_size=64", "epochs=1", "device=cpu", "threads=1"]
    told = CliRunner().invoke(app, ["fit", *settings, "--tensorboard", str(tmp_path / "logs")])
    assert told.exit_code == 2 and "give a run_dir" in told.stderr
    told = CliRunner().invoke(app, ["fit", *settings, "--tensorboard", str(tmp_path / "logs"),
                                    "--run-dir", str(tmp_path / "run"), "--checkpoint-minutes", "1"])
    assert told.exit_code == 0 and list((tmp_path / "logs").glob("events*"))


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run in '.*': history.parquet is missing"):
        export_tensorboard(tmp_path, tmp_path / "logs")
