"""What the note says of optimizers beside each other, decided by the studies out of the box and tuned."""

import math

import pandas as pd
from scipy import stats as scipy_stats

from adamw_lab.analysis.claims import (
    NO_DIFFERENCE,
    PROFILE,
    REFUTED,
    SUPPORTED,
    Case,
    Claim,
    Finding,
    all_of,
    measured,
    most_of,
    some_of,
)
from adamw_lab.analysis.recorded import MEASURE, WORTH, Records, compare, floor, idle, noise_of, paired, scores
from adamw_lab.analysis.stats import CONFIDENCE, Effect, no_worse, verdict

TASKS = ("resnet18", "fashion", "lstm", "gpt")
IMAGES = ("resnet18", "fashion")
WHERE = f"figures/data/{{}}-{PROFILE}.csv"
ADAPTIVE = "note, The Adam Optimizer"
CHOOSING = "note, Choosing an Optimizer"
POINTS = "accuracy as a fraction on resnet18 and fashion, nats or squared error on gpt and lstm"


def contest(runs: pd.DataFrame | None, a: str, b: str, measure: str, noise: float = 0.0) -> Case:
    """Arm `a` less arm `b`. A comparison in which a part of either was never at work decides nothing."""
    effect = compare(runs, a, b, measure)
    if runs is None or effect is None:
        return Case(None)
    asleep = sorted({*idle(runs, a), *idle(runs, b)})
    if asleep:
        return Case(None, why=f"untested, as {', '.join(asleep)} never fired (difference {effect.mean:+.2g}, "
                              f"{effect.low:+.2g} to {effect.high:+.2g})")
    return Case(effect, floor(runs, measure, b, noise))


def duels(records: Records, kind: str, a: str, b: str, tasks: tuple[str, ...] = TASKS) -> dict[str, Case]:
    """Optimizer `a` less `b` on each task, in the studies `<kind>-<task>`."""
    return {task: contest(records.runs(f"{kind}-{task}"), a, b, MEASURE[task], noise(records, kind, task))
            for task in tasks}


def duel(records: Records, kind: str, a: str, b: str, tasks: tuple[str, ...] = TASKS) -> Finding:
    """Whether optimizer `a` beats `b` on all tasks."""
    return all_of(duels(records, kind, a, b, tasks), WHERE.format(f"{kind}-*"))


def noise(records: Records, kind: str, task: str) -> float:
    """The noise floor of a task: what AdamW differs from itself by, in this study or else out of the box."""
    return noise_of(records.runs(f"{kind}-{task}"), records.runs(f"defaults-{task}"), MEASURE[task])


def tuning_gains(records: Records, task: str, *names: str) -> list[pd.Series] | None:
    """By how much each optimizer is better tuned than with its defaults, by seed; None if that is not recorded."""
    default, tuned, measure = records.runs(f"defaults-{task}"), records.runs(f"tuned-{task}"), MEASURE[task]
    if default is None or tuned is None:
        return None
    return [scores(tuned, name, measure) - scores(default, name, measure) for name in names]


def gain_floor(records: Records, task: str, name: str) -> float:
    return floor(records.runs(f"defaults-{task}"), MEASURE[task], name, noise(records, "defaults", task))


def less_tuning(records: Records) -> Finding:
    cases = {}
    for task in TASKS:
        gains = tuning_gains(records, task, "sgd", "adam")
        cases[task] = Case(None) if gains is None else Case(
            paired(*gains), gain_floor(records, task, "adam"))
    return all_of(cases, f"{WHERE.format('tuned-*')} less defaults-*-{PROFILE}.csv")


def defaults_do(records: Records) -> Finding:
    """Adam's defaults less its tuned settings: no worse on most tasks?"""
    cases = {}
    for task in TASKS:
        gains = tuning_gains(records, task, "adam")
        cases[task] = Case(None) if gains is None else Case(
            paired(-gains[0], 0 * gains[0]),
            gain_floor(records, task, "adam"))
    return most_of(cases, f"{WHERE.format('defaults-*')} less tuned-*-{PROFILE}.csv", no_worse)


def wants_tuning(records: Records) -> Finding:
    cases = {}
    for task in TASKS:
        gains = tuning_gains(records, task, "sgd")
        cases[task] = Case(None) if gains is None else Case(
            paired(gains[0], 0 * gains[0]),
            gain_floor(records, task, "sgd"))
    return all_of(cases, f"{WHERE.format('tuned-*')} less defaults-*-{PROFILE}.csv")


def quicker(records: Records) -> Finding:
    """Adam beside SGD on validation, on average over the epochs: the area under the learning curve."""
    cases = {}
    for task in TASKS:
        epochs, measure = records.epochs(f"tuned-{task}"), MEASURE[task].replace("test", "validation")
        if epochs is None:
            cases[task] = Case(None)
            continue
        area = epochs.groupby(["arm", "seed"])[measure].mean() * (-1 if measure.endswith("loss") else 1)
        share = WORTH["loss"] * abs(area["sgd"].mean()) if measure.endswith("loss") else WORTH["accuracy"]
        cases[task] = Case(paired(area["adam"].dropna(), area["sgd"].dropna()), share)
    return most_of(cases, f"figures/data/tuned-*-{PROFILE}-epochs.csv")


def best_start(records: Records) -> Finding:
    """AdamW less the other optimizer that is best on validation, all with their defaults: no worse?"""
    cases = {}
    for task in TASKS:
        runs, measure = records.runs(f"defaults-{task}"), MEASURE[task]
        if runs is None:
            cases[task] = Case(None)
            continue
        others = runs[~runs["arm"].isin(["adamw", "adamw_again"]) & (runs["status"] == "finished")]
        on_validation = others.groupby("arm")[measure.replace("test", "validation")].mean()
        rival = on_validation.idxmin() if measure.endswith("loss") else on_validation.idxmax()
        cases[f"{task} against {rival}"] = Case(compare(runs, "adamw", rival, measure),
                                                floor(runs, measure, rival, noise(records, "defaults", task)))
    return all_of(cases, WHERE.format("defaults-*"), no_worse)


def no_single_best(records: Records) -> Finding:
    """Which optimizers nothing beats on any task: if there are none, no single one is best."""
    tasks = [task for task in TASKS if records.runs(f"tuned-{task}") is not None]
    if len(tasks) < 2:
        return measured(None, f"{WHERE.format('tuned-*')} of two tasks or more")
    unbeaten, champions = [], []
    for task in tasks:
        runs, measure = records.runs(f"tuned-{task}"), MEASURE[task]
        names = sorted(set(runs["arm"]) - {"adamw_again"})
        floors = {b: floor(runs, measure, b, noise(records, "tuned", task)) for b in names}
        beats = {(a, b): verdict(compare(runs, a, b, measure), floors[b]) == SUPPORTED
                 for a in names for b in names if a != b}
        unbeaten.append({b for b in names if not any(beats[a, b] for a in names if a != b)})
        champions.append({a for a in names if all(beats[a, b] for b in names if a != b)})
    best, open_ = set.intersection(*champions), set.intersection(*unbeaten)
    said = REFUTED if best else NO_DIFFERENCE if open_ else SUPPORTED
    return Finding(said, f"{WHERE.format('tuned-*')} ({', '.join(tasks)}): beaten on none: "
                         f"{', '.join(sorted(open_)) or 'none'}")


def steadier(records: Records) -> Finding:
    """How much less the tuned results of AdamWAdv scatter over seeds than AdamW's: log of the ratio of deviations."""
    cases = {}
    for task in TASKS:
        runs = records.runs(f"tuned-{task}")
        cases[task] = Case(None) if runs is None else Case(
            scatter(scores(runs, "adamw", MEASURE[task]), scores(runs, "adamwadv", MEASURE[task])))
    return all_of(cases, WHERE.format("tuned-*"))


def scatter(a: pd.Series, b: pd.Series) -> Effect:
    """log(deviation of a / deviation of b) with the interval of the F test, which takes them to be independent."""
    ratio = float(a.var() / b.var())
    tail, n, m = (1 - CONFIDENCE) / 2, len(a) - 1, len(b) - 1
    low, high = (ratio / float(scipy_stats.f.ppf(1 - tail, n, m)), ratio / float(scipy_stats.f.ppf(tail, n, m)))
    return Effect(*(math.log(value) / 2 for value in (ratio, low, high)), min(len(a), len(b)))


def amsgrad(records: Records) -> Finding:
    """AdamWAdv less AdamW + clip, which has all of it but AMSGrad; out of the box and tuned."""
    cases = {f"{task} {kind}": case for kind in ("defaults", "tuned")
             for task, case in duels(records, kind, "adamwadv", "adamw_clip").items()}
    return all_of(cases, f"{WHERE.format('defaults-*')} and tuned-*-{PROFILE}.csv")


def cosine(records: Records) -> Finding:
    """Cosine less constant learning rate on LeNet-5, each seed's mean over the other switches."""
    path = records.folder / "switches.csv"
    if not path.is_file():
        return measured(None, "figures/data/switches.csv")
    by = pd.read_csv(path).groupby(["schedule", "seed"])["test_accuracy"].mean()
    return measured(paired(by["cosine"], by["constant"]), "figures/data/switches.csv", WORTH["accuracy"])


OPTIMIZER_CLAIMS = (
    Claim("No single optimizer is best for all models", "note, Summary",
          "tuned optimizers on four tasks: is there one that nothing beats anywhere?", no_single_best, "158",
          "No single optimizer is best for all models. Model size, task complexity, and training constraints all "
          "influence which optimizer performs best."),
    Claim("SGD needs careful tuning", "note, The Problem Adam Solved", f"tuned SGD less SGD's defaults; {POINTS}",
          wants_tuning, "14", "Works well but requires careful tuning."),
    Claim("Adam needs less tuning than SGD", ADAPTIVE, f"what tuning gains SGD less what it gains Adam; {POINTS}",
          less_tuning, "32", "Less tuning required"),
    Claim("Adam works well with its defaults on many problems", ADAPTIVE,
          "on most of four tasks Adam's defaults are no worse than Adam tuned", defaults_do, "32",
          "Works well with default settings across many problems"),
    Claim("Adam often reaches good solutions quicker than SGD", ADAPTIVE,
          "on most of four tasks tuned Adam is ahead of tuned SGD on validation, on average over the epochs", quicker,
          "33", "Often reaches good solutions quicker than SGD"),
    Claim("AdamW improves on Adam significantly", "note, AdamW's Solution", f"tuned AdamW less tuned Adam; {POINTS}",
          lambda r: duel(r, "tuned", "adamw", "adam"), "48", "This simple change significantly improved performance"),
    Claim("AdamW improves on Adam for transformers", "note, AdamW's Solution", "GPT, tuned AdamW less tuned Adam; nats",
          lambda r: duel(r, "tuned", "adamw", "adam", ("gpt",)), "48", "especially for transformer models"),
    Claim("For smaller models AdamW is the best start", CHOOSING,
          f"defaults, AdamW no worse than the other that is best on validation; {POINTS}", best_start, "106",
          "Start with AdamW - best balance of performance and simplicity"),
    Claim("SGD still wins some vision tasks", CHOOSING,
          "tuned SGD less tuned AdamW on one of three at least: ResNet-18 on digits and on Fashion-MNIST, ResNet-50 on "
          "digits; accuracy as a fraction",
          lambda r: some_of(duels(r, "tuned", "sgd", "adamw", (*IMAGES, "resnet50")), WHERE.format("tuned-*")), "119",
          "SGD still wins for some computer vision tasks requiring ultimate accuracy"),
    Claim("AdamWAdv ends better than AdamW when both are tuned", "note, AdamWAdv",
          f"tuned AdamWAdv less tuned AdamW; {POINTS}", lambda r: duel(r, "tuned", "adamwadv", "adamw"), "70",
          "Best for: Stable training when you have time for careful tuning."),
    Claim("AdamWAdv is steadier than AdamW", CHOOSING,
          "tuned, over seeds: log of AdamW's standard deviation by AdamWAdv's", steadier, "117-118",
          "When stability is critical: AdamWAdv with its additional safety features"),
    Claim("AMSGrad makes the result better", "asked here",
          f"defaults and tuned, AdamWAdv less AdamW + clip; {POINTS}", amsgrad),
    Claim("Cosine annealing improves training", "note, AdamWAdv",
          "LeNet-5 on digits, cosine less constant; test accuracy as a fraction", cosine, "65-67",
          "adds three improvements ... Cosine Annealing: Gradually reduces learning rate following a cosine curve"),
)
