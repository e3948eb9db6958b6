"""Parameter groups and the bytes of an optimizer's state."""

import pytest
import torch
from torch import nn

from adamw_lab.optim import AdamWAdv, parameter_groups, state_bytes


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.norm = nn.LayerNorm((2, 4))
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight


def test_norms_biases_and_embeddings_are_neither_decayed_nor_pruned():
    weights, others = parameter_groups(Tied(), weight_decay=0.3)
    assert [name for name, _ in weights["params"]] == ["body.weight"]
    assert {name for name, _ in others["params"]} == {"embed.weight", "norm.weight", "norm.bias", "body.bias"}
    assert (weights["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert (weights["prunable"], others["prunable"]) == (True, False)


def test_without_a_decay_the_optimizers_default_holds():
    weights, _ = parameter_groups(nn.Linear(2, 2))
    assert "weight_decay" not in weights
    optimizer = torch.optim.AdamW(parameter_groups(nn.Linear(2, 2)), weight_decay=0.05)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.05, 0.0]


def test_first_and_last_layers_are_included():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    weights, _ = parameter_groups(model)
    assert [name for name, _ in weights["params"]] == ["0.weight", "3.weight"]


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="model has no parameters: ReLU"):
        parameter_groups(nn.ReLU())


def test_state_bytes():
    p = nn.Parameter(torch.zeros(10, 10))
    optimizer = AdamWAdv([p], total_steps=5)
    assert state_bytes(optimizer)["per_parameter"] < 1
    p.grad = torch.ones_like(p)
    optimizer.step()
    sizes = state_bytes(optimizer)
    assert sizes["exp_avg"] == sizes["exp_avg_sq"] == sizes["max_exp_avg_sq"] == 400
    assert sizes["total"] == 1200 + sizes["step"] + sizes["group"]
    assert sizes["per_parameter"] == sizes["total"] / 100
