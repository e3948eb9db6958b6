"""The estimate of memory against what is counted on models and optimizers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adamw_lab.bench.estimate import DTYPES, MOMENTS, PRUNING, memory_estimate
from adamw_lab.bench.memory import METHODS, STEPS, component_bytes, prunable_weights
from adamw_lab.optim import OPTIMIZERS, build_optimizer, state_bytes

PRUNERS = {"byte_masks": "byte_masks", "magnitude_pruner": "magnitude", "random_pruner": "random",
           "movement_pruner": "movement", "torch_prune": "torch_prune"}

@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_what_is_estimated(method):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    parameters, prunable = sum(p.numel() for p in model.parameters()), sum(p.numel() for p in prunable_weights(model))
    setup = METHODS[method](model)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in range(1, STEPS + 1):
        setup.backward(images)
        setup.step(step)
    model(images)  # torch.nn.utils.prune makes the masked weights here
    measured = component_bytes(setup)
    optimizer = method.removeprefix("adamwprune_on_") if "_on_" in method else method
    pruning = PRUNERS.get(method, "adamwprune" if "adamwprune" in method else None)
    estimate = memory_estimate(parameters, prunable, "adamw" if method in PRUNERS else optimizer, pruning=pruning)
    assert estimate == {name: size for name, size in measured.items() if name != "other"} | {
        "total": sum(measured.values()) - measured["other"]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_keeps_what_is_estimated(name, dtype):
    p = nn.Parameter(torch.ones(16, 50, dtype=getattr(torch, dtype)))
    p.grad = torch.ones_like(p)
    optimizer = build_optimizer(name, [p], **({"total_steps": 10} if OPTIMIZERS[name].lab else {}))
    optimizer.step()
    sizes = state_bytes(optimizer)
    moments = sum(size for state, size in sizes.items() if state not in ("step", "group", "total", "per_parameter"))
    assert memory_estimate(p.numel(), 0, name, dtype)["moments"] == moments


@given(st.integers(1, 10**12), st.data(), st.sampled_from([*PRUNING, None]))
def test_components_add_up_and_pruning_state_costs_nothing(parameters, data, pruning):
    prunable = data.draw(st.integers(0, parameters))
    dense, pruned = (memory_estimate(parameters, prunable, "adamw", "bfloat16", way) for way in (None, pruning))
    assert pruned["total"] == sum(size for name, size in pruned.items() if name != "total")
    extra = pruned["total"] - dense["total"]
    assert extra == prunable * {None: 0, "adamwprune": 0, "movement": 5, "torch_prune": 4}.get(pruning, 1)


def test_the_optimizer_that_prunes_is_its_base_that_prunes():
    assert memory_estimate(10, 5, "adamwprune") == memory_estimate(10, 5, "adamw", pruning="adamwprune")
    assert set(MOMENTS) == set(OPTIMIZERS)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"optimizer": "adamspam"}, "unknown optimizer 'adamspam'; allowed: .*Did you mean 'adamwspam'"),
    ({"dtype": "float8"}, "unknown dtype 'float8'; allowed: float32, float64, bfloat16, float16"),
    ({"pruning": "movment"}, "unknown pruning 'movment'; allowed: .*Did you mean 'movement'"),
    ({"pruning": ""}, "unknown pruning ''; allowed: adamwprune"),
    ({"parameters": 0}, "Invalid parameters value: 0; allowed: a whole number of at least 1"),
    ({"parameters": 1e6}, "Invalid parameters value: 1000000.0"),
    ({"parameters": True}, "Invalid parameters value: True"),
    ({"prunable": 101}, "Invalid prunable value: 101; allowed: a whole number from 0 to 100"),
    ({"optimizer": "adamwprune", "pruning": "movement"}, "pruning 'movement' contradicts optimizer 'adamwprune'"),
    ({"optimizer": "sgd", "pruning": "adamwprune"}, "no base 'sgd'; allowed as optimizer: adamw, adamwadv, adamwspam")])
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        memory_estimate(**{"parameters": 100, "prunable": 50} | arguments)
