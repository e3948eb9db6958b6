"""AdamWPrune where something is unusual: NaN, infinity, half precision, zeros already there, functions as scores."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.bench.transients import transient_bytes
from adamw_lab.optim import AdamWPrune, masks
from adamw_lab.pruning import IMPORTANCE


@pytest.mark.parametrize("options", [{"scope": "layer"}, {"scope": "erk"}, {"groups": True}])
def test_where_one_layer_has_a_nan_no_layer_is_pruned(options):
    good, bad = (torch.nn.Parameter(torch.randn(4, 4)) for _ in range(2))
    groups = [{"params": [("good", good)]}, {"params": [("bad", bad)]}]
    if options.pop("groups", False):
        groups[0]["target_sparsity"] = 0.25  # pools of their own
    optimizer = AdamWPrune(groups, begin_step=1, end_step=1, **options)
    good.grad, bad.grad = torch.ones(4, 4), torch.ones(4, 4).index_fill(0, torch.tensor(1), math.nan)
    with pytest.raises(ValueError, match="4 in tensor bad"):
        optimizer.step()
    assert optimizer.sparsity() == 0.0 and good.all()


def test_a_nan_under_a_pattern_is_named():
    p = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = AdamWPrune([("layer.weight", p)], pattern="2:4", begin_step=1, end_step=1)
    p.grad = torch.ones(4, 4)
    p.grad[0, 0] = math.nan
    with pytest.raises(ValueError, match="1 in tensor layer.weight"):
        optimizer.step()


def test_infinite_weights_under_a_pattern():
    p = torch.nn.Parameter(torch.tensor([[1.0, math.inf, math.inf, math.inf]] * 2))
    optimizer = AdamWPrune([p], lr=1e-3, pattern="2:4", begin_step=1, end_step=1, importance="magnitude")
    p.grad = torch.ones(2, 4)
    optimizer.step()
    assert optimizer.masks()[0].tolist() == [[True, True, False, False]] * 2


@settings(max_examples=40, deadline=None)
@given(zeros=st.lists(st.booleans(), min_size=24, max_size=24), seed=st.integers(0, 99))
def test_a_pattern_holds_on_a_model_with_zeros_of_its_own(zeros, seed):
    generator = torch.Generator().manual_seed(seed)
    dead = torch.tensor(zeros).view(3, 8)
    p = torch.nn.Parameter(torch.randn(3, 8, generator=generator).masked_fill(dead, 0.0))
    optimizer = AdamWPrune([p], pattern="2:4", begin_step=1, end_step=3, update_every=1)
    optimizer.adopt_zeros()
    for _ in range(3):
        p.grad = torch.randn(3, 8, generator=generator)
        optimizer.step()
    pruned = optimizer.masks()[0]
    assert (pruned | ~dead).all()
    found, wanted = (mask.unflatten(1, (2, 4)).sum(2) for mask in (pruned, dead))
    assert torch.equal(found, wanted.clamp(min=2))


@pytest.mark.parametrize("scope", ["global", "erk"])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_adopted_zeros_count_towards_the_target(scope, share):
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(20, 10), (10, 6, 3, 3)]]
    with torch.no_grad():
        params[0][torch.rand(20, 10, generator=generator) < share] = 0.0
    adopted = params[0] == 0
    optimizer = AdamWPrune(params, target_sparsity=0.5, begin_step=1, end_step=3, update_every=1, scope=scope)
    optimizer.adopt_zeros()
    for _ in range(3):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()
    assert optimizer.sparsity() == 0.5
    assert (optimizer.masks()[0] | ~adopted).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("importance", sorted(IMPORTANCE))
def test_half_precision_counts_exactly_and_its_moments_may_overflow(importance, dtype):
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randint(-3, 4, shape, generator=generator).to(dtype))
              for shape in [(9, 5), (3, 7, 2, 2)]]
    optimizer = AdamWPrune(params, lr=0.0, target_sparsity=0.37, begin_step=1, end_step=2, update_every=1, eps=1e-4,
                           importance=importance)
    for _ in range(2):
        for p in params:  # v / (1 - β2) of 300² is no float16 number, and times the square of a weight of 0 not one
            p.grad = 300 * torch.randint(-1, 2, p.shape, generator=generator).to(dtype)
        optimizer.step()
    assert sum(int(m.sum()) for m in optimizer.masks().values()) == round(0.37 * 129)


@pytest.mark.parametrize("gradient", [None, math.nan])
def test_regrowth_keeps_the_count_whatever_the_gradients(gradient):
    """Of a frozen layer that holds the smallest weights; and NaN where a weight is pruned moves nothing."""
    still = torch.nn.Parameter(1e-3 * torch.randn(10, 10), requires_grad=gradient is not None)
    p = torch.nn.Parameter(torch.randn(10, 10))
    optimizer = AdamWPrune([still, p], lr=1e-4, importance="magnitude", regrow=0.5, target_sparsity=0.3, begin_step=1,
                           end_step=5, update_every=1, schedule="linear")
    for step in range(5):
        p.grad = torch.randn(10, 10)
        if gradient is not None:
            still.grad = torch.where(optimizer.masks()[0], gradient, 0.0)
        before = optimizer.masks()
        optimizer.step()
        after, told = optimizer.masks(), optimizer.telemetry()
        assert sum(int(m.sum()) for m in after.values()) == round(0.3 * 200 * step / 4)
        assert told["revived"] == sum(int((before[i] & ~after[i]).sum()) for i in after)
        assert told["newly_pruned"] == sum(int((after[i] & ~before[i]).sum()) for i in after)


def test_a_function_sees_whole_layers_and_must_score_every_weight():
    p, seen = torch.nn.Parameter(torch.randn(600, 500)), []
    by_size = dict(target_sparsity=0.5, begin_step=1, end_step=1)
    optimizer = AdamWPrune([p], importance=lambda w, m, v: seen.append(w.shape) or w.abs() / w.norm(), **by_size)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert set(seen) == {(600, 500)} and optimizer.sparsity() == 0.5
    optimizer = AdamWPrune([p], importance=lambda w, m, v: w.norm(), **by_size)
    with pytest.raises(ValueError, match=r"gave \(\) for weights of shape \(600, 500\)"):
        optimizer.step()


def test_a_function_is_not_saved_and_the_loading_optimizer_has_its_own():
    def made():
        return AdamWPrune([{"params": [p]}, {"params": [q], "importance": lambda w, m, v: -w.abs()}], begin_step=2,
                          end_step=2, target_sparsity=0.5, lr=1e-6, importance="magnitude")

    p, q = (torch.nn.Parameter(torch.arange(1.0, 5.0).view(1, 4)) for _ in range(2))
    optimizer, buffer = made(), io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    loaded = made()
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    for _ in range(2):
        p.grad, q.grad = torch.ones(1, 4), torch.ones(1, 4)
        loaded.step()
    assert [m.tolist() for m in loaded.masks().values()] == [[[True, True, False, False]], [[False, False, True, True]]]


def test_an_interval_longer_than_the_run_prunes_once_at_the_end():
    p = torch.nn.Parameter(torch.randn(10, 10))
    optimizer = AdamWPrune([p], total_steps=20, update_every=1000)
    reached = []
    for _ in range(20):
        p.grad = torch.randn(10, 10)
        optimizer.step()
        reached.append(optimizer.sparsity())
    assert reached == [0.0] * 14 + [0.7] * 6


def test_a_mask_update_that_prunes_nothing_new_walks_over_no_scores(monkeypatch):
    """Many pruned weights share the score -inf; that is no tie to resolve."""
    monkeypatch.setattr(masks, "MOST_TIES", 10)
    monkeypatch.setattr(masks, "Scores", None)
    p = torch.nn.Parameter(torch.randn(10, 10).masked_fill(torch.arange(100).view(10, 10) < 30, 0.0))
    optimizer = AdamWPrune([p], target_sparsity=0.3, begin_step=1, end_step=2, update_every=1, kernel="cpu")
    optimizer.adopt_zeros()
    for _ in range(2):
        p.grad = torch.randn(10, 10)
        optimizer.step()
    assert optimizer.sparsity() == 0.3


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
def test_what_is_pruned_stays_so_where_its_group_is_taken_out_and_in(kernel):
    """The kernel went by a flag of its own: weights revived on loading, or were never pruned again."""
    generator = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.randn(6, 6, generator=generator))
    optimizer = AdamWPrune([{"params": [p], "prunable": False}], begin_step=2, end_step=8, update_every=2,
                           target_sparsity=0.5, kernel=kernel)

    def train(steps):
        for _ in range(steps):
            p.grad = torch.randn(6, 6, generator=generator)
            optimizer.step()

    train(3)
    optimizer.param_groups[0]["prunable"] = True
    train(5)
    assert optimizer.sparsity() == 0.5 and (p == 0).sum() == 18
    optimizer.param_groups[0]["prunable"] = False
    optimizer.load_state_dict(optimizer.state_dict())
    train(2)
    assert (p == 0).sum() == 18


def test_a_pruned_weight_is_zero_after_a_step_that_gives_it_no_gradient():
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.nn.Parameter(torch.randn(4, 4, generator=generator)) for _ in range(2))
    optimizer = AdamWPrune([p, q], begin_step=1, end_step=1, target_sparsity=0.5, scope="layer")
    for gradient in (torch.ones(4, 4), None):
        p.grad, q.grad = gradient, torch.ones(4, 4)
        optimizer.step()
        p.data.masked_fill_(p == 0, 3.0)  # as by weights that are loaded meanwhile
    q.grad.zero_()
    optimizer.step()
    assert (p == 0).sum() == 8


def test_regrowth_holds_no_mask_of_the_whole_model():
    def transient(layers):
        params = [torch.nn.Parameter(torch.randn(256, 256)) for _ in range(layers)]
        optimizer = AdamWPrune(params, regrow=0.2, begin_step=1, end_step=9, update_every=1, target_sparsity=0.5)
        for p in params:
            p.grad = torch.randn(256, 256)
        optimizer.step()
        optimizer.step()
        return transient_bytes(optimizer.step)

    assert transient(40) - transient(8) < 16 * 256 * 256  # bytes; masks of 32 layers more are twice that
