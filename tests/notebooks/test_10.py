"""Notebook 10 at its defaults: its tables and verdicts are those of the recorded runs, computed here by pandas."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

DATA = Path(__file__).resolve().parents[2] / "figures" / "data"
STUDIES = {"ResNet-18": "pruning-resnet18-cpu", "LeNet-5": "pruning-lenet5-cpu"}
BASES = {"adamw": "AdamW", "adamwadv": "AdamWAdv", "adamwspam": "AdamWSPAM"}
CLAIMS = {"High momentum and low variance tell important weights: hybrid beats magnitude": "magnitude",
          "High momentum and low variance tell more than Fisher's opposite": "fisher",
          "Adam's existing states identify important weights": "random"}
WORST_FIRST = ["refuted", "no difference found", "supported"]


def by_seed(study, score):
    """Test accuracy of a score, its sparsities averaged, seed by seed."""
    runs = pd.read_csv(DATA / f"{study}.csv")
    runs = runs[runs["arm"].str.fullmatch(score + r"_0\.\d+") & (runs["status"] == "finished")]
    return runs.pivot(index="seed", columns="arm", values="test_accuracy").mean(axis=1)


def interval(gain):
    return gain.mean(), *stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))


def floor(network):
    """0.2 points, or what AdamW without pruning differs from itself by."""
    if network == "LeNet-5":
        return 0.002
    runs = pd.read_csv(DATA / "defaults-resnet18-cpu.csv").pivot(index="seed", columns="arm", values="test_accuracy")
    return max(0.002, *map(abs, interval(runs["adamw"] - runs["adamw_again"])[1:]))


def verdict(gain, network):
    (mean, low, high), least = interval(gain), floor(network)
    return "supported" if low > 0 and mean > least else "refuted" if high < 0 and mean < -least else WORST_FIRST[1]


def strength(gain):
    mean, low, high = interval(gain)
    return 2 * mean / (high - low)


@pytest.mark.parametrize("claim", CLAIMS)
def test_hybrid_is_judged_by_its_worst_study(findings, claim):
    gains = {network: by_seed(study, "hybrid") - by_seed(study, CLAIMS[claim]) for network, study in STUDIES.items()}
    verdicts = {network: verdict(gain, network) for network, gain in gains.items()}
    said, *numbers, seeds = findings[claim]
    assert said == min(verdicts.values(), key=WORST_FIRST.index)
    worst = min((gains[network] for network in gains if verdicts[network] == said), key=strength)
    assert numbers == pytest.approx(interval(worst), rel=0.005, abs=1e-6) and seeds == len(worst)


def test_the_table_of_resnet_is_of_its_runs(said):
    runs = pd.read_csv(DATA / "pruning-resnet18-cpu.csv").groupby("arm")["test_accuracy"].mean().mul(100)
    assert f"dense: {runs['dense']:.1f} %" in said
    for score in ("fisher", "hybrid", "magnitude", "random"):
        shown = re.search(rf"\n{score} +(\d\S+) +(\S+)\n", said).groups()
        expected = [runs[f"{score}_{sparsity}"] for sparsity in (0.7, 0.9)]
        assert list(map(float, shown)) == pytest.approx(expected, abs=0.06), score


@pytest.mark.parametrize(("network", "score"), [
    ("ResNet-18", "hybrid"), ("ResNet-18", "fisher"), ("ResNet-18", "random"), ("LeNet-5", "hybrid"),
    ("LeNet-5", "fisher"), ("LeNet-5", "variance"), ("LeNet-5", "saliency"), ("LeNet-5", "random")])
def test_each_score_less_magnitude_is_of_its_runs(said, metrics, network, score):
    gain = by_seed(STUDIES[network], score) - by_seed(STUDIES[network], "magnitude")
    table = next(text for text in said.split("\n\n") if "less magnitude (points)" in text)
    own = table.partition(network)[2].partition("LeNet-5")[0] + "\n"
    shown = re.search(rf"{score} +(\S+) +(\S+) +(\S+) +{len(gain)}(?:\.0)? *\n", own).groups()
    assert list(map(float, shown)) == pytest.approx([100 * x for x in interval(gain)], abs=0.006)
    assert metrics[f"{network}, {score} less magnitude"] == pytest.approx(100 * gain.mean(), abs=1e-4)
    better, worse = re.search(rf"{network}: better than magnitude: (.*); worse: (.*)\.\n", said).groups()
    assert (score in better.split(", ")) == (verdict(gain, network) == "supported")
    assert (score in worse.split(", ")) == (verdict(gain, network) == "refuted")


@pytest.mark.parametrize("arm", ["adamw_late_cubic", "adamwspam_cubic", "adamwspam_late_cubic"])
def test_bases_and_schedules_are_compared_seed_by_seed(said, arm):
    table = pd.read_csv(DATA / "pruning-lenet5-cpu.csv").pivot(index="seed", columns="arm", values="test_accuracy")
    shown = re.search(rf"\n{arm} +(\S+) +(\S+) +(\S+)\n", said).groups()
    assert list(map(float, shown)) == pytest.approx(interval(100 * (table[arm] - table["adamw_cubic"])), abs=0.006)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("score", ["hybrid", "fisher", "random"])
def test_scores_are_compared_on_every_base(said, metrics, base, score):
    gain = by_seed("pruning-bases-cpu", f"{base}_{score}") - by_seed("pruning-bases-cpu", f"{base}_magnitude")
    assert metrics[f"{BASES[base]}, {score} beside magnitude"] == pytest.approx(100 * gain.mean(), abs=1e-4)
    better, worse = re.search(rf"On {BASES[base]} over four sparsities: better than magnitude: (.*); worse: (.*)\.\n",
                              said).groups()
    assert (score in better.split(", ")) == (verdict(gain, "LeNet-5") == "supported")
    assert (score in worse.split(", ")) == (verdict(gain, "LeNet-5") == "refuted")


@pytest.mark.parametrize("base", ["adamwadv", "adamwspam"])
def test_bases_are_compared_beneath_every_score(metrics, base):
    for score in ("hybrid", "magnitude", "fisher", "random"):
        gain = by_seed("pruning-bases-cpu", f"{base}_{score}") - by_seed("pruning-bases-cpu", f"adamw_{score}")
        shown = metrics[f"{BASES[base]}, {score} beside AdamW's rule"]
        assert shown == pytest.approx(100 * gain.mean(), abs=1e-4)


def test_runs_on_adamw_repeat_those_of_the_other_study(metrics):
    assert metrics["largest difference of a repeated run"] < 0.03, "a rounding may move a few of 270 images"


def test_targets_are_met_to_the_weight(said):
    runs = pd.concat([pd.read_csv(DATA / f"{study}.csv") for study in STUDIES.values()])
    runs = runs.query("optimizer == 'adamwprune'")
    missed = runs["sparsity"] - runs["optimizer_options"].map(lambda text: json.loads(text)["target_sparsity"])
    found = re.search(r"(\d+) runs of AdamWPrune; the largest miss of a target is (\S+) of the weights", said).groups()
    assert int(found[0]) == len(runs) and float(found[1]) == pytest.approx(missed.abs().max(), abs=1e-7)
    assert float(found[1]) < 0.5 / 61_470 + 1e-7, "half a weight of LeNet-5"


def test_what_pruning_keeps_is_as_recorded(said, findings):
    kept = pd.read_csv(DATA / "memory.csv").set_index("method")["pruning_bytes_per_weight"]
    assert kept["adamwprune"] == 0 and re.search(r"minimal memory overhead: supported \(.*: 0 bytes\)\.", said)
    least = kept[["magnitude_pruner", "movement_pruner", "torch_prune"]].min()
    assert least == findings["Traditional pruning needs extra memory"][1] >= 1
