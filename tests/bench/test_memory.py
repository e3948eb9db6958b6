"""Bytes by component against those counted by hand."""

import pytest
import torch
from torch import nn

from adamw_lab.bench.memory import COMPONENTS, bench_memory

PRUNABLE = 3 * 32 * 3 * 3 + 32 * 64
PARAMETERS = PRUNABLE + 32 + 64


@pytest.fixture(scope="module")
def table():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 64))
    return bench_memory(model, torch.randn(2, 3, 8, 8)).set_index("method")


def test_every_method_is_there_and_its_components_add_up(table):
    assert len(table) == 12
    assert (table["persistent"] == table[list(COMPONENTS)].sum(axis=1)).all()
    assert (table["peak"] == table["persistent"] + table["transients"]).all()
    assert (table["parameters"] == PARAMETERS).all() and (table["prunable"] == PRUNABLE).all()
    assert (table["weights"] == 4 * PARAMETERS).all() and (table["gradients"] == 4 * PARAMETERS).all()


def test_moments_are_two_tensors_or_three_with_amsgrad(table):
    assert table.loc["adamw", "moments"] == table.loc["adamwspam", "moments"] == 8 * PARAMETERS
    assert table.loc["adamwadv", "moments"] == table.loc["adamwprune_on_adamwadv", "moments"] == 12 * PARAMETERS


@pytest.mark.parametrize(("method", "bytes_a_weight"), [
    ("adamwprune", 0), ("adamwprune_on_adamwadv", 0), ("adamwprune_on_adamwspam", 0), ("byte_masks", 1),
    ("magnitude_pruner", 1), ("random_pruner", 1), ("movement_pruner", 9), ("torch_prune", 8)])
def test_what_pruning_keeps(table, method, bytes_a_weight):
    row = table.loc[method]
    assert row["pruning_bytes_per_weight"] == pytest.approx(bytes_a_weight, abs=1e-9)
    assert row["sparsity"] == pytest.approx(0.7, abs=1 / PRUNABLE)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"unknown method 'adamprune'; allowed: .*Did you mean 'adamwprune'\?"):
        bench_memory(methods=["adamprune"])


def test_a_model_needs_inputs():
    with pytest.raises(ValueError, match="inputs are missing"):
        bench_memory(nn.Linear(2, 2))


def test_a_readers_own_optimizer_is_counted(lion):
    row = bench_memory(nn.Linear(8, 4), torch.ones(2, 8), ["lion"]).iloc[0]
    assert row["moments"] == 4 * (8 * 4 + 4) and row["other"] == row["masks"] == 0
