"""The figures of pruning draw the numbers they are given."""

import json

import numpy as np
import pandas as pd
import pytest

from adamw_lab.figures import fig_pruning, new_figure, pruning_figure
from adamw_lab.figures.pruning import fig_against_magnitude, scores_figure


@pytest.fixture
def runs():
    rows = [{"optimizer": "adamw", "optimizer_options": "{}", "sparsity": 0.0, "validation_accuracy": 0.97 + seed / 100}
            for seed in (0, 1)]
    for score, loss in (("hybrid", 0.0), ("random", 0.2)):
        for target in (0.5, 0.9):
            for seed in (0, 1):
                options = json.dumps({"target_sparsity": target, "importance": score})
                rows.append({"optimizer": "adamwprune", "optimizer_options": options, "sparsity": target,
                             "validation_accuracy": 0.96 - loss * target + seed / 100})
    return pd.DataFrame(rows)


def test_each_score_is_a_line_of_means_and_the_control_runs_across(runs):
    _, (ax,) = new_figure()
    fig_pruning(ax, runs)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert set(lines) == {"dense", "hybrid", "random"}
    np.testing.assert_allclose(lines["random"].get_xydata(), [[50, 86.5], [90, 78.5]])
    np.testing.assert_allclose(lines["dense"].get_ydata(), [97.5, 97.5])
    assert ax.get_xlabel() == "weights pruned (%)" and ax.get_ylabel() == "validation accuracy (%)"


def test_the_closer_look_leaves_the_random_control_out_of_its_range(runs):
    figure = pruning_figure(runs, pd.DataFrame())
    low, high = figure.axes[1].get_ylim()
    assert low == pytest.approx(95.6) and high == pytest.approx(98.4)
    assert figure.axes[1].get_ylabel() == "validation accuracy (%)", "its scale is another"


def test_scores_are_held_against_magnitude_at_each_sparsity():
    rows = [{"arm": f"{name}_{sparsity}", "optimizer": "adamw" if name.startswith("gradual") else "adamwprune",
             "optimizer_options": json.dumps({"target_sparsity": sparsity, "importance": name}), "seed": seed,
             "status": "finished", "sparsity": sparsity, "test_accuracy": accuracy + 0.01 * seed}
            for name, accuracy in (("magnitude", 0.9), ("hybrid", 0.85), ("random", 0.1), ("gradual_movement", 0.95))
            for sparsity in (0.9, 0.5) for seed in (0, 1)]
    rows += [{"arm": "dense", "optimizer": "adamw", "optimizer_options": "{}", "seed": 0, "status": "finished",
              "sparsity": 0.0, "test_accuracy": 0.98}]
    left, right = scores_figure(pd.DataFrame(rows)).axes
    assert {line.get_label() for line in left.get_lines()} == {"dense", "hybrid", "magnitude", "random"}
    dots = {line.get_label(): line.get_xdata()[0] for line in right.get_lines() if len(line.get_xdata()) == 1}
    assert right.get_xscale() == "linear"
    assert dots["hybrid"] == pytest.approx(-5) and dots["gradual movement"] == pytest.approx(5)
    assert [label.get_text() for label in right.get_yticklabels()] == ["90 %", "50 %"]
    seeds = [dots.get_offsets()[:, 0].tolist() for dots in right.collections]
    assert seeds == [pytest.approx([-5, -5]), pytest.approx([5, 5])] * 2


def test_a_gain_that_would_hide_the_others_bends_the_axis():
    rows = [{"arm": f"{name}_0.9", "seed": seed, "status": "finished", "test_accuracy": accuracy + 0.001 * seed}
            for name, accuracy in (("magnitude", 0.9), ("hybrid", 0.89), ("gradual_movement", 0.5)) for seed in (0, 1)]
    _, (ax,) = new_figure()
    fig_against_magnitude(ax, pd.DataFrame(rows), [0.9])
    assert ax.get_xscale() == "symlog" and "logarithmic" in ax.get_xlabel()
    assert {"−10", "−1", "0"} <= {text.get_text() for text in ax.get_xticklabels()}
    assert ax.get_xlim()[0] < min(min(line.get_xdata()) for line in ax.get_lines() if len(line.get_xdata()) == 2)
