"""The run browser: a control is set, and the drawn data are the selected runs'."""

import re

import numpy as np
import pytest

from adamw_lab.analysis.browse import X, curves, mean_curve, open_study
from adamw_lab.figures import new_figure
from adamw_lab.figures.browser import fig_browser
from adamw_lab.widgets import runs as module
from adamw_lab.widgets.explorer import Explorer


@pytest.fixture
def browser(monkeypatch):
    """As a front end would get it."""
    monkeypatch.setattr("adamw_lab.widgets.explorer.cell_id", lambda: "cell of a test")
    shown = module.run_browser()
    assert isinstance(shown, Explorer)
    yield shown
    shown.close()


def drawn(shown):
    return {re.sub(r" \[.*", "", line.get_gid()): line for line in shown.axes[0].lines}


def test_it_shows_every_run_and_the_means(browser):
    study = open_study("tuned-gpt-cpu")
    found = curves(study, study.runs, "validation_loss")
    lines = drawn(browser)
    assert {f"run {run}" for run in found} | {f"mean {name}" for name in study.runs["optimizer"].unique()} == set(lines)
    for run, table in found.items():
        np.testing.assert_array_equal(lines[f"run {run}"].get_xydata(), table[["x", "y"]])
    adam = mean_curve([found[run] for run in study.runs.loc[study.runs["optimizer"] == "adam", "run"]])
    np.testing.assert_array_equal(lines["mean adam"].get_xydata(), adam[["x", "y"]])
    count = len(study.runs)
    assert f"{count} runs:" in browser.below.value and browser.below.value.count("<tr>") == count


def test_each_control_changes_what_is_drawn(browser):
    controls = browser.controls
    controls["study"].value = "tuning-gpt-cpu"
    controls["where"].value = "optimizer == 'adamw' and lr < 0.002"
    controls["group"].value = "lr"
    controls["metric"].value = "train_accuracy"
    controls["x"].value = "seconds"
    controls["smoothing"].value = 0.5
    assert browser.message == ""
    study = open_study("tuning-gpt-cpu")
    runs = study.select("optimizer == 'adamw' and lr < 0.002")
    found = curves(study, runs, "train_accuracy", x="seconds", smoothing=0.5)
    lines = drawn(browser)
    assert {name for name in lines if name.startswith("run")} == {f"run {run}" for run in found}
    for run, table in found.items():
        np.testing.assert_allclose(lines[f"run {run}"].get_xydata(), table[["x", "y"]].to_numpy() * (1, 100))
    assert f"{len(runs)} runs" in browser.below.value
    assert browser.axes[0].get_xlabel() == "seconds of training"
    names = [text.get_text() for text in browser.axes[0].get_legend().get_texts()]
    assert names == [f"lr {lr}" for lr in runs["lr"].unique()]


def test_a_wrong_filter_is_told_and_the_widget_lives_on(browser):
    browser.controls["where"].value = "optimizer = 'adamw'"
    assert "is no condition" in browser.message and browser.picture.layout.display == "none"
    browser.controls["where"].value = "optimizer == 'adamw'"
    assert browser.message == "" and sum(name.startswith("run") for name in drawn(browser)) == 5


def test_its_code_draws_the_same_and_gives_the_table(browser):
    browser.controls["where"].value = "seed == 100"
    browser.controls["where"].value = "seed < 2"
    names = {}
    exec(browser.code(browser.values), names)
    theirs = [line.get_xydata().tolist() for line in names["figure"].axes[0].lines]
    assert sorted(theirs) == sorted(line.get_xydata().tolist() for line in browser.axes[0].lines)
    assert set(names["runs"]["seed"]) == {0, 1}


def test_moving_lines_shows_what_fresh_axes_would():
    (_, (used,)), (_, (fresh,)) = new_figure(), new_figure()
    last = {"study": "spam-ablation-cpu", "group": "arm", "metric": "train_loss", "x": "epoch"}
    fig_browser(used)
    fig_browser(used, **last)
    fig_browser(fresh, **last)
    look = [sorted((line.get_xydata().tolist(), line.get_color(), line.get_alpha() or 1) for line in ax.lines)
            for ax in (used, fresh)]
    assert look[0] == look[1]
    np.testing.assert_allclose(used.get_ylim(), fresh.get_ylim())
    *named, last = [t.get_text() for t in used.get_legend().get_texts()]
    assert last == f"and {open_study('spam-ablation-cpu').runs['arm'].nunique() - len(named)} more"


@pytest.mark.parametrize(("arguments", "message"), [
    ({"group": "colour"}, "have no 'colour' to be grouped by"), ({"metric": "joy"}, "unknown metric 'joy'")])
def test_what_there_is_not_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fig_browser(new_figure()[1][0], **arguments)


def test_its_controls_are_those_of_the_data_and_static_without_a_front_end():
    figure = module.run_browser(given={"study": "betas-cpu", "group": "arm"})
    assert len(figure.axes[0].lines) == 110, "a hundred runs and ten means"
    with pytest.raises(ValueError, match="Invalid study value"):
        module.run_browser(given={"study": "none"})


def test_against_offers_every_x(browser):
    assert {value for _, value in browser.controls["x"].options} == set(X)
