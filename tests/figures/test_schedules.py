"""Schedules are drawn as the optimizers apply them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.figures import new_figure
from adamw_lab.figures.schedules import applied_rates, fig_lr_schedule
from adamw_lab.optim import AdamWSPAM


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 15), st.integers(0, 12), st.booleans())
def test_they_are_the_lengths_of_real_steps(total_steps, reset_interval, warmup_steps, anneal):
    """A gradient of 1 makes Adam's update 1, so that a step is as long as the rate; one of 0 leaves the decay."""
    update, decay = applied_rates(total_steps, lr=0.1, min_lr=0.02, anneal=anneal, reset_interval=reset_interval,
                                  warmup_steps=warmup_steps)
    p, q = (torch.nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    options = dict(lr=0.1, min_lr=0.02 if anneal else 0.1, total_steps=total_steps, reset_interval=reset_interval,
                   warmup_steps=warmup_steps, theta=None, spike_sigma=None)
    moved, decayed = AdamWSPAM([p], weight_decay=0.0, **options), AdamWSPAM([q], weight_decay=0.5, **options)
    for t in range(total_steps):
        before = p.item(), q.item()
        p.grad, q.grad = torch.ones_like(p), torch.zeros_like(q)
        moved.step()
        decayed.step()
        assert before[0] - p.item() == pytest.approx(update[t], rel=1e-5, abs=1e-12)
        assert 2 * (1 - q.item() / before[1]) == pytest.approx(decay[t], rel=1e-9)


def test_the_decay_is_drawn_only_where_it_differs():
    _, axes = new_figure(2)
    fig_lr_schedule(axes[0], 50, lr=0.1)
    fig_lr_schedule(axes[1], 50, lr=0.1, reset_interval=20, warmup_steps=5)
    assert [len(ax.lines) for ax in axes] == [1, 2]
    update, decay = applied_rates(50, lr=0.1, reset_interval=20, warmup_steps=5)
    np.testing.assert_array_equal(axes[1].lines[0].get_ydata(), decay)
    np.testing.assert_array_equal(axes[1].lines[1].get_ydata(), update)
    assert update[19] == pytest.approx(0.01 * decay[19]) and update[18] == decay[18]


@pytest.mark.parametrize(("options", "message"), [
    ({"total_steps": 0}, "Invalid total_steps value: 0; allowed: a whole number of at least 1"),
    ({"min_lr": 0.2}, "Invalid min_lr value: 0.2; allowed: from 0 to lr = 0.1"),
    ({"warmup_steps": -1}, "Invalid warmup_steps value: -1"), ({"reset_interval": -1}, "Invalid reset_interval value")])
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        applied_rates(**{"total_steps": 10, "lr": 0.1, **options})
