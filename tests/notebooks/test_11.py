"""Notebook 11 at its defaults: its effects and verdicts are those of the recorded runs, computed here by pandas."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

DATA = Path(__file__).resolve().parents[2] / "figures" / "data"


def losses(study, measure="test_loss"):
    """A row a seed, a column an arm."""
    return pd.read_csv(DATA / f"{study}-cpu.csv").pivot(index="seed", columns="arm", values=measure)


def verdict(gain, floor):
    """What differences by seed, positive where a claim holds, say of it."""
    low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
    said = ("supported" if low > 0 and gain.mean() > floor else
            "refuted" if high < 0 and gain.mean() < -floor else "no difference found")
    return said, pytest.approx([gain.mean(), low, high], rel=0.005, abs=1e-6), len(gain)


def agrees(finding, gain, floor):
    said, *numbers, seeds = finding
    return (said, numbers, seeds) == verdict(gain, floor)


@pytest.mark.parametrize(("claim", "study", "arm", "other"), [
    ("Raise beta1 to 0.95 for noisy gradients", "betas", "b8_0.95_0.999", "b8_0.9_0.999"),
    ("Weight decay of 0.01 helps AdamW", "decay", "wd0.01", "wd0"),
    ("Weight decay of 0.1 helps AdamW", "decay", "wd0.1", "wd0")])
def test_an_arm_beats_another_by_what_the_runs_say(findings, claim, study, arm, other):
    table = losses(study)
    assert agrees(findings[claim], table[other] - table[arm], 0.01 * table[other].mean())


def strength(gain):
    low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
    return 2 * gain.mean() / (high - low)


def test_a_shorter_beta2_is_judged_on_both_problems(findings):
    lenet, gpt = losses("betas"), losses("betas-gpt")
    gains = [(lenet["b64_0.9_0.999"] - lenet["b64_0.9_0.99"], lenet["b64_0.9_0.999"]),
             (gpt["0.9_0.999"] - gpt["0.9_0.99"], gpt["0.9_0.999"])]
    order = ["refuted", "no difference found", "supported"]
    worst, default = min(gains, key=lambda pair: (order.index(verdict(pair[0], 0.01 * pair[1].mean())[0]),
                                                  strength(pair[0])))
    assert agrees(findings["A beta2 of 0.99 makes the result better"], worst, 0.01 * default.mean())


def test_decay_closes_the_gap_by_what_the_runs_say(findings):
    best = losses("decay", "validation_loss").mean()[["wd0.01", "wd0.1", "wd1"]].idxmin()
    gap = losses("decay", "test_loss") - losses("decay", "train_loss")
    assert agrees(findings["Weight decay prevents overfitting"], gap["wd0"] - gap[best], 0.01 * gap["wd0"].mean())


def test_adam_without_decay_is_held_against_the_best_coupled_one(findings):
    table = losses("decay")
    rival = losses("decay", "validation_loss").mean()[["adam_l2_0.0001", "adam_l2_0.01"]].idxmin()
    gain = table[rival] - table["wd0"]
    low = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))[0]
    said, *numbers, seeds = findings["No weight decay for vanilla Adam"]
    expected, shown, count = verdict(gain, 0.01 * table[rival].mean())
    assert said == ("supported" if low > -0.01 * table[rival].mean() else expected)
    assert numbers == shown and seeds == count


def test_the_default_betas_meet_the_best_other_pair_of_each_problem(findings):
    said = []
    for study, prefix in (("betas", "b8_"), ("betas", "b64_"), ("betas-gpt", "")):
        table, default = losses(study), f"{prefix}0.9_0.999"
        others = [prefix + pair for pair in ("0.95_0.999", "0.8_0.999", "0.9_0.99", "0.9_0.9999")]
        rival = losses(study, "validation_loss").mean()[others].idxmin()
        gain, least = table[rival] - table[default], 0.01 * table[rival].mean()
        low = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))[0]
        said.append("supported" if low > -least else verdict(gain, least)[0])
    share = {word: said.count(word) / 3 for word in ("supported", "refuted")}
    expected = ("supported" if share["supported"] > 0.5 else "refuted" if share["refuted"] >= 0.5
                else "no difference found")
    found, balance, *_ = findings["Betas of (0.9, 0.999) work in most cases"]
    assert found == expected and balance == pytest.approx(share["supported"] - share["refuted"], abs=0.001)


def test_decays_meet_at_the_strength_that_is_best_on_validation(findings):
    by_validation, table = losses("decay", "validation_loss").mean(), losses("decay")
    decoupled = by_validation[["wd0.01", "wd0.1", "wd1"]].idxmin()
    coupled = by_validation[["adam_l2_0.0001", "adam_l2_0.01"]].idxmin()
    assert agrees(findings["Decay coupled to Adam's step is less effective than decoupled decay"],
                  table[coupled] - table[decoupled], 0.01 * table[decoupled].mean())


def test_the_best_rate_falls_with_the_size_as_it_says(said, findings):
    runs = pd.read_csv(DATA / "rates-cpu.csv")
    best = runs.loc[runs.groupby(["parameters", "seed"])["validation_loss"].idxmin()]
    by_size = best.pivot(index="parameters", columns="seed", values="lr")
    for parameters, row in by_size.iterrows():
        shown = re.search(rf"\n{parameters} +([\d. ]+)\n", said)[1].split()
        assert list(map(float, shown)) == pytest.approx(row.tolist())
    falls = -np.polyfit(np.log10(by_size.index.to_numpy()), np.log10(by_size), 1)[0]
    assert agrees(findings["Scale the learning rate down for larger models"], pd.Series(falls), 0)


def test_theta_spares_of_spikes_what_the_runs_say(metrics):
    arms = {5: "theta_5", 50: "element", 500: "theta_500", 5000: "theta_5000"}
    for network, study in (("GPT", "spam-ablation"), ("ResNet-18", "spam-ablation-resnet18")):
        table = losses(study)
        for theta, arm in arms.items():
            gain = table["adamw"] - table[arm]
            spared = table["adamw+spikes"] - table[f"{arm}+spikes"] - gain
            for what, by in (("gained without spikes", gain), ("spared of what spikes cost", spared)):
                assert metrics[f"theta on {network}, {theta}, {what}"] == pytest.approx(by.mean(), abs=1e-5)


def test_an_element_is_clipped_to_the_root_of_theta(said):
    told = re.findall(r"theta (\S+): of a gradient of 100 comes in (\S+)", said)
    shown = {float(theta): float(entered) for theta, entered in told}
    assert shown == {5: 2.24, 50: 7.07, 500: 22.4, 50_000: 100}


def test_a_decay_takes_off_an_idle_weight_what_its_schedule_says(said):
    shown = dict(re.findall(r"a decay of (\S+) takes (\S+)% off an idle weight in 1,300 steps", said))
    rates = 0.5e-3 * (1 + np.cos(np.pi * np.arange(1300) / 1300))
    assert {float(decay): float(taken) for decay, taken in shown.items()} == {
        decay: round(100 * (1 - np.prod(1 - rates * decay)), 1) for decay in (0.01, 0.1, 1.0)}


def test_its_metrics_are_the_effects_of_the_ledger(metrics, findings):
    for claim, (_, mean, *_) in findings.items():
        assert metrics[claim] == pytest.approx(mean, rel=0.01), claim
    runs = pd.read_csv(DATA / "rates-cpu.csv").groupby(["parameters", "lr"])["validation_loss"].mean().unstack()
    for size, rate in runs.idxmin(axis=1).items():
        assert metrics[f"best rate of {size:,} parameters"] == rate


def test_a_higher_theta_clips_less(findings):
    said, clips_more, *_ = findings["A higher theta clips more"]
    # Of Gaussian gradients those beyond the root of theta are clipped, and more while v is young.
    assert said == "refuted" and -clips_more > stats.chi2.sf(10, 1) - stats.chi2.sf(50, 1)
    assert -clips_more == pytest.approx(stats.chi2.sf(10, 1), abs=0.005)


def test_half_of_an_average_is_as_old_as_beta_says(said):
    for beta in (0.9, 0.95, 0.99, 0.999):
        assert f"beta {beta}: half of the average is older than {math.log(0.5) / math.log(beta):.0f} steps" in said


def test_1e_3_is_behind_the_best_rate_of_its_worst_width(findings):
    runs = pd.read_csv(DATA / "rates-cpu.csv")
    gains = {}
    for options, group in runs.groupby("model_options"):
        by_rate = group.pivot(index="seed", columns="lr", values="test_loss")
        rival = group[group["lr"] != 1e-3].groupby("lr")["validation_loss"].mean().idxmin()
        gains[json.loads(options)["width"]] = by_rate[rival] - by_rate[1e-3]
    worst = min(gains.values(), key=strength)
    assert agrees(findings["Start Adam variants with a learning rate of 1e-3"], worst, 0.01 * runs["test_loss"].mean())
