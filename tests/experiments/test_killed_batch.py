"""A batch that is killed with SIGKILL, twice, and run a third time leaves what an undisturbed one leaves."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from adamw_lab.experiments import load_history, load_runs

ROOT = Path(__file__).resolve().parents[2]
GRID = ["-p", "model=mlp", "-p", "epochs=3", "-p", "precision=float32", "-p", "device=cpu",
        "-p", "optimizer=adamwspam,adamwprune", "-p", "seed=0"]


def batch(out):
    return [sys.executable, "-m", "adamw_lab", "batch", str(ROOT / "notebooks" / "08_resnet_experiment.ipynb"), *GRID,
            "--out", str(out), "--jobs", "2"]


def kernels_of(out):
    """Processes that still have a file of these runs open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(str(out)) for link in links):
            found.append(int(process.name))
    return found


@pytest.mark.timeout(600)
def test_killed_twice_and_run_again_it_leaves_what_an_undisturbed_batch_leaves(tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run(batch(whole), check=True, capture_output=True)
    rng = random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(batch(torn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not list(torn.glob("*/.lock")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 8.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 30
        while kernels_of(torn):
            assert time.monotonic() < deadline, "kernels die with their runner"
            time.sleep(0.05)
    finished = {path.parent.name: path.stat().st_mtime_ns for path in torn.glob("*/done.json")}
    last = subprocess.run(batch(torn), check=True, capture_output=True, text=True)
    assert f"{2 - len(finished)} done, {len(finished)} skipped" in last.stdout
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in torn.iterdir()) and len(names) == 2
    for name in names:
        if name in finished:
            assert (torn / name / "done.json").stat().st_mtime_ns == finished[name]
        one, other = (load_file(folder / name / "model.safetensors") for folder in (whole, torn))
        assert all(value.equal(other[key]) for key, value in one.items())
        a, b = (json.loads((folder / name / "summary.json").read_text()) for folder in (whole, torn))
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    columns = ["seconds", "resumed_from"]
    assert load_history(whole).drop(columns=columns).equals(load_history(torn).drop(columns=columns))
    assert load_runs(torn)["status"].tolist() == ["finished"] * 2
