"""Runs that are interrupted: killed at any moment, stopped by a signal or by hand, and what checkpoints are worth."""

import hashlib
import multiprocessing
import os
import random
import resource
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest
import torch

from adamw_lab.training import StopTraining, TrainConfig, fit, loop, records
from adamw_lab.training.saving import Saver

SMALL = dict(model="mlp", dataset="digits", train_size=600, epochs=3, batch_size=16, device="cpu",
             precision="float32", threads=1, telemetry_every=10)
STEPS = 38
RULES = {
    "adamw": {},
    "adamwspam": {"optimizer_options": {"reset_interval": 30, "warmup_steps": 5, "clip_norm": 1.0}},
    "adamwprune": {"optimizer_options": {"update_every": 7, "importance": "random", "regrow": 0.1}},
    "sgd": {"pruner": {"name": "movement", "update_every": 9}},
}
BRIEF = 1e-9
"""Minutes between checkpoints, so few that there is one after every step."""


def config(optimizer, **fields):
    return TrainConfig(**{**SMALL, "optimizer": optimizer, **RULES[optimizer], **fields})


def undisturbed(optimizer, **fields):
    return fit(config(optimizer, **fields), progress=False)


def assert_same(one, other):
    """Weights, history, telemetry, layers and summary, to the bit; time and what tells of interruptions aside."""
    aside = ["seconds", "resumed_from"]
    pd.testing.assert_frame_equal(one.history.drop(columns=aside), other.history.drop(columns=aside), check_exact=True)
    pd.testing.assert_frame_equal(one.telemetry, other.telemetry, check_exact=True)
    pd.testing.assert_frame_equal(one.layers, other.layers, check_exact=True)
    ours, theirs = ({k: v for k, v in r.summary.items() if k != "seconds"} for r in (one, other))
    assert ours == theirs
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def stop_at(step, exception=StopTraining):
    def control(progress):
        if progress.step == step:
            raise exception

    return control


def steps_of(history):
    """Steps at which the run was taken up."""
    return [int(step) for steps in history["resumed_from"] for step in steps.split()]


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize("step", [1, 17, STEPS, 2 * STEPS + 5])
def test_a_stopped_run_goes_on_to_the_bit(optimizer, step, tmp_path):
    with pytest.raises(StopTraining):
        fit(config(optimizer), tmp_path, progress=False, control=stop_at(step))
    result = fit(config(optimizer), tmp_path, progress=False)
    assert_same(result, undisturbed(optimizer))
    assert steps_of(result.history) == [step]
    assert_same(fit(config(optimizer), tmp_path, progress=False), result)
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "heartbeat.json").exists()


def work(folder, optimizer):
    fit(config(optimizer), folder, progress=False, checkpoint_minutes=BRIEF)


@pytest.fixture(scope="module")
def processes():
    """Processes that start with torch imported, so that a kill comes while they train."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["adamw_lab.training", "adamw_lab.optim.kernels.cpu", "sklearn.datasets"])
    forkserver._forkserver._stop()  # Python keeps one server for all, with the modules and threads it began with
    yield context
    forkserver._forkserver._stop()


@pytest.mark.timeout(600)  # each of eleven processes imports what the fork server has not
@pytest.mark.parametrize("optimizer", ["adamw", "adamwspam", "adamwprune"])
def test_killed_at_ten_random_moments(optimizer, tmp_path, processes):
    chance = random.Random(optimizer)
    killed = 0
    while killed < 10:
        process = processes.Process(target=work, args=(tmp_path, optimizer))
        before = newest(tmp_path)
        process.start()
        while process.is_alive() and newest(tmp_path) == before:  # at least one checkpoint further each time
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.05))
        if not process.is_alive():
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += 1
    result = fit(config(optimizer), tmp_path, progress=False)
    assert killed == 10 and len(set(steps_of(result.history))) >= 9
    assert_same(result, undisturbed(optimizer))


def newest(folder):
    return max((p.name for p in Path(folder, "checkpoints").glob("step*.pt")), default="")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_signals_stop_after_a_checkpoint(number, code, tmp_path, processes):
    process = processes.Process(target=work_slowly, args=(tmp_path,))
    process.start()
    while not (tmp_path / "heartbeat.json").exists():
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.join(timeout=200)
    assert process.exitcode == code
    (checkpoint,) = (tmp_path / "checkpoints").glob("step*.pt")
    assert 0 < int(checkpoint.name[4:12]) < 3 * STEPS
    assert_same(fit(config("adamw"), tmp_path, progress=False), undisturbed("adamw"))


def work_slowly(folder):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # a fork server may have been started with it blocked
    fit(config("adamw"), folder, progress=False, control=lambda progress: time.sleep(0.05))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_signal_during_an_evaluation_is_answered_there(split, tmp_path, monkeypatch):
    batches = []

    def evaluate(model, data, task, config, between):
        def signalled():
            batches.append(data)
            if len(batches) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            between()

        return whole(model, data, task, config, signalled if data is wanted[0] else between)

    class Watched(loop.Run):
        def __init__(self, config):
            super().__init__(config)
            wanted.append(self.batches[split])

    whole, wanted = loop.evaluate, []
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="143"):
        patch.setattr(loop, "evaluate", evaluate)
        patch.setattr(loop, "Run", Watched)
        fit(config("adamwspam"), tmp_path, progress=False)
    assert len(batches) == 1
    assert_same(fit(config("adamwspam"), tmp_path, progress=False), undisturbed("adamwspam"))


def test_what_a_kill_leaves_is_removed(tmp_path, monkeypatch):
    """A file that was begun, and the checkpoints of a run that was killed right after it had ended."""
    with pytest.raises(StopTraining):
        fit(config("adamw"), tmp_path, progress=False, control=stop_at(5))
    began = [tmp_path / "checkpoints/.step00000006-0123456789abcdef.pt.77.tmp", tmp_path / ".heartbeat.json.77.tmp"]
    for path in began:
        path.write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr(Saver, "remove", lambda self: None)
        fit(config("adamw"), tmp_path, progress=False)
    assert (tmp_path / "checkpoints").exists() and not any(path.exists() for path in began)
    fit(config("adamw"), tmp_path, progress=False)
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "heartbeat.json").exists()


def test_another_number_of_threads_is_another_run(tmp_path):
    with pytest.raises(StopTraining):
        fit(config("adamw"), tmp_path, progress=False, control=stop_at(5))
    with pytest.raises(ValueError, match=r"differing in threads \(1 there, 2 given\)"):
        fit(config("adamw", threads=2), tmp_path, progress=False)


def test_the_last_two_checkpoints_are_kept(tmp_path):
    with pytest.raises(StopTraining):
        fit(config("adamw"), tmp_path, progress=False, checkpoint_minutes=BRIEF, control=stop_at(9))
    assert [p.name[:12] for p in sorted((tmp_path / "checkpoints").iterdir())] == ["step00000008", "step00000009"]


@pytest.mark.parametrize("damage", ["torn", "changed", "foreign", "alien"])
def test_a_bad_checkpoint_is_set_aside_and_the_one_before_used(damage, tmp_path):
    with pytest.raises(StopTraining):
        fit(config("adamw"), tmp_path / "run", progress=False, checkpoint_minutes=BRIEF, control=stop_at(9))
    last = max((tmp_path / "run/checkpoints").iterdir())
    content = last.read_bytes()
    if damage == "torn":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        last.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    elif damage == "alien":
        last.unlink()
        last = last.with_name(f"step00000009-{hashlib.sha256(b'no zip').hexdigest()[:16]}.pt")
        last.write_bytes(b"no zip")
    else:
        with pytest.raises(StopTraining):
            fit(config("adamw", seed=1), tmp_path / "other", progress=False, control=stop_at(9))
        last.unlink()
        (foreign,) = (tmp_path / "other/checkpoints").iterdir()
        last = foreign.rename(last.with_name(foreign.name))
    with pytest.warns(UserWarning, match=f"checkpoint '.*' is .*; set aside as '{last.name}.bad'"):
        result = fit(config("adamw"), tmp_path / "run", progress=False, control=lambda progress: None)
    assert steps_of(result.history) == [8]
    assert_same(result, undisturbed("adamw"))


def full_disk(folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        fit(config("adamw"), folder, progress=False, checkpoint_minutes=BRIEF)
    except OSError as error:
        os._exit(0 if f"cannot write '{folder}/checkpoints/step" in str(error) else 1)
    os._exit(2)


def test_a_full_disk_is_named_and_costs_no_checkpoint(tmp_path, processes):
    with pytest.raises(StopTraining):
        fit(config("adamw"), tmp_path, progress=False, checkpoint_minutes=BRIEF, control=stop_at(9))
    before = sorted((tmp_path / "checkpoints").iterdir())
    process = processes.Process(target=full_disk, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert sorted((tmp_path / "checkpoints").iterdir()) == before
    assert_same(fit(config("adamw"), tmp_path, progress=False), undisturbed("adamw"))


def test_a_disk_that_fills_at_the_end_is_named(tmp_path):
    result = undisturbed("adamw", epochs=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="cannot write '.*/model.safetensors': .*File too large"):
            records.write_run(tmp_path, result, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_a_compiled_run_goes_on_to_the_bit(tmp_path):
    """Also from within the last, smaller batch's reach; and its layers are looked at."""
    compiled = dict(compile=True, train_size=250, batch_size=100, epochs=2, telemetry_every=2)
    with pytest.raises(StopTraining):
        fit(config("adamw", **compiled), tmp_path, progress=False, control=stop_at(2))
    torch.compiler.reset()
    result = fit(config("adamw", **compiled), tmp_path, progress=False)
    torch.compiler.reset()
    assert_same(result, undisturbed("adamw", **compiled))
    plain = undisturbed("adamw", **{**compiled, "compile": False})
    pd.testing.assert_series_equal(result.telemetry["loss"], plain.telemetry["loss"], rtol=1e-5)
    assert (result.layers["layer"] == plain.layers["layer"]).all() and result.layers["dead_units"].notna().any()


def test_without_a_directory_a_run_can_be_stopped_too():
    with pytest.raises(StopTraining):
        fit(config("adamw"), progress=False, control=stop_at(3))


def test_progress_as_control_sees_it():
    seen = []
    result = fit(config("adamw", epochs=2), progress=False, control=seen.append)
    assert [(p.epoch, p.step, p.total_steps) for p in seen[STEPS - 1 : STEPS + 1]] == [
        (1, STEPS, 2 * STEPS), (2, STEPS + 1, 2 * STEPS)]
    assert all(isinstance(p, loop.Progress) and p.loss.ndim == 0 for p in seen) and len(seen) == 2 * STEPS
    assert [len(p.history) for p in seen] == [0] * STEPS + [1] * STEPS
    assert seen[-1].history[0]["validation_loss"] == result.history["validation_loss"][0]


def test_looking_at_telemetry_while_it_trains_changes_nothing():
    rows = []
    result = fit(config("adamwprune"), progress=False, control=lambda p: rows.append(len(p.telemetry.frames()[0])))
    assert rows == list(range(1, 3 * STEPS + 1))
    assert_same(result, undisturbed("adamwprune"))


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_checkpoints_that_never_or_always_come_are_refused(minutes):
    with pytest.raises(ValueError, match="Invalid checkpoint_minutes: .*; allowed: a number above 0"):
        fit(config("adamw"), checkpoint_minutes=minutes)
