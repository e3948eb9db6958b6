"""Figures of descents show the descents, and a second call on the same axes shows what fresh axes would."""

import numpy as np
import pandas as pd
import pytest

from adamw_lab.descents import best_lr, descend, sweep
from adamw_lab.figures import new_figure
from adamw_lab.figures.landscapes import (
    FLOOR,
    fig_losses,
    fig_paths,
    fig_strides,
    fig_sweep,
    fig_trajectories,
    landscapes_figure,
    look,
    name_paths,
)
from adamw_lab.figures.style import COLOURS, SPARE_COLOURS, at_width


@pytest.fixture
def axes():
    return new_figure(2)[1]


def lines(ax):
    return {line.get_gid(): np.asarray(line.get_xydata(), dtype=float) for line in ax.lines}


def test_paths_and_losses_are_those_of_the_descents(axes):
    options = {"steps": 30, "betas": (0.8, 0.99), "weight_decay": 0.01, "noise": 0.1, "spikes": {7: 5.0}, "seed": 4}
    runs = fig_trajectories(axes[0], "valley", ["sgd", "adam"], losses=axes[1], lr=0.02, **options)
    for name in ("sgd", "adam"):
        run = descend("valley", name, lr=0.02, **options)
        pd.testing.assert_frame_equal(runs[name], run)
        np.testing.assert_allclose(lines(axes[0])[name], run[["x", "y"]], atol=1e-4)
        np.testing.assert_allclose(lines(axes[0])[f"{name} end"], run[["x", "y"]].iloc[-1:], atol=1e-4)
        np.testing.assert_allclose(lines(axes[1])[name], run[["step", "loss"]])
    assert lines(axes[1])["spike 7"][:, 0].tolist() == [7, 7]


def test_without_a_learning_rate_each_has_its_best(axes):
    runs = fig_trajectories(axes[0], "beale", ["adam"], steps=40)
    expected = descend("beale", "adam", 40, lr=best_lr("beale", "adam", steps=40))
    pd.testing.assert_frame_equal(runs["adam"], expected)


def test_drawn_again_it_is_what_fresh_axes_show(axes):
    fresh = new_figure(2)[1]
    calls = [("saddle", ["sgd", "adam"], {"lr": 0.1, "spikes": {3: 9.0}}), ("saddle", ["adam"], {"lr": 0.2}),
             ("rosenbrock", ["adam", "adamw"], {"lr": 0.05, "steps": 50})]
    for name, optimizers, options in calls:
        fig_trajectories(axes[0], name, optimizers, losses=axes[1], **options)
    fig_trajectories(fresh[0], calls[-1][0], calls[-1][1], losses=fresh[1], **calls[-1][2])
    for old, new in zip(axes, fresh, strict=True):
        assert lines(old).keys() == lines(new).keys()
        for gid, points in lines(new).items():
            np.testing.assert_array_equal(lines(old)[gid], points)
        assert old.get_xlim() == new.get_xlim() and old.get_ylim() == new.get_ylim()
        assert [c.get_gid() for c in old.collections] == [c.get_gid() for c in new.collections]


def test_the_same_ground_is_kept(axes):
    fig_trajectories(axes[0], "saddle", ["adam"], lr=0.1)
    ground, line = axes[0].collections[0], axes[0].lines[-1]
    fig_trajectories(axes[0], "saddle", ["adam"], lr=0.2)
    assert axes[0].collections[0] is ground and axes[0].lines[-1] is line


def test_a_diverging_descent_is_drawn_as_far_as_it_goes(axes):
    fig_trajectories(axes[0], "rosenbrock", ["sgd_plain", "adam"], losses=axes[1], lr=1.0, steps=60)
    axes[0].figure.canvas.draw()
    assert not np.isfinite(lines(axes[1])["sgd_plain"]).all() and np.isfinite(axes[1].get_ylim()).all()


def test_losses_have_a_floor(axes):
    run = pd.DataFrame({"step": [0, 1], "loss": [1.0, 0.0]})
    fig_losses(axes[0], "quadratic", {"adam": run})
    assert lines(axes[0])["adam"][:, 1].tolist() == [1.0, FLOOR]


def test_strides_are_step_lengths(axes):
    fig_strides(axes[0], pd.DataFrame({"step": [0, 1, 2], "x": [0.0, 1.0, 0.5], "y": [0.0, -2.0, -2.0]}), "adam")
    assert lines(axes[0])["x"].tolist() == [[1, 1.0], [2, 0.5]]
    np.testing.assert_array_equal(lines(axes[0])["y"], [[1, 2.0], [2, np.nan]])


def test_a_sweep_is_drawn_as_it_is(axes):
    table = sweep("quadratic", "adam", [0.01, 0.1], 10)
    fig_sweep(axes[0], {"adam": table})
    assert axes[0].lines[0].get_xydata().tolist() == table[["lr", "mean_loss"]].values.tolist()


def test_a_line_of_a_sweep_ends_before_it_diverges(axes):
    fig_sweep(axes[0], {"sgd_plain": pd.DataFrame({"lr": [0.01, 0.02, 0.03], "mean_loss": [2.0, 1.0, 1e20]})})
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), [2.0, 1.0, np.nan])


def test_a_readers_own_optimizer_has_a_colour_that_no_other_has_and_keeps_its_name(axes):
    fig_paths(axes[0], "beale", {"mine": descend("beale", "adam", 3, lr=0.1)})
    assert look("mine") == {"color": SPARE_COLOURS[0], "linestyle": "-", "label": "mine"}
    assert SPARE_COLOURS[0] not in COLOURS.values()
    assert look("sgd_plain")["color"] == look("sgd")["color"] == COLOURS["sgd"]


def test_plain_sgd_is_hollow_and_adagrad_lies_wide_beneath(axes):
    runs = {name: descend("beale", name, 5, lr=0.01) for name in ("sgd_plain", "sgd", "adagrad", "rmsprop")}
    fig_paths(axes[0], "beale", runs)
    drawn = {line.get_gid(): line for line in axes[0].lines}
    assert drawn["adagrad"].get_linewidth() > 2 * drawn["rmsprop"].get_linewidth()
    assert drawn["adagrad"].get_zorder() < drawn["rmsprop"].get_zorder()
    handles = {line.get_label(): line for line in name_paths(runs)}
    assert [line.get_marker() for line in handles.values()] == ["s", "s", "<", ">"]
    assert handles["SGD"].get_markerfacecolor() == "white" != handles["SGD + momentum"].get_markerfacecolor()


def test_the_paths_of_the_figure_stay_within_their_panels():
    for ax in landscapes_figure().axes:
        ends = [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]
        points = np.concatenate(ends)
        assert ax.get_xlim()[0] < points[:, 0].min() and points[:, 0].max() < ax.get_xlim()[1], ax.get_title("left")
        assert ax.get_ylim()[0] < points[:, 1].min() and points[:, 1].max() < ax.get_ylim()[1], ax.get_title("left")


def test_six_landscapes_in_three_columns_or_two():
    wide = landscapes_figure(steps=3)
    with at_width(3.4):
        narrow = landscapes_figure(steps=3)
    assert len(wide.axes) == len(narrow.axes) == 6
    assert [figure.axes[0].get_gridspec().ncols for figure in (wide, narrow)] == [3, 2]
