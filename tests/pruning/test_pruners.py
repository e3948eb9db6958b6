import copy

import pytest
import torch
from torch import nn

from adamw_lab.pruning import MagnitudePruner, MovementPruner, RandomPruner

ALL = [MagnitudePruner, MovementPruner, RandomPruner]
AT_ONCE = {"begin_step": 1, "end_step": 1, "target_sparsity": 0.5}
NUMBERS = {MagnitudePruner: 0, MovementPruner: 2, RandomPruner: 0}


def weight(*values):
    return nn.Parameter(torch.tensor([values]))


def train(model, optimizer, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 6, generator=generator)).square().mean().backward()
        optimizer.step()


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 5))


@pytest.mark.parametrize("pruner_class", ALL)
@pytest.mark.parametrize("scope", ["global", "layer", "erk"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_the_target_is_reached_exactly_and_pruned_weights_are_zero(pruner_class, scope, kind):
    model = small_model()
    optimizer = kind(model.named_parameters(), lr=0.01)
    pruner = pruner_class(optimizer, begin_step=2, end_step=9, update_every=3, scope=scope, target_sparsity=0.7)
    reached = []
    for step in range(12):
        train(model, optimizer, 1, seed=step)
        reached.append(round(pruner.sparsity() * 220))
        for name, mask in pruner.masks().items():
            assert (model.get_parameter(name)[mask] == 0).all()
    tau = [0, 3 / 7, 6 / 7, 1]
    expected = [round(220 * 0.7 * (1 - (1 - t) ** 3)) for t in tau]
    exact = scope != "layer"
    assert [reached[i] for i in (1, 4, 7, 8)] == pytest.approx(expected, abs=0 if exact else 1)
    assert reached[0] == 0 and reached[2] == reached[1] and reached[11] == reached[8] == 154
    assert set(pruner.masks()) == {"0.weight", "2.weight"}
    assert pruner.state_bytes() == 220 * (1 + 4 * NUMBERS[pruner_class])


@pytest.mark.parametrize("pruner_class", [MagnitudePruner, RandomPruner])
def test_what_is_pruned_stays_pruned(pruner_class):
    model = small_model()
    with torch.no_grad():
        model[0].weight[0] = 0.0  # live zeros rank as low as pruned weights do
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    pruner = pruner_class(optimizer, begin_step=1, end_step=20, update_every=1)
    before = pruner.masks()
    for step in range(20):
        train(model, optimizer, 1, seed=step)
        now = pruner.masks()
        assert set(now) == {0, 2}
        assert all((now[key] | ~before[key]).all() for key in now)
        before = now


def test_magnitude_by_hand():
    w = weight(3.0, -1.0, 2.0, -4.0)
    optimizer = torch.optim.SGD([w], lr=1.0)
    pruner = MagnitudePruner(optimizer, **AT_ONCE)
    w.grad = torch.tensor([[2.5, 0.0, 0.0, 0.0]])
    optimizer.step()
    assert w.tolist() == [[0.0, 0.0, 2.0, -4.0]]
    assert pruner.masks()[0].tolist() == [[True, True, False, False]]
    w.grad = torch.full((1, 4), -1.0)
    optimizer.step()
    assert w.tolist() == [[0.0, 0.0, 3.0, -3.0]]


def test_movement_by_hand():
    w = weight(1.0, 2.0, -3.0, 4.0)
    optimizer = torch.optim.SGD([w], lr=1.0)
    pruner = MovementPruner(optimizer, begin_step=1, end_step=3, update_every=2, target_sparsity=0.5, schedule="linear")
    # Scores -w·g: 0.5, -1, 1.5, -2; step 1 is the beginning, with sparsity 0.
    w.grad = torch.tensor([[-0.5, 0.5, 0.5, 0.5]])
    optimizer.step()
    assert w.tolist() == [[1.5, 1.5, -3.5, 3.5]]
    w.grad = torch.zeros(1, 4)
    optimizer.step()
    optimizer.step()
    assert pruner.masks()[0].tolist() == [[False, True, False, True]]
    assert w.tolist() == [[1.5, 0.0, -3.5, 0.0]]


def test_movement_lets_a_masked_weight_return_with_its_value():
    w = weight(1.0, 2.0)
    optimizer = torch.optim.SGD([w], lr=1.0)
    pruner = MovementPruner(optimizer, begin_step=0, end_step=3, update_every=2, target_sparsity=0.5, schedule="linear")
    w.grad = torch.tensor([[-0.5, 0.5]])  # scores 0.5, -1
    optimizer.step()
    pruner.begin_step, pruner.target_sparsity = 1, 0.99  # half of one of two weights: round(0.495 · 2) = 1
    w.grad = torch.zeros(1, 2)
    pruner.end_step, pruner.update_every = 3, 1
    optimizer.step()
    assert w.tolist() == [[1.5, 0.0]]
    # The masked weight, 1.5 when it was masked, sees the gradient taken at 0: its score becomes -1 + 1.5 · 2 = 2.
    pruner.target_sparsity = 0.5
    w.grad = torch.tensor([[0.0, -2.0]])
    optimizer.step()
    assert pruner.masks()[0].tolist() == [[True, False]]
    assert w.tolist() == [[0.0, 1.5]]


def test_movement_refuses_a_closure():
    optimizer = torch.optim.SGD([weight(1.0, 2.0)], lr=1.0)
    MovementPruner(optimizer, **AT_ONCE)
    with pytest.raises(ValueError, match="without a closure"):
        optimizer.step(lambda: torch.zeros(()))


@pytest.mark.parametrize("pruner_class", ALL)
def test_a_step_that_the_gradient_scaler_skips_does_not_count(pruner_class):
    w = weight(1.0, 2.0)
    optimizer = torch.optim.AdamW([w], lr=0.1, fused=True)
    pruner = pruner_class(optimizer, **AT_ONCE)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for gradient, steps in ((torch.inf, 0), (1.0, 1)):
        optimizer.zero_grad()
        scaler.scale((w * gradient).sum()).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert pruner.step == steps
    assert pruner.sparsity() == 0.5 and w.isfinite().all()


def test_movement_refuses_scaled_gradients():
    w = weight(1.0, 2.0)
    optimizer = torch.optim.AdamW([w], lr=0.1, fused=True)
    MovementPruner(optimizer, **AT_ONCE)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    with pytest.raises(ValueError, match="unscale_"):
        scaler.step(optimizer)


def test_random_depends_on_its_seed_alone():
    def mask(seed):
        w = nn.Parameter(torch.randn(10, 10))
        optimizer = torch.optim.SGD([w], lr=1.0)
        pruner = RandomPruner(optimizer, seed=seed, **AT_ONCE)
        optimizer.step()
        return pruner.masks()[0]

    assert torch.equal(mask(0), mask(0))
    assert not torch.equal(mask(0), mask(1))
    assert mask(0).sum() == 50


@pytest.mark.parametrize("pruner_class", ALL)
def test_going_on_from_a_saved_state_changes_nothing(pruner_class, tmp_path):
    options = {"begin_step": 1, "end_step": 10, "update_every": 2}
    model = small_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    pruner = pruner_class(optimizer, **options)
    train(model, optimizer, 5)
    torch.save([model.state_dict(), optimizer.state_dict(), pruner.state_dict()], tmp_path / "state")
    train(model, optimizer, 7)

    again = small_model()
    optimizer = torch.optim.Adam(again.parameters(), lr=0.05)
    resumed = pruner_class(optimizer, **options)
    for thing, state in zip((again, optimizer, resumed), torch.load(tmp_path / "state"), strict=True):
        thing.load_state_dict(state)
    train(again, optimizer, 7)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_state_of_other_parameters_is_refused():
    pruner = MagnitudePruner(torch.optim.SGD([weight(1.0)], lr=1.0), **AT_ONCE)
    other = copy.deepcopy(pruner.state_dict())
    other["state"][3] = other["state"].pop(0)
    with pytest.raises(ValueError, match="state of other parameters: 0, 3"):
        pruner.load_state_dict(other)


@pytest.mark.parametrize(("values", "pruner_class", "message"), [
    ((1.0,), MagnitudePruner, r"the mask of parameter 0 is of shape \(1, 1\); allowed: \(1, 2\)"),
    ((1.0, 2.0), MovementPruner, "the score of parameter 0 is none"),
])
def test_state_of_another_pruner_is_refused_and_nothing_loaded(values, pruner_class, message):
    saved = MagnitudePruner(torch.optim.SGD([weight(*values)], lr=1.0), **AT_ONCE)
    saved.step = 7
    pruner = pruner_class(torch.optim.SGD([weight(3.0, 4.0)], lr=1.0), **AT_ONCE)
    with pytest.raises(ValueError, match=message):
        pruner.load_state_dict(saved.state_dict())
    assert pruner.step == 0


def test_movement_counts_the_other_way_round_where_the_optimizer_maximizes():
    found = []
    for maximize in (False, True):
        w = weight(1.0, 2.0, -3.0, 4.0)
        optimizer = torch.optim.SGD([w], lr=0.1, maximize=maximize)
        pruner = MovementPruner(optimizer, **AT_ONCE)
        w.grad = torch.tensor([[-0.5, 0.5, 0.5, 0.5]]) * (-1 if maximize else 1)
        optimizer.step()
        found.append((pruner.masks()[0], w.detach()))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


OTHERS = {name: getattr(torch.optim, name) for name in (
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD", "Adafactor",
    "Muon")}


@pytest.mark.parametrize("name", OTHERS)
def test_any_optimizer_of_torch_can_be_pruned(name):
    model = nn.Sequential(nn.Linear(6, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))
    optimizer = OTHERS[name](model.parameters(), lr=0.01)
    for pruner_class in ALL:
        pruner = pruner_class(optimizer, begin_step=1, end_step=4, update_every=2)
        train(model, optimizer, 6)
        assert pruner.sparsity() == round(0.7 * 220) / 220
        assert all((p[mask] == 0).all() for p, mask in zip(model.parameters(), pruner.masks().values(), strict=True))
        pruner.remove()


def test_with_a_closure():
    model = small_model()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    pruner = MagnitudePruner(optimizer, begin_step=1, end_step=3, update_every=1)
    x = torch.randn(8, 6)

    def closure():
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
    assert pruner.sparsity() == round(0.7 * 220) / 220
    assert all((model.get_parameter(f"{layer}.weight") == 0).sum() >= 0.4 * n for layer, n in ((0, 120), (2, 100)))


def test_removed_pruners_let_go():
    w = weight(1.0, 2.0)
    optimizer = torch.optim.SGD([w], lr=1.0)
    for pruner_class in ALL:
        pruner_class(optimizer, **AT_ONCE).remove()
    w.grad = torch.ones(1, 2)
    optimizer.step()
    assert w.tolist() == [[0.0, 1.0]]


def test_groups_opt_out():
    first, second = weight(1.0, 2.0), weight(1.0, 2.0)
    groups = [{"params": [first], "prunable": False}, {"params": [second, nn.Parameter(torch.ones(3))]}]
    optimizer = torch.optim.SGD(groups, lr=0.0)
    pruner = MagnitudePruner(optimizer, **AT_ONCE)
    optimizer.step()
    assert set(pruner.masks()) == {1} and pruner.sparsity() == 0.5


@pytest.mark.parametrize("pruner_class", ALL)
def test_a_diverged_layer_is_reported_and_no_layer_pruned(pruner_class):
    good, bad = weight(1.0, 2.0), weight(float("nan"), 1.0)
    optimizer = torch.optim.SGD([("good", good), ("bad", bad)], lr=1.0)
    pruner = pruner_class(optimizer, scope="layer", **AT_ONCE)
    good.grad, bad.grad = torch.zeros(1, 2), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="1 in tensor bad"):
        optimizer.step()
    assert pruner.sparsity() == 0 and good.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target_sparsity": 1.5}, "Invalid target_sparsity: 1.5"),
        ({"begin_step": 2}, "Invalid begin_step, end_step: 2, 1"),
        ({"update_every": 0}, "Invalid update_every: 0"),
        ({"update_every": 1.5}, "Invalid update_every: 1.5; allowed: a whole number of at least 1"),
        ({"begin_step": 0.5}, "Invalid begin_step: 0.5"),
        ({"begin_step": 0, "end_step": 0}, "Invalid end_step: 0; allowed: a whole number of at least 1"),
        ({"target_sparsity": "0.5"}, "Invalid target_sparsity: '0.5'"),
        ({"scope": "globl"}, "unknown scope 'globl'; .*Did you mean 'global'"),
        ({"schedule": "kubic"}, "unknown schedule 'kubic'"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        MagnitudePruner(torch.optim.SGD([weight(1.0)], lr=1.0), **{**AT_ONCE, **wrong})


def test_nothing_to_prune():
    with pytest.raises(ValueError, match="nothing to prune"):
        MagnitudePruner(torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=1.0), **AT_ONCE)
