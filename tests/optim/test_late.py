"""The norm that is taken along with the update: when, and what a spike found afterwards leaves.

`test_oracle.py` follows it against the textbook.
"""

import math

import pytest
import torch

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM
from adamw_lab.optim.kernels import cpu


def step_with(optimizer, params, gradients):
    for p, g in zip(params, gradients, strict=True):
        p.grad = g.clone()
    optimizer.step()


def pair(make, shapes=((300, 90), (7,)), dtype=torch.float64):
    """The same optimizer twice, on kernels of which only the first takes the norm along."""
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    twins = []
    for kernel in ("cpu", "eager"):
        params = [torch.nn.Parameter(t.clone()) for t in start]
        twins.append((params, make(params, kernel=kernel)))
    return twins


def gradients(params, step, scale=1.0):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(p.shape, generator=generator, dtype=p.dtype) * scale for p in params]


def assert_equal(twins):
    (mine, optimizer), (others, plain) = twins
    for p, q in zip(mine, others, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12, equal_nan=True)
        for name, moment in optimizer.state[p].items():
            torch.testing.assert_close(moment, plain.state[q][name], rtol=1e-12, atol=1e-12, equal_nan=True)
    told, expected = optimizer.telemetry(), plain.telemetry()
    assert told.keys() == expected.keys()
    for name, number in told.items():
        torch.testing.assert_close(torch.as_tensor(number), torch.as_tensor(expected[name]), check_dtype=False,
                                   equal_nan=True)


@pytest.fixture
def norms_alone(monkeypatch):
    """Counts the passes that read the gradients for their norm alone."""
    passes = []
    monkeypatch.setattr(cpu, "norm", lambda tensors, norm=cpu.norm: passes.append(1) or norm(tensors))
    return passes


@pytest.mark.parametrize("options", [
    {}, dict(spike_decay=(0.5, 1.0)), dict(theta=None), dict(amsgrad=True), dict(maximize=True),
    dict(reset_interval=5, warmup_steps=2, grace_steps=1), dict(total_steps=50)])
def test_a_step_whose_norm_only_judges_spikes_reads_the_gradients_once(options, norms_alone):
    twins = pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel, **options))
    for step in range(1, 31):
        for params, optimizer in twins:
            step_with(optimizer, params, gradients(params, step, 30.0 if step in (15, 20, 25) else 1.0))
        assert_equal(twins)
    assert twins[0][1].telemetry()["spikes"] >= 3
    assert norms_alone == []


@pytest.mark.parametrize("options", [
    dict(clip_norm=1.0), dict(spike_decay=(0.5, 0.9)), dict(spike_decay=(0.0, 0.0)), dict(betas=(0.9, 0.0)),
    dict(betas=(0.9, 0.8))])
def test_a_norm_that_the_update_needs_is_taken_before_it(options, norms_alone):
    twins = pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel, **options))
    for step in range(1, 18):
        for params, optimizer in twins:
            step_with(optimizer, params, gradients(params, step, 30.0 if step == 15 else 1.0))
        assert_equal(twins)
    assert len(norms_alone) == 17


@pytest.mark.parametrize("kernel", ["cpu", "eager"])
def test_a_weight_that_the_second_moment_does_not_bound_survives_a_spike(kernel):
    """With beta2 = 0 a step without a spike would throw the first weight a thousand steps far at its last gradient."""
    p = torch.nn.Parameter(torch.full((2,), 0.5))
    optimizer = AdamWSPAM([p], betas=(0.9, 0.0), theta=None, weight_decay=0.0, kernel=kernel)
    for step in range(20):
        step_with(optimizer, [p], [torch.tensor([1e3, 1000.0 + step % 3])])
    before = p.detach().clone()
    step_with(optimizer, [p], [torch.tensor([0.0, 1e6])])
    assert optimizer.telemetry()["spikes"] == 1
    assert p[0] == before[0] > 0.4


def test_one_group_that_clips_by_the_norm_makes_all_wait_for_it(norms_alone):
    def make(params, kernel):
        return AdamWSPAM([{"params": params[:1]}, {"params": params[1:], "clip_norm": 1.0}], lr=0.1, kernel=kernel)

    twins = pair(make)
    for step in range(1, 14):
        for params, optimizer in twins:
            step_with(optimizer, params, gradients(params, step, 30.0 if step == 12 else 1.0))
    assert_equal(twins)
    assert len(norms_alone) == 2 * 13, "one for each group"


def test_a_group_without_a_detector_keeps_its_momentum_at_a_spike(norms_alone):
    def make(params, kernel):
        return AdamWSPAM([{"params": params[:1]}, {"params": params[1:], "spike_sigma": None}], lr=0.1, kernel=kernel)

    twins = pair(make)
    for step in range(1, 14):
        for params, optimizer in twins:
            step_with(optimizer, params, gradients(params, step, 30.0 if step == 12 else 1.0))
    assert_equal(twins)
    assert norms_alone == []


def test_parameters_that_no_flat_kernel_serves_have_the_norm_taken_first(norms_alone):
    p, q = (torch.nn.Parameter(torch.ones(4, 6, dtype=torch.float64)) for _ in range(2))
    optimizer = AdamWSPAM([p, q])
    p.grad, q.grad = torch.ones_like(p), torch.ones(4, 1, dtype=torch.float64).expand(4, 6)
    optimizer.step()
    assert len(norms_alone) == 1, "of p, since the gradient of q is not laid out as q is"
    assert float(optimizer.telemetry()["grad_norm"]) == pytest.approx(math.sqrt(48))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_gradients_that_are_no_numbers(value):
    twins = pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel, theta=None))
    for step in range(1, 13):
        for params, optimizer in twins:
            grads = gradients(params, step)
            if step == 12:
                grads[0][3, 5] = value
            step_with(optimizer, params, grads)
        assert_equal(twins)
    assert twins[0][1].telemetry()["spikes"] == (0 if math.isnan(value) else 1)


def test_weights_that_saw_no_gradient_before_the_spike():
    """Their v was 0, so that nothing of them is clipped; v alone would not tell them from others that are."""
    twins = pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel, theta=1.0))
    for step in range(1, 14):
        for params, optimizer in twins:
            grads = gradients(params, step, 30.0 if step == 12 else 1.0)
            if step < 12:
                grads[0][::2] = 0.0
            step_with(optimizer, params, grads)
        assert_equal(twins)
    assert twins[0][1].telemetry()["elements_clipped"] > 0


def test_pruned_weights_stay_pruned_at_a_spike(norms_alone):
    def make(params, kernel):
        return AdamWPrune(params, lr=0.1, base="adamwspam", kernel=kernel, begin_step=2, end_step=8, update_every=3,
                          target_sparsity=0.5)

    twins = pair(make)
    for step in range(1, 15):
        for params, optimizer in twins:
            step_with(optimizer, params, gradients(params, step, 30.0 if step == 12 else 1.0))
        assert_equal(twins)
    assert twins[0][1].telemetry()["spikes"] >= 1 and norms_alone == []
    assert (twins[0][0][0] == 0).float().mean() == 0.5


def test_the_loss_scale_is_taken_from_a_norm_that_follows():
    twins = pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel))
    plain, scaled = twins[0], pair(lambda params, kernel: AdamWSPAM(params, lr=0.1, kernel=kernel))[0]
    for step in range(1, 14):
        grads = gradients(plain[0], step, 30.0 if step == 12 else 1.0)
        step_with(plain[1], plain[0], grads)
        scaled[1].grad_scale, scaled[1].found_inf = torch.tensor(256.0), torch.tensor(0.0)
        step_with(scaled[1], scaled[0], [g * 256.0 for g in grads])
    assert_equal([plain, scaled])
    scaled[1].found_inf = torch.tensor(1.0)
    before = [p.clone() for p in scaled[0]]
    step_with(scaled[1], scaled[0], gradients(scaled[0], 99, math.inf))
    assert all(torch.equal(p, b) for p, b in zip(scaled[0], before, strict=True))
    assert scaled[1].param_groups[0]["norms_seen"] == 13


def test_adv_alone_has_no_use_for_it(norms_alone):
    params, optimizer = pair(lambda params, kernel: AdamWAdv(params, total_steps=9, kernel=kernel))[0]
    step_with(optimizer, params, gradients(params, 1))
    assert len(norms_alone) == 1
