"""One clock for all groups, and a bias correction that counts what a parameter's own moments have gathered."""

import copy

import pytest
import torch

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM, policy

KERNELS = ("eager", "cpu")


def parameters(*shapes):
    generator = torch.Generator().manual_seed(5)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def give_gradients(step, *params):
    generator = torch.Generator().manual_seed(step)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)


@pytest.mark.parametrize("late", ["frozen", "added"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_groups_that_join_late_are_annealed_as_torchs_scheduler_does(late, kernel):
    """Gradual unfreezing: the clock of a group stood still while it had no gradient, or began when it was added."""
    results = []
    for ours in (True, False):
        p, q = parameters((3, 4), (5,))
        first = [{"params": [p]}, {"params": [q]}] if late == "frozen" else [{"params": [p]}]
        if ours:
            optimizer = AdamWAdv(first, lr=0.1, clip_norm=None, total_steps=20, kernel=kernel)
        else:
            optimizer = torch.optim.AdamW(first, lr=0.1, amsgrad=True)
        scheduler = None if ours else torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
        for step in range(1, 21):
            if step == 11 and late == "added":
                optimizer.add_param_group({"params": [q]})
                if not ours:  # torch's scheduler knows the groups that it began with
                    optimizer.param_groups[1]["lr"] = optimizer.param_groups[0]["lr"]
                    optimizer.param_groups[1]["initial_lr"] = 0.1
                    scheduler.base_lrs.append(0.1)
            give_gradients(step, *((p, q) if step > 10 else (p,)))
            optimizer.step()
            if scheduler:
                scheduler.step()
        results.append((p.detach(), q.detach()))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_step_without_any_gradient_is_none():
    p, q = parameters((2,), (2,))
    optimizer = AdamWAdv([{"params": [p]}, {"params": [q]}], total_steps=9)
    optimizer.step()
    assert [float(group["group_step"]) for group in optimizer.param_groups] == [0, 0]
    give_gradients(1, q)
    optimizer.step()
    assert [float(group["group_step"]) for group in optimizer.param_groups] == [1, 1]


def test_an_overflow_holds_every_clock():
    p, q = parameters((2,), (2,))
    optimizer = AdamWAdv([{"params": [p]}, {"params": [q]}], total_steps=9)
    give_gradients(1, p)
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert [float(group["group_step"]) for group in optimizer.param_groups] == [0, 0]


def test_loading_brings_clocks_that_stood_still_to_the_latest():
    p, q = parameters((2,), (2,))
    groups = [{"params": [p]}, {"params": [q]}]
    plain = torch.optim.AdamW(copy.copy(groups))
    for step in range(7):
        give_gradients(step, *((p, q) if step > 4 else (p,)))
        plain.step()
    optimizer = AdamWAdv([{"params": [p]}, {"params": [q]}], total_steps=9)
    with pytest.warns(UserWarning, match="amsgrad"):
        optimizer.load_state_dict(plain.state_dict())
    assert [float(group["group_step"]) for group in optimizer.param_groups] == [7, 7]
    saved = optimizer.state_dict()  # as before this rule: two steps behind, its last reset four steps before
    saved["param_groups"][1] |= {"group_step": torch.tensor(5.0), "reset_step": torch.tensor(1.0)}
    optimizer.load_state_dict(saved)
    found = optimizer.param_groups[1]
    assert (float(found["group_step"]), float(found["reset_step"])) == (7, 3)


def test_resets_come_to_all_groups_at_once():
    p, q = parameters((2,), (2,))
    optimizer = AdamWSPAM([{"params": [p]}, {"params": [q]}], reset_interval=4, spike_sigma=None)
    for step in range(1, 9):
        give_gradients(step, *((p, q) if step > 2 else (p,)))
        optimizer.step()
        if step == 4:
            torch.testing.assert_close(optimizer.state[q]["exp_avg"], 0.1 * q.grad)
    assert [float(group["resets"]) for group in optimizer.param_groups] == [2, 2]


def test_a_mask_update_goes_by_the_common_clock():
    p, q = parameters((4, 4), (4, 4))
    groups = [{"params": [p]}, {"params": [q], "target_sparsity": 0.25}]
    optimizer = AdamWPrune(groups, target_sparsity=0.5, begin_step=1, end_step=3, update_every=1)
    for step in range(1, 4):
        give_gradients(step, *((p, q) if step == 3 else (p,)))
        optimizer.step()
    assert [int(mask.sum()) for mask in optimizer.masks().values()] == [8, 4]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_parameter_without_gradient_at_a_reset_is_reset_with_the_others(kernel):
    """It kept its moments while their correction began anew, and was slowed from then on."""
    p, q = parameters((3,), (3,))
    options = dict(lr=0.1, spike_sigma=None, theta=None, weight_decay=0.0, kernel=kernel)
    optimizer = AdamWSPAM([p, q], reset_interval=20, amsgrad=True, **options)
    for step in range(1, 31):
        give_gradients(step, *((p, q) if step < 15 else (p,)))
        q.grad = None if step >= 15 else q.grad
        optimizer.step()
    assert float(optimizer.state[p]["step"]) == 11 and float(optimizer.state[q]["step"]) == 0
    fresh = torch.nn.Parameter(q.detach().clone())
    other = AdamWSPAM([fresh], amsgrad=True, **options)
    for step in range(31, 36):
        give_gradients(step, p, q)
        fresh.grad = q.grad
        optimizer.step()
        other.step()
    torch.testing.assert_close(q.detach(), fresh.detach(), rtol=1e-12, atol=1e-12)


def test_a_reset_leaves_the_marks_of_weights_without_gradient():
    p, q = parameters((4, 4), (4, 4))
    optimizer = AdamWPrune([p, q], base="adamwspam", spike_sigma=None, reset_interval=4, begin_step=2, end_step=2,
                           target_sparsity=0.5)
    for step in range(1, 6):
        give_gradients(step, p, q)
        q.grad = None if step > 2 else q.grad
        optimizer.step()
    assert optimizer.sparsity() == 0.5


def test_the_clock_lies_in_host_memory_until_a_device_must_keep_it():
    """On the meta device, which has no values to read."""
    p = torch.nn.Parameter(torch.zeros(3, device="meta"))
    p.grad = torch.zeros_like(p)
    plain, resets = AdamWSPAM([p]), AdamWSPAM([p], spike_decay=(0.0, 0.0))
    for optimizer, home in ((plain, "cpu"), (resets, "meta")):
        optimizer.step()
        group = optimizer.param_groups[0]
        assert {group[name].device.type for name in policy.CLOCK} == {home} == {optimizer.state[p]["step"].device.type}
        assert group["norms"].device.type == "meta"
    plain.param_groups[0]["spike_decay"] = (0.0, 0.0)
    plain.step()
    assert plain.param_groups[0]["group_step"].device.type == "meta" == plain.state[p]["step"].device.type
