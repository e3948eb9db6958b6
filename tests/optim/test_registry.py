"""Optimizers by name."""

import pytest
import torch
from torch import nn

from adamw_lab.optim import OPTIMIZERS, AdamWAdv, AdamWPrune, AdamWSPAM, build_optimizer, textbook
from adamw_lab.optim.registry import check_options

NAMES = ["sgd", "adagrad", "rmsprop", "adam", "adamw", "adamw_clip", "adamwadv", "adamwspam", "adamwspam_published",
         "adamwprune"]


def test_the_names():
    assert list(OPTIMIZERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_lowers_a_loss(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = build_optimizer(name, model, lr=OPTIMIZERS[name].lr * (1 if name == "sgd" else 10), total_steps=100)
    x = torch.randn(64, 4)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(("name", "rule", "options"), [
    ("sgd", textbook.sgd, dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
    ("adagrad", textbook.adagrad, dict(lr=0.02, weight_decay=0.01)),
    ("rmsprop", textbook.rmsprop, dict(lr=0.01, alpha=0.9, weight_decay=0.01)),
    ("adam", textbook.adam, dict(lr=0.01, betas=(0.8, 0.9), weight_decay=0.01)),
    ("adamw", textbook.adamw, dict(lr=0.01, betas=(0.8, 0.9), weight_decay=0.1)),
    ("adamw_clip", textbook.adamw_adv, dict(lr=0.01, amsgrad=False, clip_norm=1.0)),
])
def test_the_textbook_form_is_what_the_optimizer_does(name, rule, options):
    generator = torch.Generator().manual_seed(1)
    p = nn.Parameter(torch.randn(12, generator=generator, dtype=torch.float64))
    expected, state = p.detach().clone(), {}
    settings = {"total_steps": 10**9} if name == "adamw_clip" else {}
    optimizer = build_optimizer(name, [p], **settings, **options)
    for _ in range(25):
        p.grad = torch.randn(12, generator=generator, dtype=torch.float64)
        optimizer.step()
        expected = rule(expected, p.grad, state, **options)
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-12)


def test_a_model_is_grouped_and_a_list_is_taken_as_it_is():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    assert len(build_optimizer("adamw", model).param_groups) == 2
    assert len(build_optimizer("adamw", model.parameters()).param_groups) == 1
    assert build_optimizer("adamw", model, weight_decay=0.2).param_groups[0]["weight_decay"] == 0.2


@pytest.mark.parametrize("name", ["adamw", "adamwadv"])
def test_groups_may_hold_generators_and_lone_tensors_as_in_torch(name):
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(name, ({"params": ps} for ps in [model.parameters(), nn.Parameter(torch.tensor(1.0))]))
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 1]
    named = build_optimizer(name, [{"params": nn.Linear(2, 2).named_parameters(), "lr": 0.5}])
    assert named.param_groups[0]["param_names"] == ["weight", "bias"] and named.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("name", ["adamw", "adamwadv"])
@pytest.mark.parametrize("make", [
    lambda: nn.Parameter(torch.ones(2, 2)), lambda: [], lambda: ["weight"],
    lambda: [{"params": {nn.Parameter(torch.ones(2))}}],
    lambda: [{"params": [3.0]}]])
def test_what_torch_refuses_is_refused_in_its_words(name, make):
    with pytest.raises((TypeError, ValueError)) as torchs:
        torch.optim.AdamW(make())
    with pytest.raises(torchs.type) as ours:
        build_optimizer(name, make())
    assert str(ours.value) == str(torchs.value)


def test_classical_optimizers_are_torchs_and_fused_where_it_has_a_fused_step():
    model = nn.Linear(2, 2)
    for name, cls in (("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        optimizer = build_optimizer(name, model)
        assert type(optimizer) is cls and optimizer.defaults["fused"]
    assert not build_optimizer("adamw", nn.Linear(2, 2, dtype=torch.complex64)).defaults["fused"]
    assert build_optimizer("adamw", model, foreach=True).defaults["foreach"]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "adagrad"])
@pytest.mark.parametrize("odd", ["gradient", "state"])
def test_a_fused_step_is_right_whatever_the_layouts(name, odd):
    """torch's own is silently wrong where strides differ, as with a checkpoint of a model of another memory format."""
    results = []
    for fused in (True, False):
        generator = torch.Generator().manual_seed(0)
        weight, *grads = (torch.randn(4, 3, 2, 2, generator=generator) for _ in range(4))
        last = torch.channels_last if odd == "gradient" else torch.contiguous_format
        p = nn.Parameter(weight.contiguous(memory_format=last))
        optimizer = build_optimizer(name, [p], **({} if fused else {"foreach": False}))
        for i, g in enumerate(grads):
            if odd == "state" and i == 2:
                q = nn.Parameter(p.detach().contiguous(memory_format=torch.channels_last))
                other = build_optimizer(name, [q], **({} if fused else {"foreach": False}))
                other.load_state_dict(optimizer.state_dict())
                p, optimizer = q, other
            p.grad = g if odd == "gradient" else torch.empty_like(p).copy_(g)
            optimizer.step()
        assert bool(optimizer.defaults["fused"]) == fused
        results.append(p.detach())
    torch.testing.assert_close(*results)


def test_presets():
    assert build_optimizer("sgd", nn.Linear(1, 1)).defaults["momentum"] == 0.9
    clip = build_optimizer("adamw_clip", nn.Linear(1, 1))
    assert isinstance(clip, AdamWAdv) and clip.defaults["clip_norm"] == 1.0 and not clip.defaults["amsgrad"]
    spam = build_optimizer("adamwspam_published", nn.Linear(1, 1), theta=100.0)
    assert isinstance(spam, AdamWSPAM) and spam.defaults["published"] and spam.defaults["theta"] == 100.0


def test_unknown_names_and_options_are_refused():
    with pytest.raises(ValueError, match="unknown optimizer 'adamwspan'; allowed: sgd, .*Did you mean 'adamwspam'"):
        build_optimizer("adamwspan", nn.Linear(1, 1))
    with pytest.raises(ValueError, match="unknown option 'momentun' of optimizer 'sgd'.*Did you mean 'momentum'"):
        build_optimizer("sgd", nn.Linear(1, 1), momentun=0.9)
    with pytest.raises(ValueError, match="unknown option 'theta' of optimizer 'adamwprune'"):
        check_options("adamwprune", {"theta": 5.0})
    check_options("adamwprune", {"base": "adamwspam", "theta": 5.0})


CLASSES = {"adamwadv": AdamWAdv, "adamwspam": AdamWSPAM, "adamwprune": AdamWPrune}
OPTIONS = [(name, option) for name in NAMES for option, default in {"lr": 0.1, **OPTIMIZERS[name].options}.items()
           if isinstance(default, bool | int | float | tuple)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_refuses_a_value_of_another_kind(name, option):
    for value in ("big", [1], {}, 5 + 5j):
        with pytest.raises(ValueError, match=f"Invalid {option}( value)?: "):
            build_optimizer(name, nn.Linear(4, 4), **{"total_steps": 10, option: value})
        if name in CLASSES:
            with pytest.raises(ValueError, match=f"Invalid {option}( value)?: "):
                CLASSES[name](nn.Linear(4, 4).parameters(), **{"total_steps": 10, option: value})


@pytest.mark.parametrize("value", ["0.5", 1.0, -0.1, 70, True, [0.5]])
def test_a_target_is_a_fraction(value):
    with pytest.raises(ValueError, match="Invalid target_sparsity"):
        build_optimizer("adamwprune", nn.Linear(4, 4), total_steps=10, target_sparsity=value)
