"""The note's guidelines, one by one, and that what is recommended can be built."""

import csv
import itertools
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch import nn

from adamw_lab.guide import LEDGER, PRIORITIES, RULES, TASKS, Recommendation, recommend
from adamw_lab.optim import OPTIMIZERS, build_optimizer
from adamw_lab.optim.registry import check_options

SMALL, LARGE = 15_000_000, 15_000_001


def names(recommendation):
    """The rules that a recommendation follows."""
    return [why.partition(":")[0] for why in recommendation.why]


@pytest.mark.parametrize(
    ("count", "settings", "name", "rule"),
    [
        (SMALL, {}, "adamw", "smaller models"),
        (SMALL, {"weight_decay": False}, "adam", "no weight decay"),
        (SMALL, {"priority": "overhead"}, "adamw", "smaller models"),
        (LARGE, {}, "adamwspam", "larger models"),
        (LARGE, {"weight_decay": False}, "adamwspam", "larger models"),
        (LARGE, {"priority": "overhead"}, "adamw", "overhead"),
        (LARGE, {"priority": "overhead", "weight_decay": False}, "adam", "no weight decay"),
        (LARGE, {"priority": "stability"}, "adamwadv", "stability"),
        (LARGE, {"priority": "accuracy"}, "sgd", "last point of accuracy"),
        (SMALL, {"task": "prune"}, "adamwprune", "pruning"),
    ],
)
def test_the_choice_and_the_rule_behind_it(count, settings, name, rule):
    advice = recommend(count, **settings)
    assert advice.name == name
    assert rule in names(advice)


@pytest.mark.parametrize(
    ("count", "priority", "base", "rule"),
    [
        (SMALL, None, "adamw", "base of pruning"),
        (LARGE, None, "adamwspam", "base of pruning"),
        (LARGE, "accuracy", "adamwspam", "base of pruning"),
        (LARGE, "stability", "adamwadv", "stability"),
        (LARGE, "overhead", "adamw", "overhead"),
        (SMALL, "overhead", "adamw", "base of pruning"),
    ],
)
def test_the_base_of_pruning(count, priority, base, rule):
    advice = recommend(count, task="prune", priority=priority)
    assert advice.options["base"] == base
    assert names(advice)[:2] == ["pruning", rule]


def test_learning_rates_betas_decay_and_theta():
    assert recommend(SMALL).lr == 1e-3
    assert recommend(LARGE).lr == 5e-4
    assert recommend(SMALL).options == {"betas": (0.9, 0.999), "weight_decay": 0.01}
    assert recommend(SMALL, noisy_gradients=True).options["betas"] == (0.95, 0.999)
    assert recommend(SMALL, weight_decay=False).options["weight_decay"] == 0
    assert recommend(LARGE).options["theta"] == 50
    assert "theta" not in recommend(LARGE, priority="stability").options
    assert recommend(LARGE, priority="accuracy").lr == 0.1


def test_the_ranges_to_search_are_the_notes():
    search = recommend(LARGE, noisy_gradients=True).search
    assert search == {"lr": (5e-4, 1e-4), "betas": ((0.95, 0.999), (0.95, 0.99)), "weight_decay": (0.01, 0.1),
                      "theta": (10.0, 30.0, 50.0, 100.0)}
    assert recommend(SMALL).search["lr"] == (1e-3,) and "theta" not in recommend(SMALL).search
    assert "weight_decay" not in recommend(LARGE, weight_decay=False).search
    for advice in everything():  # the search begins at what is recommended, and every point of it can be built
        for name, values in advice.search.items():
            assert {**advice.options, "lr": advice.lr}[name] in values
            for value in values:
                settings = {"lr": advice.lr, **advice.options, name: value}
                build_optimizer(advice.name, nn.Linear(4, 4),
                                total_steps=10 if OPTIMIZERS[advice.name].lab else None, **settings)


def test_theta_is_put_right():
    assert "10 to 30 handles spikes aggressively" in RULES["theta"].says
    assert "higher theta clips less" in RULES["theta"].evidence


ALL = list(itertools.product((1, SMALL, LARGE), TASKS, (True, False), (True, False), PRIORITIES))


def everything():
    return [recommend(count, task=task, weight_decay=decay, noisy_gradients=noisy, priority=priority)
            for count, task, decay, noisy, priority in ALL]


def test_every_recommendation_can_be_built():
    model = nn.Linear(4, 4)
    for advice in everything():
        check_options(advice.name, advice.options)
        total_steps = 10 if OPTIMIZERS[advice.name].lab else None
        optimizer = build_optimizer(advice.name, model, lr=advice.lr, total_steps=total_steps, **advice.options)
        assert optimizer.param_groups[0]["lr"] == advice.lr
        optimizer = eval(advice.call, {"build_optimizer": build_optimizer, "model": model, "total_steps": 10})
        assert all(optimizer.param_groups[0][key] == value for key, value in advice.options.items())


def test_every_rule_is_used_and_every_reason_has_its_evidence():
    used = set()
    for advice in everything():
        assert len(advice.why) == len(advice.evidence) == len(set(advice.why))
        used |= set(names(advice))
    assert used == set(RULES)


def test_what_does_not_apply_is_said():
    assert "noisy gradients and SGD" in names(recommend(SMALL, priority="accuracy", noisy_gradients=True))
    assert "accuracy and pruning" in names(recommend(SMALL, task="prune", priority="accuracy"))
    assert recommend(np.int64(SMALL)).name == "adamw"


def test_a_model_counts_its_parameters():
    with torch.device("meta"):
        small, large = nn.Linear(1000, 1000), nn.Linear(4000, 4000)
    assert recommend(small) == recommend(1_001_000) == recommend(1_001_000.0)
    assert recommend(large).name == "adamwspam"


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((5,), {"task": "prun"}, ValueError, r"unknown task 'prun'; allowed: train, prune. Did you mean 'prune'\?"),
        ((5,), {"priority": "stabilty"}, ValueError, r"unknown priority 'stabilty'.*Did you mean 'stability'\?"),
        ((0,), {}, ValueError, "Invalid parameter count: 0; allowed: at least 1"),
        ((nn.ReLU(),), {}, ValueError, "Invalid parameter count: 0"),
        ((float("nan"),), {}, TypeError, "model_or_parameter_count is nan"),
        (("resnet18",), {}, TypeError, "model_or_parameter_count is 'resnet18'"),
        ((True,), {}, TypeError, "allowed: a module or a whole number"),
        ((nn.LazyLinear(3),), {}, ValueError, "lazy layers without a shape"),
        ((SMALL,), {"weight_decay": 0.05}, TypeError, "weight_decay is 0.05; allowed: True or False"),
        ((SMALL,), {"noisy_gradients": "no"}, TypeError, "noisy_gradients is 'no'; allowed: True or False"),
    ],
)
def test_bad_input_is_named(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        recommend(*arguments, **settings)


def test_it_prints_as_text():
    text = str(recommend(LARGE, noisy_gradients=True))
    assert text.startswith("build_optimizer('adamwspam', model, lr=0.0005, betas=(0.95, 0.999)")
    assert "- theta: 10 to 30" in text and "Evidence: put right" in text
    assert "Then try lr = 0.0005, 0.0001" in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 100


class Cells(HTMLParser):
    """Collects the text of table cells, and checks that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data


def test_it_shows_as_an_escaped_table():
    advice = Recommendation("adamw", {"note": "<b>"}, ("a < b",), ("<script>",), 1e-3)
    shown = advice._repr_html_()
    assert "<script>" not in shown and "<b>" not in shown
    page = Cells()
    page.feed(shown)
    assert page.open == [] and page.cells == ["a < b", "<script>"]


def test_rules_cite_the_ledger_as_it_stands():
    with LEDGER.open(encoding="utf-8", newline="") as file:
        ledger = {row["claim"]: row for row in csv.DictReader(file)}
    for rule in RULES.values():
        assert set(rule.claims) <= set(ledger), rule.name
    advice = recommend(SMALL, noisy_gradients=True)
    found = dict(zip(names(advice), advice.evidence, strict=True))["noisy gradients"]
    row = ledger["Raise beta1 to 0.95 for noisy gradients"]
    numbers = (float(row[name]) for name in ("effect", "low", "high"))
    effect = ", effect {:.2g} ({:.2g} to {:.2g}, {} seeds)".format(*numbers, row["seeds"])
    assert found.endswith(f"{row['verdict']}{effect}; {row['test']} [{row['evidence']}]")


def test_without_a_ledger_the_note_alone_is_cited(monkeypatch, tmp_path):
    monkeypatch.setattr("adamw_lab.guide.LEDGER", tmp_path / "claims.csv")
    assert recommend(SMALL).evidence[0] == RULES["smaller models"].evidence
