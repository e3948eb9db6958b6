"""The effective decay against what the rules say, and by hand where noise plays no part."""

import math

import numpy as np
import pytest
import torch

from adamw_lab.decay import effective_decay, l2_shrinkage
from adamw_lab.optim import build_optimizer, textbook

NOISES = [0.01, 1.0, 10.0]


def maker(name, **options):
    return lambda params, decay: build_optimizer(name, params, lr=1e-3, weight_decay=decay, **options)


@pytest.mark.parametrize(("name", "options"), [("adamw", {}), ("sgd", {"momentum": 0.0})])
def test_decoupled_is_what_was_asked_for_whatever_the_noise(name, options):
    table = effective_decay(maker(name, **options), NOISES, weight_decay=0.1)
    assert table["noise"].tolist() == NOISES
    np.testing.assert_allclose(table["effective_decay"], 0.1, rtol=0.03)


def test_l2_in_adam_is_divided_by_the_size_of_the_gradient():
    table = effective_decay(maker("adam"), NOISES, weight_decay=0.1)
    np.testing.assert_allclose(table["effective_decay"], 0.1 / np.hypot(NOISES, 0.1), rtol=0.15)


def test_the_walk_is_the_textbooks():
    table = effective_decay(maker("adam"), [0.5], weight_decay=0.2, steps=3, copies=2, seed=4)
    ends = []
    for decay in (0.2, 0.0):
        generator = torch.Generator().manual_seed(4)
        w, state = torch.ones(1, 2, dtype=torch.float64), {}
        for _ in range(3):
            g = 0.5 * torch.randn(1, 2, generator=generator, dtype=torch.float64)
            w = textbook.adam(w, g, state, lr=1e-3, weight_decay=decay)
        ends.append(w)
    expected = -math.log(1 + float((ends[0] - ends[1]).mean())) / (3 * 1e-3)
    assert table["effective_decay"][0] == pytest.approx(expected, rel=1e-9)


def test_shrinkage_is_the_share_of_the_decay_in_adams_step():
    """With v fixed by a long past and no momentum, a decaying weight's step is lr * wd * w times the shrinkage."""
    w, v = torch.tensor([2.0, 2.0], dtype=torch.float64), torch.tensor([1e-4, 4.0], dtype=torch.float64)
    t = 100_000
    state = {"step": t - 1, "exp_avg_sq": v * (1 - 0.999**t)}
    new = textbook.adam(w, torch.zeros(2, dtype=torch.float64), state, lr=0.1, betas=(0.0, 0.999), weight_decay=1e-4)
    torch.testing.assert_close(w - new, 0.1 * 1e-4 * w * l2_shrinkage(v), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("noises", "options", "message"), [
    ([0.0], {}, "Invalid noise: 0.0; allowed: a number above 0"), ([math.nan], {}, "Invalid noise: nan"),
    ([1.0], {"steps": 0}, "Invalid steps value: 0; allowed: a whole number of at least 1"),
    ([1.0], {"copies": 0}, "Invalid copies value: 0")])
def test_bad_settings(noises, options, message):
    with pytest.raises(ValueError, match=message):
        effective_decay(maker("adam"), noises, weight_decay=0.1, **options)
