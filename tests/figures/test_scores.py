"""Figures of spikes and scores show the numbers that they are given."""

import math

import numpy as np
import pandas as pd
import pytest

from adamw_lab.figures import new_figure
from adamw_lab.figures.scores import fig_agreement, fig_schedules
from adamw_lab.figures.spikes import fig_bowl, fig_clipped, fig_detection, spike_figure
from adamw_lab.pruning import SCHEDULES, sparsity_at


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_agreement_writes_every_correlation(ax):
    names = ["hybrid", "fisher"]
    fig_agreement(ax, pd.DataFrame([[1.0, -0.25], [-0.25, 1.0]], index=names, columns=names))
    assert [t.get_text() for t in ax.texts] == ["1", "-.25", "-.25", "1"]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1.0, -0.25], [-0.25, 1.0]])


def test_schedules_are_the_stairs_that_are_applied(ax):
    fig_schedules(ax, list(SCHEDULES), target=0.8, begin_step=10, end_step=50, total_steps=60, update_every=15)
    for line, name in zip(ax.lines, SCHEDULES, strict=True):
        x, y = line.get_data()
        assert list(x) == [0, 10, 25, 40, 50, 60]
        wanted = [100 * sparsity_at(s, begin_step=10, end_step=50, target=0.8, schedule=name) for s in (10, 25, 40, 50)]
        assert list(y) == pytest.approx([0, *wanted, 80])


def test_the_bowl_marks_its_spikes(ax):
    run = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]})
    fig_bowl(ax, {"adamw": run, "adamwspam": run / 2}, "loss", {2: 9.0})
    spike, *lines = ax.lines
    assert spike.get_xdata()[0] == 2 and [line.get_label() for line in lines] == ["AdamW", "AdamWSPAM"]
    assert list(lines[0].get_ydata()) == [3.0, 2.0, 1.0] and ax.get_yscale() == "log"


def test_detection_and_clipping_are_in_percent(ax):
    fig_detection(ax, {"a": pd.DataFrame({"threshold": [1], "precision": [0.5], "recall": [0.25]})}, "recall")
    assert ax.lines[0].get_xydata().tolist() == [[1.0, 25.0]]
    fig_clipped(ax, pd.DataFrame({"theta": [50.0], "clipped": [0.01]}))
    assert ax.lines[1].get_xydata().tolist() == [[50.0, 1.0]]


def test_where_nothing_is_called_or_clipped_there_is_no_dot(ax):
    curve = pd.DataFrame({"threshold": [1, 9], "precision": [0.5, math.nan], "recall": [0.25, 0.0]})
    fig_detection(ax, {"a": curve}, "precision")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [50.0, math.nan])
    fig_clipped(ax, pd.DataFrame({"theta": [10.0, 50.0], "clipped": [0.01, 0.0]}))
    assert ax.lines[1].get_xydata().tolist() == [[10.0, 1.0]] and ax.get_xlim()[1] > 50


def test_the_spike_figure_shows_both_optimizers():
    figure = spike_figure(at=5, steps=12)
    assert [line.get_label() for line in figure.axes[1].lines[1:]] == ["AdamW", "AdamWSPAM"]
