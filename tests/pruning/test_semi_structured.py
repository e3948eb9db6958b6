"""Export to torch's 2:4 sparsity: here torch compresses on the CPU, and the product, which only GPUs have, is dense."""

import pytest
import torch
from torch import nn
from torch.sparse import SparseSemiStructuredTensor, SparseSemiStructuredTensorCUTLASS

from adamw_lab.optim import AdamWPrune
from adamw_lab.pruning import export_semi_structured, finalize


class Cuda:
    """A tensor that says it is on a GPU."""

    is_cuda = True

    def __init__(self, tensor):
        self._tensor = tensor

    def __getattr__(self, name):
        return getattr(self._tensor, name)


@pytest.fixture
def compressing(monkeypatch):
    check = SparseSemiStructuredTensorCUTLASS._validate_device_dim_dtype_shape
    monkeypatch.setattr(SparseSemiStructuredTensor, "_FORCE_CUTLASS", True)
    monkeypatch.setattr(SparseSemiStructuredTensorCUTLASS, "_validate_device_dim_dtype_shape",
                        classmethod(lambda cls, weight: check(Cuda(weight))))
    monkeypatch.setattr(SparseSemiStructuredTensorCUTLASS, "_mm", lambda self, x, *, bias, should_transpose_dense=False:
                        nn.functional.linear(x, self.to_dense(), bias))


def pruned_model():
    """Two layers pruned 2:4, of which torch takes the first alone for its shape, and a dense one; in bfloat16."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8), nn.Linear(8, 6), nn.Linear(6, 3))
    groups = [{"params": [(f"{i}.weight", model[i].weight) for i in (0, 2)]},
              {"params": [(f"{i}.weight", model[i].weight) for i in (3, 4)], "prunable": False}]
    optimizer = AdamWPrune(groups, pattern="2:4", begin_step=1, end_step=2, update_every=1)
    for _ in range(2):
        model(torch.randn(16, 64)).square().mean().backward()
        optimizer.step()
    return finalize(model, optimizer).bfloat16().train()


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")
def test_what_is_two_of_four_is_compressed_and_measured(compressing):
    model, inputs = pruned_model(), torch.randn(16, 64).bfloat16()
    before = [p.clone() for p in model.parameters()]
    found = export_semi_structured(model, inputs, repeats=2)
    layers = found.layers.set_index("layer")
    assert layers["converted"].to_dict() == {"0": True, "2": False, "3": False, "4": False}
    assert layers.loc["0", "reason"] == "" and "multiple of (32, 64)" in layers.loc["2", "reason"]
    assert layers.loc["3", "reason"] == "it is not 2:4 sparse"
    assert layers.loc["4", "reason"] == "4 does not divide its 6 inputs"
    weight = found.model[0].weight
    assert weight.packed.shape == (32, 32) and torch.equal(weight.to_dense(), model[0].weight)
    assert found.dense_seconds > 0 and found.sparse_seconds > 0 and found.difference < 0.01
    assert model.training and not found.model.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_where_torch_cannot_it_says_so():
    with pytest.raises(RuntimeError, match="0: .*cpu is not supported.*; 2: .*; 3: it is not 2:4 sparse"):
        export_semi_structured(pruned_model(), torch.zeros(1, 64).bfloat16())
    with pytest.raises(RuntimeError, match="The model has no linear layer"):
        export_semi_structured(nn.Conv2d(4, 4, 1), torch.zeros(1, 4, 2, 2))
    with pytest.raises(ValueError, match="Invalid repeats: 0"):
        export_semi_structured(pruned_model(), torch.zeros(1, 64), repeats=0)
