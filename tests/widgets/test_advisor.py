"""The advisor: a control is set, and its words are recommend's, its marks the ledger's."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.guide import LEDGER, RULES, recommend
from adamw_lab.widgets import advisor as module
from adamw_lab.widgets.explorer import Explorer


@pytest.fixture
def advisor(monkeypatch):
    monkeypatch.setattr("adamw_lab.widgets.explorer.cell_id", lambda: "cell of a test")
    shown = module.optimizer_advisor()
    assert isinstance(shown, Explorer)
    yield shown
    shown.close()


def claims_of(advice):
    return [claim for why in advice.why for claim in RULES[why.partition(":")[0]].claims]


def test_its_words_are_recommends_and_follow_every_control(advisor):
    assert recommend(11_173_962)._repr_html_() in advisor.below.value
    steps = [("model", "yours", {}), ("parameters", 1e9, {}), ("task", "prune", {"task": "prune"}),
             ("priority", "overhead", {"priority": "overhead"}), ("weight_decay", False, {"weight_decay": False}),
             ("noisy_gradients", True, {"noisy_gradients": True})]
    size, wishes = 10**8, {}
    for name, value, wish in steps:
        advisor.controls[name].value = value
        size, wishes = 10**9 if name == "parameters" else size, wishes | wish
        assert advisor.message == "" and recommend(size, **wishes)._repr_html_() in advisor.below.value


def test_its_marks_are_the_ledgers(advisor):
    (ax,) = advisor.axes
    ledger = pd.read_csv(LEDGER).set_index("claim").loc[claims_of(recommend(11_173_962))]
    assert [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()] == list(ledger.index)
    ends = [line.get_xdata()[-1] for line in ax.lines if line.get_marker() not in ("None", None)]
    half = (ledger["high"] - ledger["low"]) / 2
    wanted = (ledger["effect"] / half)[half > 0].clip(-6, 6)
    assert ends == pytest.approx(list(wanted))
    assert [text.get_text().strip() for text in ax.texts] == list(ledger["verdict"])


@given(st.sampled_from(["lenet5", "resnet50", "gpt", "yours"]), st.sampled_from(["train", "prune"]),
       st.sampled_from([None, "stability", "accuracy", "overhead"]), st.booleans(), st.booleans())
def test_every_combination_is_drawn(model, task, priority, weight_decay, noisy_gradients):
    wishes = dict(task=task, priority=priority, weight_decay=weight_decay, noisy_gradients=noisy_gradients)
    figure = module.optimizer_advisor({"model": model, **wishes})
    size = 10**8 if model == "yours" else module.counted(model)[0]
    advice = recommend(size, **wishes)
    assert figure.axes[0].get_title("left").startswith(f"{advice.name}, for {size:,} parameters")
    assert len(figure.axes[0].texts) == len(claims_of(advice))


def test_its_code_recommends_the_same(advisor):
    advisor.controls["priority"].value = "stability"
    code = advisor.code(advisor.values).splitlines()
    names = {}
    exec("\n".join(code[:-1]), names)
    assert eval(code[-1], names) == recommend(11_173_962, priority="stability")


def test_a_missing_ledger_is_told_and_the_widget_lives_on(advisor, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "LEDGER", tmp_path / "none.csv")
    advisor.controls["task"].value = "prune"
    assert "adamw-lab claims computes it" in advisor.message
    monkeypatch.undo()
    advisor.controls["task"].value = "train"
    assert advisor.message == ""
