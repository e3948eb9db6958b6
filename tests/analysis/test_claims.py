"""The ledger: up to date, complete, and its verdicts follow from the records."""

import filecmp

import pandas as pd
import pytest

from adamw_lab.analysis.claims import COLUMNS, ledger, measured, most, over, told, write_ledger
from adamw_lab.analysis.claims_facts import FACTS
from adamw_lab.analysis.claims_machine import beats_fused
from adamw_lab.analysis.claims_measured import (
    MEASURED,
    above_threshold,
    coupled,
    duel,
    exact,
    no_single_best,
    rate_by_size,
)
from adamw_lab.analysis.recorded import RECORDS, Records
from adamw_lab.analysis.stats import VERDICTS, Effect
from adamw_lab.provenance import CHECKOUT

GOOD, BAD, NONE = Effect(2.0, 1.0, 3.0, 5), Effect(-2.0, -3.0, -1.0, 5), Effect(0.0, -1.0, 1.0, 5)


def test_the_committed_ledger_is_what_the_records_give(tmp_path):
    assert filecmp.cmp(write_ledger(tmp_path / "claims.csv"), RECORDS / "claims.csv", shallow=False), (
        "run adamw-lab claims")


def test_it_is_complete():
    rows = pd.read_csv(RECORDS / "claims.csv")
    assert tuple(rows.columns) == COLUMNS and len(rows) == len(MEASURED) + len(FACTS) >= 25
    assert rows["claim"].is_unique and set(rows["verdict"]) <= set(VERDICTS)
    assert set(rows["source"].str.split(",").str[0]) == {"note", "README"}
    assert not rows[["source", "test", "evidence"]].isna().any(axis=None)


def test_without_records_what_runs_decide_is_untested(tmp_path):
    for name in ("memory", "step_time", "batch"):
        (tmp_path / f"{name}.csv").write_bytes((RECORDS / f"{name}.csv").read_bytes())
    rows = ledger(Records(tmp_path)).set_index("claim")
    assert rows.loc["Adam needs less tuning than SGD", "verdict"] == "untested at this scale"
    assert rows.loc["AdamWPrune prunes with minimal memory overhead", "verdict"] == "supported"


@pytest.mark.parametrize(("effect", "floor", "said"), [
    (GOOD, 0.5, "supported"), (GOOD, 2.5, "no difference found"), (BAD, 0.5, "refuted"),
    (None, 0.5, "untested at this scale")])
def test_a_measured_effect_decides(effect, floor, said):
    assert measured(effect, "here", floor).verdict == said


def test_a_claim_about_several_cases_shows_the_one_that_decides():
    found = over({"a": (GOOD, 0.0), "b": (BAD, 0.0), "c": (NONE, 0.0), "d": (None, 0.0)}, "here")
    assert found.verdict == "refuted" and found.effect == BAD
    assert found.evidence == "here: a supported, b refuted, c no difference found, d not recorded"
    assert over({"a": (None, 0.0)}, "here").verdict == "untested at this scale"


def test_a_claim_about_most_cases_needs_half_of_them_not_refuted():
    found = most({"a": (GOOD, 0.0), "b": (BAD, 0.0), "c": (NONE, 0.0), "d": (None, 0.0)}, "here")
    assert found.verdict == "supported" and found.effect.mean == pytest.approx(0.5 - 1 / 3) and found.effect.seeds == 5
    assert found.evidence == "here: 1 of 3 refute it: b"
    assert most({"a": (GOOD, 0.0), "b": (BAD, 0.0)}, "here").verdict == "refuted"
    assert most({"a": (None, 0.0)}, "here").verdict == "untested at this scale"


def test_a_row_is_told_with_its_interval_unit_and_case():
    row = pd.Series({"claim": "A wins", "verdict": "refuted", "effect": -0.5, "low": -0.75, "high": -0.25, "seeds": 5,
                     "test": "A less B; nats", "case": "gpt"})
    assert told(row) == ("A wins: refuted (-0.5, -0.75 to -0.25; 5 seeds; A less B; nats; "
                         "the case that decides: gpt).")
    fact = pd.Series({**row, "low": -0.5, "high": -0.5, "case": None})
    assert told(fact) == "A wins: refuted (-0.5; A less B; nats)."


def test_coupled_and_decoupled_decay_meet_at_their_best_on_validation(tmp_path):
    arms = {"wd0": (1.0, 1.0), "wd0.01": (0.9, 1.0), "wd0.1": (0.95, 0.5), "adam_l2_0.0001": (0.8, 1.5),
            "adam_l2_0.01": (2.0, 0.1)}
    record(tmp_path, "decay", [{"arm": arm, "optimizer": "adam", "seed": seed, "validation_loss": validation,
                                "test_loss": test + 0.01 * seed * place, "train_loss": 1.0}
                               for place, (arm, (validation, test)) in enumerate(arms.items()) for seed in range(5)])
    found = coupled(Records(tmp_path))
    assert found.effect.mean == pytest.approx(1.5 - 1.0 + 0.02 * 2) and "wd0.01 beside adam_l2_0.0001" in found.evidence


@pytest.mark.parametrize(("ratio", "said"), [(0.8, "supported"), (0.99, "no difference found"), (1.2, "refuted")])
def test_a_step_is_faster_where_it_saves_more_than_the_fused_one_differs_from_itself(tmp_path, ratio, said):
    rows = [(model, name, x) for model, ours in (("small", 0.5), ("large", ratio))
            for name, x in (("torch_fused", 0.97), ("ours", ours))]
    pd.DataFrame(rows, columns=["model", "contender", "ratio"]).to_csv(tmp_path / "step_time.csv", index=False)
    found = beats_fused("ours", "torch_fused")(Records(tmp_path))
    assert (found.verdict, found.case) == (said, "large") and found.floor == pytest.approx(0.03)
    assert found.effect.mean == pytest.approx(1 - ratio / 0.97)


def record(folder, study, rows):
    pd.DataFrame(rows).assign(status="finished").to_csv(folder / f"{study}-cpu.csv", index=False)


def losses(**arms):
    return [{"arm": name, "optimizer": name.partition("_lr")[0], "seed": seed, "test_loss": loss + 0.001 * seed}
            for name, loss in arms.items() for seed in range(5)]


def test_a_duel_is_read_from_recorded_runs(tmp_path):
    record(tmp_path, "defaults-gpt", losses(adamw=2.0, adamw_again=2.001, sgd=1.5))
    records = Records(tmp_path)
    assert duel(records, "defaults", "sgd", "adamw", ("gpt",)).verdict == "supported"
    assert duel(records, "defaults", "adamw", "sgd", ("gpt",)).effect.mean == pytest.approx(-0.5)
    assert duel(records, "defaults", "adamw_again", "adamw", ("gpt",)).verdict == "no difference found"


def test_tuned_arms_are_told_by_their_optimizer(tmp_path):
    record(tmp_path, "tuned-gpt", losses(sgd_lr1_wd0=1.0, adamw_lr1_wd0=3.0))
    assert duel(Records(tmp_path), "tuned", "sgd", "adamw", ("gpt",)).verdict == "supported"


@pytest.mark.parametrize(("gpt", "said"), [({"sgd": 3.0, "adamw": 1.0}, "supported"),
                                           ({"sgd": 1.0, "adamw": 3.0}, "no difference found")])
def test_no_single_best_needs_a_defeat_of_each(tmp_path, gpt, said):
    for task in ("lstm", "gpt", "resnet18"):
        rows = losses(**(gpt if task == "gpt" else {"sgd": 1.0, "adamw": 3.0}))
        for row in rows:
            row["test_accuracy"] = 1 - row["test_loss"] / 10
        record(tmp_path, f"tuned-{task}", rows)
    found = no_single_best(Records(tmp_path))
    assert found.verdict == said and found.evidence.endswith("none" if said == "supported" else "sgd")


def test_exact_is_to_the_weight(tmp_path):
    for miss, said in ((0.0, "supported"), (2 / 61_470, "refuted")):
        record(tmp_path, "pruning-lenet5", [
            {"arm": "hybrid_0.9", "optimizer": "adamwprune", "seed": 0, "sparsity": 0.9 + miss,
             "optimizer_options": '{"target_sparsity": 0.9}'}])
        assert exact(Records(tmp_path)).verdict == said


def test_a_best_rate_that_falls_with_size_supports_the_note(tmp_path):
    rows = [{"arm": f"{size}_{lr}", "optimizer": "adamw", "seed": seed, "parameters": size, "lr": lr,
             "validation_loss": abs(lr - best) + 0.01 * seed}
            for size, best in ((1000, 1e-2), (100_000, 1e-3)) for lr in (1e-3, 1e-2) for seed in range(3)]
    record(tmp_path, "rates", rows)
    found = rate_by_size(Records(tmp_path))
    assert found.effect.mean == pytest.approx(0.5) and found.verdict == "supported"


def test_the_readme_quotes_the_ledger_as_it_stands():
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    quoted = readme.partition("### What they found")[2].partition("\n## ")[0]
    rows = pd.read_csv(RECORDS / "claims.csv", dtype={"seeds": "Int64"}).set_index("claim")
    lines = [line.strip("| ").split(" | ") for line in quoted.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == 5
    for claim, said, effect, test in lines:
        row = rows.loc[claim]
        case = f" ({row['case']} decides)" if isinstance(row["case"], str) else ""
        assert (said, test) == (row["verdict"], row["test"] + case)
        assert effect == (f"{row['effect']:+.2g} ({row['low']:+.2g} to {row['high']:+.2g}), {row['seeds']} seeds")
    calibrated = pd.read_csv(RECORDS / "calibration-cpu.csv").set_index("optimizer")["test_accuracy"]
    assert f"{calibrated['sgd']:.1%} and {calibrated['adamw']:.1%}".replace("%", " %") in quoted


def test_the_readme_tells_what_a_warm_notebook_takes():
    seconds = pd.read_csv(RECORDS / "batch.csv").groupby("name")["seconds_each"].median()
    readme = " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())
    assert f"takes {seconds['batch_one']:.1f} s; plain papermill takes {seconds['papermill']:.1f} s" in readme


def test_the_note_s_threshold_is_tried_on_the_networks_above_it(tmp_path):
    rows = [{"arm": f"{name}_w{width}", "optimizer": name, "seed": seed, "parameters": parameters,
             "test_accuracy": 0.9 + 0.01 * (name == "adamwspam") * (1 if parameters > 15e6 else -1) + 0.001 * seed}
            for name in ("adamw", "adamwspam") for width, parameters in ((1, 11_000_000), (2, 45_000_000))
            for seed in range(5)]
    record(tmp_path, "width-resnet18", rows[:5] + rows[10:15])
    assert above_threshold(Records(tmp_path)).verdict == "untested at this scale"
    record(tmp_path, "width-resnet18", rows)
    found = above_threshold(Records(tmp_path))
    assert found.verdict == "supported" and abs(found.effect.mean - 0.01) < 1e-9
