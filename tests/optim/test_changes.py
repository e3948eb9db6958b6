"""Settings and state that are changed between steps: refused before anything is written, or followed."""

import copy
import io
import math
import warnings

import numpy as np
import pytest
import torch

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM
from adamw_lab.optim.masks import pools

PRUNE = dict(begin_step=1, end_step=3, update_every=1, target_sparsity=0.5)


def weight(*shape, seed=0):
    return torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def steps(optimizer, count=1):
    generator = torch.Generator().manual_seed(7)
    for _ in range(count):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()


def everything(optimizer):
    """Copies of weights, state and trackers."""
    state = optimizer.state_dict()
    return copy.deepcopy([[p.detach() for group in optimizer.param_groups for p in group["params"]], state["state"],
                          {name: x for group in state["param_groups"] for name, x in group.items()
                           if isinstance(x, torch.Tensor)}])


def assert_equal(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
@pytest.mark.parametrize(("name", "bad"), [
    ("lr", -1.0), ("betas", (1.0, 0.999)), ("theta", 0.0), ("history", 0), ("total_steps", 0), ("clip_norm", 0.0),
    ("eps", -1.0), ("spike_decay", (2.0, 1.0)), ("kernel", "fast")])
def test_a_setting_that_is_changed_to_what_is_out_of_range_is_refused_before_the_step(name, bad, kernel):
    optimizer = AdamWSPAM([weight(5, 4), weight(3)], kernel=kernel)
    steps(optimizer, 3)
    before = everything(optimizer)
    kept, optimizer.param_groups[0][name] = optimizer.param_groups[0][name], bad
    for _ in range(2):
        with pytest.raises(ValueError, match="Invalid"):
            steps(optimizer)
        assert_equal(everything(optimizer), before)
    optimizer.param_groups[0][name] = kept
    steps(optimizer)


@pytest.mark.parametrize("kernel", ["eager", "cpu", None])
def test_a_step_that_is_refused_for_a_shape_has_written_nothing(kernel):
    p, q = weight(6), weight(5, 4)
    optimizer = AdamWSPAM([p, q], kernel=kernel, clip_norm=1.0)
    steps(optimizer, 2)
    q.grad, q.data = None, weight(50, 4).data
    before = everything(optimizer)
    with pytest.raises(RuntimeError, match=r"shape \(50, 4\): parameter, gradient and state differ in shape"):
        steps(optimizer)
    assert_equal(everything(optimizer), before)


def test_a_pattern_that_is_set_between_steps_is_checked():
    optimizer = AdamWPrune([weight(4, 6)], **PRUNE)
    steps(optimizer)
    optimizer.param_groups[0]["pattern"] = "2:4"
    with pytest.raises(ValueError, match="pattern '2:4' does not divide the 6 input channels"):
        steps(optimizer)
    optimizer = AdamWPrune([weight(4, 8)], **{**PRUNE, "target_sparsity": 0.7})
    steps(optimizer)
    optimizer.param_groups[0]["pattern"] = "2:4"
    with pytest.raises(ValueError, match="pattern '2:4' fixes it at 0.5"):
        steps(optimizer)


def test_a_scheduler_may_bring_lr_below_min_lr():
    optimizer = AdamWAdv([weight(3)], lr=0.1, total_steps=9, min_lr=0.01)
    optimizer.param_groups[0]["lr"] = 0.001
    steps(optimizer)


def test_the_kernel_does_not_travel_with_a_checkpoint():
    saved = AdamWAdv([weight(3)], total_steps=9, kernel="cpu")
    steps(saved)
    for own in (None, "eager"):
        optimizer = AdamWAdv([weight(3)], total_steps=9, kernel=own)
        optimizer.load_state_dict(saved.state_dict())
        assert optimizer.param_groups[0]["kernel"] == own
    assert copy.deepcopy(saved).param_groups[0]["kernel"] == "cpu"


def test_telemetry_tells_of_the_last_step_alone():
    optimizer = AdamWSPAM([weight(3)], clip_norm=1.0)
    steps(optimizer)
    assert {"grad_norm", "clip_coefficient"} <= optimizer.telemetry().keys()
    optimizer.param_groups[0].update(clip_norm=None, spike_sigma=None)
    steps(optimizer)
    assert not {"grad_norm", "clip_coefficient"} & optimizer.telemetry().keys()


def test_a_schedule_that_is_changed_after_its_end_is_followed_on_an_accelerator(monkeypatch):
    """There the clock is read only when an update may be due; what that was found from must still hold."""
    optimizer, read = AdamWPrune([weight(10, 10)], **PRUNE), []
    group = optimizer.param_groups[0]
    look = type(pools(optimizer)[0]).update_if_due
    monkeypatch.setattr("adamw_lab.optim.prune._on_host", lambda pool: False)
    monkeypatch.setattr("adamw_lab.optim.masks.Pool.update_if_due", lambda *a: read.append(1) or look(*a))
    steps(optimizer, 8)
    assert optimizer.sparsity() == 0.5 and len(read) == 3
    group.update(end_step=10, target_sparsity=0.8)
    steps(optimizer, 4)
    assert optimizer.sparsity() == 0.8


def test_a_dense_run_past_the_end_of_pruning_is_not_taken_over_in_silence():
    p = weight(4, 4)
    dense = torch.optim.AdamW([p])
    steps(dense, 5)
    optimizer = AdamWPrune([p], **PRUNE)
    with pytest.warns(UserWarning, match="prunes nothing: the loaded run is at step 5, and end_step is 3"):
        optimizer.load_state_dict(dense.state_dict())
    AdamWPrune([p], **{**PRUNE, "end_step": 9}).load_state_dict(dense.state_dict())


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
def test_the_default_device_is_nothing_to_a_step(kernel):
    for make in (lambda p: AdamWPrune([p], base="adamwspam", reset_interval=2, clip_norm=1.0, kernel=kernel, **PRUNE),
                 lambda p: AdamWSPAM([p], reset_interval=2, clip_norm=1.0, kernel=kernel)):
        p, q = weight(6, 6), weight(6, 6)
        optimizer, other = make(p), make(q)
        for step in range(4):
            p.grad = q.grad = weight(6, 6, seed=step).detach()
            with torch.device("meta"):
                optimizer.step()
            other.step()
        assert torch.equal(p, q)


@pytest.mark.parametrize("kernel", ["cpu", "cuda"])
def test_a_forced_kernel_need_not_serve_what_no_step_moves(kernel):
    device = "cuda" if kernel == "cuda" and torch.cuda.is_available() else "cpu"
    frozen = torch.nn.Parameter(torch.randn(4, 8, generator=torch.Generator().manual_seed(1)).to(device)[:, ::2])
    p = torch.nn.Parameter(weight(4, 4).detach().to(device))
    optimizer = AdamWPrune([frozen, p], kernel=kernel, **PRUNE)
    for _ in range(3):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert optimizer.sparsity() == 0.5


def test_state_without_a_step_is_refused_by_name():
    optimizer = AdamWAdv([weight(3)], total_steps=9)
    steps(optimizer)
    saved = optimizer.state_dict()
    del saved["state"][0]["step"]
    with pytest.raises(ValueError, match="lacks 'step'.*it has: exp_avg, exp_avg_sq"):
        optimizer.load_state_dict(saved)


def test_numbers_of_numpy_are_numbers():
    optimizer = AdamWSPAM([weight(3)], total_steps=np.int64(9), clip_norm=np.float32(1), theta=np.float64(50),
                          history=np.int32(20))
    steps(optimizer, 12)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    optimizer.load_state_dict(torch.load(buffer, weights_only=True))
    with pytest.raises(ValueError, match="Invalid clip_norm"):
        AdamWSPAM([weight(3)], clip_norm=np.float32(math.nan))


def test_the_norm_of_large_gradients_is_every_kernels():
    norms = []
    for kernel in ("eager", "cpu"):
        p = torch.nn.Parameter(torch.zeros(4))
        optimizer = AdamWAdv([p], total_steps=9, kernel=kernel)
        p.grad = torch.full((4,), 1e20)
        optimizer.step()
        norms.append(float(optimizer.telemetry()["grad_norm"]))
        assert (p != 0).all()
    assert norms == pytest.approx([2e20, 2e20], rel=1e-6)


def test_a_setting_that_is_a_list_is_not_changed_behind_the_check():
    optimizer = AdamWAdv([weight(3)], total_steps=9, betas=[0.9, 0.99])
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.99)
    with pytest.raises(TypeError):
        optimizer.param_groups[0]["betas"][0] = 2.0


def test_the_groups_of_one_optimizer_make_another_without_a_tie_between_them():
    one = AdamWAdv([weight(3)], total_steps=9)
    steps(one, 4)
    other = AdamWAdv(one.param_groups, total_steps=9)
    assert [float(o.param_groups[0]["group_step"]) for o in (one, other)] == [4, 0]


def test_a_group_that_is_added_knows_the_norms_so_far():
    optimizer = AdamWSPAM([weight(3)])
    steps(optimizer, 12)
    optimizer.add_param_group({"params": [weight(2)]})
    first, second = optimizer.param_groups
    assert torch.equal(first["norms"], second["norms"]) and second["norms_seen"] == 12
    assert first["norms"] is not second["norms"]
    optimizer.add_param_group({"params": [weight(2, seed=1)], "history": 20})
    assert optimizer.param_groups[2]["norms_seen"] == 0


def test_loading_says_which_terms_of_the_rule_it_switches():
    saved = torch.optim.AdamW([weight(3)])
    steps(saved)
    with pytest.warns(UserWarning, match=r"AdamWAdv: the loaded state switches terms.*amsgrad False \(was True\)"):
        AdamWAdv([weight(3)], total_steps=9).load_state_dict(saved.state_dict())
    spam = AdamWSPAM([weight(3)])
    steps(spam)
    with pytest.warns(UserWarning, match=r"theta 50\.0 \(was None\)"):
        AdamWAdv([weight(3)], total_steps=9).load_state_dict(spam.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdamWSPAM([weight(3)], theta=20.0).load_state_dict(spam.state_dict())
