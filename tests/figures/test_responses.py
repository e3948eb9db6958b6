"""Figures of responses show the numbers given, and Adam's figure the formulas beside what was measured."""

import numpy as np
import pandas as pd
import pytest

from adamw_lab.figures import new_figure
from adamw_lab.figures.responses import (
    adam_figure,
    fig_bias,
    fig_checked,
    fig_moments,
    fig_responses,
    fig_scale,
    fig_sparse,
)


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_responses_are_sizes_by_step(ax):
    fig_responses(ax, {"adam": np.array([-1.0, 2.0])})
    assert ax.lines[0].get_xydata().tolist() == [[1, 1.0], [2, 2.0]]


def test_moments_are_the_mean_and_the_root(ax):
    fig_moments(ax, np.array([1.0, 2.0]), {"m_hat": np.array([1.0, 1.5]), "v_hat": np.array([1.0, 4.0])})
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [1, 1.5], [1, 2]]


def test_sparse_travel_is_drawn_by_optimizer(ax):
    fig_sparse(ax, pd.DataFrame({"optimizer": ["sgd_plain", "adam"], "share": [0.1, 0.1], "travel": [0.1, 0.3]}))
    assert [line.get_label() for line in ax.lines] == ["SGD", "Adam"]
    assert ax.lines[1].get_xydata().tolist() == [[0.1, 0.3]]


def test_the_formula_is_the_line_and_the_dots_are_measured(ax):
    fig_checked(ax, [1, 2], {"a": (np.array([1.0, 2.0]), np.array([3.0, 4.0]))})
    line, dots = ax.lines
    assert list(line.get_ydata()) == [3, 4] and list(dots.get_ydata()) == [1, 2] and dots.get_linestyle() == "None"


def test_the_dots_lie_on_the_lines(ax):
    other = new_figure()[1][0]
    fig_bias(ax, np.array([1, 10, 100]), 0.9, (0.99, 0.999))
    fig_scale(other, np.logspace(-10, 0, 5), (1e-8, 1e-4))
    for axes in (ax, other):
        for line, dots in (axes.lines[:2], axes.lines[2:4]):
            np.testing.assert_allclose(line.get_ydata(), dots.get_ydata(), rtol=1e-6)
    assert ax.lines[2].get_ydata()[1] == pytest.approx(6.53, abs=0.01)


def test_steps_that_are_too_short_are_in_the_picture(ax):
    fig_bias(ax, np.array([1, 10, 100]), 0.9, (0.9, 0.99))
    assert ax.get_ylim()[0] < min(np.min(line.get_ydata()) for line in ax.lines) < 0.4


def test_adams_figure_has_three_panels():
    assert [ax.get_title(loc="left") for ax in adam_figure().axes] == [
        "Bias correction", "Sparse gradients", "Scale and ε"]
