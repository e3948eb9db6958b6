"""What is written of every step and layer, against the same taken by hand; and what never fired."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from adamw_lab.optim import AdamWAdv, AdamWSPAM
from adamw_lab.training import TrainConfig, fit
from adamw_lab.training.telemetry import LAYERS, STEPS, Telemetry

SMALL = dict(model="mlp", dataset="digits", train_size=200, epochs=2, batch_size=64, device="cpu",
             precision="float32", threads=1, telemetry_every=3)
STEPS_OF_SMALL = 8


def train(**fields):
    return fit(TrainConfig(**{**SMALL, **fields}), progress=False)


def test_a_row_a_step_with_losses_and_rates():
    result = train(lr=1e-3)
    events = result.telemetry
    assert list(events.columns) == list(STEPS)
    assert events["step"].tolist() == list(range(1, STEPS_OF_SMALL + 1))
    assert events["epoch"].tolist() == [1] * 4 + [2] * 4
    weights = [64, 64, 64, 8]
    for epoch, rows in events.groupby("epoch"):
        mean = sum(n * loss for n, loss in zip(weights, rows["loss"], strict=True)) / 200
        assert mean == pytest.approx(result.history["train_loss"][epoch - 1], rel=1e-6)
    expected = [0.5e-3 * (1 + math.cos(math.pi * k / STEPS_OF_SMALL)) for k in range(STEPS_OF_SMALL)]
    assert events["lr"].tolist() == pytest.approx(expected, rel=1e-6)
    assert events["lr"].iloc[3] == pytest.approx(result.history["lr"][0])


@pytest.mark.parametrize("make", [
    lambda params: torch.optim.SGD(params, lr=0.1), lambda params: AdamWAdv(params, clip_norm=0.5)])
def test_norms_are_those_of_the_gradients_before_clipping(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    optimizer = make(model.parameters())
    telemetry = Telemetry(model, optimizer, None, every=1)
    with telemetry.watching_units(1):
        hidden = model[1](model[0](torch.randn(9, 6)))
        model(torch.ones(2, 6)).sum().backward()
    del hidden
    grads = {name: p.grad.clone() for name, p in model.named_parameters()}
    before = torch.cat([p.detach().flatten() for p in (model[0].weight, model[2].weight)])
    with telemetry.step(1, 1) as row:
        optimizer.step()
    row |= {"loss": 0.0, "lr": 0.1}
    after = torch.cat([p.detach().flatten() for p in (model[0].weight, model[2].weight)])
    events, layers = telemetry.frames()
    norm = math.sqrt(sum(float(g.square().sum()) for g in grads.values()))
    assert events["grad_norm"].iloc[0] == pytest.approx(norm, rel=1e-6)
    assert events["update_to_weight"].iloc[0] == pytest.approx(float((after - before).norm() / after.norm()), rel=1e-5)
    if isinstance(optimizer, AdamWAdv):
        assert events["clip_coefficient"].iloc[0] == pytest.approx(0.5 / norm, rel=1e-4)
    layers = layers.set_index("layer")
    assert list(layers.columns) == [name for name in LAYERS if name != "layer"]
    for name, g in grads.items():
        assert layers.loc[name, "grad_norm"] == pytest.approx(float(g.norm()), rel=1e-6)


def test_the_update_of_a_large_layer_is_told_from_a_sample():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 128, 3).to(memory_format=torch.channels_last), nn.Flatten(), nn.Linear(128, 5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    telemetry = Telemetry(model, optimizer, None, every=0)
    for step in (1, 2, 3):
        optimizer.zero_grad()
        model(torch.randn(4, 64, 3, 3)).square().sum().backward()
        before = [model[i].weight.detach().clone() for i in (0, 2)]
        with telemetry.step(step, 1):
            optimizer.step()
    after = [model[i].weight.detach() for i in (0, 2)]
    change = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(after, before, strict=True)))
    length = math.sqrt(sum(float(a.square().sum()) for a in after))
    told = telemetry.frames()[0]["update_to_weight"].iloc[-1]
    assert told == pytest.approx(change / length, rel=0.05)


def test_dead_units_are_channels_that_are_zero_for_the_whole_batch():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.ReLU())
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.copy_(torch.tensor([0.0, -9.0, 0.0, -9.0]))
        model[3].weight.fill_(1.0)
        model[3].bias.copy_(torch.tensor([0.0, 0.0, -99.0]))
    telemetry = Telemetry(model, torch.optim.SGD(model.parameters(), lr=0.1), None, every=2)
    for step in (1, 2):
        with telemetry.watching_units(step):
            model(torch.rand(5, 1, 2, 2))
    layers = telemetry.frames()[1].set_index("layer")
    assert set(layers["step"]) == {2}
    assert layers.loc["1:1", "dead_units"] == 0.5
    assert layers.loc["4:1", "dead_units"] == pytest.approx(1 / 3)
    assert not any(len(module._forward_hooks) for module in model.modules())


def test_moments_of_layers_are_those_of_the_optimizer():
    result = train(epochs=1, telemetry_every=4)
    layers = result.layers
    assert set(layers["step"]) == {4}
    assert layers.loc[layers["layer"] == "1.weight", "second_moment_norm"].notna().all()
    assert layers.loc[layers["layer"] == "2:1", "dead_units"].between(0, 1).all()


def test_every_zero_looks_at_no_layer():
    result = train(telemetry_every=0)
    assert result.layers.empty and list(result.layers.columns) == list(LAYERS)
    assert (result.telemetry["update_to_weight"] > 0).all()


def test_spikes_resets_and_clipping_are_counted():
    result = train(optimizer="adamwspam", epochs=4, optimizer_options={
        "theta": 1.5, "spike_sigma": 0.5, "reset_interval": 5, "clip_norm": 0.05})
    events = result.telemetry
    for name in ("elements_clipped", "spikes", "resets"):
        assert events[name].is_monotonic_increasing and events[name].iloc[-1] > 0
    assert (events["clip_coefficient"] < 1).any()
    elements = result.summary["parameters"]
    assert (events["clip_fraction"] * elements).cumsum().tolist() == pytest.approx(events["elements_clipped"].tolist())
    assert result.summary["never_fired"] == []


def test_a_named_feature_that_never_fired_is_told():
    with pytest.warns(UserWarning, match="switched on but never at work in this run: clip_norm, reset_interval"):
        result = train(optimizer="adamwspam", optimizer_options={"clip_norm": 1e9, "reset_interval": 1000})
    assert {"clip_norm", "reset_interval"} <= set(result.summary["never_fired"])


def test_a_warm_up_without_a_reset_and_regrowth_without_a_mask_update_never_fired():
    with pytest.warns(UserWarning, match="never at work in this run: warmup_steps"):
        train(optimizer="adamwspam", optimizer_options={"warmup_steps": 2})
    with pytest.warns(UserWarning, match="never at work in this run: regrow, target_sparsity"):
        train(optimizer="adamwprune", optimizer_options={"regrow": 0.1, "begin_step": 50, "end_step": 90})


def test_what_was_not_asked_for_by_name_is_told_without_a_warning():
    assert "spike_sigma" in train(optimizer="adamwspam", epochs=1).summary["never_fired"]


def test_pruning_is_told_step_by_step():
    result = train(optimizer="adamwprune", epochs=4, optimizer_options={"target_sparsity": 0.5, "update_every": 2})
    weights = 64 * 256 + 256 * 256 + 256 * 10
    assert result.telemetry["mask_changes"].sum() == round(0.5 * weights)
    assert result.history["mask_changes"].sum() == round(0.5 * weights)
    assert result.history["revived"].sum() == 0
    assert result.history["target_sparsity"].iloc[-1] == 0.5
    steps = result.telemetry.set_index("step")["sparsity"]
    assert steps[result.history["step"]].tolist() == pytest.approx(result.history["sparsity"].tolist(), abs=1e-12)
    assert result.history["sparsity"].iloc[-1] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", ["magnitude", "random", "movement"])
def test_a_baseline_prunes_by_the_same_schedule(name):
    ours = train(optimizer="adamwprune", epochs=4, optimizer_options={"update_every": 3})
    result = train(optimizer="adamwspam", epochs=4, pruner={"name": name, "update_every": 3})
    for column in ("target_sparsity", "sparsity"):
        pd.testing.assert_series_equal(result.history[column], ours.history[column])
    assert result.telemetry["sparsity"].iloc[-1] == pytest.approx(result.summary["sparsity"], abs=1e-12)
    revived = result.history["revived"].sum()
    assert revived > 0 if name == "movement" else revived == 0
    layers = [p for p in result.model.parameters() if p.ndim >= 2]
    zeros = sum(int((p == 0).sum()) for p in layers) / sum(p.numel() for p in layers)
    assert zeros == pytest.approx(0.7, abs=1e-4) == result.summary["sparsity"]


def test_reading_is_one_transfer_at_the_end(monkeypatch):
    """No tensor of a step is read before `flush`: on a GPU each would wait for it."""
    model = nn.Linear(3, 2)
    optimizer = AdamWSPAM(model.parameters())
    telemetry = Telemetry(model, optimizer, None, every=1)
    model(torch.ones(4, 3)).sum().backward()

    def refuse(self, *_):
        raise AssertionError("a tensor was read")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("item", "tolist", "__bool__"):
            patch.setattr(torch.Tensor, name, refuse)
        with telemetry.watching_units(1):
            pass
        row = telemetry.step(1, 1)
        entered = row.__enter__()
        row.__exit__(None, None, None)
    assert {"grad_norm", "update_to_weight"} <= entered.keys()
    telemetry.flush()
    assert len(telemetry.steps["step"]) == 1
