"""AdamWSPAM: its published form against a transcription of the authors' rule, its detectors against known noise."""

import copy
import io
import math
from statistics import fmean, stdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.optim import AdamWSPAM, policy, textbook
from adamw_lab.optim.kernels import cuda

GPU = "cuda" if torch.cuda.is_available() else "cpu"
"""Without one Triton interprets its kernels."""


def published_rule(p, g, m, v, t, last_reset, *, lr, betas, theta, interval, warmup, grace, eps, wd):
    """The numbered rule of the authors' code, written out for one tensor; t counts from 1."""
    b1, b2 = betas
    if t % interval == 0:
        m, v, last_reset = torch.zeros_like(m), torch.zeros_like(v), t
    if t >= grace and t % interval >= grace:
        over = g**2 > theta * v
        g = torch.where(over, torch.sign(g) * torch.sqrt(theta * v), g)
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    s = 1.0
    if last_reset is not None and t - last_reset < warmup:
        s = 1 - 0.99 * 0.5 * (1 + math.cos(math.pi * (t - last_reset) / (warmup + 1)))
    p = p - s * lr * math.sqrt(1 - b2**t) / (1 - b1**t) * m / (torch.sqrt(v) + eps)
    return p - lr * wd * p, m, v, last_reset


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
def test_published_is_the_authors_rule_over_700_steps_with_spikes(kernel):
    generator = torch.Generator().manual_seed(0)
    settings = dict(lr=1e-2, betas=(0.9, 0.999), theta=25.0, interval=100, warmup=30, grace=20, eps=1e-6, wd=0.01)
    p = torch.nn.Parameter(torch.randn(40, generator=generator, dtype=torch.float64))
    lab = AdamWSPAM.published([p], lr=1e-2, theta=25.0, reset_interval=100, warmup_steps=30, grace_steps=20,
                              weight_decay=0.01, kernel=kernel)
    q, m, v, last = p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p), None
    for t in range(1, 701):
        g = torch.randn(40, generator=generator, dtype=torch.float64) * (100.0 if t % 61 == 0 else 1.0)
        g[3] = 0.0 if t < 250 else g[3]
        p.grad = g
        lab.step()
        q, m, v, last = published_rule(q, g, m, v, t, last, **settings)
        assert (p - q).abs().max() < 1e-12
    assert float(lab.telemetry()["elements_clipped"]) > 0
    assert float(lab.telemetry()["resets"]) == 7


def gaussian_run(optimizer, p, steps, scale=lambda t: 1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for t in range(1, steps + 1):
        p.grad = (scale(t) * torch.randn(p.shape, generator=generator)).to(p.dtype)
        optimizer.step()


def test_element_clipping_leaves_gaussian_noise_alone():
    p = torch.nn.Parameter(torch.zeros(2000))
    lab = AdamWSPAM([p], spike_sigma=None)
    gaussian_run(lab, p, 100)
    assert float(lab.telemetry()["elements_clipped"]) / (100 * 2000) < 0.01


def test_higher_theta_clips_less():
    counts = []
    for theta in (5.0, 50.0, 5000.0):
        p = torch.nn.Parameter(torch.zeros(500))
        lab = AdamWSPAM([p], theta=theta, spike_sigma=None)
        gaussian_run(lab, p, 60, scale=lambda t: 30.0 if t % 20 == 0 else 1.0)
        counts.append(float(lab.telemetry()["elements_clipped"]))
    assert counts[0] > counts[1] > counts[2]


def test_norm_detector_fires_rarely_on_noise_and_learns_a_lasting_shift():
    p = torch.nn.Parameter(torch.zeros(200))
    lab = AdamWSPAM([p], theta=None)
    gaussian_run(lab, p, 1000)
    assert 0.005 < float(lab.telemetry()["spikes"]) / 1000 < 0.06
    before = float(lab.telemetry()["spikes"])
    gaussian_run(lab, p, 100, scale=lambda t: 1.5, seed=1)
    shifting = float(lab.telemetry()["spikes"]) - before
    gaussian_run(lab, p, 200, scale=lambda t: 1.5, seed=2)
    assert shifting > 0
    assert (float(lab.telemetry()["spikes"]) - before - shifting) / 200 < 0.15


@given(norms=st.lists(st.floats(0, 10) | st.sampled_from([math.nan, math.inf, 0.0, 1e6]), max_size=60),
       sigma=st.sampled_from([0.0, 0.5, 2.0]), history=st.integers(10, 20))
def test_norm_detector_is_the_same_in_floats_in_tensors_and_on_a_gpu(norms, sigma, history):
    groups = [dict(spike_sigma=sigma, spike_decay=(0.0, 1.0), history=history) for _ in range(3)]
    for group, device in zip(groups, ("cpu", "cpu", GPU), strict=True):
        group |= policy.new_trackers(group, torch.device(device))
    for x in norms:
        known = groups[0]["norms"][:groups[0]["norms_seen"]].tolist()
        limit = fmean(known) + sigma * stdev(known) if len(known) >= 9 else math.inf
        if math.isfinite(x) and math.isclose(x, limit, rel_tol=1e-9):
            continue  # on the limit, rounding decides
        norm = torch.tensor(x, dtype=torch.float64)
        assert policy.detect_spike(groups[0], norm, 1.0) == (x > limit)
        assert policy._detect_in_tensors(groups[1], norm, 1.0) == (x > limit)
        assert cuda.detect(groups[2], norm.to(GPU), 1.0) == (x > limit)
        for detect, group in ((policy._detect_in_tensors, groups[1]), (cuda.detect, groups[2])):
            here = group["norms"].device
            assert not detect(group, norm.to(here), torch.zeros((), device=here)), "a step that does not count"
            torch.testing.assert_close(groups[0]["norms"], group["norms"].cpu(), rtol=1e-12, atol=0)
    for name in ("norms_seen", "spikes"):
        assert groups[0][name] == groups[1][name] == groups[2][name].cpu()


@pytest.mark.parametrize(("spike_decay", "kept"), [((0.0, 1.0), (0.0, 1.0)), ((0.5, 0.9), (0.5, 0.9))])
def test_a_spike_shrinks_the_moments_before_the_step(spike_decay, kept):
    p = torch.nn.Parameter(torch.zeros(50, dtype=torch.float64))
    lab = AdamWSPAM([p], theta=None, spike_decay=spike_decay)
    gaussian_run(lab, p, 20)
    m, v = (lab.state[p][name].clone() for name in ("exp_avg", "exp_avg_sq"))
    spikes = float(lab.telemetry()["spikes"])
    p.grad = torch.full_like(p, 100.0)
    lab.step()
    assert float(lab.telemetry()["spikes"]) == spikes + 1
    torch.testing.assert_close(lab.state[p]["exp_avg"], 0.9 * kept[0] * m + 0.1 * p.grad)
    torch.testing.assert_close(lab.state[p]["exp_avg_sq"], 0.999 * kept[1] * v + 0.001 * p.grad**2)


def test_restarted_bias_correction_keeps_the_first_update_after_a_reset_at_lr():
    lengths = {}
    for restart in (True, False):
        p = torch.nn.Parameter(torch.zeros(100, dtype=torch.float64))
        lab = AdamWSPAM([p], lr=1e-3, weight_decay=0.0, theta=None, spike_sigma=None, reset_interval=200,
                        restart_bias_correction=restart)
        gaussian_run(lab, p, 199)
        before = p.detach().clone()
        p.grad = torch.ones_like(p)
        lab.step()
        lengths[restart] = float((p - before).detach().abs().max())
    assert lengths[True] == pytest.approx(1e-3, rel=1e-6)
    assert lengths[False] > 1.3 * lengths[True]


def test_reset_clears_infinities_and_amsgrad_maximum():
    for kernel in ("eager", "cpu"):
        p = torch.nn.Parameter(torch.zeros(3))
        lab = AdamWSPAM([p], reset_interval=2, amsgrad=True, kernel=kernel)
        p.grad = torch.tensor([float("inf"), 1.0, 1.0])
        lab.step()
        p.data.zero_()
        p.grad = torch.ones(3)
        lab.step()
        assert p.isfinite().all() and lab.state[p]["max_exp_avg_sq"].isfinite().all()
        torch.testing.assert_close(lab.state[p]["max_exp_avg_sq"], torch.full((3,), 0.001))


def test_published_freezes_a_row_unseen_in_the_grace_steps_and_ours_does_not():
    moved = {}
    for name, make in (("published", AdamWSPAM.published), ("lab", AdamWSPAM)):
        p = torch.nn.Parameter(torch.zeros(2))
        lab = make([p], lr=0.1, grace_steps=3)
        for t in range(10):
            p.grad = torch.tensor([1.0, 1.0 if t >= 5 else 0.0])
            lab.step()
        moved[name] = float(p.detach()[1])
    assert moved["published"] == 0.0
    assert moved["lab"] != 0.0


def test_reset_interval_zero_never_resets():
    p = torch.nn.Parameter(torch.zeros(3))
    lab = AdamWSPAM([p], spike_sigma=None)
    gaussian_run(lab, p, 10)
    assert "resets" not in lab.telemetry()


def test_a_parameter_without_gradient_is_left_and_the_clock_advances_once():
    p, q = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))
    lab = AdamWSPAM([{"params": [p]}, {"params": [q]}])
    for _ in range(3):
        q.grad = torch.ones(2)
        lab.step()
    assert p not in lab.state and float(lab.state[q]["step"]) == 3
    assert float(lab.param_groups[1]["group_step"]) == 3


def test_counters_and_history_survive_copy_and_checkpoint():
    p = torch.nn.Parameter(torch.zeros(50))
    lab = AdamWSPAM([p])
    gaussian_run(lab, p, 30)
    buffer = io.BytesIO()
    torch.save(lab.state_dict(), buffer)
    buffer.seek(0)
    q = torch.nn.Parameter(p.detach().clone())
    restored = AdamWSPAM([q])
    restored.load_state_dict(torch.load(buffer, weights_only=True))
    twin = copy.deepcopy(lab)
    for other in (restored, twin):
        for name in ("norms", "norms_seen", "spikes", "group_step", "elements_clipped"):
            assert torch.equal(other.param_groups[0][name], lab.param_groups[0][name]), name
    gaussian_run(lab, p, 30, seed=3)
    gaussian_run(restored, q, 30, seed=3)
    assert torch.equal(p, q)


def test_zero_and_nan_norms_do_not_enter_the_history():
    norms = []
    for norm in (1.0, 0.0, math.nan, 2.0):
        textbook.is_spike(norm, norms, 2.0, 100)
    assert norms == [1.0, 2.0]
    p = torch.nn.Parameter(torch.zeros(2))
    lab = AdamWSPAM([p])
    for value in (1.0, 0.0, math.nan, 2.0):
        p.grad = torch.full((2,), value)
        lab.step()
    assert int(lab.param_groups[0]["norms_seen"]) == 2


@pytest.mark.parametrize(("option", "value", "message"), [
    ("theta", 0, "Invalid theta value: 0; allowed: None or a number above 0"),
    ("spike_sigma", -1, "Invalid spike_sigma value: -1"),
    ("history", 5, "Invalid history value: 5; allowed: a whole number of at least 10"),
    ("spike_decay", (0.5, 2.0), "Invalid spike_decay value"),
    ("reset_interval", -1, "Invalid reset_interval value: -1; allowed: a whole number; 0: never"),
    ("warmup_steps", 1.5, "Invalid warmup_steps value: 1.5"),
    ("grace_steps", -2, "Invalid grace_steps value: -2"),
])
def test_bad_settings_are_named(option, value, message):
    with pytest.raises(ValueError, match=message):
        AdamWSPAM([torch.nn.Parameter(torch.zeros(1))], **{option: value})
