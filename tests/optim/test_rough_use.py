"""What users do to an optimizer that no paper foresees: odd gradients, swapped weights, checkpoints of others."""

import io
import math
import threading

import pytest
import torch
from torch.testing._internal.two_tensor import TwoTensor

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM, policy, textbook

KERNELS = ("eager", "cpu")
PRUNE = dict(begin_step=1, end_step=3, update_every=1, target_sparsity=0.5)


def step(optimizer, *gradients):
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer.step()


def noise(optimizer, p, steps, spoil=lambda t, g: g, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for t in range(1, steps + 1):
        step(optimizer, spoil(t, torch.randn(p.shape, generator=generator)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_infinite_element_is_clipped_and_leaves_no_trace(kernel):
    """The element detector saves the weights; the norm is infinite before there is a history to winsorize it by."""
    p = torch.nn.Parameter(torch.zeros(50))
    optimizer = AdamWSPAM([p], kernel=kernel)

    def spoil(t, g):
        g[0] = math.inf if t == 4 else g[0]
        return g * (100.0 if t == 30 else 1.0)

    noise(optimizer, p, 29, spoil)
    spikes = int(optimizer.telemetry()["spikes"])
    noise(optimizer, p, 30, spoil)
    assert p.isfinite().all() and optimizer.param_groups[0]["norms"].isfinite().all()
    assert int(optimizer.telemetry()["spikes"]) > spikes


def test_the_textbook_keeps_no_infinite_norm_either():
    norms = []
    for norm in (1.0, math.inf, 2.0):
        assert not textbook.is_spike(norm, norms, 2.0, 100)
    assert norms == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_of_half_precision_does_not_overflow(dtype):
    p = torch.nn.Parameter(torch.zeros(1000, 1000, dtype=dtype))
    optimizer = AdamWAdv([p], lr=0.01, eps=1e-4, total_steps=10)
    step(optimizer, torch.full_like(p, 100.0))
    assert float(optimizer.telemetry()["grad_norm"]) == pytest.approx(1e5, rel=0.01)
    assert (p != 0).all()


def test_the_norm_detector_can_be_switched_on_and_its_history_changed():
    p = torch.nn.Parameter(torch.zeros(50))
    optimizer = AdamWSPAM([p], spike_sigma=None)
    noise(optimizer, p, 3)
    optimizer.param_groups[0]["spike_sigma"] = 2.0
    noise(optimizer, p, 30)
    assert int(optimizer.param_groups[0]["norms_seen"]) == 30
    optimizer.param_groups[0]["history"] = 20
    noise(optimizer, p, 12)
    assert len(optimizer.param_groups[0]["norms"]) == 20 and int(optimizer.param_groups[0]["norms_seen"]) == 12


@pytest.mark.parametrize("counter", [torch.tensor(7.0, dtype=torch.float64), torch.tensor([7.0])])
def test_a_step_counter_of_another_kind_still_counts(counter):
    p = torch.nn.Parameter(torch.zeros(5))
    optimizer = AdamWSPAM([p], kernel="cpu")
    step(optimizer, torch.ones(5))
    optimizer.state[p]["step"] = counter.clone()
    step(optimizer, torch.ones(5))
    assert float(optimizer.state[p]["step"]) == 8.0 and optimizer.state[p]["step"].dtype == counter.dtype


def test_tensors_that_hold_tensors_move_as_these_do():
    """Such a subclass has no address of its own."""
    parts = [torch.ones(3, 4), torch.full((3, 4), 2.0)]
    p = torch.nn.Parameter(TwoTensor(*(t.clone() for t in parts)))
    plain = torch.nn.Parameter(parts[0].clone())
    step(AdamWSPAM([p], spike_sigma=None), TwoTensor(torch.ones(3, 4), torch.ones(3, 4)))
    step(AdamWSPAM([plain], spike_sigma=None), torch.ones(3, 4))
    torch.testing.assert_close(p.detach().a, plain.detach())
    torch.testing.assert_close(p.detach().b, plain.detach() + 1 - 1e-5, rtol=0, atol=1e-6)  # its decay is of 2


@pytest.mark.parametrize("kernel", KERNELS)
def test_lazy_signs_and_conjugates_of_gradients_are_seen(kernel):
    p, q = (torch.nn.Parameter(torch.zeros(6)) for _ in range(2))
    step(AdamWAdv([p, q], total_steps=9, kernel=kernel), torch._neg_view(torch.ones(6)), torch.full((6,), -1.0))
    assert torch.equal(p, q) and (p > 0).all()
    z, w = (torch.nn.Parameter(torch.zeros(6, dtype=torch.complex64)) for _ in range(2))
    g = torch.randn(6, dtype=torch.complex64)
    step(AdamWAdv([z, w], total_steps=9, kernel=kernel), g.conj(), g.conj().resolve_conj())
    assert torch.equal(z, w) and (z != 0).all()


def test_an_overflow_on_several_devices_does_not_turn_the_clock_back():
    """GradScaler adds up what it found on each."""
    assert [float(policy.without_overflow(torch.tensor([found]))) for found in (0.0, 1.0, 2.0)] == [1.0, 0.0, 0.0]


def test_a_function_as_importance_is_not_saved_and_stays():
    p = torch.nn.Parameter(torch.randn(5, 5))
    optimizer = AdamWPrune([p], importance=lambda w, m, v: -w.abs(), **PRUNE)
    step(optimizer, torch.randn(5, 5))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    importance = optimizer.param_groups[0]["importance"]
    optimizer.load_state_dict(torch.load(file, weights_only=True))
    assert optimizer.param_groups[0]["importance"] is importance
    step(optimizer, torch.randn(5, 5))


@pytest.mark.parametrize("source", [torch.optim.AdamW, AdamWSPAM])
def test_a_dense_run_is_taken_over_and_pruned_where_its_groups_say_so(source):
    """A setting that the checkpoint lacks stays the group's; pruning is not switched off by one that does not prune."""
    params = [torch.nn.Parameter(torch.randn(5, 5)) for _ in range(2)]
    dense = source([{"params": [p]} for p in params])
    step(dense, torch.randn(5, 5), torch.randn(5, 5))
    optimizer = AdamWPrune([{"params": params[:1]}, {"params": params[1:], "prunable": False}], **PRUNE)
    optimizer.load_state_dict(dense.state_dict())
    for _ in range(3):
        step(optimizer, torch.randn(5, 5), torch.randn(5, 5))
        assert int((params[0] == 0).sum()) / 25 == optimizer.sparsity() and (params[1] != 0).all()
    assert optimizer.sparsity() == 12 / 25


def test_threads_may_step_at_once():
    def run(seed):
        p = torch.nn.Parameter(torch.zeros(40_000))
        optimizer = AdamWSPAM([p])
        noise(optimizer, p, 30, seed=seed)
        found[seed] = p.detach()

    found = {}
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(found)
    for seed in range(4):
        run(seed)
        assert torch.equal(together[seed], found[seed])


def test_the_step_itself_may_be_compiled():
    moved = []
    for compiler in (lambda f: f, torch.compile(backend="eager")):
        p = torch.nn.Parameter(torch.ones(5))
        optimizer = AdamWAdv([p], total_steps=9)
        call = compiler(optimizer.step)
        p.grad = torch.ones(5)
        call()
        call()
        moved.append((p.detach(), float(optimizer.state[p]["step"])))
    assert moved[0][1] == moved[1][1] == 2 and torch.equal(moved[0][0], moved[1][0])
