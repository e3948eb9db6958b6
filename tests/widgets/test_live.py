"""A live training: start, pause, resume, stop; it ends where an uninterrupted one does, and its errors are shown."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from adamw_lab.training import TrainConfig, fit
from adamw_lab.widgets import live
from adamw_lab.widgets.live import LiveTraining, live_training
from adamw_lab.widgets.live_run import LiveRun

CONFIG = TrainConfig(model="mlp", train_size=320, epochs=3, batch_size=8, device="cpu", precision="float32", threads=1,
                     telemetry_every=0, seed=3)
STEPS = 3 * 40


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(CONFIG, progress=False)


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A widget that looks every few steps, and is closed after the test."""
    monkeypatch.setattr("adamw_lab.widgets.live_run.LOOK", 0.02)
    monkeypatch.setattr("adamw_lab.widgets.live_run.SHARE", 0)
    widget = LiveTraining(CONFIG, tmp_path / "run")
    yield widget
    widget.box and widget.close()


def until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def assert_same(one, other):
    aside = ["seconds", "resumed_from"]
    pd.testing.assert_frame_equal(one.history.drop(columns=aside), other.history.drop(columns=aside), check_exact=True)
    pd.testing.assert_frame_equal(one.telemetry, other.telemetry, check_exact=True)
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def drawn(widget, panel, gid):
    (line,) = [line for line in widget.explorer.axes[panel].lines if line.get_gid() == gid]
    return np.asarray(line.get_ydata(), dtype=float)


def test_it_starts_pauses_goes_on_stops_and_resumes_to_the_bit(shown, uninterrupted):
    run, before = shown.run, shown.explorer.picture.value
    assert (run.state, shown.pause.disabled, shown.start.description) == ("ready", True, "Start")
    shown.start.click()
    until(lambda: run.look is not None and run.look.step > 3)
    shown.pause.click()
    until(lambda: "<b>paused</b>" in shown.told.value)
    step = run.look.step
    assert 3 < step < STEPS and shown.progress.value == step and shown.pause.description == "Go on"
    assert shown.explorer.picture.value != before and "<b>paused</b>" in shown.told.value
    time.sleep(0.05)
    assert run.look.step == step, "nothing moves while it is paused"
    losses = uninterrupted.telemetry["loss"]
    np.testing.assert_array_equal(drawn(shown, 0, "batch"), losses[:step])
    shown.pause.click()
    until(lambda: run.look.step > step)
    shown.stop.click()
    assert run.state == "stopped" and not run.alive() and "a checkpoint is in" in shown.told.value
    assert list((run.run_dir / "checkpoints").iterdir()) and shown.start.description == "Resume"
    shown.start.click()
    until(lambda: "<b>finished</b>" in shown.told.value)
    assert_same(run.result, uninterrupted)
    np.testing.assert_array_equal(drawn(shown, 0, "batch"), losses)
    np.testing.assert_array_equal(drawn(shown, 0, "validation"), uninterrupted.history["validation_loss"])
    np.testing.assert_array_equal(drawn(shown, 2, "gradient"), uninterrupted.telemetry["grad_norm"])
    assert shown.pause.disabled and shown.progress.value == shown.progress.max == STEPS


def test_stop_ends_what_is_paused(shown):
    shown.start.click()
    shown.pause.click()
    until(lambda: "<b>paused</b>" in shown.told.value)
    shown.stop.click()
    assert shown.run.state == "stopped" and not shown.run.alive()


def test_an_error_in_the_thread_is_shown_and_can_be_mended(shown, capfd):
    shown.run.run_dir.write_text("a file where the folder should be")
    shown.start.click()
    until(lambda: "<b>failed</b>" in shown.told.value)
    assert "The training failed." in shown.explorer.message and str(shown.run.run_dir) in shown.explorer.message
    assert capfd.readouterr() == ("", "")
    shown.run.run_dir.unlink()
    shown.start.click()
    until(lambda: "<b>finished</b>" in shown.told.value)
    assert shown.explorer.message == ""


def test_one_that_starts_stops_the_one_before(tmp_path, shown):
    shown.start.click()
    other = LiveRun(CONFIG, tmp_path / "other")
    other.start()
    assert shown.run.state == "stopped" and not shown.run.alive()
    other.stop()
    assert other.state in ("stopped", "finished") and not other.alive()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_cell_that_runs_again_stops_and_closes_what_it_made(tmp_path, monkeypatch, uninterrupted):
    monkeypatch.setattr(live, "cell_id", lambda: "cell")
    first = live_training(CONFIG, uninterrupted, tmp_path / "run")
    first.start.click()
    second = live_training(CONFIG, uninterrupted, tmp_path / "run")
    assert not first.run.alive() and first.box is None
    assert first.start.comm is None, "nothing of it is left at the front end"
    assert second.run.state == "ready"
    second.start.click()
    until(lambda: "<b>finished</b>" in second.told.value)
    assert_same(second.run.result, uninterrupted)
    second.close()


def test_without_a_front_end_there_is_the_figure_of_the_recorded_run(tmp_path, uninterrupted):
    figure = live_training(CONFIG, uninterrupted, tmp_path / "run")
    lines = {line.get_gid(): line for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["batch"].get_ydata(), uninterrupted.telemetry["loss"])
    assert not (tmp_path / "run").exists()


def test_the_code_trains_the_same(shown, uninterrupted):
    names = {}
    exec(shown._code().replace("run_dir=", "progress=False, run_dir="), names)
    assert_same(names["result"], uninterrupted)
