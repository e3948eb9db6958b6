"""Recurrent networks and the GPT: sizes, causality, initialization, and what they refuse."""

import math

import pytest
import torch

from adamw_lab.models import MODELS, build_model, model_options, models_for, parameter_count
from adamw_lab.optim import parameter_groups


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize(("hidden", "layers"), [(64, 1), (5, 2)])
def test_recurrent_networks_count_by_hand(name, gates, hidden, layers):
    model = build_model(name, features=2, outputs=1, hidden=hidden, layers=layers)
    inputs = [2] + [hidden] * (layers - 1)
    assert parameter_count(model) == sum(gates * hidden * (n + hidden + 2) for n in inputs) + hidden + 1
    assert model(torch.randn(3, 7, 2)).shape == (3, 1)


def test_the_answer_is_read_from_the_last_state():
    model = build_model("gru", features=2, outputs=1, seed=0)
    inputs = torch.randn(3, 7, 2)
    torch.testing.assert_close(model(inputs), model.head(model.states(inputs)[:, -1]))


def test_the_lstm_begins_by_remembering():
    model = build_model("lstm", features=2, outputs=1, hidden=8, seed=0)
    forget = (model.cell.bias_ih_l0 + model.cell.bias_hh_l0).detach()[8:16]
    assert torch.equal(forget, torch.ones(8))


def test_the_gpt_has_0_84_million_parameters():
    model = build_model("gpt", vocabulary=100, context=128)
    width, blocks = 128, 4
    block = 12 * width**2 + 13 * width
    assert parameter_count(model) == blocks * block + 2 * 100 * width + 128 * width + 2 * width
    assert parameter_count(model) / 1e6 == pytest.approx(0.84, abs=0.005)


def test_a_token_sees_only_those_before_it():
    model = build_model("gpt", vocabulary=11, context=8, layers=2, width=16, heads=2, seed=0)
    tokens = torch.randint(0, 11, (1, 8), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 11
    one, other = model(tokens), model(changed)
    torch.testing.assert_close(one[:, :5], other[:, :5], rtol=0, atol=0)
    assert not torch.allclose(one[:, 5:], other[:, 5:])


def test_the_gpt_begins_without_an_opinion():
    model = build_model("gpt", vocabulary=50, context=16, seed=0)
    tokens = torch.randint(0, 50, (4, 16))
    loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    assert float(loss.detach()) == pytest.approx(math.log(50), abs=0.1)
    stds = {name: float(p.detach().std()) for name, p in model.named_parameters() if p.ndim >= 2}
    assert stds["blocks.0.qkv.weight"] == pytest.approx(0.02, rel=0.05)
    assert stds["blocks.3.down.weight"] == pytest.approx(0.02 / math.sqrt(8), rel=0.05)


def test_embeddings_and_norms_neither_decay_nor_prune():
    model = build_model("gpt", vocabulary=11, context=8)
    kept = {id(p) for group in parameter_groups(model) if not group["prunable"] for _, p in group["params"]}
    assert {id(p) for p in (model.tokens.weight, model.positions.weight, model.norm.weight)} <= kept
    assert id(model.blocks[0].qkv.weight) not in kept


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "gpt"])
def test_initial_weights_depend_on_the_seed_alone(name):
    facts = {"vocabulary": 9, "context": 4} if name == "gpt" else {"features": 2, "outputs": 1}
    before = torch.get_rng_state()
    one, other, third = (build_model(name, seed=seed, **facts).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(not torch.equal(one[key], third[key]) for key in one)


def test_models_are_chosen_by_the_facts_of_the_data():
    assert models_for({"features": 2, "outputs": 1}) == ["rnn", "lstm", "gru"]
    assert models_for({"vocabulary": 9, "context": 4}) == ["gpt"]
    assert models_for({"channels": 1, "classes": 10, "image_size": 8}) == ["lenet5", "mlp", "resnet18", "resnet50"]
    assert {name: list(model_options(name)) for name in MODELS}["gpt"] == ["layers", "width", "heads"]


@pytest.mark.parametrize(("name", "arguments", "message"), [
    ("gpt", {"vocabulary": 9, "context": 4, "heads": 3}, "Invalid heads value: 3; allowed: a divisor of width 128"),
    ("gpt", {"vocabulary": 9}, "model 'gpt' needs context; given: vocabulary"),
    ("lstm", {"features": 2, "outputs": 1, "hiden": 4}, r"unknown argument 'hiden' of model 'lstm'; allowed: features, "
                                                        r"outputs, hidden, layers. Did you mean 'hidden'\?"),
    ("rnn", {"features": 2, "outputs": 1, "hidden": 0}, "Invalid hidden value: 0; allowed: a whole number of at least"),
    ("rnn", {"features": 2, "outputs": 1, "hidden": 2.5}, "Invalid hidden value: 2.5; allowed: a whole number"),
    ("resnet18", {"channels": 1, "classes": 9, "image_size": 8, "width": 0}, "Invalid width value: 0; allowed: a num")])
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_model(name, **arguments)
