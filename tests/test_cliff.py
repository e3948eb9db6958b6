"""The cliff: its gradient against autograd, and descents that know nothing of each other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.cliff import cliff_gradient, cliff_loss, cliff_starts, descend_cliff
from adamw_lab.optim import textbook


@given(st.floats(-8, 8), st.floats(-5, 5), st.integers(1, 60))
def test_the_gradient_is_autograds(w, b, steps):
    w, b = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (w, b))
    loss = cliff_loss(w, b, steps)
    expected = torch.autograd.grad(loss, (w, b))
    torch.testing.assert_close(cliff_gradient(w.detach(), b.detach(), steps), (loss.detach(), *expected))


def test_it_is_a_cliff():
    w, b = torch.full((400,), 6.0, dtype=torch.float64), torch.linspace(-4, -2, 400, dtype=torch.float64)
    loss = cliff_loss(w, b)
    assert (loss[:-1] - loss[1:]).max() > 0.3  # within half a hundredth of b
    assert (loss[:-1] - loss[1:]).median().abs() < 2e-3


def adam(params):
    return torch.optim.Adam(params, lr=0.05)


def test_each_place_descends_as_if_alone():
    starts = cliff_starts(3)
    path, table = descend_cliff(adam, starts, steps=30)
    assert path.shape == (31, 3, 2) and len(table) == 3
    for i in range(3):
        alone, _ = descend_cliff(adam, starts[i : i + 1], steps=30)
        torch.testing.assert_close(alone[:, 0], path[:, i])


def test_a_descent_follows_the_rule_and_the_clip():
    start = torch.tensor([[6.0, -2.9]], dtype=torch.float64)
    path, table = descend_cliff(adam, start, steps=20, clip_norm=0.05)
    p, state, norms = start[0], {}, []
    for step in range(20):
        _, *gradient = cliff_gradient(*p[:, None])
        g = torch.cat(gradient)
        norms.append(float(g.norm()))
        p = textbook.adam(p, textbook.clip_coefficient(g, 0.05) * g, state, lr=0.05)
        torch.testing.assert_close(path[step + 1, 0], p)
    assert max(norms) > 0.05  # so the clip was there
    assert table["largest_gradient"][0] == pytest.approx(max(norms))
    assert table["longest_step"][0] == pytest.approx(float(path[:, 0].diff(dim=0).norm(dim=1).max()))
    assert table["loss"][0] == pytest.approx(float(cliff_loss(*p)))


def test_starts_lie_above_the_cliff():
    w, b = cliff_starts(500, seed=3).unbind(1)
    assert 5 <= w.min() and w.max() < 7 and -2.5 <= b.min() and b.max() < -1.5
    assert cliff_loss(w, b).max() < 0.1


def test_bad_settings():
    with pytest.raises(ValueError, match="Invalid steps value: 0; allowed: a whole number of at least 1"):
        descend_cliff(adam, cliff_starts(1), steps=0)
    with pytest.raises(ValueError, match=r"Invalid shape of starts: \[3\]; allowed: \[N, 2\]"):
        descend_cliff(adam, torch.zeros(3))
