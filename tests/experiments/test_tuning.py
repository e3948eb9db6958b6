"""Tuning: the same number of trials for all, the best by validation, and a grid that grows where its edge is best."""

import pandas as pd
import pytest

from adamw_lab.experiments.catalogue_optimizers import SPACES
from adamw_lab.experiments.tuning import Space, best_trials, edge_arms, grid_arms

SPACE = {"adamw": Space((1e-3, 1e-2), (0.0, 0.1))}


def trials(*rows, dataset="digits"):
    columns = ["optimizer", "lr", "weight_decay", "validation_accuracy", "validation_loss", "status"]
    return pd.DataFrame(rows, columns=columns).assign(dataset=dataset, optimizer_options="{}")


def test_every_optimizer_has_as_many_trials():
    arms = grid_arms(SPACES)
    assert {sum(arm["optimizer"] == name for arm in arms.values()) for name in SPACES} == {8}
    assert arms["sgd_lr0.1_wd0.0005"] == {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4}


@pytest.mark.parametrize(("dataset", "rate"), [("digits", 1e-2), ("pydoc_text", 1e-3)])
def test_the_best_is_by_accuracy_or_where_that_is_no_measure_by_loss(dataset, rate):
    runs = trials(("adamw", 1e-3, 0.0, 0.90, 0.1, "finished"), ("adamw", 1e-2, 0.0, 0.95, 0.2, "finished"),
                  ("adamw", 1e-2, 0.1, 0.95, 0.3, "finished"), ("adamw", 1e-1, 0.0, 0.99, 0.01, "diverged"),
                  dataset=dataset)
    assert best_trials(runs) == {"adamw": {"optimizer": "adamw", "lr": rate, "weight_decay": 0.0}}


def test_seeds_are_averaged_before_the_best_is_taken():
    runs = trials(("adamw", 1e-3, 0.0, 0.9, 0.1, "finished"), ("adamw", 1e-3, 0.0, 0.9, 0.1, "finished"),
                  ("adamw", 1e-2, 0.0, 1.0, 0.1, "finished"), ("adamw", 1e-2, 0.0, 0.7, 0.1, "finished"))
    assert best_trials(runs)["adamw"]["lr"] == 1e-3


@pytest.mark.parametrize(("best", "further"), [(1e-3, 1e-4), (1e-2, 1e-1)])
def test_a_best_on_the_edge_extends_the_grid(best, further):
    runs = trials(*(("adamw", lr, 0.0, float(lr == best), 0.1, "finished") for lr in (1e-3, 1e-2)))
    arms = edge_arms(SPACE, runs)
    assert [arm["lr"] for arm in arms.values()] == [further] * 2
    assert {arm["weight_decay"] for arm in arms.values()} == {0.0, 0.1}


def test_it_ends_inside_or_after_two_more():
    inside = trials(*(("adamw", lr, 0.0, float(lr == 1e-2), 0.1, "finished") for lr in (1e-3, 1e-2, 1e-1)))
    assert not edge_arms(SPACE, inside)
    still = trials(*(("adamw", lr, 0.0, lr, 0.1, "finished") for lr in (1e-3, 1e-2, 1e-1, 1.0)))
    assert not edge_arms(SPACE, still)


def test_a_best_decay_on_the_edge_extends_the_grid_once_the_rate_lies_within():
    rates = (1e-4, 1e-3, 1e-2, 1e-1)
    space = {"adamw": Space((1e-3, 1e-2), (0.01, 0.1))}

    def best_at(decay, *decays):
        return trials(*(("adamw", lr, wd, float(lr == 1e-2) + float(wd == decay), 0.1, "finished")
                        for lr in rates for wd in decays))

    for decay, decays, further in ((0.1, (0.01, 0.1), 1.0), (0.01, (0.01, 0.1), 0.001), (1.0, (0.01, 0.1, 1.0), 10.0)):
        arms = edge_arms(space, best_at(decay, *decays))
        assert arms == {f"adamw_lr0.01_wd{further:g}": {"optimizer": "adamw", "lr": 1e-2, "weight_decay": further}}
    assert not edge_arms(space, best_at(10.0, 0.01, 0.1, 1.0, 10.0)), "two more, and no further"
    assert not edge_arms(space, best_at(0.0, 0.0, 0.01, 0.1)), "no decay is the end, not an edge"
    assert not edge_arms({"adamw": Space((1e-3, 1e-2), (0.1,))}, best_at(0.1, 0.1)), "a decay that was not tuned"


def test_all_trials_of_an_optimizer_have_its_options():
    options = {"reset_interval": 60}
    arms = grid_arms(SPACE, {"adamw": options})
    assert all(arm["optimizer_options"] == options for arm in arms.values())
    runs = trials(("adamw", 1e-2, 0.0, 0.9, 0.1, "finished"), ("adamw", 1e-3, 0.0, 0.8, 0.1, "finished"))
    runs["optimizer_options"] = '{"reset_interval": 60}'
    assert best_trials(runs)["adamw"]["optimizer_options"] == options
    assert all(arm["optimizer_options"] == options for arm in edge_arms(SPACE, runs).values())


def test_an_optimizer_of_which_every_trial_diverged_has_no_best():
    assert best_trials(trials(("adamw", 1.0, 0.0, 0.1, 9.0, "diverged"))) == {}
