"""The figures of AMSGrad show the counterexample."""

import numpy as np
import pytest

from adamw_lab.figures import new_figure
from adamw_lab.figures.amsgrad import amsgrad_figure, fig_counterexample, fig_shortening, fig_turning
from adamw_lab.rare_gradients import descend, turning_point


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_both_paths_and_the_minimum(ax):
    paths = {amsgrad: descend(steps=20, amsgrad=amsgrad) for amsgrad in (False, True)}
    fig_counterexample(ax, paths)
    minimum, adam, amsgrad = ax.lines
    assert minimum.get_ydata()[0] == -1 and [adam.get_label(), amsgrad.get_label()] == ["Adam", "AMSGrad"]
    np.testing.assert_array_equal(amsgrad.get_ydata(), paths[True]["x"])


def test_adam_turns_at_the_dot_and_amsgrad_never_errs(ax):
    fig_turning(ax, {"mine": (3.0, 3)})
    _, adam, amsgrad, dot = ax.lines
    x, y = adam.get_data()
    (turn,), _ = dot.get_data()
    assert turn == pytest.approx(1 / (1 - turning_point(3.0, 3)))
    assert (y[x < turn] > 1).all() and (y[x > turn] < 1).all() and (amsgrad.get_ydata() < 1).all()


def test_shortening_is_cumulative_and_in_percent(ax):
    fig_shortening(ax, {"a": np.array([1.0, 0.5, 0.75])})
    assert ax.lines[0].get_xydata().tolist() == [[50, 0], [75, 50], [100, 100]]


def test_the_figure_has_both_panels():
    left, right = amsgrad_figure().axes
    assert len(left.lines) == 3 and len(right.lines) == 7
