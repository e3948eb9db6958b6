"""What the note says of spikes and of AdamWSPAM, decided by spikes put in on purpose and by models of many sizes."""

import pandas as pd

from adamw_lab.analysis.claims import SUPPORTED, Case, Claim, Find, Finding, all_of, some_of
from adamw_lab.analysis.claims_machine import spam_overhead
from adamw_lab.analysis.claims_optimizers import CHOOSING, IMAGES, POINTS, WHERE, contest, duel, duels, noise
from adamw_lab.analysis.recorded import (
    MEASURE,
    Records,
    again,
    compare,
    floor,
    gains_by_size,
    harm,
    paired,
    slope,
)
from adamw_lab.analysis.stats import no_worse, verdict
from adamw_lab.guide import THRESHOLD

STUDIES = {"gpt": "spam-ablation", "resnet18": "spam-ablation-resnet18"}
SPOILT = ("spikes", "noise")
SPAM = "note, AdamWSPAM"
HARM = "spikes and noise put into GPT and ResNet-18, where they harm AdamW"


def harms(records: Records, spoilt: tuple[str, ...] = SPOILT) -> dict[str, Case]:
    """What spoilt steps cost AdamW, for each network and kind of spoiling."""
    cases = {}
    for task, study in STUDIES.items():
        runs = records.runs(study)
        for kind in spoilt:
            cost = None if runs is None else harm(runs, "adamw", kind)
            cases[f"{task} {kind}"] = Case(None) if cost is None else Case(
                paired(cost, 0 * cost), spam_floor(records, task, runs))
    return cases


def spam_floor(records: Records, task: str, runs: pd.DataFrame) -> float:
    return floor(runs, "test_loss", "adamw", again(records.runs(f"defaults-{task}"), "test_loss"))


def prevents(arm: str, other: str = "adamw", spoilt: tuple[str, ...] = SPOILT) -> Find:
    """Whether spoilt steps cost `arm` less than they cost `other`, wherever they cost AdamW anything."""
    def find(records: Records) -> Finding:
        cases = harms(records, spoilt)
        for name, case in cases.items():
            task, kind = name.split()
            if case.effect is None:
                continue
            if verdict(case.effect, case.floor) != SUPPORTED:
                cases[name] = Case(None, why="does AdamW no harm")
                continue
            runs = records.runs(STUDIES[task])
            cases[name] = Case(paired(harm(runs, other, kind), harm(runs, arm, kind)), case.floor)
        return all_of(cases, WHERE.format("spam-ablation*"))
    return find


def costs_nothing(records: Records) -> Finding:
    cases = {}
    for task, study in STUDIES.items():
        runs = records.runs(study)
        cases[task] = Case(None) if runs is None else Case(
            compare(runs, "adamwspam", "adamw", "test_loss"), spam_floor(records, task, runs))
    return all_of(cases, WHERE.format("spam-ablation*"), no_worse)


def gain_by_size(records: Records) -> Finding:
    cases = {}
    for task in STUDIES:
        runs = records.runs(f"width-{task}")
        if runs is None:
            cases[task] = Case(None)
            continue
        cases[task] = contest(runs.assign(arm=runs["optimizer"]), "adamwspam", "adamw", MEASURE[task])
        if cases[task].effect is not None:
            cases[task] = Case(slope(gains_by_size(runs, "adamwspam", "adamw", MEASURE[task])))
    return all_of(cases, WHERE.format("width-*"))


def spikes_by_size(what: str) -> Find:
    """Whether a measure of AdamW's gradient spikes grows with the parameters; it must be seen in half of the runs."""
    def find(records: Records) -> Finding:
        cases = {}
        for task in STUDIES:
            runs = records.runs(f"width-{task}")
            if runs is None:
                cases[task] = Case(None)
                continue
            by_seed = runs[runs["optimizer"] == "adamw"].pivot(index="parameters", columns="seed", values=what)
            seen = int((by_seed != 0).sum(axis=None))
            cases[task] = (Case(slope(by_seed)) if seen >= by_seed.size / 2
                           else Case(None, why=f"none seen in {by_seed.size - seen} of {by_seed.size} runs"))
        return all_of(cases, WHERE.format("width-*"))
    return find


def above_threshold(records: Records) -> Finding:
    """AdamWSPAM beside AdamW on the networks above the size from which the note advises it."""
    runs, measure = records.runs("width-resnet18"), MEASURE["resnet18"]
    case = Case(None)
    if runs is not None:
        large = runs[runs["parameters"] > THRESHOLD].assign(arm=runs["optimizer"])
        case = contest(large, "adamwspam", "adamw", measure, noise(records, "defaults", "resnet18"))
    return all_of({"resnet18": case}, WHERE.format("width-resnet18"))


SPAM_CLAIMS = (
    Claim("Gradient spikes can throw off Adam", SPAM,
          "what spikes or noise put in cost AdamW, on one of two networks at least; test loss, nats",
          lambda r: some_of(harms(r), WHERE.format("spam-ablation*")), "78, 147",
          "These spikes can throw off Adam's momentum, sending training in wrong directions."),
    Claim("Clipping the gradient norm prevents harm by exploding gradients", "note, AdamWAdv",
          f"{HARM}: what they cost it less what they cost AdamW + clip; test loss, nats", prevents("adamw_clip"), "68",
          "Prevents exploding gradients by capping their magnitude"),
    Claim("Momentum reset at a spike keeps it from derailing training", SPAM,
          f"{HARM}: what they cost it less what they cost it with the norm detector and reset; test loss, nats",
          prevents("norm_reset"), "82, 87", "Resets momentum when spikes occur, preventing bad directions from "
          "persisting ... prevents these disruptions from derailing training"),
    Claim("AdamWSPAM handles spikes", SPAM,
          f"{HARM}: what they cost it less what they cost AdamWSPAM; test loss, nats", prevents("adamwspam"), "74",
          "AdamWSPAM addresses a specific problem in large model training: gradient spikes."),
    Claim("Spike-aware clipping by element helps where there are spikes", "asked here",
          f"{HARM}: what they cost it less what they cost it with theta 50; test loss, nats", prevents("element")),
    Claim("AdamWSPAM does more against spikes than clipping by the norm", "asked here",
          f"{HARM}: what they cost AdamW + clip less what they cost AdamWSPAM; test loss, nats",
          prevents("adamwspam", "adamw_clip")),
    Claim("A higher theta does more against spikes", "note, Key Hyperparameters",
          "spikes put into GPT and ResNet-18, where they harm AdamW: what they cost theta 5 less what they cost theta "
          "50; test loss, nats", prevents("element", "theta_5", ("spikes",)), "137-138",
          "Higher values (50-100) for aggressive spike handling; Lower values (10-30) for gentle momentum adjustments"),
    Claim("AdamWSPAM costs nothing where there are no spikes", "asked here",
          "GPT and ResNet-18 without spikes, AdamWSPAM no worse than AdamW; test loss, nats", costs_nothing),
    Claim("AdamWSPAM beats AdamW on ResNet-50", SPAM,
          "defaults, ResNet-50 of quarter width on digits; accuracy as a fraction",
          lambda r: duel(r, "defaults", "adamwspam", "adamw", ("resnet50",)), "88",
          "AdamWSPAM beats AdamW on ResNet-50"),
    Claim("AdamWSPAM beats AdamW on ResNet-50, tuned", SPAM,
          "tuned, ResNet-50 of quarter width on digits; accuracy as a fraction",
          lambda r: duel(r, "tuned", "adamwspam", "adamw", ("resnet50",)), "88", "AdamWSPAM beats AdamW on ResNet-50"),
    Claim("AdamWSPAM does not beat AdamW on ResNet-18", SPAM,
          "defaults, AdamW no worse than AdamWSPAM, ResNet-18, digits and Fashion-MNIST; accuracy as a fraction",
          lambda r: all_of(duels(r, "defaults", "adamw", "adamwspam", IMAGES), WHERE.format("defaults-*"), no_worse),
          "88", "but not on smaller ResNet-18"),
    Claim("Above 15 M parameters AdamWSPAM is the better choice", CHOOSING,
          "defaults, ResNet-18 of twice its width (45 M parameters) on digits, AdamWSPAM less AdamW; accuracy as a "
          "fraction", above_threshold, "109-110",
          "Try AdamWSPAM - the spike detection helps with complex loss landscapes"),
    Claim("SPAM helps the more the larger the model", SPAM,
          f"slope over log10 parameters of AdamWSPAM less AdamW; {POINTS}", gain_by_size, "85",
          "Why it works better for larger models"),
    Claim("Larger models meet more sudden changes of the gradient", SPAM,
          "AdamW: slope over log10 parameters of the share of steps whose norm is 2 deviations above the last 100",
          spikes_by_size("spike_rate"), "86",
          'Larger models have more complex loss landscapes with more "cliffs" and sudden changes'),
    Claim("Larger models meet larger gradient spikes", SPAM,
          "AdamW: slope over log10 parameters of the highest norm by the median", spikes_by_size("highest_norm"), "78",
          "especially for large models, gradients can suddenly spike"),
    Claim("SPAM has an overhead in time", CHOOSING,
          "a step's time by that of the same kernel with its terms off, less 1, on the model where that is least",
          spam_overhead, "111", "Use AdamW as fallback if SPAM's overhead isn't justified"),
)
