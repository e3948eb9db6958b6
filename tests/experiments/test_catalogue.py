"""The catalogue: every study can be expanded, its settings are those that notebook and training know."""

import pytest

from adamw_lab.experiments.catalogue import STUDIES, find_study
from adamw_lab.experiments.design import LEAN
from adamw_lab.experiments.study import RECORDS, plan_study

EVERY = [(name, profile) for name, study in STUDIES.items() for profile in study.profiles]


@pytest.mark.parametrize(("name", "profile"), EVERY)
def test_every_point_is_accepted_and_has_a_directory_of_its_own(name, profile, tmp_path):
    study = STUDIES[name]
    if callable(study.arms) and not recorded(name, profile):
        with pytest.raises(ValueError, match="adamw-lab study tuning-.* --record"):
            study.points(profile)
        return
    points = plan_study(study, profile, tmp_path)
    assert len({point.run_dir for point in points}) == len(points)
    assert all(point.parameters["device"] != "auto" for point in points)
    assert points == plan_study(study, profile, tmp_path)


def recorded(name, profile):
    """Whether what decides the arms is there; all but the tuned studies decide theirs themselves."""
    if name == "calibration":
        name, profile = "tuned-calibration", profile.replace("day", "cpu")
    return not name.startswith("tuned-") or (RECORDS / f"{name.replace('tuned', 'tuning')}-{profile}.csv").is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_the_register_says_what_is_compared_and_what_it_takes(name):
    study = STUDIES[name]
    assert study.question.endswith("?")
    if study.notebook == LEAN:
        assert study.compared and study.given_up and set(study.profiles) > {"cpu"}
        assert "runs" in study.arithmetic("cpu")


def test_the_seeds_are_paired():
    points = find_study("optimizers", "quick").points("quick")
    assert len(points) == 12
    seeds = {}
    for parameters in points.values():
        seeds.setdefault(parameters["optimizer"], []).append(parameters["seed"])
    assert set(map(tuple, seeds.values())) == {(0, 1)}
    assert points["adamwprune_seed0"]["optimizer_options"]["target_sparsity"] == 0.7


@pytest.mark.parametrize(("name", "profile", "message"), [
    ("optimisers", "quick", r"unknown study 'optimisers'; allowed: optimizers, .*\. Did you mean 'optimizers'\?"),
    ("optimizers", "quik", r"unknown profile 'quik' of study 'optimizers'; allowed: quick\. Did you mean 'quick'\?")])
def test_unknown_names_are_refused(name, profile, message):
    with pytest.raises(ValueError, match=message):
        find_study(name, profile)
