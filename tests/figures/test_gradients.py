"""Figures of gradients show the numbers that they are given."""

import math

import pandas as pd
import pytest
import torch

from adamw_lab.cliff import cliff_loss
from adamw_lab.figures import COLOURS, new_figure
from adamw_lab.figures.gradients import fig_by_layer, fig_by_time, fig_cliff, gradients_figure


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_time_runs_backwards_from_the_last_state(ax):
    fig_by_time(ax, {"RNN": torch.tensor([1.0, 2.0, 4.0]), "GRU": torch.tensor([3.0, 3.0, 3.0])})
    plain, gated = ax.lines
    assert list(plain.get_xdata()) == [2, 1, 0] and list(plain.get_ydata()) == [0.25, 0.5, 1.0]
    assert list(gated.get_ydata()) == [1, 1, 1] and gated.get_label() == "GRU"


def test_what_float32_rounds_away_is_marked_where_it_is_reached(ax):
    fig_by_time(ax, {"RNN": torch.tensor([1e-9, 1.0])})
    assert ax.lines[0].get_ydata()[0] == pytest.approx(2**-24)


def test_layers_are_counted_from_the_input(ax):
    sizes = pd.Series([1.0, 10.0], index=["0.weight", "2.weight"])
    fig_by_layer(ax, {"adamw": sizes, "plain": 2 * sizes}, "length")
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1, 1], [2, 10]], [[1, 2], [2, 20]]]
    assert ax.lines[0].get_color() == COLOURS["adamw"] and ax.lines[0].get_label() == "AdamW"


def test_the_cliff_is_the_loss_with_paths_upon_it(ax):
    path = torch.tensor([[5.0, -2.0], [4.5, -2.5]])
    fig_cliff(ax, {"adam": path, "adam + clip": path}, points=5)
    shown = ax.images[0].get_array()
    corner = cliff_loss(torch.tensor(7.0, dtype=torch.float64), torch.tensor(-4.0, dtype=torch.float64))
    assert shown.shape == (5, 5) and math.isclose(shown[0, -1], float(corner))
    assert [line.get_label() for line in ax.lines[::2]] == ["Adam", "Adam + clip"]
    assert ax.lines[0].get_xydata().tolist() == path.tolist() and ax.lines[2].get_linestyle() == "--"


def test_the_committed_figure_vanishes_on_both_sides():
    left, right = gradients_figure(length=40, depth=12).axes
    fading = {line.get_label(): line.get_ydata() for line in left.lines}
    assert fading["RNN"][0] < 1e-6 < 1 < fading["RNN, radius 1.5"][0]
    plain, residual = (line.get_ydata() for line in right.lines)
    assert [text.get_text() for text in right.texts] == ["plain", "residual"] and right.get_legend() is None
    assert {"RNN", "GRU", "LSTM"} < {text.get_text() for text in left.texts}
    assert plain[0] < 0.01 * plain[-1] and residual[0] > 0.3 * residual[-1]
