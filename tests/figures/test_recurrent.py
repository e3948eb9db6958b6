"""Figures of recurrent networks in training show the numbers that they are given."""

import pandas as pd
import pytest

from adamw_lab.figures import COLOURS, NAMES, new_figure
from adamw_lab.figures.recurrent import fig_adding, fig_explosion


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_adding_shows_a_running_mean_and_the_price_of_ignorance(ax):
    run = pd.DataFrame({"step": [1, 2, 3], "loss": [0.4, 0.2, 0.1]})
    fig_adding(ax, {"adamw": run, "sgd": run}, window=2)
    nothing, second, adamw, sgd = ax.lines
    assert nothing.get_ydata()[0] == pytest.approx(1 / 6) and second.get_ydata()[0] == pytest.approx(1 / 12)
    assert list(adamw.get_ydata()) == pytest.approx([0.4, 0.3, 0.15])
    assert sgd.get_color() == COLOURS["sgd"] and sgd.get_label() == NAMES["sgd"]


def test_what_was_clipped_is_dashed_and_hollow(ax):
    run = pd.DataFrame({"step": [1, 2], "grad_norm": [100.0, 1.0]})
    fig_explosion(ax, {"sgd": run, "sgd + clip": run}, "grad_norm")
    free, clipped = ax.lines
    assert free.get_ydata().tolist() == [100.0, 1.0] and ax.get_yscale() == "log"
    assert (free.get_linestyle(), clipped.get_linestyle()) == ("-", "--")
    assert clipped.get_markerfacecolor() == "white" and clipped.get_label() == NAMES["sgd"] + " + clip"
