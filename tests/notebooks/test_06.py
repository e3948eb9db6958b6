"""Notebook 06 at its defaults: counts from LeNet-5's arithmetic, rankings from a training by torch's own AdamW."""

import re

import pandas as pd
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from adamw_lab.data import load_data, make_batches
from adamw_lab.models import build_model
from adamw_lab.provenance import RECORDS

WEIGHTS = 6 * 25 + 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
BIASES = 6 + 16 + 120 + 84 + 10


def test_it_prunes_to_the_weight(said):
    lowest = round(0.9 * WEIGHTS)
    assert f"the {lowest:,} lowest of {WEIGHTS:,}: threshold" in said and f"{lowest:,} at or below it" in said
    assert "90.00% of the weights were pruned, 90% asked for; 0 came back" in said


def test_the_mask_takes_no_byte(said):
    assert f"AdamWPrune {8 * (WEIGHTS + BIASES):,}, AdamW {8 * (WEIGHTS + BIASES):,}\n" in said


def test_the_scores_agree_as_far_as_it_says(said):
    w, m, v = trained_by_torch()
    scores = {"magnitude": w.abs(), "hybrid": w**2 * m.abs() / (v.sqrt() + 1e-8), "fisher": w**2 * v}
    found = re.search(r"hybrid and fisher is (\S+), of magnitude and hybrid (\S+), of magnitude and fisher (\S+)\.\n",
                      said)
    pairs = [("hybrid", "fisher"), ("magnitude", "hybrid"), ("magnitude", "fisher")]
    for agreement, (a, b) in zip(map(float, found.groups()), pairs, strict=True):
        assert agreement == pytest.approx(stats.spearmanr(scores[a], scores[b]).statistic, abs=0.015), (a, b)


def trained_by_torch():
    """Weights and bias-corrected moments after the notebook's training, by torch.optim.AdamW, annealed."""
    data = load_data("digits")
    network = build_model("lenet5", seed=0, **data.model_arguments())
    batches = make_batches(data, "train", 32, device="cpu", seed=0)
    weights = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    rule = torch.optim.AdamW([{"params": weights}, {"params": others, "weight_decay": 0.0}], lr=1e-3, weight_decay=0.01)
    steps = 8 * len(batches)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(rule, steps)
    for epoch in range(8):
        for images, labels in batches.epoch(epoch):
            rule.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            rule.step()
            annealing.step()
    w, m, v = (torch.cat([tensor.detach().flatten() for tensor in kind]) for kind in (
        weights, [rule.state[p]["exp_avg"] for p in weights], [rule.state[p]["exp_avg_sq"] for p in weights]))
    return w, m / (1 - 0.9**steps), v / (1 - 0.999**steps)


def test_informed_scores_keep_the_network_alive_and_chance_does_not(said):
    accuracy = {name: float(re.search(rf"\n{name} +(\S+)% ", said)[1])
                for name in ("hybrid", "magnitude, by hooks", "random, by hooks", "dense")}
    assert accuracy["dense"] > 93 and min(accuracy["hybrid"], accuracy["magnitude, by hooks"]) > 80
    assert accuracy["random, by hooks"] < 60
    errors = re.search(r"Of 270 test images .* hybrid misreads (\d+) (more|fewer) than the dense one, with hooks and "
                       r"magnitude (\d+) (more|fewer), with hooks and chance (\d+) more\.\n", said).groups()
    for name, count, way in zip(("hybrid", "magnitude, by hooks", "random, by hooks"), errors[::2],
                                (*errors[1::2], "more"), strict=True):
        more = int(count) * (1 if way == "more" else -1)
        assert more == pytest.approx(270 * (accuracy["dense"] - accuracy[name]) / 100, abs=0.3)
    least, most = map(int, re.search(r"Layers keep from (\d+)% to (\d+)% of their weights", said).groups())
    assert least <= 10 <= most, "a tenth is kept over all"


def test_the_recorded_study_refutes_hybrid_on_both_networks(said):
    gaps = []
    for place in ("lenet5", "resnet18"):
        runs = pd.read_csv(RECORDS / f"pruning-{place}-cpu.csv")
        named = runs["arm"].str.extract(r"^(hybrid|magnitude)_0\.\d+$")[0]
        by = runs.groupby(named)["test_accuracy"].mean()
        gaps.append(f"{100 * (by['magnitude'] - by['hybrid']):.1f} points ({place})")
    assert f"hybrid is worse than magnitude on 2 of 2 networks: {gaps[0]} and {gaps[1]}." in said


def test_its_key_numbers_are_recorded(said):
    assert float(re.search(r"\npruned +(\S+)", said)[1]) == pytest.approx(0.9, abs=1e-4)
    assert float(re.search(r"bytes of m and v, AdamWPrune +(\S+)", said)[1]) == 8 * (WEIGHTS + BIASES)
    assert float(re.search(r"study, resnet18, hybrid less magnitude +(\S+)", said)[1]) < -0.01
