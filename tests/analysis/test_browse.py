"""Any study's runs: found, filtered, smoothed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.analysis.browse import Study, curves, mean_curve, open_study, recorded_studies
from adamw_lab.experiments.store import mark_done
from adamw_lab.training import TrainConfig, fit


def study(values, steps=10):
    """One run for each list of values, one value an epoch."""
    runs = pd.DataFrame([{"run": f"r{i}", "lr": 0.1 * (i + 1)} for i in range(len(values))])
    epochs = pd.DataFrame([{"run": f"r{i}", "epoch": e, "step": steps * e, "seconds": 0.5 * e, "loss": y}
                           for i, ys in enumerate(values) for e, y in enumerate(ys, start=1)])
    return Study("made up", runs, epochs)


@pytest.mark.parametrize("name", recorded_studies())
def test_every_recorded_study_opens_with_its_curves(name):
    opened = open_study(name)
    assert opened.runs["run"].is_unique and set(opened.epochs["run"]) <= set(opened.runs["run"])
    without = opened.runs[~opened.runs["run"].isin(opened.epochs["run"])]
    assert (without["status"] == "diverged").all()
    for run, table in curves(opened, opened.runs.head(3), "validation_loss").items():
        own = opened.epochs[opened.epochs["run"] == run]
        assert list(table["y"]) == list(own["validation_loss"]) and list(table["x"]) == list(own["step"])


def test_there_are_recorded_studies():
    assert "tuned-gpt-cpu" in recorded_studies()


def test_a_folder_of_runs_opens_too(tmp_path):
    config = TrainConfig(model="mlp", train_size=100, epochs=2, device="cpu", precision="float32", threads=1)
    results = {}
    for seed in (0, 1):
        results[f"run-{seed}"] = fit(config.model_copy(update={"seed": seed}), tmp_path / f"run-{seed}", progress=False)
        mark_done(tmp_path / f"run-{seed}")
    opened = open_study(str(tmp_path))
    assert list(opened.select("seed == 1")["run"]) == ["run-1"]
    found = curves(opened, opened.runs, "train_loss", x="seconds")
    for run, result in results.items():
        np.testing.assert_array_equal(found[run]["y"], result.history["train_loss"])
        np.testing.assert_array_equal(found[run]["x"], result.history["seconds"])


def test_a_folder_without_finished_runs_says_so(tmp_path):
    with pytest.raises(ValueError, match="no finished run with a history under .*; allowed: a folder of runs"):
        open_study(str(tmp_path))
    with pytest.raises(ValueError, match="no runs at 'tuned-gtp-cpu'.*Did you mean 'tuned-gpt-cpu'"):
        open_study("tuned-gtp-cpu")


@pytest.mark.parametrize(("where", "message"), [
    ("lr >", "filter 'lr >' cannot be read"), ("nothing == 1", "'nothing' is not defined.*on run, lr"),
    ("lr * 2", "is no condition"), ("lr > 5", "holds of none of the 2 runs"), ("3 > 2", "is no condition")])
def test_a_bad_filter_says_what_is_wrong(where, message):
    with pytest.raises(ValueError, match=message):
        study([[1.0], [2.0]]).select(where)


def test_filters_select():
    made = study([[1.0], [2.0], [3.0]])
    assert list(made.select("lr < 0.25 and run != 'r0'")["run"]) == ["r1"]
    assert made.select("  ") is made.runs


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.floats(0, 0.95))
def test_smoothing_is_adams_average_corrected_for_its_start(values, s):
    made = study([values])
    m, shown = 0.0, []
    for t, y in enumerate(values, start=1):
        m = s * m + (1 - s) * y
        shown.append(m / (1 - s**t))
    np.testing.assert_allclose(curves(made, made.runs, "loss", smoothing=s)["r0"]["y"], shown, atol=1e-9)


def test_a_mean_goes_as_far_as_all_and_only_over_the_same_steps():
    made = study([[1.0, 2.0, 3.0], [3.0, 6.0]])
    mean = mean_curve(list(curves(made, made.runs, "loss").values()))
    assert mean.to_dict("list") == {"x": [10, 20], "y": [2.0, 4.0]}
    assert mean_curve(list(curves(made, made.runs.head(1), "loss").values())) is None
    made.epochs.loc[made.epochs["run"] == "r1", "step"] += 1
    assert mean_curve(list(curves(made, made.runs, "loss").values())) is None


@pytest.mark.parametrize(("arguments", "message"), [
    ({"x": "hours"}, "unknown x 'hours'"), ({"smoothing": 1.0}, "Invalid smoothing value: 1.0"),
    ({"metric": "lost"}, "unknown metric 'lost'.*Did you mean 'loss'")])
def test_curves_refuse(arguments, message):
    made = study([[1.0]])
    with pytest.raises(ValueError, match=message):
        curves(made, made.runs, **{"metric": "loss", **arguments})


def test_a_metric_that_no_run_has_is_refused():
    with pytest.raises(ValueError, match="none of the 1 runs has the metric 'loss'"):
        curves(study([[np.nan]]), study([[1.0]]).runs, "loss")
