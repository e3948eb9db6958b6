"""Figures of comparisons show the differences that they are given, in place, colour and scale."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from adamw_lab.figures import COLOURS, NAMES, new_figure
from adamw_lab.figures.claims import claims_figure
from adamw_lab.figures.effects import (
    ABOVE,
    BELOW,
    SEEDS,
    betas_figure,
    decay_figure,
    fig_effects,
    optimizers_figure,
    rates_figure,
    spam_figure,
)
from adamw_lab.figures.style import at_width
from adamw_lab.figures.tuning import expected_best_figure, profiles_figure, sensitivity_figure


def runs(arms, **more):
    """Three seeds an arm: name -> test loss of seed 0. A seed adds 0.1, and a wobble by the arm's place."""
    rows = [{"arm": arm, "optimizer": arm.split("+")[0].split("_lr")[0], "seed": seed, "status": "finished",
             "test_loss": loss + 0.1 * seed + 0.01 * seed * place}
            for place, (arm, loss) in enumerate(arms.items()) for seed in range(3)]
    return pd.DataFrame(rows).assign(**more)


def dots(ax):
    """(x, y, colour) of each marker that is alone."""
    return [(line.get_xdata()[0], line.get_ydata()[0], to_hex(line.get_color())) for line in ax.get_lines()
            if len(np.atleast_1d(line.get_xdata())) == 1]


def test_an_interval_a_row_and_a_band_for_no_difference():
    table = pd.DataFrame({"optimizer": ["sgd", "adam"], "mean": [0.5, -0.1], "low": [0.4, -0.2], "high": [0.6, 0.0],
                          "each": [(0.3, 0.7), (-0.2, 0.0)]})
    _, (ax,) = new_figure()
    fig_effects(ax, table, ["SGD", "Adam"], 0.05, scale=100)
    assert dots(ax) == [(50, 0, COLOURS["sgd"].lower()), (-10, 1, COLOURS["adam"].lower())]
    spans = [line.get_xdata() for line in ax.get_lines() if len(np.atleast_1d(line.get_xdata())) == 2]
    assert [40.0, 60.0] in [list(x) for x in spans]
    assert ax.collections[0].get_offsets().tolist() == [[30, SEEDS], [70, SEEDS]], "the seeds, beneath the line"
    assert ax.patches[0].get_x() == -5 and ax.patches[0].get_width() == 10
    assert [label.get_text() for label in ax.get_yticklabels()] == ["SGD", "Adam"]
    assert ax.yaxis_inverted(), "the first row is on top"
    fig_effects(ax, table, ["SGD", "Adam"], None, scale=100)
    assert len(ax.patches) == 1, "drawn twice a band would be darker"


def test_optimizers_are_hollow_by_default_and_filled_tuned():
    defaults = runs({"adamw": 2.0, "adamw_again": 2.0, "sgd": 3.0})
    tuned = runs({"adamw": 1.0, "sgd": 0.5})
    ax = optimizers_figure(["gpt"], [defaults], [tuned]).axes[0]
    (x, y, _), (better, lower, _) = dots(ax)
    assert x == pytest.approx(-1.02) and better == pytest.approx(0.49) and y < lower
    faces = [line.get_markerfacecolor() for line in ax.get_lines() if len(np.atleast_1d(line.get_xdata())) == 1]
    assert faces == ["white", COLOURS["sgd"]]


def test_spam_is_shown_by_what_spoilt_steps_cost_and_without_them():
    table = runs({"adamw": 2.0, "adamw+spikes": 4.0, "adamw_clip": 2.5, "adamw_clip+spikes": 2.7,
                  "adamw+noise": 3.0, "adamw_clip+noise": 4.0, "all": 2.0, "all+spikes": 2.0})
    figure = spam_figure(("gpt",), (table,))
    left, right = figure.axes
    wobble = 0.01  # for each place further on in `runs`, on the average over the seeds
    met = [x for x, *_ in dots(left) if np.isfinite(x)]  # one arm met no noise: nothing is drawn for it
    assert met == pytest.approx([2.0 - 0.2, 2.0 - 0.0, (1.0 + 4 * wobble) - (1.5 + 3 * wobble)])
    assert [x for x, *_ in dots(right)] == pytest.approx([-0.5 - 2 * wobble, 0.0 - 6 * wobble])
    assert [label.get_text() for label in left.get_yticklabels()] == ["AdamW + clip", "all parts"]
    assert "spoilt" in left.get_title("left") and left.get_xlabel() and right.get_xlabel() and figure.legends


def test_betas_and_decays_are_held_against_their_defaults():
    pairs = {f"b{batch}_{pair}": loss for batch in (8, 64) for pair, loss in (("0.9_0.999", 1.0), ("0.8_0.999", 0.5))}
    gpt = runs({"0.9_0.999": 1.0, "0.8_0.999": 0.7}).assign(optimizer="adamw")
    left, _, last = betas_figure(runs(pairs).assign(optimizer="adamw"), gpt).axes
    assert dots(last)[0][0] == pytest.approx(0.29) and last.get_title("left") == "GPT"
    assert dots(left)[0][0] == pytest.approx(0.49) and left.get_yticklabels()[0].get_text() == "(0.8, 0.999)"
    table = runs({"wd0": 1.0, "wd0.1": 0.8, "adam_l2_0.01": 1.2}, validation_loss=1.0, train_loss=0.5)
    left, right = decay_figure(table.assign(optimizer="adamw")).axes
    assert [x for x, *_ in dots(left)] == pytest.approx([0.19, -0.22])
    assert [label.get_text() for label in left.get_yticklabels()] == ["AdamW, decoupled 0.1", "Adam, coupled 0.01"]


def test_the_best_rate_of_a_width_is_marked():
    rates = (0.001, 0.01, 0.1)
    table = pd.DataFrame([(100, lr, seed, abs(lr - 0.01), abs(lr - 0.1)) for lr in rates for seed in (0, 1)],
                         columns=["parameters", "lr", "seed", "test_loss", "validation_loss"])
    ax = rates_figure(table).axes[0]
    assert dots(ax)[0][:2] == (0.1, pytest.approx(0.09)), "chosen on validation"
    seeds = ax.collections[-1].get_offsets()
    assert sorted(seeds[:, 0].tolist()) == sorted(table["lr"]), "every seed is there"
    assert [text.get_text() for text in ax.texts] == ["0 k", "parameters"]


TRIALS = pd.DataFrame([("sgd", lr, decay, 1.0 / lr + decay, "finished") for lr in (1.0, 2.0) for decay in (0.0, 0.5)],
                      columns=["optimizer", "lr", "weight_decay", "validation_loss", "status"])


def test_sensitivity_takes_the_better_decay_of_each_rate():
    line = sensitivity_figure(["gpt"], [TRIALS]).axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [1.0, 2.0] and line.get_ydata().tolist() == [1.0, 0.5]
    assert line.axes.get_ylabel() == "validation loss (nats)"


def test_accuracies_count_by_what_they_lack():
    accurate = TRIALS.assign(validation_accuracy=1 - TRIALS["validation_loss"] / 10)
    left, right = sensitivity_figure(["resnet18", "resnet50"], [accurate] * 2).axes
    for ax in (left, right):
        assert ax.get_lines()[0].get_ydata().tolist() == pytest.approx([10.0, 5.0])
        assert ax.get_ylabel() == "validation error (%)"
    line = expected_best_figure(["resnet18"], [accurate]).axes[0].get_lines()[0]
    assert line.get_ydata()[-1] == pytest.approx(5.0) and line.get_ydata()[0] == pytest.approx(10.0)


def test_a_task_has_the_rows_that_were_run_on_it_and_says_how_many_seeds():
    some = [runs({"adamw": 2.0, "sgd": 3.0, "adam": 2.5}), runs({"adamw": 2.0, "adam": 2.5})]
    tuned = [frame.assign(test_loss=frame["test_loss"] / 2) for frame in some]
    left, right = optimizers_figure(["gpt", "lstm"], some, tuned).axes
    assert {y for _, y, _ in dots(left)} == {ABOVE, BELOW, 1 + ABOVE, 1 + BELOW}
    assert {y for _, y, _ in dots(right)} == {ABOVE, BELOW}
    assert [label.get_text() for label in left.get_yticklabels()] == ["SGD + momentum", "Adam"]
    assert [text.get_text() for text in right.texts] == ["Adam"], "its rows are others than the panel's to the left"
    assert "nats" in left.get_xlabel() and right.get_xlabel().endswith("3 seeds")


def test_logarithmic_axes_have_room_for_all_intervals_and_no_hyphen_for_a_minus():
    wide = runs({"adamw": 2.0, "sgd": 30.0, "adam": 1.0})
    ax = optimizers_figure(["gpt"], [wide], [wide.assign(test_loss=wide["test_loss"] ** 2)]).axes[0]
    low, high = ax.get_xlim()
    drawn = np.concatenate([np.atleast_1d(line.get_xdata()) for line in ax.get_lines()])
    seeds = np.concatenate([dots.get_offsets()[:, 0] for dots in ax.collections])
    assert low < min(drawn.min(), seeds.min()) and high > max(drawn.max(), seeds.max())
    assert not any("-" in label.get_text() for label in ax.get_xticklabels())


def test_five_tasks_leave_a_place_for_the_legend():
    *panels, spare = sensitivity_figure(["gpt"] * 5, [TRIALS] * 5).axes
    assert all(ax.get_title("left") for ax in panels) and not spare.axison and spare.get_legend() is not None


def test_in_a_narrow_figure_tasks_stand_two_a_row():
    with at_width(3.3):
        figure = sensitivity_figure(["gpt"] * 5, [TRIALS] * 5)
    assert figure.axes[0].get_gridspec().ncols == 2 and figure.get_figheight() <= 7
    assert figure.axes[5].get_legend() is not None and all(ax.get_title("left") for ax in figure.axes[:5])


def test_expected_best_falls_to_the_best():
    line = expected_best_figure(["gpt"], [TRIALS]).axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    assert line.get_ydata()[0] == pytest.approx(1.0) and line.get_ydata()[-1] == 0.5


def test_verdicts_are_stacked_by_section():
    table = pd.DataFrame({"source": ["note, A", "note, A", "README"],
                          "verdict": ["supported", "refuted", "supported"]})
    ax = claims_figure(table).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["README", "A"]
    assert sum(patch.get_width() for patch in ax.patches) == 3
    assert not {to_hex(patch.get_facecolor()).upper() for patch in ax.patches} & {*COLOURS.values()}


def test_the_legend_of_verdicts_lies_on_no_bar_however_narrow():
    table = pd.DataFrame({"source": [f"note, {k}" for k in range(12)], "verdict": "supported"})
    for width in (None, 3.3):
        with at_width(width):
            figure = claims_figure(table)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_a_profile_falls_from_all_runs_to_none():
    (ax,) = (ax for ax in profiles_figure(["gpt", "gpt"], [runs({"adamw": 2.0, "sgd": 3.0})] * 2).axes if ax.axison)
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert set(lines) == {NAMES["adamw"], NAMES["sgd"]} and ax.get_title("left") == NAMES["sgd"]
    assert all(y[0] == 100 and (np.diff(y) <= 0).all() for y in lines.values())
    assert (lines[NAMES["adamw"]] >= lines[NAMES["sgd"]]).all() and len(ax.collections) == 2, "a band each"
