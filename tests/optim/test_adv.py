"""AdamWAdv against torch's own AdamW, clipping and schedule."""

import warnings

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from adamw_lab.optim import AdamWAdv


def twins(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (7,), (), (2, 3, 2, 2)]
    ours = [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype)) for s in shapes]
    return ours, [torch.nn.Parameter(p.detach().clone()) for p in ours], generator


def give_gradients(params, twin, generator, scale=1.0):
    for p, q in zip(params, twin, strict=True):
        p.grad = (scale * torch.randn(p.shape, generator=generator, dtype=torch.float64)).to(p.dtype)
        q.grad = p.grad.clone()


@pytest.mark.parametrize("amsgrad", [False, True])
def test_terms_off_is_torch_adamw_to_the_bit(amsgrad):
    ours, theirs, generator = twins()
    lab = AdamWAdv(ours, lr=3e-3, weight_decay=0.1, amsgrad=amsgrad, clip_norm=None, total_steps=50, min_lr=3e-3,
                   kernel="eager")
    reference = torch.optim.AdamW(theirs, lr=3e-3, weight_decay=0.1, amsgrad=amsgrad, foreach=False)
    for _ in range(40):
        give_gradients(ours, theirs, generator)
        lab.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.equal(p, q)
        for name, value in reference.state[q].items():
            assert torch.equal(lab.state[p][name], value), name


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
def test_is_adamw_amsgrad_with_clip_grad_norm_and_cosine_annealing(kernel):
    ours, theirs, generator = twins()
    lab = AdamWAdv(ours, lr=1e-2, total_steps=30, kernel=kernel)
    reference = torch.optim.AdamW(theirs, lr=1e-2, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=30)
    for step in range(30):
        give_gradients(ours, theirs, generator, scale=0.01 if step % 3 else 10.0)
        lab.step()
        norm = clip_grad_norm_(theirs, 1.0)
        applied = reference.param_groups[0]["lr"]
        reference.step()
        scheduler.step()
        assert lab.param_groups[0]["scheduled_lr"] == pytest.approx(applied, rel=1e-12, abs=1e-18)
        assert float(lab.telemetry()["grad_norm"]) == pytest.approx(float(norm), rel=1e-12)
        for p, q in zip(ours, theirs, strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)
    assert lab.param_groups[0]["lr"] == 1e-2


def test_after_total_steps_the_rate_stays_at_min_lr():
    ours, theirs, generator = twins()
    lab = AdamWAdv(ours, lr=1e-2, total_steps=3, min_lr=1e-4)
    for _ in range(6):
        give_gradients(ours, theirs, generator)
        lab.step()
    assert lab.param_groups[0]["scheduled_lr"] == pytest.approx(1e-4)


def test_clip_coefficient_is_one_inside_the_norm_and_scales_outside():
    p = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    lab = AdamWAdv([p], total_steps=10)
    p.grad = torch.tensor([0.3, 0.4], dtype=torch.float64)
    lab.step()
    assert lab.telemetry()["clip_coefficient"] == 1.0
    p.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    lab.step()
    assert float(lab.telemetry()["clip_coefficient"]) == pytest.approx(1 / (5 + 1e-6))


def test_one_norm_over_all_groups():
    p, q = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    lab = AdamWAdv([{"params": [p]}, {"params": [q], "weight_decay": 0.0}], total_steps=10)
    p.grad, q.grad = torch.tensor([3.0]), torch.tensor([4.0])
    lab.step()
    assert float(lab.telemetry()["grad_norm"]) == pytest.approx(5.0)


def test_warns_once_where_nothing_anneals():
    ours, theirs, generator = twins()
    lab = AdamWAdv(ours)
    give_gradients(ours, theirs, generator)
    with pytest.warns(UserWarning, match="does not anneal"):
        lab.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lab.step()


@pytest.mark.parametrize("total_steps", [None, 10])
def test_a_torch_scheduler_replaces_annealing_and_does_not_join_it(total_steps):
    ours, theirs, generator = twins()
    lab = AdamWAdv(ours, total_steps=total_steps)
    torch.optim.lr_scheduler.StepLR(lab, 5)
    give_gradients(ours, theirs, generator)
    if total_steps is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lab.step()
    else:
        with pytest.warns(UserWarning, match="both scale the learning rate"):
            lab.step()


@pytest.mark.parametrize(("option", "value", "message"), [
    ("clip_norm", 0, "Invalid clip_norm value: 0; allowed: None or a number above 0"),
    ("total_steps", 0, "Invalid total_steps value: 0; allowed: None or a whole number of at least 1"),
    ("total_steps", 2.5, "Invalid total_steps value: 2.5"),
    ("min_lr", -1.0, "Invalid min_lr value: -1.0; allowed: a number of at least 0"),
    ("amsgrad", "yes", "Invalid amsgrad value: 'yes'; allowed: True or False"),
    ("kernel", "gpu", "Invalid kernel: 'gpu'; allowed: eager, cpu, cuda"),
    ("kernel", "", "Invalid kernel: ''; allowed: eager, cpu, cuda"),
])
def test_bad_settings_are_named(option, value, message):
    with pytest.raises(ValueError, match=message):
        AdamWAdv([torch.nn.Parameter(torch.zeros(1))], **{option: value})


def test_min_lr_above_lr_is_refused():
    with pytest.raises(ValueError, match="Invalid min_lr value: 0.1; allowed: from 0 to lr = 0.01"):
        AdamWAdv([torch.nn.Parameter(torch.zeros(1))], lr=0.01, total_steps=5, min_lr=0.1)
