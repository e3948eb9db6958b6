"""One run on two processes is the run on one; checkpoints go from one number of processes to another."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from adamw_lab.training import StopTraining, TrainConfig, fit
from adamw_lab.training.distributed import own_part, resolve_parallel

SMALL = dict(model="mlp", dataset="digits", train_size=500, epochs=2, batch_size=34, device="cpu",
             precision="float32", threads=1, telemetry_every=10, seed=3)
STEPS = 15


def launch(folder, *settings, check=True, **options):
    """`torchrun` of `adamw-lab fit` on two processes."""
    fields = [f"{name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in SMALL.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               "-m", "adamw_lab", "fit", *fields, *settings, "--run-dir", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, **options)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def assert_alike(folder, other, rtol=1e-5):
    one, two = (pd.read_parquet(f / "telemetry.parquet") for f in (folder, other))
    pd.testing.assert_series_equal(one["loss"], two["loss"], rtol=rtol)
    weights, others = (load_file(f / "model.safetensors") for f in (folder, other))
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, others[name], rtol=1e-3, atol=1e-5)
    first, second = (pd.read_parquet(f / "history.parquet") for f in (folder, other))
    pd.testing.assert_series_equal(first["validation_accuracy"], second["validation_accuracy"], atol=0.005)


@pytest.mark.parametrize(("parallel", "optimizer"), [("ddp", "adamwadv"), ("fsdp", "adamwspam")])
def test_two_processes_train_the_run_of_one(parallel, optimizer, tmp_path):
    launch(tmp_path / "two", f"parallel={parallel}", f"optimizer={optimizer}")
    fit(TrainConfig(**SMALL, optimizer=optimizer), tmp_path / "one", progress=False)
    assert len(pd.read_parquet(tmp_path / "two/telemetry.parquet")) == 2 * STEPS
    assert_alike(tmp_path / "two", tmp_path / "one")
    assert not (tmp_path / "two/checkpoints").exists()


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_run_begun_on_one_process_goes_on_on_two_and_back(parallel, tmp_path):
    """The configs differ in `parallel` alone, which no checkpoint minds."""
    config = TrainConfig(**SMALL, optimizer="adamwprune", optimizer_options={"update_every": 4})
    settings = [f"parallel={parallel}", "optimizer=adamwprune", 'optimizer_options={"update_every": 4}']
    for name in ("run", "whole"):
        if name == "run":
            with pytest.raises(StopTraining):
                fit(config, tmp_path / name, progress=False, control=stop_at(10))
        else:
            fit(config, tmp_path / name, progress=False)
    launch(tmp_path / "run", *settings)
    assert_alike(tmp_path / "run", tmp_path / "whole")
    assert pd.read_parquet(tmp_path / "run/history.parquet")["resumed_from"].tolist() == ["10", ""]
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["sparsity"] == pytest.approx(0.7, abs=1e-4)


def stop_at(step):
    def control(progress):
        if progress.step == step:
            raise StopTraining

    return control


def test_a_rank_that_dies_ends_the_run_and_leaves_it_resumable(tmp_path):
    code = ("import os, signal, adamw_lab.training as t\n"
            "def die(p):\n"
            "    if p.step == 20 and os.environ['RANK'] == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
            f"t.fit(t.TrainConfig(**{SMALL!r}), {str(tmp_path / 'run')!r}, progress=False, control=die)\n")
    script = tmp_path / "die.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                           str(script)], capture_output=True, text=True, timeout=100)
    assert done.returncode != 0 and f"{-signal.SIGKILL}" in done.stderr
    result = fit(TrainConfig(**SMALL), tmp_path / "run", progress=False)
    assert result.history["resumed_from"].tolist() == ["", str(STEPS)]
    fit(TrainConfig(**SMALL), tmp_path / "whole", progress=False)
    assert_alike(tmp_path / "run", tmp_path / "whole")


def test_parts_of_a_batch_weigh_what_they_hold(monkeypatch):
    inputs, targets = torch.arange(10.0).view(5, 2), torch.arange(5.0)
    monkeypatch.setattr("adamw_lab.training.distributed.size", lambda: 2)
    means = []
    for rank in (0, 1):
        monkeypatch.setattr("adamw_lab.training.distributed.rank", lambda rank=rank: rank)
        x, y, weight = own_part(inputs, targets)
        assert len(x) == len(y) == (3, 2)[rank]
        means.append(weight * float(y.mean()))
        assert own_part(inputs[:1], targets[:1])[2] == 1.0
    assert sum(means) / 2 == pytest.approx(2.0)


@pytest.mark.parametrize(("name", "processes", "message"), [
    ("fsdp", "1", "parallel 'fsdp' needs processes: start it as torchrun"),
    ("ddp", "1", "parallel 'ddp' needs processes"),
    ("none", "2", "parallel 'none' under torchrun would train the same run in every process")])
def test_what_does_not_go_together(name, processes, message, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(ValueError, match=message):
        resolve_parallel(name)


def test_auto_follows_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert resolve_parallel("auto") == "none"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert resolve_parallel("auto") == "ddp"
