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

from adamw_lab.models import build_model
from adamw_lab.training import StopTraining, TrainConfig, fit
from adamw_lab.training.distributed import own_part, resolve_parallel, synchronized

SMALL = dict(model="mlp", dataset="digits", train_size=500, epochs=2, batch_size=34, device="cpu",
             precision="float32", threads=1, telemetry_every=10, seed=3)
STEPS = 15


def launch(folder, *settings):
    """`torchrun` of `adamw-lab fit` on two processes."""
    fields = [f"{name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in SMALL.items()]
    return torchrun("-m", "adamw_lab", "fit", *fields, *settings, "--run-dir", str(folder))


def torchrun(*arguments, check=True):
    """Python's `arguments` on two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
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
    """Processes and their threads differ; the last checkpoint is torn, and all take up the one before."""
    config = TrainConfig(**{**SMALL, "threads": 2}, optimizer="adamwprune", optimizer_options={"update_every": 4})
    settings = [f"parallel={parallel}", "optimizer=adamwprune", 'optimizer_options={"update_every": 4}']
    for name in ("run", "whole"):
        if name == "run":
            with pytest.raises(StopTraining):
                fit(config, tmp_path / name, progress=False, control=stop_at(11), checkpoint_minutes=1e-5)
        else:
            fit(config, tmp_path / name, progress=False)
    last = max((tmp_path / "run/checkpoints").iterdir())
    last.write_bytes(last.read_bytes()[:1000])
    done = launch(tmp_path / "run", *settings)
    assert done.stderr.count(f"set aside as '{last.name}.bad'") == 1
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
    done = torchrun("--monitor-interval", "3", script, check=False)  # so that it leaves the other one time to say so
    assert done.returncode != 0 and f"{-signal.SIGKILL}" in done.stderr
    assert "process 0 of 2 lost another one, which ended or cannot be reached; the same command goes on" in done.stderr
    result = fit(TrainConfig(**SMALL), tmp_path / "run", progress=False)
    assert result.history["resumed_from"].tolist() == ["", str(STEPS)]
    fit(TrainConfig(**SMALL), tmp_path / "whole", progress=False)
    assert_alike(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_with_batch_normalization_all_processes_have_the_same_network(parallel, tmp_path):
    """Weights, masks and what is measured; 99 images leave a last batch of 3, too few for two processes."""
    fields = dict(model="resnet18", model_options={"width": 0.125}, train_size=99, epochs=1, batch_size=32, threads=1,
                  device="cpu", precision="float32", optimizer="adamwprune", optimizer_options={"update_every": 2},
                  parallel=parallel)
    script = tmp_path / "told.py"
    script.write_text(
        "import hashlib, json, os, sys, adamw_lab.training as t\n"
        "from adamw_lab.training import loop\n"
        "from adamw_lab.training.distributed import gathered\n"
        "def digest(tensors):\n"
        "    parts = [t.detach().contiguous().numpy().tobytes() for t in gathered(tensors).values()]\n"
        "    return hashlib.sha256(b''.join(parts)).hexdigest()\n"
        "class Told(loop._Loop):\n"
        "    def to_the_end(self):\n"
        "        result, run = super().to_the_end(), self.run\n"
        "        told = [digest(t) for t in (run.model.state_dict(), run.optimizer.masks())]\n"
        "        told += [run.history[-1], result.summary]\n"
        "        told[2].pop('seconds'), told[3].pop('seconds')\n"
        f"        open({str(tmp_path)!r} + '/' + os.environ['RANK'], 'w').write(json.dumps(told))\n"
        "        return result\n"
        "loop._Loop = Told\n"
        f"t.fit(t.TrainConfig(**{fields!r}), {str(tmp_path / 'run')!r}, progress=False)\n")
    torchrun(script)
    one, other = (json.loads((tmp_path / rank).read_text()) for rank in "01")
    assert one == other
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["steps"] == 4 and summary["sparsity"] == pytest.approx(0.7, abs=1e-3)
    steps = pd.read_parquet(tmp_path / "run/telemetry.parquet")
    assert steps["sparsity"].iloc[-1] == pytest.approx(summary["sparsity"], abs=1e-9)


def test_batch_normalization_is_over_all_processes_where_torch_can():
    model = build_model("resnet18", channels=1, classes=3, image_size=8)
    names = list(model.state_dict())
    for parallel, device, expected in (("none", "cuda", 0), ("ddp", "cpu", 0), ("fsdp", "cuda", 20)):
        made = synchronized(model, parallel, device)
        assert sum(isinstance(m, torch.nn.SyncBatchNorm) for m in made.modules()) == expected
        assert list(made.state_dict()) == names


def test_parts_of_a_batch_weigh_what_they_hold(monkeypatch):
    inputs, targets = torch.arange(10.0).view(5, 2), torch.arange(5.0)
    monkeypatch.setattr("adamw_lab.training.distributed.size", lambda: 2)
    means = []
    for rank in (0, 1):
        monkeypatch.setattr("adamw_lab.training.distributed.rank", lambda rank=rank: rank)
        x, y, weight, copies = own_part(inputs, targets)
        assert copies == 1
        assert len(x) == len(y) == (3, 2)[rank]
        means.append(weight * float(y.mean()))
        assert own_part(inputs[:3], targets[:3])[0].shape == (3, 2)  # one alone cannot be normalized
        assert own_part(inputs[:3], targets[:3])[2:] == (1.0, 2)
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
