"""The landscape explorer draws the descents that its controls say."""

import numpy as np
import pytest

from adamw_lab.descents import best_lr, descend
from adamw_lab.figures.landscapes import _best_lr
from adamw_lab.landscapes import LANDSCAPES
from adamw_lab.widgets import Explorer, landscape, landscape_explorer
from adamw_lab.widgets.controls import values_of


@pytest.fixture
def explorer():
    given = {"optimizers": ["adam", "adamwspam"], "lr": 0.1, "steps": 40, "spike_at": 0}
    made = Explorer(landscape.fig_landscape, landscape.CONTROLS, values_of(landscape.CONTROLS, given),
                    {"columns": 2, "width": 7.0, "height": 2.9})
    yield made
    made.close()


def lines(ax):
    return {line.get_gid(): np.asarray(line.get_xydata(), dtype=float) for line in ax.lines}


@pytest.mark.parametrize(("moves", "options"), [
    ({}, {}), ({"beta1": 0.5}, {"betas": (0.5, 0.999)}), ({"beta2": 0.9}, {"betas": (0.9, 0.9)}),
    ({"noise": 0.3, "seed": 3}, {"noise": 0.3, "seed": 3}), ({"weight_decay": 0.1}, {"weight_decay": 0.1}),
    ({"spike_at": 7, "spike_factor": 100.0}, {"spikes": {7: 100.0}})])
def test_what_is_drawn_is_the_descent(explorer, moves, options):
    for name, value in moves.items():
        explorer.controls[name].value = value
    assert explorer.message == ""
    for rule in ("adam", "adamwspam"):
        run = descend("rosenbrock", rule, 40, lr=0.1, **options)
        np.testing.assert_allclose(lines(explorer.axes[0])[rule], run[["x", "y"]], atol=1e-4)
        np.testing.assert_allclose(lines(explorer.axes[1])[rule], run[["step", "loss"]], rtol=1e-6)
    assert ("spike 7" in lines(explorer.axes[1])) == ("spike_at" in moves)


def test_the_best_learning_rate_is_each_ones_own(explorer):
    explorer.controls["lr"].value = "best"
    assert explorer.values["lr"] is None
    run = descend("rosenbrock", "adam", 40, lr=best_lr("rosenbrock", "adam", steps=40))
    np.testing.assert_allclose(lines(explorer.axes[1])["adam"], run[["step", "loss"]], rtol=1e-6)


def test_landscape_and_legend_follow(explorer):
    explorer.controls["landscape"].value = "saddle"
    explorer.controls["optimizers"].value = ("sgd",)
    assert explorer.axes[0].get_title(loc="left") == LANDSCAPES["saddle"].title
    assert [text.get_text() for text in explorer.axes[1].get_legend().texts] == ["SGD + momentum"]
    assert set(lines(explorer.axes[1])) == {"sgd"}
    fresh = landscape_explorer(explorer.values)
    for old, new in zip(explorer.axes, fresh.axes, strict=True):
        assert lines(old).keys() == lines(new).keys() and old.get_xlim() == new.get_xlim()
        assert all(np.array_equal(lines(old)[gid], lines(new)[gid]) for gid in lines(new))


def test_wrong_settings_are_told(explorer):
    explorer.controls["optimizers"].value = ()
    assert explorer.message.startswith("no optimizer is chosen; allowed: one or more of sgd_plain")
    explorer.controls["optimizers"].value = ("adam",)
    explorer.controls["spike_at"].value = 41
    assert explorer.message == "Invalid spike at step 41; allowed: from 1 to 40"
    explorer.controls["steps"].value = 50
    assert explorer.message == ""


def test_a_drag_waits_for_no_search_for_learning_rates():
    """The search is what takes the time of a redraw; one slider that has nothing to do with it does not begin it."""
    made = Explorer(landscape.fig_landscape, landscape.CONTROLS, values_of(landscape.CONTROLS, {}),
                    {"columns": 2, "width": 7.0, "height": 2.9})
    searched = _best_lr.cache_info().misses
    for at in range(101, 110):
        made.controls["spike_at"].value = at
        assert made.seconds > 0
    assert _best_lr.cache_info().misses == searched
    made.controls["seed"].value = 1
    made.close()
    assert _best_lr.cache_info().misses > searched
