"""The claims that measurements decide: optimizers, SPAM, pruning, hyperparameters."""

import json

import numpy as np
import pandas as pd

from adamw_lab.analysis.claims import PROFILE, Claim, Find, Finding, measured, most, over
from adamw_lab.analysis.claims_machine import beats_fused, no_bytes, spam_overhead, starts_sooner, traditional_bytes
from adamw_lab.analysis.recorded import (
    MEASURE,
    WORTH,
    Records,
    again,
    compare,
    floor,
    gains_by_size,
    paired,
    scores,
    slope,
)
from adamw_lab.analysis.stats import VERDICTS, Effect, verdict
from adamw_lab.guide import THRESHOLD

TASKS = ("resnet18", "fashion", "lstm", "gpt")
IMAGES = ("resnet18", "fashion")
WHERE = f"figures/data/{{}}-{PROFILE}.csv"
ADAPTIVE = "note, The Adam Optimizer"
CHOOSING = "note, Choosing an Optimizer"
KEY = "note, Key Hyperparameters"
POINTS = "accuracy as a fraction on resnet18 and fashion, nats or squared error on gpt and lstm"


def duel(records: Records, kind: str, a: str, b: str, tasks: tuple[str, ...] = TASKS) -> Finding:
    """Whether optimizer `a` beats `b` on all tasks, in the studies `<kind>-<task>`."""
    cases = {}
    for task in tasks:
        runs, measure = own(records, kind, task), MEASURE[task]
        cases[task] = compare(runs, a, b, measure), floor(runs, measure, b, noise(records, task))
    return over(cases, WHERE.format(f"{kind}-*"))


def noise(records: Records, task: str) -> float:
    """The noise floor of a task, from the study that runs AdamW twice."""
    return again(records.runs(f"defaults-{task}"), MEASURE[task])


def own(records: Records, kind: str, task: str) -> pd.DataFrame | None:
    """The runs of a study with the optimizer as the arm, since tuned arms are named by their settings."""
    runs = records.runs(f"{kind}-{task}")
    if runs is None or kind != "tuned":
        return runs
    return runs.assign(arm=runs["optimizer"])


def less_tuning(records: Records) -> Finding:
    cases = {}
    for task in TASKS:
        default, tuned, measure = own(records, "defaults", task), own(records, "tuned", task), MEASURE[task]
        if default is None or tuned is None:
            cases[task] = None, 0.0
            continue
        gain = {name: scores(tuned, name, measure) - scores(default, name, measure) for name in ("sgd", "adam")}
        cases[task] = paired(gain["sgd"], gain["adam"]), floor(default, measure, "adam")
    return over(cases, f"{WHERE.format('tuned-*')} less defaults-*-{PROFILE}.csv")


def faster(records: Records) -> Finding:
    """Adam beside SGD after one epoch, on validation, by the measure by which the task is judged in the end."""
    cases = {}
    for task in TASKS:
        epochs, measure = records.epochs(f"tuned-{task}"), MEASURE[task].replace("test", "validation")
        if epochs is None:
            cases[task] = None, 0.0
            continue
        first = epochs[epochs["epoch"] == 1].pivot(index="seed", columns="optimizer", values=measure)
        first = -first if measure.endswith("loss") else first
        cases[task] = paired(first["adam"].dropna(), first["sgd"].dropna()), 0.0
    return over(cases, f"figures/data/tuned-*-{PROFILE}-epochs.csv")


def no_single_best(records: Records) -> Finding:
    """Which optimizers nothing beats on any task: if there are none, no single one is best."""
    unbeaten: set[str] | None = None
    tasks = [task for task in TASKS if records.runs(f"tuned-{task}") is not None]
    if len(tasks) < 2:
        return measured(None, f"{WHERE.format('tuned-*')} of two tasks or more")
    for task in tasks:
        runs, measure = own(records, "tuned", task), MEASURE[task]
        names = sorted(runs["arm"].unique())
        floors = {a: floor(runs, measure, a, noise(records, task)) for a in names}
        here = {a for a in names if not any(verdict(compare(runs, b, a, measure), floors[a]) == VERDICTS[0]
                                            for b in names if b != a)}
        unbeaten = here if unbeaten is None else unbeaten & here
    said = VERDICTS[2] if unbeaten else VERDICTS[0]
    names = ", ".join(sorted(unbeaten or ())) or "none"
    return Finding(said, f"{WHERE.format('tuned-*')} ({', '.join(tasks)}): beaten on none: {names}")


def spam(a: str, b: str) -> Find:
    """Whether arm `a` of the SPAM studies beats `b` by test loss, on the GPT and on the ResNet."""
    def find(records: Records) -> Finding:
        studies = {"gpt": records.runs("spam-ablation"), "resnet18": records.runs("spam-ablation-resnet18")}
        return over({task: (compare(runs, a, b, "test_loss"), floor(runs, "test_loss", b))
                     for task, runs in studies.items()}, WHERE.format("spam-ablation*"))
    return find


def by_size(records: Records, what: str) -> Finding:
    cases = {}
    for task in ("gpt", "resnet18"):
        runs = records.runs(f"width-{task}")
        if runs is None:
            cases[task] = None, 0.0
        elif what == "gain":
            cases[task] = slope(gains_by_size(runs, "adamwspam", "adamw", MEASURE[task])), 0.0
        else:
            plain = runs[runs["optimizer"] == "adamw"]
            by_seed = plain.pivot(index="parameters", columns="seed", values=what)
            cases[task] = (slope(by_seed) if by_seed.any(axis=None) else None), 0.0  # nothing seen has no slope
    return over(cases, WHERE.format("width-*"))


def above_threshold(records: Records) -> Finding:
    """AdamWSPAM beside AdamW on the networks above the size from which the note advises it."""
    runs, measure = records.runs("width-resnet18"), MEASURE["resnet18"]
    large = None if runs is None else runs[runs["parameters"] > THRESHOLD].assign(arm=runs["optimizer"])
    effect = None if large is None else compare(large, "adamwspam", "adamw", measure)
    return measured(effect, WHERE.format("width-resnet18"),
                    0.0 if effect is None else floor(large, measure, noise=noise(records, "resnet18")))


def mean_over_sparsities(runs: pd.DataFrame, score: str) -> pd.Series:
    """Test accuracy of a score by seed, over all sparsities at which every seed was run."""
    arms = runs["arm"].str.fullmatch(rf"{score}_0\.\d+")
    return runs[arms].pivot(index="seed", columns="arm", values="test_accuracy").dropna().mean(axis=1)


def score_duel(a: str, b: str) -> Find:
    def find(records: Records) -> Finding:
        cases = {}
        for name in ("lenet5", "resnet18"):
            runs = records.runs(f"pruning-{name}")
            effect = None if runs is None else paired(mean_over_sparsities(runs, a), mean_over_sparsities(runs, b))
            cases[name] = effect, WORTH["accuracy"]
        return over(cases, WHERE.format("pruning-*"))
    return find


def within(study: str, a: str, b: str, measure: str = "test_loss") -> Find:
    return lambda records: measured(compare(records.runs(study), a, b, measure), WHERE.format(study),
                                    floor(records.runs(study), measure, b))


def default_betas(records: Records) -> Finding:
    runs = records.runs("betas")
    if runs is None:
        return measured(None, WHERE.format("betas"))
    others = ("0.95_0.999", "0.8_0.999", "0.9_0.99", "0.9_0.9999")
    cases = {f"{other} at batch {batch}": (compare(runs, f"b{batch}_0.9_0.999", f"b{batch}_{other}", "test_loss"),
                                           floor(runs, "test_loss", f"b{batch}_0.9_0.999"))
             for batch in (8, 64) for other in others}
    return most(cases, WHERE.format("betas"))


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
        cases[f"width {json.loads(options)['width']} against {rival:g}"] = paired(by[rival], by[1e-3]), own_floor
    return over(cases, WHERE.format("rates"))


def coupled(records: Records) -> Finding:
    """AdamW's decay beside Adam's, each at the strength that is best on validation."""
    runs = records.runs("decay")
    if runs is None:
        return measured(None, WHERE.format("decay"))
    loss = runs.groupby("arm")["validation_loss"].mean()
    best = {prefix: loss[loss.index.str.match(rf"{prefix}0\.?\d*[1-9]")].idxmin() for prefix in ("wd", "adam_l2_")}
    effect = compare(runs, best["wd"], best["adam_l2_"], "test_loss")
    evidence = f"{WHERE.format('decay')}: {best['wd']} beside {best['adam_l2_']}"
    return measured(effect, evidence, floor(runs, "test_loss", best["wd"]))


def gap(records: Records) -> Finding:
    runs = records.runs("decay")
    if runs is None:
        return measured(None, WHERE.format("decay"))
    runs = runs.assign(gap_loss=runs["validation_loss"] - runs["train_loss"])
    return measured(compare(runs, "wd0.1", "wd0", "gap_loss"), WHERE.format("decay"))


def exact(records: Records) -> Finding:
    runs = records.runs("pruning-lenet5")
    if runs is None:
        return measured(None, WHERE.format("pruning-lenet5"))
    pruned = runs[runs["optimizer"] == "adamwprune"]
    targets = pruned["optimizer_options"].map(lambda text: json.loads(text)["target_sparsity"])
    missed = float((pruned["sparsity"] - targets).abs().max())
    # LeNet-5 has 61,470 weights to prune: exact is within half of one.
    said = VERDICTS[0] if missed <= 0.5 / 61_470 + 1e-7 else VERDICTS[1]
    return Finding(said, WHERE.format("pruning-lenet5"), Effect(-missed, -missed, -missed, pruned["seed"].nunique()))


MEASURED = (
    Claim("No single optimizer is best for all models", "note, Summary",
          "tuned optimizers on four tasks: is there one that nothing beats anywhere?", no_single_best),
    Claim("Adam needs less tuning than SGD", ADAPTIVE, f"what tuning gains SGD less what it gains Adam; {POINTS}",
          less_tuning),
    Claim("Adam reaches good solutions quicker than SGD", ADAPTIVE,
          f"tuned, on validation after the first epoch: Adam less SGD; {POINTS}", faster),
    Claim("AdamW improves on Adam significantly", "note, AdamW's Solution", f"tuned AdamW less tuned Adam; {POINTS}",
          lambda r: duel(r, "tuned", "adamw", "adam")),
    Claim("For smaller models AdamW is the best start: it beats SGD with its defaults", CHOOSING,
          f"defaults, AdamW less SGD; {POINTS}", lambda r: duel(r, "defaults", "adamw", "sgd")),
    Claim("SGD still wins in vision where the last point of accuracy counts", CHOOSING,
          "tuned SGD less tuned AdamW on ResNet-18, digits and Fashion-MNIST; accuracy as a fraction",
          lambda r: duel(r, "tuned", "sgd", "adamw", IMAGES)),
    Claim("AdamWAdv is best for stable training when there is time to tune", "note, AdamWAdv",
          f"tuned AdamWAdv less tuned AdamW; {POINTS}", lambda r: duel(r, "tuned", "adamwadv", "adamw")),
    Claim("AMSGrad makes Adam better", "note, AdamWAdv", f"defaults, AdamWAdv less AdamW + clip; {POINTS}",
          lambda r: duel(r, "defaults", "adamwadv", "adamw_clip")),
    Claim("Clipping the gradient norm prevents harm by exploding gradients", "note, AdamWAdv",
          "GPT and ResNet-18 with injected spikes, AdamW + clip less AdamW; nats",
          spam("adamw_clip+spikes", "adamw+spikes")),
    Claim("AdamWSPAM beats AdamW on ResNet-50", "note, AdamWSPAM",
          "defaults, ResNet-50 of quarter width on digits; accuracy as a fraction",
          lambda r: duel(r, "defaults", "adamwspam", "adamw", ("resnet50",))),
    Claim("AdamWSPAM beats AdamW on ResNet-50, tuned", "note, AdamWSPAM",
          "tuned, ResNet-50 of quarter width on digits; accuracy as a fraction",
          lambda r: duel(r, "tuned", "adamwspam", "adamw", ("resnet50",))),
    Claim("AdamWSPAM does not beat AdamW on ResNet-18", "note, AdamWSPAM",
          "defaults, AdamW less AdamWSPAM, ResNet-18, digits and Fashion-MNIST; accuracy as a fraction",
          lambda r: duel(r, "defaults", "adamw", "adamwspam", IMAGES)),
    Claim("Above 15 M parameters AdamWSPAM is the better choice", CHOOSING,
          "defaults, ResNet-18 of twice its width (45 M parameters) on digits, AdamWSPAM less AdamW; accuracy as a "
          "fraction", above_threshold),
    Claim("SPAM helps the more the larger the model", "note, AdamWSPAM",
          f"slope over log10 parameters of AdamWSPAM less AdamW; {POINTS}", lambda r: by_size(r, "gain")),
    Claim("Larger models meet more sudden changes of the gradient", "note, AdamWSPAM",
          "AdamW: slope over log10 parameters of the share of steps whose norm is 2 deviations above the last 100",
          lambda r: by_size(r, "spike_rate")),
    Claim("Larger models meet larger gradient spikes", "note, AdamWSPAM",
          "AdamW: slope over log10 parameters of the highest norm by the median", lambda r: by_size(r, "highest_norm")),
    Claim("Momentum reset at a spike keeps it from derailing training", "note, AdamWSPAM",
          "GPT and ResNet-18 with injected spikes, norm detector and reset alone less AdamW; nats",
          spam("norm_reset+spikes", "adamw+spikes")),
    Claim("Spike-aware clipping by element helps where there are spikes", "note, AdamWSPAM",
          "GPT and ResNet-18 with injected spikes, theta 50 alone less AdamW; nats",
          spam("element+spikes", "adamw+spikes")),
    Claim("AdamWSPAM does more against spikes than clipping by the norm", "note, AdamWSPAM",
          "GPT and ResNet-18 with injected spikes, AdamWSPAM less AdamW + clip; nats",
          spam("adamwspam+spikes", "adamw_clip+spikes")),
    Claim("AdamWSPAM costs nothing where there are no spikes", "note, AdamWSPAM",
          "GPT and ResNet-18 without spikes, AdamWSPAM less AdamW; nats", spam("adamwspam", "adamw")),
    Claim("SPAM has an overhead in time", CHOOSING,
          "a step's time by that of the same kernel with its terms off, less 1, on the model where that is least",
          spam_overhead),
    Claim("High momentum and low variance tell important weights: hybrid beats magnitude", "note, AdamWPrune",
          "mean test accuracy over the sparsities, as a fraction", score_duel("hybrid", "magnitude")),
    Claim("High momentum and low variance tell more than Fisher's opposite", "note, AdamWPrune",
          "mean test accuracy over the sparsities, as a fraction", score_duel("hybrid", "fisher")),
    Claim("Adam's states tell more than chance", "note, AdamWPrune",
          "hybrid less random, mean test accuracy over the sparsities, as a fraction", score_duel("hybrid", "random")),
    Claim("AdamWPrune prunes with minimal memory overhead", "note, AdamWPrune",
          "bytes a weight for masks and scores, negative", no_bytes),
    Claim("Traditional pruning needs extra memory", "note, AdamWPrune", "least bytes a weight of three baselines",
          traditional_bytes),
    Claim("AdamW is the base to prune small models with", CHOOSING,
          "LeNet-5 at 90 %, base AdamW less base AdamWSPAM; accuracy as a fraction",
          within("pruning-lenet5", "adamw_cubic", "adamwspam_cubic", "test_accuracy")),
    Claim("Start Adam variants with a learning rate of 1e-3", KEY,
          "GPT of four widths: test loss of the other rate that is best on validation less that of 1e-3; nats",
          first_rate),
    Claim("Scale the learning rate down for larger models", KEY,
          "GPT: minus the slope of log10 of the best rate over log10 parameters", rate_by_size),
    Claim("Betas of (0.9, 0.999) work in most cases", KEY,
          "LeNet-5: share of eight cases (four other pairs, batches of 8 and 64) that do not beat them, less a half",
          default_betas),
    Claim("Raise beta1 to 0.95 for noisy gradients", KEY,
          "LeNet-5 with batches of 8: 0.9's test loss less 0.95's; nats",
          within("betas", "b8_0.95_0.999", "b8_0.9_0.999")),
    Claim("Lower beta2 to 0.99 for better responsiveness", KEY,
          "LeNet-5 with batches of 64: 0.999's test loss less 0.99's; nats",
          within("betas", "b64_0.9_0.99", "b64_0.9_0.999")),
    Claim("Weight decay of 0.01 helps AdamW", KEY, "LeNet-5 on 400 images: test loss without less with; nats",
          within("decay", "wd0.01", "wd0")),
    Claim("Weight decay of 0.1 helps AdamW", KEY, "LeNet-5 on 400 images: test loss without less with; nats",
          within("decay", "wd0.1", "wd0")),
    Claim("Weight decay prevents overfitting", "note, The Weight Decay Problem",
          "validation less training loss, without decay less with 0.1; nats", gap),
    Claim("Decay coupled to Adam's step is less effective than decoupled decay", "note, The Weight Decay Problem",
          "LeNet-5 on 400 images: test loss of Adam less AdamW's, each with the decay that is best on validation; nats",
          coupled),
    Claim("A step of AdamWSPAM as published is faster than torch's fused AdamW", "README",
          "1 less the ratio of the times of a step, on the model where that is least",
          beats_fused("adamwspam_published", "torch_fused")),
    Claim("A step of AdamWAdv is faster than torch's fused AMSGrad with clipping", "README",
          "1 less the ratio of the times of a step, on the model where that is least",
          beats_fused("adamwadv", "torch_fused_amsgrad_clip")),
    Claim("A notebook starts ten times sooner from a warm kernel than under papermill", "README",
          "papermill's seconds by ours, for a notebook that only imports torch, torchvision, pandas and seaborn",
          starts_sooner),
    Claim("AdamWPrune's counts are exact", "README", "the largest miss of a target sparsity, negative", exact),
)
