"""Figures of a reader's optimizer show the numbers that they are given."""

import pandas as pd
import pytest

from adamw_lab.descents import descend
from adamw_lab.figures import COLOURS, MARKERS, new_figure
from adamw_lab.figures.own import fig_gains, fig_rates, own_figure

RUNS = pd.DataFrame({"optimizer": ["adamw", "adamw", "lion", "lion"], "seed": [1, 2, 1, 2], "status": "finished",
                     "lr": [0.1, 0.01, 0.1, 0.01], "test_accuracy": [0.9, 0.8, 0.91, 0.83],
                     "validation_loss": [0.3, 0.4, 0.5, 0.6]})


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_a_line_goes_through_the_mean_loss_of_each_rate_without_what_diverged(ax, lion):
    more = pd.DataFrame({"optimizer": "lion", "status": ["finished", "diverged"], "lr": [0.01, 1.0],
                         "validation_loss": [0.8, 9.0]})
    fig_rates(ax, pd.concat([RUNS, more]))
    adamw, own = ax.lines
    assert own.get_xydata().tolist() == [[0.01, pytest.approx(0.7)], [0.1, 0.5]]
    assert (own.get_color(), own.get_marker(), own.get_label()) == (COLOURS["lion"], MARKERS["lion"], "Lion")
    assert adamw.get_xydata().tolist() == [[0.01, 0.4], [0.1, 0.3]]


def test_gains_are_paired_by_seed_and_in_points(ax):
    fig_gains(ax, RUNS.iloc[::-1])
    (dots,) = ax.collections  # once, and not on the line as well
    assert sorted(dots.get_offsets()[:, 0]) == pytest.approx([1.0, 3.0])
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == MARKERS["lion"]] == pytest.approx([2.0])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Lion"]


def test_the_figure_needs_nothing_registered():
    paths = [descend("beale", name, 5, lr=0.1).assign(optimizer=shown, landscape="beale")
             for name, shown in (("adam", "adam"), ("sgd", "lion"))]
    figure = own_figure(pd.concat(paths), pd.concat([RUNS.assign(part="tuning"), RUNS.assign(part="paired")]))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Beale", "Validation loss by rate", "Test accuracy"]
    for ax in figure.axes[:2]:
        assert "Lion" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["Lion"]
