"""Descents by the textbook's rules are those of the optimizers that one trains with."""

from functools import partial

import numpy as np
import pytest
import torch

from adamw_lab.descents import LRS, RULES, best_lr, descend, respond, sweep
from adamw_lab.landscapes import LANDSCAPES
from adamw_lab.optim import OPTIMIZERS, build_optimizer

STEPS = 60


def real(name):
    """What makes the optimizer of that name from the settings of `descend`."""
    if name == "sgd_plain":
        return partial(build_optimizer, "sgd", momentum=0.0)

    def make(params, **settings):
        betas = settings.pop("betas", None)
        words = {"sgd": lambda b: {"momentum": b[0]}, "rmsprop": lambda b: {"alpha": b[1]}, "adagrad": lambda b: {}}
        if betas is not None:
            settings |= words.get(name, lambda b: {"betas": b})(betas)
        settings.setdefault("weight_decay", 0.0)
        if name == "adamwadv":
            settings["total_steps"] = STEPS
        return build_optimizer(name, params, **settings)

    return make


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("options", [
    {}, {"betas": (0.8, 0.95), "weight_decay": 0.1, "noise": 0.5, "spikes": {20: 30.0}, "seed": 3}])
@pytest.mark.filterwarnings("ignore:AdamWAdv without total_steps")
def test_the_rules_walk_as_the_optimizers_do(name, options):
    if name == "sgd_plain":
        options = {key: value for key, value in options.items() if key != "betas"}
    ours = descend("valley", name, STEPS, lr=0.03, **options)
    theirs = descend("valley", real(name), STEPS, lr=0.03, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)


def test_every_named_optimizer_but_the_pruner_is_there():
    assert set(RULES) == set(OPTIMIZERS) - {"adamwprune"} | {"sgd_plain"}


def test_a_row_is_what_it_says():
    place = LANDSCAPES["beale"]
    run = descend("beale", "sgd_plain", 5, lr=0.01, spikes={3: 7.0})
    assert run["step"].tolist() == list(range(6)) and (run["x"][0], run["y"][0]) == place.start
    assert run["grad_x"].isna().tolist() == [True] + 5 * [False]
    for t in range(1, 6):
        at = run["x"][t - 1], run["y"][t - 1]
        expected = np.array(place.gradient(*at)) * (7.0 if t == 3 else 1.0)
        np.testing.assert_allclose(run.loc[t, ["grad_x", "grad_y"]].astype(float), expected)
        np.testing.assert_allclose(run.loc[t, ["x", "y"]].astype(float), np.array(at) - 0.01 * expected)
        assert run["loss"][t] == pytest.approx(float(place.value(run["x"][t], run["y"][t])))


def test_the_noise_is_the_seeds_alone():
    first, again, other = (descend("valley", name, 30, lr=1e-9, seed=seed)
                           for name, seed in (("adam", 0), ("sgd_plain", 0), ("adam", 1)))
    np.testing.assert_allclose(first["grad_x"], again["grad_x"], atol=1e-5)
    assert (first["grad_x"] - other["grad_x"]).abs().max() > 0.5
    longer = descend("valley", "adam", 40, lr=1e-9, seed=0)
    np.testing.assert_array_equal(longer["grad_y"][:31], first["grad_y"])


@pytest.mark.parametrize("name", ["adam", "adagrad", "sgd", "adamwspam"])
def test_a_sweep_is_its_descents(name):
    lrs = (1e-3, 1e-2, 0.1)
    table = sweep("valley", name, lrs, 40, seed=2)
    for row in table.itertuples():
        gaps = descend("valley", name, 40, lr=row.lr, seed=2)["loss"] - LANDSCAPES["valley"].lowest
        assert row.mean_loss == pytest.approx(gaps[1:].mean(), rel=1e-9)
        assert row.last_loss == pytest.approx(gaps.iloc[-1], rel=1e-9)


def test_a_sweep_of_a_torch_class_is_that_of_its_rule():
    ours, theirs = (sweep("beale", it, (1e-3, 1e-2), 20) for it in ("adam", torch.optim.Adam))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_divergence_is_infinite_and_never_the_best():
    table = sweep("rosenbrock", "sgd_plain")
    assert np.isinf(table["mean_loss"].iloc[-1])
    best = best_lr("rosenbrock", "sgd_plain")
    assert best in LRS and table.set_index("lr")["mean_loss"][best] == table["mean_loss"].min() < 24.2


def test_responses_are_changes_in_learning_rates():
    constant = np.full((50, 1), 3.0)
    np.testing.assert_allclose(respond("adam", constant), -1, atol=1e-7)
    np.testing.assert_allclose(respond("adagrad", constant)[:, 0], -1 / np.sqrt(np.arange(1, 51)), atol=1e-7)
    gradients = np.random.default_rng(0).standard_normal((20, 3))
    np.testing.assert_allclose(respond("adam", gradients, lr=0.1, betas=(0.5, 0.9), eps=0.1),
                               respond(torch.optim.Adam, gradients, lr=0.1, betas=(0.5, 0.9), eps=0.1), rtol=1e-9)


@pytest.mark.parametrize(("options", "message"), [
    ({"lr": -1.0}, "Invalid lr value: -1.0; allowed: a number of at least 0"),
    ({"lr": float("nan")}, "Invalid lr value: nan"),
    ({"betas": (0.9, 1.0)}, r"Invalid betas: \(0.9, 1.0\); allowed: two numbers in \[0, 1\)"),
    ({"betas": (0.9,)}, r"Invalid betas: \(0.9,\); allowed: two numbers"),
    ({"weight_decay": -0.1}, "Invalid weight_decay value: -0.1"),
    ({"eps": -1e-8}, "Invalid eps value"), ({"noise": -1.0}, "Invalid noise value: -1.0"),
    ({"steps": 0}, "Invalid steps value: 0; allowed: a whole number of at least 1"),
    ({"steps": 1.5}, "Invalid steps value: 1.5"), ({"spikes": {0: 2.0}}, "Invalid spike at step 0; allowed: from 1"),
    ({"optimizer": "adan"}, "unknown optimizer 'adan'; allowed: .*Did you mean 'adam'"),
    ({"landscape": "hill"}, "unknown landscape 'hill'")])
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        descend(**({"landscape": "beale", "optimizer": "adam", "lr": 0.1} | options))


def test_gradients_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"Invalid shape of gradients: \(3,\); allowed: \[T, n\]"):
        respond("adam", np.ones(3))


def test_an_optimizer_that_was_registered_descends_by_its_name(lion):
    ours = descend("beale", "lion", 20, lr=0.1, weight_decay=0.1, betas=(0.8, 0.9))
    assert ours.equals(descend("beale", lion, 20, lr=0.1, weight_decay=0.1, betas=(0.8, 0.9)))
    assert sweep("beale", "lion", [0.1], 20).equals(sweep("beale", lion, [0.1], 20))
    np.testing.assert_allclose(respond("lion", np.array([[2.0], [-9.0], [0.0]])), [[-1.0], [1.0], [1.0]])
