"""The effects of AdamWAdv's switches, by hand, and their figure."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from adamw_lab.figures import new_figure
from adamw_lab.figures.switches import fig_clipping, fig_switches, main_effects, switch_effects, switches_figure


@pytest.fixture
def runs():
    """AMSGrad does nothing, a clip adds 1, the cosine takes 2 away, all give or take a seed's noise."""
    noise = np.random.default_rng(0).normal(size=(3, 2, 2, 2))
    rows = [{"seed": seed, "amsgrad": bool(a), "clip_norm": 1.0 if c else np.nan,
             "schedule": "cosine" if s else "constant", "validation_loss": 10 * seed + c - 2 * s + noise[seed, a, c, s]}
            for seed, a, c, s in itertools.product(range(3), (0, 1), (0, 1), (0, 1))]
    return pd.DataFrame(rows)


def values(runs, **wanted):
    chosen = runs
    for name, value in wanted.items():
        chosen = chosen[chosen[name].isna() if value is None else chosen[name] == value]
    return chosen.groupby("seed")["validation_loss"].mean().to_numpy()


def test_every_combination_beside_none_paired_by_seed(runs):
    table = switch_effects(runs).set_index("switches")
    assert table.index.tolist() == ["AMSGrad", "clip", "cosine", "AMSGrad + clip", "AMSGrad + cosine", "clip + cosine",
                                    "AMSGrad + clip + cosine"]
    none = values(runs, amsgrad=False, clip_norm=None, schedule="constant")
    both = values(runs, amsgrad=False, clip_norm=1.0, schedule="cosine")
    row = table.loc["clip + cosine"]
    np.testing.assert_allclose(row["differences"], both - none)
    interval = ttest_1samp(both - none, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_main_effects_are_over_all_states_of_the_others(runs):
    table = main_effects(runs).set_index("switches")
    expected = values(runs, schedule="cosine") - values(runs, schedule="constant")
    np.testing.assert_allclose(table.loc["cosine", "differences"], expected)
    assert table.loc["cosine", "difference"] == pytest.approx(expected.mean())


@pytest.mark.parametrize("effect", [switch_effects, main_effects])
def test_a_run_that_is_missing_is_not_passed_over(runs, effect):
    for less in (runs[1:], runs[runs["seed"] == 0]):
        with pytest.raises(ValueError, match="two seeds or more, and each seed in every combination"):
            effect(less)


def test_the_figure_shows_seeds_interval_and_mean(runs):
    _, (ax,) = new_figure()
    table = main_effects(runs)
    fig_switches(ax, table)
    dots, bar, mean = ax.lines[:3]
    np.testing.assert_allclose(dots.get_xdata(), -table["differences"][0])
    assert bar.get_xdata().tolist() == [-table["high"][0], -table["low"][0]], "less loss is a gain"
    assert list(mean.get_xdata()) == [-table["difference"][0]] and dots.get_ydata()[0] > mean.get_ydata()[0]
    left, right = switches_figure(runs).axes
    assert left.get_xlim() == right.get_xlim() and len(left.get_yticks()) == 7 and len(right.get_yticks()) == 3


def test_clipping_parts_the_steps_at_the_limit():
    _, (ax,) = new_figure()
    fig_clipping(ax, pd.DataFrame({"step": [1, 2, 3], "grad_norm": [0.5, 2.0, 0.9]}), clip_norm=1.0)
    whole, cut, limit = ax.lines
    assert whole.get_xdata().tolist() == [1, 3] and cut.get_xdata().tolist() == [2] and limit.get_ydata()[0] == 1.0
