"""What the note advises on hyperparameters, decided by the studies of rates, betas and decay."""

import json

import numpy as np
import pandas as pd
import torch

from adamw_lab.analysis.claims import PROFILE, Case, Claim, Find, Finding, all_of, measured, most_of
from adamw_lab.analysis.claims_optimizers import WHERE, noise
from adamw_lab.analysis.recorded import WORTH, Records, compare, floor, paired, slope
from adamw_lab.analysis.stats import Effect, no_worse
from adamw_lab.optim import textbook

KEY = "note, Key Hyperparameters"
DECAY = "note, The Weight Decay Problem"
LENET = "LeNet-5 on 400 images"
PAIRS = ("0.95_0.999", "0.8_0.999", "0.9_0.99", "0.9_0.9999")
"""beta1 and beta2 of the arms beside the default pair."""


def within(study: str, a: str, b: str, measure: str = "test_loss") -> Find:
    return lambda records: measured(compare(records.runs(study), a, b, measure), WHERE.format(study),
                                    floor(records.runs(study), measure, b))


def default_betas(records: Records) -> Finding:
    """(0.9, 0.999) less the other pair that is best on validation, on three problems: no worse?"""
    cases = {}
    for problem, study, prefix in (("LeNet-5, batches of 8", "betas", "b8_"),
                                   ("LeNet-5, batches of 64", "betas", "b64_"), ("GPT", "betas-gpt", "")):
        runs = records.runs(study)
        if runs is None:
            cases[problem] = Case(None)
            continue
        others = runs[runs["arm"].isin([prefix + pair for pair in PAIRS])]
        rival, default = others.groupby("arm")["validation_loss"].mean().idxmin(), f"{prefix}0.9_0.999"
        known = noise(records, "defaults", "gpt") if problem == "GPT" else 0.0
        cases[f"{problem} against {rival.removeprefix(prefix)}"] = Case(
            compare(runs, default, rival, "test_loss"), floor(runs, "test_loss", rival, known))
    return most_of(cases, f"{WHERE.format('betas')} and betas-gpt-{PROFILE}.csv", no_worse)


def beta2_helps(records: Records) -> Finding:
    cases = {"LeNet-5, batches of 64": ("betas", "b64_"), "GPT": ("betas-gpt", "")}
    return all_of({problem: Case(compare(records.runs(study), f"{prefix}0.9_0.99", f"{prefix}0.9_0.999", "test_loss"),
                                 floor(records.runs(study), "test_loss", f"{prefix}0.9_0.999"))
                   for problem, (study, prefix) in cases.items()},
                  f"{WHERE.format('betas')} and betas-gpt-{PROFILE}.csv")


def steps_to_answer(beta2: float) -> int:
    """Steps until Adam's second moment has answered half of a hundredfold rise of the squared gradient."""
    p, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    state = {"step": 100_000, "exp_avg": one, "exp_avg_sq": one}  # after many gradients of 1
    steps = 0
    while float(state["exp_avg_sq"]) < (1 + 100) / 2:
        textbook.adam(p, 10.0 * one, state, betas=(0.9, beta2))
        steps += 1
    return steps


def answers_sooner(records: Records) -> Finding:
    slow, fast = steps_to_answer(0.999), steps_to_answer(0.99)
    sooner = float(slow - fast)
    return measured(Effect(sooner, sooner, sooner, 1), f"{slow} steps at 0.999, {fast} at 0.99")


def rate_by_size(records: Records) -> Finding:
    runs = records.runs("rates")
    if runs is None:
        return measured(None, WHERE.format("rates"))
    best = runs.loc[runs.groupby(["parameters", "seed"])["validation_loss"].idxmin()]
    rates = best.pivot(index="parameters", columns="seed", values="lr")
    return measured(slope(-np.log10(rates)), WHERE.format("rates"))


def first_rate(records: Records) -> Finding:
    runs = records.runs("rates")
    if runs is None:
        return measured(None, WHERE.format("rates"))
    cases = {}
    for options, group in runs.groupby("model_options", sort=False):
        by = group.pivot(index="seed", columns="lr", values="test_loss")
        chosen = group[group["lr"] != 1e-3].groupby("lr")["validation_loss"].mean()
        rival = chosen.idxmin()  # on validation, so that the test judges a choice that it did not make
        own_floor = WORTH["loss"] * float(by[1e-3].mean())
        cases[f"width {json.loads(options)['width']} against {rival:g}"] = Case(paired(by[rival], by[1e-3]), own_floor)
    return all_of(cases, WHERE.format("rates"), no_worse)


def strongest(runs: pd.DataFrame, prefix: str) -> str:
    """The arm with a decay, of those that begin with `prefix`, that is best on validation."""
    loss = runs.groupby("arm")["validation_loss"].mean()
    return str(loss[loss.index.str.match(rf"{prefix}(?!0$)[\d.]+$")].idxmin())


def coupled(records: Records) -> Finding:
    """AdamW's decay beside Adam's, each at the strength that is best on validation."""
    runs = records.runs("decay")
    if runs is None:
        return measured(None, WHERE.format("decay"))
    ours, theirs = strongest(runs, "wd"), strongest(runs, "adam_l2_")
    return measured(compare(runs, ours, theirs, "test_loss"), f"{WHERE.format('decay')}: {ours} beside {theirs}",
                    floor(runs, "test_loss", ours))


def none_for_adam(records: Records) -> Finding:
    """Adam without decay beside Adam with the coupled decay that is best on validation: no worse?"""
    runs = records.runs("decay")
    if runs is None:
        return measured(None, WHERE.format("decay"))
    rival = strongest(runs, "adam_l2_")
    return measured(compare(runs, "wd0", rival, "test_loss"), f"{WHERE.format('decay')}: wd0 beside {rival}",
                    floor(runs, "test_loss", rival), no_worse)


def gap(records: Records) -> Finding:
    """The gap between test and training loss, without decay less with the decay that is best on validation."""
    runs = records.runs("decay")
    if runs is None:
        return measured(None, WHERE.format("decay"))
    best = strongest(runs, "wd")
    runs = runs.assign(gap_loss=runs["test_loss"] - runs["train_loss"])
    return measured(compare(runs, best, "wd0", "gap_loss"), f"{WHERE.format('decay')}: {best}",
                    floor(runs, "gap_loss", "wd0"))


SETTING_CLAIMS = (
    Claim("Start Adam variants with a learning rate of 1e-3", KEY,
          "GPT of four widths: no worse than the other rate that is best on validation; test loss, nats",
          first_rate, "124", "Start with 1e-3 for Adam variants"),
    Claim("Scale the learning rate down for larger models", KEY,
          "GPT: minus the slope of log10 of the best rate over log10 parameters", rate_by_size, "125",
          "Scale down for larger models (5e-4 or 1e-4)"),
    Claim("Betas of (0.9, 0.999) work in most cases", KEY,
          "on most of three problems no worse than the other pair, of four, that is best on validation; test loss",
          default_betas, "128", "Default (0.9, 0.999) works for most cases"),
    Claim("Raise beta1 to 0.95 for noisy gradients", KEY,
          "LeNet-5 with batches of 8: 0.9's test loss less 0.95's; nats",
          within("betas", "b8_0.95_0.999", "b8_0.9_0.999"), "129", "Increase β₁ to 0.95 for noisy gradients"),
    Claim("A beta2 of 0.99 responds faster", KEY,
          "steps until half of a rise of the squared gradient is in v, 0.999 less 0.99", answers_sooner, "130",
          "Decrease β₂ to 0.99 for better responsiveness"),
    Claim("A beta2 of 0.99 makes the result better", "asked here",
          "LeNet-5 with batches of 64, GPT: 0.999's test loss less 0.99's; nats", beta2_helps),
    Claim("Weight decay of 0.01 helps AdamW", KEY, f"{LENET}: test loss without less with; nats",
          within("decay", "wd0.01", "wd0"), "133", "0.01-0.1 for AdamW variants"),
    Claim("Weight decay of 0.1 helps AdamW", KEY, f"{LENET}: test loss without less with; nats",
          within("decay", "wd0.1", "wd0"), "133", "0.01-0.1 for AdamW variants"),
    Claim("No weight decay for vanilla Adam", KEY,
          f"{LENET}: test loss with the coupled decay that is best on validation less without any, no worse; nats",
          none_for_adam, "134", "0 for vanilla Adam (use AdamW if you need decay)"),
    Claim("Weight decay prevents overfitting", DECAY,
          f"{LENET}: how far the test loss is above the training loss without decay, less how far it is with the decay "
          "that is best on validation; nats", gap,
          "40", "a technique to prevent overfitting by penalizing large weights"),
    Claim("Decay coupled to Adam's step is less effective than decoupled decay", DECAY,
          f"{LENET}: test loss of Adam less AdamW's, each with the decay that is best on validation; nats",
          coupled, "42", "coupling weight decay with the adaptive learning rate, making it less effective"),
)
