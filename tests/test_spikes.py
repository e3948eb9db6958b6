"""The bowl against the textbook, and the detectors against counts by hand."""

import math

import pandas as pd
import pytest
import torch

from adamw_lab.optim import AdamWSPAM, textbook
from adamw_lab.spikes import (
    descend_bowl,
    descend_bowl_by,
    norm_scores,
    precision_recall,
    spike_scores,
    spoilt_gradients,
    steps_until_calm,
)


def adamw(params):
    return torch.optim.AdamW(params, lr=0.05)


def test_the_bowl_is_descended_by_the_rule():
    table = descend_bowl(adamw, steps=5, spikes={3: 20.0}, size=4, seed=7)
    noises = torch.randn(5, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    w, state = torch.ones(4, dtype=torch.float64), {}
    for step in range(1, 6):
        g = (w + noises[step - 1]) * (20.0 if step == 3 else 1.0)
        w = textbook.adamw(w, g, state, lr=0.05)
        assert table["loss"][step - 1] == pytest.approx(float(w.square().mean()) / 2, rel=1e-12)
        assert table["grad_norm"][step - 1] == pytest.approx(float(g.norm()), rel=1e-12)
    assert table["step"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("rule", "options"), [
    (textbook.adamw, {}), (textbook.adamw_spam, {"theta": 5.0, "reset_interval": 20, "warmup_steps": 5})])
def test_by_the_textbooks_rule_the_descent_is_the_same(rule, options):
    def make(params):
        return AdamWSPAM(params, lr=0.05, **options) if options else adamw(params)

    how = {"steps": 50, "spikes": {30: 50.0}, "size": 8, "seed": 3}
    table = descend_bowl_by(rule, {"lr": 0.05, **options}, **how)
    pd.testing.assert_frame_equal(table, descend_bowl(make, **how), rtol=1e-6)
    with pytest.raises(ValueError, match="Invalid size value: 0"):
        descend_bowl_by(rule, {}, size=0)


def test_without_noise_the_bowl_is_reached():
    table = descend_bowl(adamw, steps=200, noise=0.0)
    assert table["loss"].iloc[-1] < 1e-3 < table["loss"].iloc[0]


def test_a_clipped_spike_does_less():
    spikes = {60: 100.0}
    plain = descend_bowl(adamw, spikes=spikes)
    clipped = descend_bowl(lambda p: AdamWSPAM(p, lr=0.05, spike_sigma=None), spikes=spikes)
    assert clipped["second_moment"][60] < 0.3 * plain["second_moment"][60]


def test_scores_are_sizes_by_their_mean_over_the_steps_before():
    gradients = torch.tensor([[9.0, -9.0], [1.0, -2.0], [-3.0, 2.0], [4.0, 8.0]])
    scores = spike_scores(gradients, history=2, least=2)
    torch.testing.assert_close(scores, torch.tensor([[0, 0], [0, 0], [3 / 5, 2 / 5.5], [2.0, 4.0]]))
    gradients[3] = 1e6
    torch.testing.assert_close(spike_scores(gradients, history=2, least=2)[:3], scores[:3])


def test_norms_are_held_against_those_before_them():
    norms = [1.0, 2.0, 3.0, 10.0]
    scores = norm_scores(norms, history=2, least=2)
    assert scores[:2].tolist() == [0, 0]
    assert scores[3] == pytest.approx((10 - 2.5) / math.sqrt(0.5))
    assert scores[2] == pytest.approx((3 - 1.5) / math.sqrt(0.5))


def test_spoilt_gradients_are_the_noise_times_their_factors():
    gradients, factors = spoilt_gradients(steps=200, elements=500, count=5, seed=3)
    places = (factors > 1).nonzero().flatten()
    assert len(places) == 5 and places.min() >= 20 and factors[places].min() >= 10 and factors.max() <= 1000
    sizes = (gradients / factors[:, None]).std(dim=1)
    wander = (sizes[1:] / sizes[:-1]).log()
    assert float(wander.abs().max()) < 0.3, "from step to step the noise itself hardly changes"
    again, _ = spoilt_gradients(steps=200, elements=500, count=5, seed=3)
    assert torch.equal(again, gradients)


def test_precision_and_recall_by_hand():
    scores = torch.tensor([5.0, 1.0, 3.0, 0.0])
    truth = torch.tensor([True, True, False, False])
    table = precision_recall(scores, truth, [0.5, 2.0, 4.0, 9.0])
    assert table["precision"].tolist() == pytest.approx([2 / 3, 1 / 2, 1, math.nan], nan_ok=True)
    assert table["recall"].tolist() == [1, 0.5, 0.5, 0]
    with pytest.raises(ValueError, match="truth holds no spike"):
        precision_recall(scores, torch.zeros(4), [1.0])


def test_calm_returns_when_it_returns_for_good():
    calm = descend_bowl(adamw, steps=10, noise=0.0)
    spiked = calm.copy()
    spiked.loc[[3, 6], "update"] *= 2
    assert steps_until_calm(spiked, calm, "update", at=4) == 4
    assert steps_until_calm(calm, calm, "update", at=4) == 0


@pytest.mark.parametrize(("options", "message"), [
    ({"spikes": {0: 9.0}}, "Invalid spike at step 0; allowed: from 1 to 300"),
    ({"spikes": {301: 9.0}}, "Invalid spike at step 301"), ({"steps": 0}, "Invalid steps value: 0"),
    ({"noise": -1.0}, "Invalid noise value: -1.0; allowed: a number of at least 0"), ({"size": 0}, "Invalid size")])
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        descend_bowl(adamw, **options)
