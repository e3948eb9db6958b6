"""Two processes over gloo against one: see `worker.py` for what they run, once for all tests here."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from tests.distributed import worker

NAMES = list(worker.OPTIMIZERS)
PRUNING = [name for name in NAMES if name.startswith("prune")]
# Of sharded weights each rank draws the random scores of its own part.
AS_ONE = [(way, name) for way in ("ddp", "fsdp") for name in NAMES if (way, name) != ("fsdp", "prune_random")]
CHECKPOINTED = ["adv", "spam", "prune"]
PARTS = ["params", "state", "steps", "pruned", "norms", "counts"]
PRUNABLE = [7 * 13, 13 * 5, 5]
# The first test waits for the processes, which compile everything where nothing is cached.
pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder):
    """What each of the two processes found."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, worker.__file__, str(folder)], env={**os.environ, "PYTHONPATH": path},
                         capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stderr[-3000:]
    return [torch.load(folder / f"rank{i}.pt", weights_only=True) for i in range(worker.WORLD)]


def alone(name, steps=worker.STEPS):
    model = worker.build_model()
    optimizer = worker.OPTIMIZERS[name](model.named_parameters())
    worker.train(model, optimizer, 0, steps)
    return model, optimizer


def assert_close(found, expected, tolerance=0.0, path=""):
    """The same nested structure and numbers; at tolerance 0 to the bit, signs of zero included."""
    assert type(found) is type(expected), path
    if isinstance(found, dict):
        assert found.keys() == expected.keys(), path
        for name in found:
            assert_close(found[name], expected[name], tolerance, f"{path}.{name}")
    elif isinstance(found, list):
        assert len(found) == len(expected), path
        for i, pair in enumerate(zip(found, expected, strict=True)):
            assert_close(*pair, tolerance, f"{path}[{i}]")
    elif isinstance(found, torch.Tensor) and tolerance == 0 and found.is_floating_point():
        assert torch.equal(found.view(torch.int64), expected.view(torch.int64)), path
    elif isinstance(found, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, msg=lambda m: f"{path}: {m}")
    else:
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), path


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", NAMES)
def test_ranks_agree_to_the_bit(ranks, way, name):
    shares = {"clipped_here": 0.0} if way == "fsdp" else {}  # each rank counts what it clips
    assert_close(*({**rank[way][name], **shares} for rank in ranks))


@pytest.mark.parametrize(("way", "name"), AS_ONE)
def test_two_processes_equal_one(ranks, way, name):
    """Weights, state, masks, counters and the telemetry (so the norm is of the whole model) are one process's."""
    found, expected = ranks[0][way][name], worker.describe(*alone(name))
    if way == "fsdp":
        found = {**found, "clipped_here": sum(rank[way][name]["clipped_here"] for rank in ranks)}
    assert_close(found, expected, tolerance=1e-9)


@pytest.mark.parametrize("name", worker.PLACED)
def test_a_gradient_is_brought_to_where_its_parameter_is(ranks, name):
    """Of a gradient that was not yet summed each rank took its own part, and the ranks' weights parted."""
    for rank in ranks:
        assert_close(rank["placed"][name], worker.weight_after(), tolerance=1e-12)


@pytest.mark.parametrize("name", ["adv", "spam", "prune_adv_layer"])
def test_the_terms_that_need_the_norm_were_at_work(ranks, name):
    telemetry = ranks[0]["fsdp"][name]["telemetry"]
    if name == "spam":
        assert telemetry["spikes"] >= 1 and telemetry["resets"] >= 1 and ranks[0]["fsdp"][name]["clipped_here"] > 0
    else:
        assert telemetry["clip_coefficient"] < 1


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", PRUNING)
def test_pruned_count_is_exact(ranks, way, name):
    found = ranks[1][way][name]
    counts = [int(mask.sum()) for mask in found["masks"]]
    total, wanted = sum(PRUNABLE), worker.PRUNING["target_sparsity"]
    if "layer" in name:
        assert counts == [round(wanted * n) for n in PRUNABLE]
    else:
        assert sum(counts) == round(wanted * total)
    assert found["sparsity"] == sum(counts) / total
    for i, mask in zip((0, 2, 4), found["masks"], strict=True):
        assert torch.equal(mask, found["pruned"][i])
        assert not found["params"][i][mask].any()


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpoint_initialization_is_no_step(ranks, name):
    """It takes a step with lr 0 and zero gradients: nothing is pruned and no norm remembered."""
    for rank in ranks:
        found = rank["checkpoint"][name]
        assert_close(found["initialized"]["params"], found["before"])
        assert not any(mask.any() for mask in found["initialized"]["pruned"])
        assert not any(norms.any() for norms in found["initialized"]["norms"])
        counts = found["initialized"]["counts"][0]
        assert counts[2:] == [0.0, 0.0, 0.0] and counts[1] == -math.inf


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpoint_from_two_processes_to_two(ranks, name):
    for rank in ranks:
        found = rank["checkpoint"][name]
        for part in PARTS:
            assert_close(found["loaded"][part], found["saved"][part], path=part)
            assert_close(found["continued_after_load"][part], found["continued"][part], path=part)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpoint_from_two_processes_to_one(ranks, folder, name):
    model = worker.build_model()
    optimizer = worker.OPTIMIZERS[name](model.named_parameters())
    weights, state = get_state_dict(model, optimizer)
    target = {"model": weights, "optimizer": state}
    dcp.load(target, checkpoint_id=folder / name, no_dist=True)
    set_state_dict(model, optimizer, model_state_dict=target["model"], optim_state_dict=target["optimizer"])
    loaded, saved = worker.describe(model, optimizer), ranks[0]["checkpoint"][name]["saved"]
    for part in PARTS:
        assert_close(loaded[part], saved[part], path=part)
    worker.train(model, optimizer, worker.STEPS, worker.STEPS + 4)
    continued = ranks[0]["checkpoint"][name]["continued"]
    for part in PARTS:
        assert_close(worker.describe(model, optimizer)[part], continued[part], tolerance=1e-9, path=part)


def test_some_weights_are_pruned_in_the_checkpoint(ranks):
    assert any(mask.any() for mask in ranks[0]["checkpoint"]["prune"]["saved"]["pruned"])


def test_the_norm_of_sharded_gradients_is_wide_and_summed_in_one_order(ranks):
    for rank in ranks:
        assert rank["norms"]["half"] == (pytest.approx(2000 * 64), [True])
        assert rank["norms"]["layouts"] == (pytest.approx(math.sqrt(3 * 9 + 8 * 16)), [True, True])
