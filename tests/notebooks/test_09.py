"""Notebook 09 at its defaults: its tables and verdicts are those of the recorded runs, computed here by pandas."""

import json
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from adamw_lab.figures import NAMES as TITLES

DATA = Path(__file__).resolve().parents[2] / "figures" / "data"
MEASURE = {**dict.fromkeys(("resnet18", "fashion", "resnet50"), "accuracy"), **dict.fromkeys(("lstm", "gpt"), "loss")}
NAMES = {name: TITLES[name] for name in ("sgd", "rmsprop", "adam", "adamw", "adamw_clip", "adamwadv", "adamwspam",
                                         "adamwspam_published")}
FOUR = ("resnet18", "fashion", "lstm", "gpt")
WORST_FIRST = ["refuted", "no difference found", "supported"]


def table(study, task, column="test"):
    """A row a seed, a column an optimizer; more is better, and a run that diverged has no number."""
    runs = pd.read_csv(DATA / f"{study}-{task}-cpu.csv")
    column = f"{column}_{MEASURE[task]}"
    runs.loc[runs["status"] != "finished", column] = float("nan")
    return runs.pivot(index="seed", columns="arm", values=column) * (-1 if MEASURE[task] == "loss" else 1)


def interval(gain):
    half = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain)
    return gain.mean(), gain.mean() - half, gain.mean() + half


def floor(runs, task, other="adamw"):
    """What counts as no difference: AdamW against itself, 1 % of a loss, 0.2 points of accuracy."""
    noise = apart(runs) or apart(table("defaults", task))
    return max(noise, 0.01 * -runs[other].mean() if MEASURE[task] == "loss" else 0.002)


def apart(runs):
    if "adamw_again" not in runs:
        return 0.0
    return np.abs(interval((runs["adamw"] - runs["adamw_again"]).dropna())[1:]).max()


def asleep(study, task, arm):
    """Whether some part of an optimizer was at work in none of its runs."""
    runs = pd.read_csv(DATA / f"{study}-{task}-cpu.csv")
    return bool(set.intersection(*(set(json.loads(names)) for names in runs.loc[runs["arm"] == arm, "never_fired"])))


def strength(numbers):
    mean, low, high = numbers
    return 2 * mean / (high - low)


def verdict(gain, least):
    mean, low, high = interval(gain)
    return "supported" if low > 0 and mean > least else "refuted" if high < 0 and mean < -least else WORST_FIRST[1]


def recorded(study, tasks):
    return [task for task in tasks if (DATA / f"{study}-{task}-cpu.csv").exists()]


def test_what_is_ahead_of_adamw_and_behind_it_is_so_in_the_runs(said):
    lines = re.findall(r"Tuned, on (\w+): ahead of AdamW: (.*); behind: (.*); the others", said)
    assert {"lstm", "gpt", "resnet18"} <= {task for task, *_ in lines}
    for task, ahead, behind in lines:
        runs = table("tuned", task)
        found = {name: verdict((runs[name] - runs["adamw"]).dropna(), floor(runs, task))
                 for name in runs if name not in ("adamw", "adamw_again")}
        for names, kind in ((ahead, "supported"), (behind, "refuted")):
            expected = {NAMES[name] for name, said in found.items() if said == kind}
            assert {name for name in NAMES.values() if name in split(names)} == expected, (task, kind)


def split(names):
    return set(names.replace("SPAM, published", "SPAM; published").split(", ")) if names != "none" else set()


def rows_of(book, cell):
    """The table that a cell of this id shows last, its texts row by row."""
    html = next(own for own in book.cells if own.id == cell).outputs[-1]["data"]["text/html"]
    table = re.search(r"<table.*</table>", html, flags=re.DOTALL)[0]
    return [[field.text for field in row] for row in ElementTree.fromstring(table).iter("tr")]


def test_the_table_of_means_is_of_the_runs(book, said):
    tasks = re.search(r"tuned runs are recorded: (.*)\n", said)[1].split(", ")
    rows = rows_of(book, "6b7a72a3")[2:]
    assert len(rows) == len(NAMES)
    means = [table(study, task).mean().abs() for task in tasks for study in ("defaults", "tuned")]
    for name, *shown in rows:
        optimizer = next(key for key, title in NAMES.items() if title == name)
        assert list(map(float, shown)) == pytest.approx([mean.get(optimizer, np.nan) for mean in means], abs=6e-5,
                                                         nan_ok=True), name


@pytest.mark.parametrize("study", ["defaults", "tuned"])
def test_its_metrics_are_differences_of_the_runs(metrics, study):
    kind = study.removesuffix("s")
    for task in recorded(study, (*FOUR, "resnet50")):
        runs = table(study, task)
        for name in (name for name in runs if name not in ("adamw", "adamw_again")):
            shown = metrics[f"{NAMES[name]} beside AdamW, {kind}, {task}"]
            assert shown == pytest.approx((runs[name] - runs["adamw"]).mean(), abs=1e-5), (task, name)


def test_the_bootstrap_of_five_is_too_sure_and_student_is_not(said):
    bootstrap, student = map(int, re.search(r"0 in (\d+)% by the bootstrap, in (\d+)% by Student's", said).groups())
    assert 78 <= bootstrap <= 89 and 92 <= student <= 98


def test_the_expected_best_is_the_mean_over_all_choices_of_four_trials(book, said):
    tasks = re.search(r"tuned runs are recorded: (.*)\n", said)[1].split(", ")
    rows = rows_of(book, "84b59170")[1:]
    trials = [table_of_trials(task) for task in tasks]
    for name, *shown in rows:
        optimizer = next(key for key, title in NAMES.items() if title == name)
        best = [abs(np.mean([max(some) for some in combinations(own[optimizer], 4)])) if optimizer in own else np.nan
                for own in trials]
        assert list(map(float, shown)) == pytest.approx(best, abs=6e-5, nan_ok=True), name


def table_of_trials(task):
    """optimizer -> what its trials reach on validation, more being better; one that diverged is as bad as the worst."""
    runs = pd.read_csv(DATA / f"tuning-{task}-cpu.csv")
    sign = -1 if MEASURE[task] == "loss" else 1
    runs["score"] = sign * runs[f"validation_{MEASURE[task]}"].where(runs["status"] == "finished")
    return {name: own.fillna(own.min()).tolist() for name, own in runs.groupby("optimizer")["score"]}


def test_tuned_runs_have_the_best_settings_of_tuning(said):
    for task in re.search(r"tuned runs are recorded: (.*)\n", said)[1].split(", "):
        trials, tuned = table_of_trials(task), pd.read_csv(DATA / f"tuned-{task}-cpu.csv")
        tuning = pd.read_csv(DATA / f"tuning-{task}-cpu.csv")
        for name, own in tuned[tuned["arm"] != "adamw_again"].groupby("arm"):
            at = tuning[(tuning["optimizer"] == name) & np.isclose(tuning["lr"], own["lr"].iloc[0])
                        & np.isclose(tuning["weight_decay"], own["weight_decay"].iloc[0])]
            assert own["lr"].nunique() == own["weight_decay"].nunique() == len(at) == 1
            assert abs(at[f"validation_{MEASURE[task]}"].iloc[0]) == abs(max(trials[name])), (task, name)
            assert not set(own["seed"]) & set(tuning["seed"]), "chosen with other seeds than are shown"


def test_the_noise_floor_is_adamw_against_itself(book):
    head, *rows = rows_of(book, "8585c1c6")
    assert [kind for kind, *_ in rows] == ["default", "tuned"]
    for study, (_, *shown) in zip(("defaults", "tuned"), rows, strict=True):
        for task, noise in zip(head[1:], map(float, shown), strict=True):
            assert noise == pytest.approx(apart(table(study, task)), abs=1e-6), (study, task)


def test_it_tells_what_was_never_at_work(said):
    for study, title in (("defaults", "default"), ("tuned", "tuned")):
        for task in MEASURE:
            told = re.search(rf"{task}, {title}: never at work: (.*)\n", said)[1]
            for arm in table(study, task):
                if arm in NAMES:
                    assert (f"{NAMES[arm]}: " in told) == asleep(study, task, arm), (study, task, arm)


@pytest.mark.parametrize(("claim", "study", "a", "b", "tasks"), [
    ("AdamW improves on Adam significantly", "tuned", "adamw", "adam", FOUR),
    ("AdamW improves on Adam for transformers", "tuned", "adamw", "adam", ("gpt",)),
    ("AdamWAdv ends better than AdamW when both are tuned", "tuned", "adamwadv", "adamw", FOUR),
    ("AdamWSPAM beats AdamW on ResNet-50, tuned", "tuned", "adamwspam", "adamw", ("resnet50",))])
def test_a_claim_about_tasks_is_as_good_as_the_worst_of_them(findings, said, claim, study, a, b, tasks):
    cases = []
    for task in recorded(study, tasks):
        runs = table(study, task)
        gain = (runs[a] - runs[b]).dropna()
        if not asleep(study, task, a) and not asleep(study, task, b):
            rank, numbers = WORST_FIRST.index(verdict(gain, floor(runs, task, b))), interval(gain)
            cases.append((rank, strength(numbers), *numbers, len(gain)))
    if not cases:
        assert claim not in findings and f"{claim}: untested at this scale" in said
        return
    worst, _, *numbers, seeds = min(cases)
    found, *shown, shown_seeds = findings[claim]
    assert found == WORST_FIRST[worst] and shown_seeds == seeds
    assert shown == pytest.approx(numbers, rel=0.005, abs=1e-6)


@pytest.mark.parametrize(("claim", "a", "b"), [
    ("Clipping the gradient norm prevents harm by exploding gradients", "adamw_clip", "adamw"),
    ("Momentum reset at a spike keeps it from derailing training", "norm_reset", "adamw"),
    ("Spike-aware clipping by element helps where there are spikes", "element", "adamw"),
    ("AdamWSPAM does more against spikes than clipping by the norm", "adamwspam", "adamw_clip")])
def test_parts_of_spam_spare_what_the_runs_say(findings, claim, a, b):
    cases = []
    for study, task in (("ablation", "gpt"), ("ablation-resnet18", "resnet18")):
        runs = pd.read_csv(DATA / f"spam-{study}-cpu.csv").pivot(index="seed", columns="arm", values="test_loss")
        plain = pd.read_csv(DATA / f"defaults-{task}-cpu.csv").pivot(index="seed", columns="arm", values="test_loss")
        least = max(apart(plain), 0.01 * runs["adamw"].mean())
        for kind in ("spikes", "noise"):
            cost = {arm: runs[f"{arm}+{kind}"] - runs[arm] for arm in (a, b, "adamw")}
            if verdict(cost["adamw"], least) == "supported":  # else there is nothing to spare
                rank, spared = WORST_FIRST.index(verdict(cost[b] - cost[a], least)), interval(cost[b] - cost[a])
                cases.append((rank, strength(spared), *spared, len(runs)))
    worst, _, *numbers, seeds = min(cases)
    found, *shown, shown_seeds = findings[claim]
    assert found == WORST_FIRST[worst] and shown_seeds == seeds
    assert shown == pytest.approx(numbers, rel=0.005, abs=1e-6)


def test_spam_gains_with_size_what_a_line_through_the_runs_says(findings):
    runs = pd.read_csv(DATA / "width-gpt-cpu.csv")  # on ResNet-18 the detector never fired
    spam, adamw = (runs[runs["optimizer"] == name].pivot(index="parameters", columns="seed", values="test_loss")
                   for name in ("adamwspam", "adamw"))
    slopes = pd.Series(np.polyfit(np.log10(adamw.index.to_numpy(float)), adamw - spam, 1)[0])
    said, *shown, seeds = findings["SPAM helps the more the larger the model"]
    assert (said, seeds) == (verdict(slopes, 0), len(slopes))
    assert shown == pytest.approx(interval(slopes), rel=0.005, abs=1e-6)


def test_steps_and_seconds_to_the_target_are_those_of_the_epochs(book, said):
    tasks = re.search(r"tuned runs are recorded: (.*)\n", said)[1].split(", ")
    cell = next(own.id for own in book.cells if "median seconds" in own.source)
    rows = rows_of(book, cell)[2:]
    assert len(rows) == len(NAMES)
    for name, *shown in rows:
        optimizer = next(key for key, title in NAMES.items() if title == name)
        for place, task in enumerate(tasks):
            sign, column = (-1, "validation_loss") if MEASURE[task] == "loss" else (1, "validation_accuracy")
            epochs = pd.read_csv(DATA / f"tuned-{task}-cpu-epochs.csv")
            runs = pd.read_csv(DATA / f"tuned-{task}-cpu.csv")
            own = epochs[epochs["arm"] == optimizer].groupby("seed")
            target = sign * runs.loc[runs["arm"] == "adamw", column].mean()
            for offset, unit in enumerate(("step", "seconds")):
                costs = [run.loc[sign * run[column] >= target, unit].min() for _, run in own]
                expected = pd.Series(costs, dtype=float).fillna(np.inf).median()
                assert float(shown[4 * place + offset]) == pytest.approx(expected, abs=0.051, nan_ok=True), (name, task)
