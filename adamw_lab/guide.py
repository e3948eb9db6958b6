"""Which optimizer to begin with: the practical guidelines of the AdamWPrune project's note, and what is behind each.

The note (github.com/mcgrof/AdamWPrune) is followed, but for the direction of theta, which it has the wrong way round.
"""

import csv
import html
import numbers
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from adamw_lab.provenance import RECORDS
from adamw_lab.suggest import did_you_mean

LEDGER = RECORDS / "claims.csv"
NOTE = "the AdamWPrune project's note (github.com/mcgrof/AdamWPrune)"
THRESHOLD = 15_000_000
"""Parameters up to which the note calls a model small."""
TASKS = ("train", "prune")
PRIORITIES = (None, "stability", "accuracy", "overhead")


@dataclass(frozen=True)
class Rule:
    """One guideline of the note: its name, what it says, how far it can be trusted, and which sentences of the ledger
    (`figures/data/claims.csv`) put it to the test."""

    name: str
    says: str
    evidence: str
    claims: tuple[str, ...] = ()


RULES = {rule.name: rule for rule in (
    Rule("smaller models", "up to 15 M parameters start with AdamW",
         "the threshold rests on two models on two data sets, which differ in more than their size",
         ("For smaller models AdamW is the best start",)),
    Rule("no weight decay", "Adam will do where no weight decay is wanted",
         "AdamW with weight_decay=0 is Adam, update for update, so the two differ in name alone",
         ("Where no decay is wanted Adam will do: it is AdamW without decay",)),
    Rule("larger models", "above 15 M parameters try AdamWSPAM, whose spike detection is for rough loss landscapes",
         "the threshold rests on two models on two data sets, and the comparison behind it never ran SPAM: the ResNet "
         "scripts unpack its settings and do not use them, so that AdamW was compared with and without AMSGrad. "
         "SPAM's authors (arXiv 2501.06842) report gains for language models of 60 M to 1 B parameters, with another "
         "rule: AdamWSPAM.published",
         ("Above 15 M parameters AdamWSPAM is the better choice", "SPAM helps the more the larger the model",
          "AdamWSPAM handles spikes", "AdamWSPAM does more against spikes than clipping by the norm")),
    Rule("overhead", "AdamW is the fallback where SPAM's overhead is not justified",
         "the overhead is the implementation's more than the rule's: adamw-lab bench step_time measures it, and in "
         "memory AdamWSPAM keeps no more a parameter than AdamW",
         ("SPAM has an overhead in time",)),
    Rule("pruning", "AdamWPrune prunes by Adam's own states and saves memory",
         "as that project implemented it, it took more: 1475 to 1503 MB, against 1475 for movement pruning, 1400 for "
         "magnitude pruning and 1307 without, as its masks cost a byte a weight (here they cost none: adamw-lab bench "
         "memory). Its hybrid score divides by the second moment where optimal brain damage multiplies by it, and "
         "the project's later runs have it worst of all (perplexity 51.5, magnitude 42.1); the option importance "
         "offers others",
         ("AdamWPrune prunes with minimal memory overhead",
          "High momentum and low variance tell important weights: hybrid beats magnitude")),
    Rule("base of pruning", "the base is AdamW for a small model, AdamWSPAM for a large one",
         "it shares the weakness of the threshold; in that project's own movement-pruning table AdamWSPAM loses at "
         "70 % and at 90 % sparsity",
         ("AdamW is the base to prune small models with", "AdamWSPAM is the base to prune large models with")),
    Rule("stability", "AdamWAdv where stability is critical: AMSGrad, clipping and cosine annealing",
         "in that project's ResNet runs it was never clipped, and on ResNet-18 every optimizer was annealed. AMSGrad's "
         "first proof of convergence had a gap, mended since (arXiv 1904.03590), and its gain in practice is disputed",
         ("AdamWAdv ends better than AdamW when both are tuned", "AdamWAdv is steadier than AdamW",
          "Clipping the gradient norm prevents harm by exploding gradients")),
    Rule("last point of accuracy", "SGD still wins some vision tasks where the last point of accuracy counts",
         "the note gives no numbers. For ResNet-18 on CIFAR-100, 77.5 % has been reported of SGD and 77.9 % of tuned "
         "AdamW, by different recipes; both take a tuned learning rate and many epochs",
         ("SGD still wins some vision tasks",)),
    Rule("learning rate", "1e-3 for Adam variants, scaled down to 5e-4 or 1e-4 for larger models",
         "the note gives no measurements. It is where a search starts, as the best value depends on batch size, "
         "schedule and weight decay",
         ("Start Adam variants with a learning rate of 1e-3",
          "Scale the learning rate down for larger models")),
    Rule("learning rate of SGD", "the note gives none; 0.1 with momentum 0.9 and decay 5e-4 is usual for ResNets",
         "a convention of image classification with batches of about 128, not a result of the note's"),
    Rule("betas", "(0.9, 0.999) works in most cases; beta2 of 0.99 responds faster",
         "the note tests neither; beta2 of 0.99 averages squares over 100 steps in place of 1000, which also makes the "
         "step sizes noisier",
         ("Betas of (0.9, 0.999) work in most cases",
          "A beta2 of 0.99 responds faster", "A beta2 of 0.99 makes the result better")),
    Rule("noisy gradients", "raise beta1 to 0.95 where gradients are noisy",
         "the note does not test it; it averages gradients over 20 steps in place of 10",
         ("Raise beta1 to 0.95 for noisy gradients",)),
    Rule("noisy gradients and SGD", "the note's advice for noisy gradients is on beta1, which SGD has not",
         "SGD's momentum of 0.9 averages over 10 steps as a beta1 of 0.9 does"),
    Rule("accuracy and pruning", "SGD, for the last point of accuracy, is not followed here",
         "SGD keeps no second moment to prune by"),
    Rule("weight decay", "0.01 to 0.1 for AdamW variants, 0 for Adam",
         "that project's own ResNet runs lie outside it: 5e-4 for AdamW, 0 for AdamWPrune. The decay of a step is "
         "lr * weight_decay, so the two are tuned together",
         ("Weight decay of 0.01 helps AdamW",
          "Weight decay of 0.1 helps AdamW", "No weight decay for vanilla Adam")),
    Rule("theta", "10 to 30 handles spikes aggressively, 50 to 100 gently",
         "put right: the note has it the other way round. An element is clipped where g² > theta * v_hat, so a higher "
         "theta clips less: 10 allows 3.2 sqrt(v_hat), 50 allows 7.1, and SPAM as published, with 5000, 70.7",
         ("A higher theta clips more", "A higher theta does more against spikes")),
)}


@dataclass(frozen=True)
class Recommendation:
    """What `recommend` advises; it prints as text, and as a table in a notebook.

    `build_optimizer(name, model, lr=lr, **options)` makes it; the lab's own also want `total_steps`.

    Attributes:
        name: a key of `adamw_lab.optim.OPTIMIZERS`.
        options: its settings, without the learning rate.
        why: the guidelines that led to it, each beginning with the rule's name.
        evidence: for each of them, in the same order, what it rests on, where that is weak, and what the recorded
            studies of this project found, with 95 % intervals.
        lr: the learning rate to start from.
        search: where the note would look next: setting -> values, ready for a grid.
    """

    name: str
    options: dict[str, Any]
    why: tuple[str, ...]
    evidence: tuple[str, ...]
    lr: float
    search: dict[str, tuple] = field(default_factory=dict)

    @property
    def call(self) -> str:
        """The Python call that makes the optimizer."""
        settings = {"lr": self.lr, **self.options}
        listed = [f"{key}={value!r}" for key, value in settings.items()]
        if self.name in ("adamwadv", "adamwspam", "adamwprune"):
            listed.append("total_steps=total_steps")
        return f"build_optimizer({self.name!r}, model, {', '.join(listed)})"

    def __str__(self) -> str:
        lines = [self.call]
        for why, evidence in zip(self.why, self.evidence, strict=True):
            lines += textwrap.wrap(why, 100, initial_indent="- ", subsequent_indent="  ")
            lines += textwrap.wrap(f"Evidence: {evidence}", 100, initial_indent="  ", subsequent_indent="  ")
        lines += [f"Then try {name} = {', '.join(map(str, values))}" for name, values in self.search.items()]
        return "\n".join([*lines, f"The rules are those of {NOTE}."])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td style='text-align:left;vertical-align:top'>{html.escape(why)}</td>"
                       f"<td style='text-align:left;vertical-align:top'>{html.escape(evidence)}</td></tr>"
                       for why, evidence in zip(self.why, self.evidence, strict=True))
        search = "".join(f"<p>Then try <code>{html.escape(f'{name} = {values}')}</code></p>"
                         for name, values in self.search.items())
        return (f"<p><code>{html.escape(self.call)}</code></p><table><thead><tr><th style='text-align:left'>Why</th>"
                f"<th style='text-align:left'>Evidence</th></tr></thead><tbody>{rows}</tbody></table>{search}"
                f"<p><small>The rules are those of {html.escape(NOTE)}.</small></p>")


def recommend(model_or_parameter_count: nn.Module | int, *, task: str = "train", weight_decay: bool = True,
              noisy_gradients: bool = False, priority: str | None = None) -> Recommendation:
    """The optimizer to begin with, by the practical guidelines of the note.

    Args:
        model_or_parameter_count: the model, or how many parameters it has.
        task: "train" (default) or "prune".
        weight_decay: whether decay is wanted (default True).
        noisy_gradients: whether gradients are noisy (default False).
        priority: "stability", "accuracy" (the last point of it, in vision) or "overhead" (as little as can be); None
            (default): none of these.

    Raises:
        ValueError: an unknown task or priority, fewer than one parameter, or a model with lazy layers without a shape.
        TypeError: neither a model nor a whole number; `weight_decay` or `noisy_gradients` not True or False.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; allowed: {', '.join(TASKS)}.{did_you_mean(str(task), TASKS)}")
    if priority not in PRIORITIES:
        raise ValueError(f"unknown priority {priority!r}; allowed: {', '.join(map(str, PRIORITIES))}."
                         f"{did_you_mean(str(priority), PRIORITIES[1:])}")
    for name, value in (("weight_decay", weight_decay), ("noisy_gradients", noisy_gradients)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; allowed: True or False")
    small = _count(model_or_parameter_count) <= THRESHOLD
    name, base, rules = _choose(small, task, weight_decay, priority)
    if name == "sgd":
        options: dict[str, Any] = {"momentum": 0.9, "weight_decay": 5e-4 if weight_decay else 0.0}
        rules += ["learning rate of SGD", *(["noisy gradients and SGD"] if noisy_gradients else [])]
        return _advise(name, options, 0.1, rules, {})
    options = {} if base is None else {"base": base}
    beta1 = 0.95 if noisy_gradients else 0.9
    options["betas"] = (beta1, 0.999)
    options["weight_decay"] = 0.01 if weight_decay else 0.0
    search = {"lr": (1e-3,) if small else (5e-4, 1e-4), "betas": ((beta1, 0.999), (beta1, 0.99))}
    if weight_decay:
        search["weight_decay"] = (0.01, 0.1)
    rules += ["learning rate", "betas", *(["noisy gradients"] if noisy_gradients else []), "weight decay"]
    if "adamwspam" in (name, base):
        options["theta"] = 50.0
        search["theta"] = (10.0, 30.0, 50.0, 100.0)
        rules.append("theta")
    return _advise(name, options, search["lr"][0], rules, search)


def _choose(small: bool, task: str, weight_decay: bool, priority: str | None) -> tuple[str, str | None, list[str]]:
    """The optimizer's name, the base if it prunes, and the names of the rules that chose them."""
    size = "smaller models" if small else "larger models"
    if task == "prune":
        base = {"stability": "adamwadv", "overhead": "adamw"}.get(priority, "adamw" if small else "adamwspam")
        reason = priority if base == "adamwadv" or not small and base == "adamw" else "base of pruning"
        return "adamwprune", base, ["pruning", reason, *(["accuracy and pruning"] if priority == "accuracy" else [])]
    if priority == "stability":
        return "adamwadv", None, ["stability"]
    if priority == "accuracy":
        return "sgd", None, ["last point of accuracy"]
    if not small and priority != "overhead":
        return "adamwspam", None, [size]
    rules = [size] if small else [size, "overhead"]
    return ("adamw", None, rules) if weight_decay else ("adam", None, [*rules, "no weight decay"])


def _advise(name: str, options: dict[str, Any], lr: float, rules: list[str],
            search: dict[str, tuple]) -> Recommendation:
    chosen = [RULES[rule] for rule in rules]
    return Recommendation(name, options, tuple(f"{rule.name}: {rule.says}" for rule in chosen),
                          tuple("; ".join([rule.evidence, *_found(rule.claims)]) for rule in chosen), lr, search)


def _found(claims: Sequence[str]) -> list[str]:
    """What the ledger has on these claims; nothing where the package is installed without it."""
    if not LEDGER.is_file():
        return []
    with LEDGER.open(encoding="utf-8", newline="") as file:
        rows = {row["claim"]: row for row in csv.DictReader(file)}
    return [_in_words(rows[claim]) for claim in claims]


def _in_words(row: dict[str, str]) -> str:
    effect = ""
    if row["effect"]:
        mean, low, high = (float(row[name]) for name in ("effect", "low", "high"))
        effect = f", effect {mean:.2g}" + (f" ({low:.2g} to {high:.2g}, {row['seeds']} seeds)" if low < high else "")
        effect += f" on {row['case']}" if row["case"] else ""
    return f"here, \"{row['claim']}\": {row['verdict']}{effect}; {row['test']} [{row['evidence']}]"


def _count(model_or_parameter_count: nn.Module | int) -> int:
    if isinstance(model_or_parameter_count, nn.Module):
        if any(is_lazy(p) for p in model_or_parameter_count.parameters()):
            raise ValueError("this model has lazy layers without a shape; run a batch through it first")
        count: Any = sum(p.numel() for p in model_or_parameter_count.parameters())
    else:
        count = model_or_parameter_count
    if isinstance(count, bool) or not isinstance(count, numbers.Real) or count != count // 1:
        raise TypeError(f"model_or_parameter_count is {count!r}; allowed: a module or a whole number")
    if count < 1:
        raise ValueError(f"Invalid parameter count: {count!r}; allowed: at least 1")
    return int(count)
