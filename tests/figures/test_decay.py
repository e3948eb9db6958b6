"""The figures of weight decay show the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from adamw_lab.figures import new_figure
from adamw_lab.figures.decay import decay_figure, fig_effective_decay, fig_map, fig_shrinkage, map_of


@pytest.fixture
def runs():
    rows = [{"optimizer": name, "lr": lr, "weight_decay": decay, "seed": seed,
             "validation_loss": 0.2 + base + abs(np.log10(decay) + shift) + 0.1 * seed}
            for name, shift in (("adam", 2.0), ("adamw", 0.0))
            for lr, base in ((0.001, 0.3), (0.01, 0.0)) for decay in (0.01, 0.1, 1.0) for seed in (0, 1)]
    return pd.DataFrame(rows)


def test_the_map_is_of_means_and_marks_the_best_decay(runs):
    _, (ax,) = new_figure()
    table = map_of(runs, "adam")
    assert table.loc[0.01].tolist() == pytest.approx([0.25, 1.25, 2.25])
    fig_map(ax, table, 0.2, 2.3)
    np.testing.assert_allclose(ax.images[0].get_array(), np.log10(table))
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [0, 1]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]


def test_a_seed_that_diverged_leaves_a_hole(runs):
    runs.loc[(runs["optimizer"] == "adamw") & (runs["weight_decay"] == 1.0) & (runs["seed"] == 1),
             "validation_loss"] = np.nan
    table = map_of(runs, "adamw")
    assert table[1.0].isna().all() and table[0.1].notna().all()
    figure = decay_figure(runs)
    assert figure.axes[1].lines[0].get_xdata().tolist() == [1, 1], "the best of what is left"


def test_both_maps_have_the_same_colours(runs):
    left, right, bar = decay_figure(runs).axes
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert [ax.get_title(loc="left") for ax in (left, right)] == ["Adam, L2", "AdamW, decoupled"]
    assert "nats" in bar.get_ylabel()


def test_effective_decay_is_by_the_decay_asked_for():
    _, (ax,) = new_figure()
    fig_effective_decay(ax, {"adam": pd.DataFrame({"noise": [1.0, 2.0], "effective_decay": [0.2, 0.1]})}, 0.1)
    assert ax.lines[0].get_xydata().tolist() == [[1.0, 2.0], [2.0, 1.0]]
    assert ax.lines[1].get_ydata()[0] == pytest.approx(1 / np.hypot(1.0, 0.1))


def test_the_shares_of_the_weights_add_up():
    _, (ax,) = new_figure()
    fig_shrinkage(ax, np.array([2.0, 30.0, 30.0, 4000.0]))
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(100)
    assert max(bar.get_height() for bar in ax.patches) == pytest.approx(50)
