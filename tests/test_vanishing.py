"""Vanishing gradients: shares against sums by hand, networks and updates against what their equations say."""

import pytest
import torch
from torch.nn import functional as F

from adamw_lab.models import build_model
from adamw_lab.vanishing import (
    RECURRENT,
    deep_networks,
    early_share,
    random_batches,
    recurrent_networks,
    set_radius,
    signal_by_layer,
    some_sequences,
    train,
    update_by_layer,
)


def test_all_singular_values_are_the_radius():
    model = set_radius(build_model("rnn", features=2, outputs=1, hidden=9), 1.5)
    torch.testing.assert_close(torch.linalg.svdvals(model.cell.weight_hh_l0.detach()), torch.full((9,), 1.5))


def test_networks_depend_on_the_seed_alone():
    one, two, other = (recurrent_networks(hidden=5, seed=seed) for seed in (3, 3, 4))
    assert list(one) == list(RECURRENT)
    for name in one:
        weights = [networks[name].cell.weight_hh_l0 for networks in (one, two, other)]
        assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("late", [1, 6])
def test_the_early_share_is_what_truncation_leaves_out(name, late):
    """The part of a step in the gradient is that of a copy of the weights used at that step alone."""
    inputs, targets = some_sequences(8, count=4)
    model = build_model(name, features=2, outputs=1, hidden=3, seed=0).double()
    copies = [model.cell.weight_hh_l0.detach().clone().requires_grad_() for _ in range(8)]
    state = None
    for x, copy in zip(inputs.unbind(1), copies, strict=True):
        weights = dict(model.cell.named_parameters()) | {"weight_hh_l0": copy}
        output, state = torch.func.functional_call(model.cell, weights, (x[:, None], state))
    parts = torch.stack(torch.autograd.grad(F.mse_loss(model.head(output[:, -1]), targets), copies))
    expected = float(parts[: 8 - late].sum(0).norm() / parts.sum(0).norm())
    assert early_share(model, inputs, targets, late) == pytest.approx(expected, rel=1e-10)
    assert all(p.grad is None for p in model.parameters())


def test_a_residual_layer_adds_what_a_plain_one_puts_in_its_place():
    plain, residual = deep_networks(3, seed=1).values()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    first = plain.states(x)
    again = residual.states(x)
    torch.testing.assert_close(first[0], again[0])
    torch.testing.assert_close(again[1], first[0] + first[1])
    torch.testing.assert_close(residual(x), residual.head(again[-1]))
    assert len(first) == 4 and not torch.equal(plain(x), residual(x))


def test_making_networks_leaves_the_random_state():
    before = torch.get_rng_state()
    deep_networks(2)
    recurrent_networks(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_signal_is_what_differs_from_input_to_input():
    plain, _ = deep_networks(2).values()
    x = torch.randn(6, 64)
    state = plain.states(x)[1].detach()
    found = signal_by_layer(plain, x)
    assert found[1] == pytest.approx(float((state - state.mean(0)).norm() / state.norm()))
    assert signal_by_layer(plain, x[:1].expand(6, 64)).max() < 1e-6


def test_training_takes_a_step_a_batch():
    inputs, targets = some_sequences(6, count=20)
    model = build_model("rnn", features=2, outputs=1, hidden=4, seed=0).double()
    twin = build_model("rnn", features=2, outputs=1, hidden=4, seed=0).double()
    batches = list(random_batches(inputs, targets, 5, 3, seed=2))
    table = train(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, F.mse_loss)
    assert table["step"].tolist() == [1, 2, 3]
    for (x, y), row in zip(batches, table.itertuples(), strict=True):
        loss = F.mse_loss(twin(x), y)
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        assert row.loss == pytest.approx(loss.item())
        assert row.grad_norm == pytest.approx(float(torch.cat([g.flatten() for g in gradients]).norm()))
        assert row.moved == pytest.approx(0.1 * row.grad_norm)
        with torch.no_grad():
            for p, g in zip(twin.parameters(), gradients, strict=True):
                p -= 0.1 * g
    torch.testing.assert_close(list(model.parameters()), list(twin.parameters()))


def test_a_clipped_step_is_no_longer_than_the_norm_allows():
    model = build_model("rnn", features=2, outputs=1, hidden=4, seed=0)
    batches = random_batches(*map(torch.Tensor.float, some_sequences(6, count=20)), 5, 10, seed=2)
    table = train(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, F.mse_loss, clip_norm=0.3)
    assert (table["grad_norm"] > 0.3).any(), "it is told before it is clipped"
    assert table["moved"].tolist() == pytest.approx([0.1 * min(norm, 0.3) for norm in table["grad_norm"]], rel=1e-4)


def test_batches_repeat_with_their_seed():
    inputs, targets = torch.arange(10.0)[:, None], torch.arange(10)
    one, two, other = (torch.stack([y for _, y in random_batches(inputs, targets, 4, 3, seed)]) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and one.shape == (3, 4)


def test_updates_are_by_weight_matrix():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    for p in model.parameters():
        p.grad = torch.full_like(p, 2.0)
    found = update_by_layer(model, torch.optim.SGD(model.parameters(), lr=0.5))
    assert found.to_dict() == pytest.approx({"0.weight": 6**0.5, "1.weight": 3**0.5})


def test_bad_settings():
    model = build_model("lstm", features=2, outputs=1, hidden=2)
    with pytest.raises(ValueError, match="Invalid model: LSTM; allowed: RNN"):
        set_radius(model, 1.0)
    with pytest.raises(ValueError, match="Invalid radius: 0; allowed: a number above 0"):
        set_radius(build_model("rnn", features=2, outputs=1), 0)
    with pytest.raises(ValueError, match="Invalid late value: 8; allowed: from 1 to 7"):
        early_share(model.double(), *some_sequences(8, count=2), late=8)
