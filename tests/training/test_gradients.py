"""Gradients through time against autograd's own, and against the closed form of a linear recurrence."""

import pytest
import torch

from adamw_lab.models import build_model
from adamw_lab.training.gradients import gradient_by_layer, gradient_by_time


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_the_last_step_has_the_gradient_of_the_answer(name):
    model = build_model(name, features=2, outputs=1, hidden=6, seed=0)
    inputs, targets = torch.randn(4, 9, 2), torch.randn(4, 1)
    norms = gradient_by_time(model, inputs, targets)
    assert norms.shape == (9,) and (norms > 0).all()
    error = (model(inputs) - targets).detach()
    expected = (2 * error / 4 * model.head.weight.detach()).norm()
    torch.testing.assert_close(norms[-1], expected, rtol=1e-5, atol=1e-8)
    assert all(p.grad is None for p in model.parameters())


def test_a_linear_recurrence_fades_by_its_factor():
    """Near 0 tanh is the identity, so with W = a·1 each step back multiplies the gradient by a."""
    model = build_model("rnn", features=2, outputs=1, hidden=3, seed=0)
    with torch.no_grad():
        model.cell.weight_hh_l0.copy_(0.5 * torch.eye(3))
        for p in (model.cell.weight_ih_l0, model.cell.bias_ih_l0, model.cell.bias_hh_l0):
            p.zero_()
    norms = gradient_by_time(model, torch.randn(2, 6, 2), torch.randn(2, 1))
    torch.testing.assert_close(norms[:-1] / norms[1:], torch.full((5,), 0.5))


def test_more_layers_are_refused():
    model = build_model("rnn", features=2, outputs=1, layers=2)
    with pytest.raises(ValueError, match="Invalid layers: 2; allowed: 1"):
        gradient_by_time(model, torch.zeros(1, 3, 2), torch.zeros(1, 1))


def test_layers_in_order_without_biases():
    model = build_model("mlp", channels=1, classes=3, image_size=8, seed=0)
    model(torch.randn(2, 1, 8, 8)).square().sum().backward()
    norms = gradient_by_layer(model)
    assert list(norms.index) == ["1.weight", "3.weight", "5.weight"]
    assert norms["3.weight"] == pytest.approx(float(model[3].weight.grad.norm()))
