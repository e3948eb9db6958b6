"""Comparisons of recorded runs: paired by seed, signed so that more is better, held against what is worth a word."""

import numpy as np
import pandas as pd
import pytest

from adamw_lab.analysis import recorded
from adamw_lab.analysis.recorded import Records
from adamw_lab.experiments.catalogue import STUDIES, Profile, Study


def runs(**losses):
    rows = [(arm, arm, seed, "finished", loss) for arm, values in losses.items() for seed, loss in enumerate(values)]
    return pd.DataFrame(rows, columns=["arm", "optimizer", "seed", "status", "test_loss"])


def test_a_lower_loss_is_better():
    effect = recorded.compare(runs(a=[1.0, 1.5, 2.0], b=[2.0, 2.0, 3.5]), "a", "b", "test_loss")
    assert effect.mean == pytest.approx(1.0) and effect.seeds == 3


def test_only_seeds_that_both_finished_are_compared():
    table = runs(a=[1.0, 1.0, 1.0], b=[2.0, 2.5, 9.0])
    table.loc[5, "status"] = "diverged"
    effect = recorded.compare(table, "a", "b", "test_loss")
    assert effect.seeds == 2 and effect.mean == pytest.approx(1.25)
    table.loc[4, "status"] = "diverged"
    assert recorded.compare(table, "a", "b", "test_loss") is None
    assert recorded.compare(None, "a", "b", "test_loss") is None


def test_the_floor_is_the_largest_of_noise_the_same_rule_again_and_what_is_worth_a_word():
    quiet = runs(adamw=[2.0, 2.0], adamw_again=[2.0, 2.0], sgd=[5.0, 5.0])
    assert recorded.floor(quiet, "test_loss") == pytest.approx(0.02)
    assert recorded.floor(quiet, "test_loss", "sgd") == pytest.approx(0.05)
    assert recorded.floor(quiet, "test_loss", noise=0.3) == 0.3
    loud = runs(adamw=[2.0, 2.1, 2.2], adamw_again=[2.1, 2.2, 2.3])
    assert recorded.floor(loud, "test_loss") == recorded.again(loud, "test_loss") == pytest.approx(0.1)
    assert recorded.again(None, "test_loss") == 0.0
    assert recorded.floor(None, "test_loss", noise=0.3) == 0.3


def test_every_arm_against_one():
    table = recorded.against(runs(b=[2.0, 2.0], a=[1.0, 1.5], c=[3.0, 3.0]), "b", "test_loss")
    assert table["arm"].tolist() == ["a", "c"] and table["mean"].tolist() == pytest.approx([0.75, -1.0])


def test_a_slope_is_over_the_logarithm_of_the_parameters():
    table = pd.DataFrame({0: [1.0, 3.0, 5.0], 1: [0.0, 4.0, 8.0], 2: [0.0, np.nan, 1.0]}, index=[10, 100, 1000])
    effect = recorded.slope(table)
    assert effect.mean == pytest.approx(3.0) and effect.seeds == 2
    assert recorded.slope(table[[0]]) is None


def test_gains_by_size_are_paired():
    table = pd.DataFrame([(name, size, seed, loss + seed) for name, loss in (("adamwspam", 1.0), ("adamw", 3.0))
                          for size in (10, 100) for seed in (0, 1)],
                         columns=["optimizer", "parameters", "seed", "test_loss"])
    gains = recorded.gains_by_size(table, "adamwspam", "adamw", "test_loss")
    assert gains.to_numpy().tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_the_best_of_trials_counts_a_diverged_one_as_the_worst():
    table = pd.DataFrame({"validation_loss": [1.0, 3.0, np.nan], "status": ["finished", "finished", "diverged"]})
    best = recorded.best_by_trials(table, "validation_loss")
    assert best.tolist() == pytest.approx([7 / 3, 5 / 3, 1.0])


def test_what_is_not_recorded_is_none(tmp_path):
    assert Records(tmp_path).runs("defaults-gpt") is None and Records(tmp_path).epochs("defaults-gpt") is None


def test_the_cost_of_a_target_is_that_of_the_first_epoch_that_reaches_it():
    epochs = pd.DataFrame([("sgd", 0, 10, 3.0), ("sgd", 0, 20, 1.0), ("sgd", 0, 30, 2.0), ("sgd", 1, 10, 3.0),
                           ("adam", 0, 10, 1.5), ("adam", 1, 10, 3.0)],
                          columns=["arm", "seed", "step", "validation_loss"])
    found = recorded.cost_to(epochs, 1.5, "validation_loss")
    assert found.loc[0].to_dict() == {"sgd": 20.0, "adam": 10.0} and found.loc[1].isna().all()
    timed = recorded.cost_to(epochs.assign(seconds=epochs["step"] / 4), 1.5, "validation_loss", "seconds")
    assert timed.loc[0].to_dict() == {"sgd": 5.0, "adam": 2.5} and timed.loc[1].isna().all()


def test_normalized_scores_run_from_the_worst_mean_to_the_best():
    table = runs(a=[1.0, 1.0], b=[np.e, np.e], c=[np.e**0.5, 9.9])
    table.loc[5, "status"] = "diverged"
    scaled = recorded.normalized(table, "test_loss")
    assert scaled["a"].tolist() == pytest.approx([1.0, 1.0]) and scaled["b"].tolist() == pytest.approx([0.0, 0.0])
    assert scaled["c"].tolist() == pytest.approx([0.5, 0.0]), "the one that diverged is as bad as the worst"


@pytest.fixture
def studies(monkeypatch, tmp_path):
    """Two studies that run in seconds, one of which fails, and a checkout of their own."""
    base = {"model": "mlp", "dataset": "digits", "epochs": 1, "train_size": 100, "precision": "float32", "threads": 1}
    broken = {"optimizer": "adamwprune", "optimizer_options": {"target_sparsity": 1.5}}
    for name, arms in (("tiny", {"adamw": {"optimizer": "adamw"}}), ("broken", {"pruned": broken})):
        monkeypatch.setitem(STUDIES, name, Study("Does it run?", "08_resnet_experiment.ipynb", arms,
                                                 {"quick": Profile(base, (0,))}))
    monkeypatch.setattr(recorded, "CHECKOUT", tmp_path)
    old = tmp_path / "data"
    old.mkdir()
    for name in ("tiny", "other"):
        (old / f"{name}-quick.csv").write_text("arm,seed\nold,0\n")
    return Records(folder=old, profile="quick")


def test_a_study_run_anew_is_read_instead_of_what_is_recorded_which_stays(studies):
    fresh = studies.run_anew(["tiny"])
    assert fresh.runs("tiny")["arm"].tolist() == ["adamw"] and fresh.epochs("tiny")["epoch"].tolist() == [1]
    assert fresh.runs("other")["arm"].tolist() == studies.runs("tiny")["arm"].tolist() == ["old"]
    assert studies.run_anew([]) == studies


def test_studies_that_cannot_be_run_anew_are_named(studies, tmp_path):
    with pytest.raises(ValueError, match="'tyni'.*tiny"):
        studies.run_anew(["tiny", "tyni"])
    with pytest.raises(TypeError, match="a list of names, .* got 'tiny'"):
        studies.run_anew("tiny")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(RuntimeError, match="'broken' failed"):
        studies.run_anew(["broken"])


def test_a_study_that_is_needed_and_not_recorded_says_how_to_run_it(tmp_path):
    with pytest.raises(ValueError, match="adamw-lab study betas --profile gpu --record"):
        Records(tmp_path, "gpu").need("betas")
    (tmp_path / "betas-gpu.csv").write_text("arm,seed\na,0\n")
    assert Records(tmp_path, "gpu").need("betas")["arm"].tolist() == ["a"]
    with pytest.raises(ValueError, match="'gpuu'; allowed: quick, cpu, day, gpu.*'gpu'"):
        Records(tmp_path, "gpuu")


def test_every_profile_of_a_study_can_be_read():
    assert {profile for study in STUDIES.values() for profile in study.profiles} == set(recorded.PROFILES)
