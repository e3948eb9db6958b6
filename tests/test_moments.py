"""Adam's moments against torch's state, and sparse gradients against what can be said of them."""

import numpy as np
import pytest
import torch

from adamw_lab.descents import respond
from adamw_lab.moments import sparse_travel, trace_adam


def test_the_trace_is_torchs_state():
    gradients = np.random.default_rng(1).standard_normal((30, 3))
    trace = trace_adam(gradients, betas=(0.8, 0.95), eps=1e-3)
    w = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    adam = torch.optim.Adam([w], lr=1.0, betas=(0.8, 0.95), eps=1e-3)
    for t, g in enumerate(gradients):
        before, w.grad = w.detach().clone(), torch.tensor(g)
        adam.step()
        m, v = adam.state[w]["exp_avg"].numpy(), adam.state[w]["exp_avg_sq"].numpy()
        np.testing.assert_allclose(trace["m"][t], m, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(trace["v_hat"][t], v / (1 - 0.95 ** (t + 1)), rtol=1e-9)
        np.testing.assert_allclose(trace["change"][t], (w.detach() - before).numpy(), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(trace["uncorrected"][t], -m / (np.sqrt(v) + 1e-3), rtol=1e-9)


def test_one_weight_needs_no_second_axis():
    trace = trace_adam(np.ones(4))
    assert {values.shape for values in trace.values()} == {(4,)}
    np.testing.assert_allclose(trace["change"], respond("adam", np.ones((4, 1)))[:, 0])


def test_a_rare_gradient_carries_sgd_by_its_share_and_adam_by_its_root():
    table = sparse_travel(("sgd_plain", "adagrad", "adam"), [0.1, 1.0]).set_index(["optimizer", "share"])["travel"]
    assert table["sgd_plain", 0.1] == pytest.approx(0.1, rel=0.05)
    assert table["adam", 0.1] == pytest.approx(0.1**0.5, rel=0.05)
    assert table["adagrad", 0.1] == pytest.approx(0.1**0.5, rel=0.05)
    assert table["adam", 1.0] == pytest.approx(1.0, rel=1e-9)


def test_a_rare_gradient_is_carried_by_the_betas_that_are_asked_for():
    usual, asked = (sparse_travel(["sgd_plain", "adam"], [0.01], betas=betas) for betas in (None, (0.9, 0.9)))
    sgd, adam = usual["travel"] / asked["travel"]
    assert sgd == 1 and adam > 1.3, "a v that forgets between gradients ends the root"


def test_a_share_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"Invalid share: 0.0; allowed: in \(0, 1\]"):
        sparse_travel(["adam"], [0.0])
