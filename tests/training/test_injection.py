"""Spoilt steps: which, how, and what is refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adamw_lab.training import TrainConfig, fit
from adamw_lab.training.injection import SpikeInjector, check_spikes


@given(rate=st.floats(0, 1), seed=st.integers(0, 1000), start=st.integers(1, 50))
def test_the_steps_are_a_function_of_the_arguments(rate, seed, start):
    one, other = (SpikeInjector(80, rate=rate, seed=seed, start=start) for _ in range(2))
    assert one.truth() == other.truth()
    assert all(start <= step <= 80 for step in one.truth())
    assert rate < 1 or one.truth() == list(range(start, 81))


def test_a_rate_is_kept_on_average():
    assert len(SpikeInjector(10_000, rate=0.1).truth()) == pytest.approx(1000, rel=0.1)


def test_gradients_are_multiplied_at_those_steps_only():
    model = torch.nn.Linear(3, 2)
    injector = SpikeInjector(9, at=[4, 7, 12], factor=50.0)
    assert injector.truth() == [4, 7]
    for step, factor in ((3, 1), (4, 50), (5, 1)):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        injector.gradients(step, model)
        assert all((p.grad == factor).all() for p in model.parameters())
        assert injector.batch(step, torch.ones(2)).tolist() == [1, 1]


def test_noise_has_the_norm_asked_for_and_a_direction_of_its_own():
    models = [nn.Linear(200, 30) for _ in range(2)]
    for model, seed in zip(models, (1, 2), strict=True):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        SpikeInjector(9, at=[3], factor=7.0, kind="noise", seed=seed).gradients(2, model)
        assert all((p.grad == 1).all() for p in model.parameters())
        SpikeInjector(9, at=[3], factor=7.0, kind="noise", seed=seed).gradients(3, model)
    for p, other in zip(*(model.parameters() for model in models), strict=True):
        assert p.grad.norm() == pytest.approx(7 * math.sqrt(p.numel()), rel=1e-5)
        assert not torch.equal(p.grad, other.grad)
    weight = models[0].weight.grad
    assert abs(torch.cosine_similarity(weight.flatten(), torch.ones(6000), dim=0)) < 0.06, "4.6 deviations from none"


def test_the_run_s_seed_chooses_the_steps_unless_the_spikes_have_one():
    def injected(run, **spikes):
        config = TrainConfig(model="mlp", train_size=640, epochs=1, batch_size=16, device="cpu", threads=1, seed=run,
                             spikes={"rate": 0.3, **spikes})
        return fit(config, progress=False).telemetry["injected"].tolist()

    assert injected(1) == injected(1, seed=1) != injected(2)
    assert injected(2, seed=1) == injected(1)


def test_a_batch_of_numbers_is_multiplied_and_one_of_tokens_replaced():
    injector = SpikeInjector(9, at=[2], factor=-3.0, kind="batch")
    assert injector.batch(2, torch.ones(2)).tolist() == [-3, -3]
    tokens = torch.arange(200)
    spoilt = injector.batch(2, tokens)
    assert spoilt.dtype == tokens.dtype and not torch.equal(spoilt, tokens)
    assert ((0 <= spoilt) & (spoilt < 200)).all() and torch.equal(spoilt, injector.batch(2, tokens))
    assert torch.equal(injector.batch(3, tokens), tokens)


def test_fit_spoils_the_steps_that_are_named():
    base = dict(model="mlp", dataset="digits", train_size=320, epochs=1, batch_size=32, device="cpu",
                precision="float32", threads=1, lr=1e-9, optimizer="sgd")
    plain = fit(TrainConfig(**base), progress=False).telemetry["grad_norm"]
    spoilt = fit(TrainConfig(**base, spikes={"at": [3, 8], "factor": 1000.0}), progress=False).telemetry
    assert spoilt["step"][spoilt["injected"] == 1].tolist() == [3, 8] and (spoilt["injected"] == 0).sum() == 8
    ratio = spoilt["grad_norm"] / plain
    assert [round(r) for r in ratio] == [1, 1, 1000, 1, 1, 1, 1, 1000, 1, 1]


def test_spikes_that_no_step_of_the_run_meets_are_told():
    with pytest.warns(UserWarning, match="switched on but never at work in this run: spikes"):
        result = fit(TrainConfig(model="mlp", train_size=64, epochs=1, device="cpu", threads=1, spikes={"at": [99]}),
                     progress=False)
    assert result.summary["never_fired"] == ["spikes"]


@pytest.mark.parametrize(("options", "message"), [
    ({}, "spikes need at or rate, one of them; given: at=None, rate=None"),
    ({"at": [1], "rate": 0.1}, "spikes need at or rate, one of them"),
    ({"rate": 1.5}, "Invalid rate of spikes: 1.5; allowed: a number from 0 to 1"),
    ({"rate": float("nan")}, "Invalid rate of spikes: nan"),
    ({"at": [0]}, r"Invalid at of spikes: \[0\]; allowed: a list of steps, whole numbers from 1"),
    ({"at": 3}, "Invalid at of spikes: 3"),
    ({"rate": 0.1, "factor": float("inf")}, "Invalid factor of spikes: inf; allowed: a finite number"),
    ({"rate": 0.1, "kind": "gradients"}, r"Invalid kind of spikes: 'gradients'; allowed: gradient, noise, batch. Did"),
    ({"rate": 0.1, "start": 0}, "Invalid start of spikes: 0; allowed: a whole number of at least 1"),
    ({"rate": 0.1, "seed": -1}, "Invalid seed of spikes: -1; allowed: a whole number of at least 0"),
    ({"rate": 0.1, "faktor": 2}, r"unknown option 'faktor' of spikes; allowed: .*Did you mean 'factor'\?")])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        check_spikes(**options)
