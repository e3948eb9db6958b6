"""AdamWPrune: exact counts, zeros that stay zeros, and a mask that goes wherever the state goes."""

import copy
import io
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.optim import AdamWPrune, parameter_groups, state_bytes
from adamw_lab.pruning import IMPORTANCE, SCHEDULES

KERNELS = ("eager", "cpu")


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Flatten(),
                                   torch.nn.Linear(6 * 4, 7), torch.nn.Linear(7, 4))


def train(model, optimizer, steps, seed=0, watch=lambda t: None):
    generator = torch.Generator().manual_seed(seed)
    for t in range(1, steps + 1):
        x = torch.randn(8, 4, 4, 4, generator=generator)
        optimizer.zero_grad()
        loss = (model(x) - x.mean((2, 3))).square().mean()
        loss.backward()
        optimizer.step()
        watch(t)
    return loss


def prunable(optimizer):
    return [p for group in optimizer.param_groups if group["prunable"] for p in group["params"] if p.ndim >= 2]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("base", ["adamw", "adamwadv", "adamwspam"])
def test_pruned_weights_are_zero_after_every_step_and_never_return(base, kernel):
    model = network()
    options = {"adamwspam": dict(reset_interval=13, spike_decay=(0.5, 0.9))}.get(base, {})
    optimizer = AdamWPrune(parameter_groups(model), lr=0.01, base=base, begin_step=3, end_step=20, update_every=5,
                           total_steps=40, kernel=kernel, **options)
    earlier = {}

    def watch(t):
        masks = optimizer.masks()
        for name, p in model.named_parameters():
            if name in masks:
                assert (p[masks[name]] == 0).all()
                assert (masks[name] | ~earlier.get(name, masks[name])).all()
        earlier.update(masks)

    train(model, optimizer, 40, watch=watch)
    total = sum(p.numel() for p in prunable(optimizer))
    assert sum(int(m.sum()) for m in earlier.values()) == round(0.7 * total)
    assert optimizer.sparsity() == round(0.7 * total) / total
    assert set(earlier) == {"0.weight", "3.weight", "4.weight"}


@settings(max_examples=25, deadline=None)
@given(target=st.floats(0, 0.99), importance=st.sampled_from(sorted(IMPORTANCE)),
       schedule=st.sampled_from(sorted(SCHEDULES)), levels=st.integers(1, 4))
def test_the_count_is_exact_whatever_ties(target, importance, schedule, levels):
    generator = torch.Generator().manual_seed(levels)
    params = [torch.nn.Parameter(torch.randint(-levels, levels + 1, shape, generator=generator).float())
              for shape in [(9, 5), (3, 7, 2, 2)]]
    optimizer = AdamWPrune(params, lr=1e-3, target_sparsity=target, begin_step=1, end_step=3, update_every=1,
                           importance=importance, schedule=schedule)
    for _ in range(3):
        for p in params:
            p.grad = torch.randint(-1, 2, p.shape, generator=generator).float()
        optimizer.step()
    total = sum(p.numel() for p in params)
    assert sum(int(m.sum()) for m in optimizer.masks().values()) == round(target * total)


def test_schedule_is_followed_and_the_last_update_is_at_end_step():
    p = torch.nn.Parameter(torch.randn(50, 20))
    optimizer = AdamWPrune([p], begin_step=10, end_step=37, update_every=8, target_sparsity=0.8, schedule="linear")
    reached = {}
    for t in range(1, 60):
        p.grad = torch.randn(50, 20)
        optimizer.step()
        reached[t] = optimizer.sparsity()
    assert reached[17] == reached[10] == 0.0
    for t in (18, 26, 34, 37):
        assert reached[t] == pytest.approx(0.8 * (t - 10) / 27, abs=1e-3)
    assert reached[36] == reached[34] and reached[59] == reached[37] == 0.8


def test_magnitude_prunes_the_smallest_weights():
    p = torch.nn.Parameter(torch.arange(1.0, 13.0).view(3, 4))
    optimizer = AdamWPrune([p], lr=1e-6, target_sparsity=0.5, begin_step=1, end_step=1, importance="magnitude")
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert optimizer.masks()[0].flatten().tolist() == [True] * 6 + [False] * 6


def test_a_live_weight_that_is_zero_stays_trainable():
    p = torch.nn.Parameter(torch.tensor([[0.0, 5.0, 6.0, 1e-3]]))
    optimizer = AdamWPrune([p], lr=0.1, target_sparsity=0.25, begin_step=2, end_step=2, importance="magnitude")
    for _ in range(4):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert (p == 0).sum() == 1
    fresh = torch.nn.Parameter(torch.zeros(1, 4))
    idle = AdamWPrune([fresh], lr=0.1, begin_step=100, end_step=100)
    fresh.grad = torch.ones_like(fresh)
    idle.step()
    assert (fresh != 0).all()


def test_mask_survives_checkpoint_copy_pickle_and_casts():
    model = network()
    optimizer = AdamWPrune(parameter_groups(model), begin_step=2, end_step=4, update_every=1, amsgrad=True)
    train(model, optimizer, 6)
    expected = optimizer.masks()
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        buffer.seek(0)
        twin = copy.deepcopy(model).to(dtype)
        loaded = AdamWPrune(parameter_groups(twin), begin_step=2, end_step=4, update_every=1, amsgrad=True)
        loaded.load_state_dict(torch.load(buffer, weights_only=True))
        assert all(torch.equal(loaded.masks()[k], expected[k]) for k in expected), dtype
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert all(torch.equal(other.masks()[k], expected[k]) for k in expected)


def test_mask_survives_a_stay_in_torch_adamw():
    model = network()
    optimizer = AdamWPrune(parameter_groups(model), begin_step=2, end_step=4, update_every=1)
    train(model, optimizer, 6)
    expected = optimizer.masks()
    plain = torch.optim.AdamW(parameter_groups(model))
    plain.load_state_dict(optimizer.state_dict())
    back = AdamWPrune(parameter_groups(model), begin_step=2, end_step=4, update_every=1)
    back.load_state_dict(plain.state_dict())
    assert all(torch.equal(back.masks()[k], expected[k]) for k in expected)
    train(model, plain, 2)
    assert all(p.isfinite().all() for p in model.parameters())


def test_resumed_training_is_the_same_training():
    runs = []
    for interrupted in (False, True):
        model = network()
        optimizer = AdamWPrune(parameter_groups(model), lr=0.01, begin_step=4, end_step=30, update_every=5)
        train(model, optimizer, 20)
        if interrupted:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = AdamWPrune(parameter_groups(model), lr=0.01, begin_step=4, end_step=30, update_every=5)
            optimizer.load_state_dict(state)
        train(model, optimizer, 20, seed=1)
        runs.append((optimizer.sparsity(), [p.detach().clone() for p in model.parameters()]))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))


def test_no_bytes_beyond_adamw():
    model = network()
    optimizer = AdamWPrune(parameter_groups(model), begin_step=1, end_step=2)
    plain = torch.optim.AdamW(parameter_groups(model))
    train(model, optimizer, 3)
    train(model, plain, 3)
    ours, theirs = state_bytes(optimizer), state_bytes(plain)
    assert {k: ours[k] for k in theirs if k not in ("total", "per_parameter")} == {
        k: theirs[k] for k in theirs if k not in ("total", "per_parameter")}
    assert set(ours) - set(theirs) == {"group"} and ours["group"] < 200  # counters of the two groups


def test_nan_in_v_is_not_a_mark():
    p = torch.nn.Parameter(torch.ones(2, 2))
    for kernel in KERNELS:
        optimizer = AdamWPrune([p], begin_step=50, end_step=50, kernel=kernel)
        p.grad = torch.tensor([[math.nan, -math.nan], [1.0, 1.0]])
        optimizer.step()
        optimizer.step()
        assert p.isnan().sum() == 2 and optimizer.sparsity() == 0.0
        p.data.fill_(1.0)


@pytest.mark.parametrize("importance", sorted(IMPORTANCE))
def test_weights_of_a_diverged_run_are_reported_and_not_pruned(importance):
    p = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = AdamWPrune([("layer.weight", p)], begin_step=2, end_step=3, importance=importance)
    p.grad = torch.ones(4, 4)
    optimizer.step()
    p.grad[0, 0] = math.nan
    with pytest.raises(ValueError, match="NaN cannot be ranked.*layer.weight"):
        optimizer.step()
    assert optimizer.sparsity() == 0.0


def test_adopt_zeros_keeps_what_someone_else_pruned():
    model = network()
    with torch.no_grad():
        model[3].weight.mul_(torch.rand(model[3].weight.shape) < 0.3)
    zeros = model[3].weight == 0
    optimizer = AdamWPrune(parameter_groups(model), target_sparsity=0.0, begin_step=1, end_step=1)
    optimizer.adopt_zeros()
    train(model, optimizer, 5)
    assert torch.equal(model[3].weight == 0, zeros)
    assert torch.equal(optimizer.masks()["3.weight"], zeros)


def test_scopes():
    counts = {}
    for scope in ("global", "layer", "erk"):
        model = network()
        optimizer = AdamWPrune(parameter_groups(model), scope=scope, begin_step=1, end_step=2, target_sparsity=0.5)
        train(model, optimizer, 3)
        counts[scope] = {name: (int(m.sum()), m.numel()) for name, m in optimizer.masks().items()}
    assert all(pruned == round(0.5 * n) for pruned, n in counts["layer"].values())
    total = sum(n for _, n in counts["erk"].values())
    assert sum(pruned for pruned, _ in counts["erk"].values()) == round(0.5 * total)
    assert counts["erk"]["3.weight"][0] / 168 > counts["erk"]["4.weight"][0] / 28


def test_pattern_leaves_n_of_m_input_channels():
    model = network()
    groups = [{"params": [("0", model[0].weight), ("3", model[3].weight)]},
              {"params": [("4", model[4].weight)], "prunable": False}]
    optimizer = AdamWPrune(groups, lr=0.01, pattern="2:4", begin_step=2, end_step=12, update_every=5)
    train(model, optimizer, 15)
    assert optimizer.sparsity() == 0.5
    for weight in (model[0].weight, model[3].weight):
        kept = (weight != 0).movedim(1, -1).unflatten(-1, (-1, 4)).sum(-1)
        assert (kept == 2).all()


def test_groups_override_settings_and_opt_out():
    model = network()
    groups = [{"params": [("0", model[0].weight)], "target_sparsity": 0.25},
              {"params": [("3", model[3].weight)], "target_sparsity": 0.75},
              {"params": [("4", model[4].weight)], "prunable": False}]
    optimizer = AdamWPrune(groups, begin_step=1, end_step=2)
    train(model, optimizer, 3)
    shares = {name: float(m.float().mean()) for name, m in optimizer.masks().items()}
    assert shares == pytest.approx({"0": 0.25, "3": 0.75}, abs=0.01)


def test_regrow_exchanges_live_weights_and_keeps_the_count():
    p = torch.nn.Parameter(torch.arange(1.0, 41.0).view(4, 10))
    optimizer = AdamWPrune([p], lr=1e-4, target_sparsity=0.5, begin_step=1, end_step=9, update_every=2,
                           schedule="linear", importance="magnitude", regrow=0.2)
    revived = 0
    for _ in range(9):
        p.grad = torch.linspace(2, 1, 40).view(4, 10)  # the smallest weights have the largest gradients
        optimizer.step()
        revived += optimizer.telemetry().get("revived", 0)
    assert revived > 0
    assert optimizer.sparsity() == 0.5
    assert (p[optimizer.masks()[0]] == 0).all()


def test_a_function_can_be_the_importance():
    p = torch.nn.Parameter(torch.arange(1.0, 9.0).view(2, 4))
    optimizer = AdamWPrune([p], lr=1e-6, target_sparsity=0.5, begin_step=1, end_step=1,
                           importance=lambda w, m, v: -w.abs())
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert optimizer.masks()[0].flatten().tolist() == [False] * 4 + [True] * 4


def test_frozen_weights_score_by_magnitude():
    frozen = torch.nn.Parameter(torch.tensor([[1e-9, 50.0]]), requires_grad=False)
    p = torch.nn.Parameter(torch.full((1, 2), 10.0))
    optimizer = AdamWPrune([frozen, p], lr=1e-4, target_sparsity=0.25, begin_step=1, end_step=1, importance="fisher")
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert optimizer.masks()[0].tolist() == [[True, False]]
    assert frozen[0, 0] == 0.0


def test_the_initializing_step_of_distributed_checkpointing_prunes_nothing():
    p = torch.nn.Parameter(torch.randn(4, 4))
    optimizer = AdamWPrune([p], lr=0.0, begin_step=1, end_step=1)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    assert optimizer.sparsity() == 0.0


WEIGHT = [torch.nn.Parameter(torch.ones(4, 6))]


@pytest.mark.parametrize(("options", "message"), [
    (dict(target_sparsity=1.0), "Invalid target_sparsity: 1.0"),
    (dict(target_sparsity=-0.1), "Invalid target_sparsity: -0.1"),
    (dict(begin_step=5, end_step=2), "Invalid begin_step, end_step: 5, 2"),
    (dict(begin_step=None), "begin_step is not given; allowed: a step number, or total_steps"),
    (dict(importance="magnitud"), "unknown importance 'magnitud'; allowed: .*Did you mean 'magnitude'"),
    (dict(schedule="cubik"), "unknown schedule 'cubik'; allowed: .*Did you mean 'cubic'"),
    (dict(scope="locally"), "unknown scope 'locally'; allowed: global, layer, erk"),
    (dict(base="adamwspan"), "unknown base 'adamwspan'; allowed: .*Did you mean 'adamwspam'"),
    (dict(update_every=0), "Invalid update_every: 0; allowed: a whole number of at least 1"),
    (dict(begin_step=0, end_step=0), "Invalid end_step: 0; allowed: a whole number of at least 1"),
    (dict(begin_step=1.5), "Invalid begin_step: 1.5"),
    (dict(target_sparsity=math.nan), "Invalid target_sparsity: nan"),
    (dict(regrow=1.5), "Invalid regrow value: 1.5"),
    (dict(pattern="2:4"), "pattern '2:4' does not divide the 6 input channels of parameter 0"),
    (dict(pattern="4:2"), "Invalid pattern: '4:2'"),
    (dict(pattern="1:2", target_sparsity=0.7), "Invalid target_sparsity value: 0.7; pattern '1:2' fixes it at 0.5"),
])
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AdamWPrune(WEIGHT, **{"begin_step": 1, "end_step": 5, **options})


def test_an_option_of_another_base_is_refused():
    with pytest.raises(TypeError, match="unexpected option 'thetta' for base 'adamwspam'.*Did you mean 'theta'"):
        AdamWPrune(WEIGHT, base="adamwspam", begin_step=1, end_step=2, thetta=3)
    with pytest.raises(TypeError, match="unexpected option 'theta' for base 'adamw'"):
        AdamWPrune(WEIGHT, begin_step=1, end_step=2, theta=3)
