"""The ledger: up to date, complete, and its verdicts follow from the records."""

import filecmp
import math

import pandas as pd
import pytest

from adamw_lab.analysis.claims import (
    COLUMNS,
    Case,
    all_claims,
    all_of,
    ledger,
    measured,
    most_of,
    some_of,
    told,
    write_ledger,
)
from adamw_lab.analysis.claims_machine import beats_fused, spam_overhead
from adamw_lab.analysis.claims_optimizers import (
    best_start,
    cosine,
    defaults_do,
    duel,
    less_tuning,
    no_single_best,
    quicker,
    scatter,
)
from adamw_lab.analysis.claims_pruning import score_duel
from adamw_lab.analysis.claims_readme import checkpoints, exact
from adamw_lab.analysis.claims_settings import (
    coupled,
    default_betas,
    first_rate,
    gap,
    none_for_adam,
    rate_by_size,
    steps_to_answer,
)
from adamw_lab.analysis.claims_spam import above_threshold, gain_by_size, harms, prevents, spikes_by_size
from adamw_lab.analysis.recorded import RECORDS, Records
from adamw_lab.analysis.stats import VERDICTS, Effect, no_worse
from adamw_lab.provenance import CHECKOUT

GOOD, BAD, NONE = Effect(2.0, 1.0, 3.0, 5), Effect(-2.0, -3.0, -1.0, 5), Effect(0.0, -1.0, 1.0, 5)


def test_the_committed_ledger_is_what_the_records_give(tmp_path):
    assert filecmp.cmp(write_ledger(tmp_path / "claims.csv"), RECORDS / "claims.csv", shallow=False), (
        "run adamw-lab claims")


def test_it_is_complete():
    rows = pd.read_csv(RECORDS / "claims.csv")
    assert tuple(rows.columns) == COLUMNS and len(rows) == len(all_claims()) >= 25
    assert rows["claim"].is_unique and set(rows["verdict"]) <= set(VERDICTS)
    whose = rows["source"].str.split(",").str[0]
    assert set(whose) == {"note", "README", "asked here"}
    assert not rows[["source", "test", "evidence"]].isna().any(axis=None)
    assert rows.loc[whose == "note", ["line", "words"]].notna().all(axis=None)
    assert rows.loc[whose == "README", "words"].notna().all() and rows.loc[whose == "asked here", "words"].isna().all()


def test_the_note_is_tested_from_its_first_section_to_its_last():
    """Lines with a claim that can be true or not; the others are headings, links and pictures of speech."""
    lines = set()
    for line in pd.read_csv(RECORDS / "claims.csv")["line"].dropna().astype(str):
        for part in line.split(", "):
            first, _, last = part.partition("-")
            lines |= set(range(int(first), int(last or first) + 1))
    assert lines >= {9, 14, 15, 19, 20, 21, 25, 26, 27, 31, 32, 33, 34, 36, 40, 42, 46, 47, 48, 52, 58, 59, 60, 61, 65,
                     66, 67, 68, 70, 72, 74, 78, 81, 82, 83, 85, 86, 87, 88, 92, 93, 94, 95, 97, 106, 107, 109, 110,
                     111, 114, 115, 117, 118, 119, 124, 125, 128, 129, 130, 133, 134, 137, 138, 146, 147, 149, 154, 155,
                     158}


def test_what_the_readme_is_said_to_say_it_says():
    readme = " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())
    for claim in all_claims():
        if claim.source == "README":
            assert claim.words in readme, claim.claim


def test_the_tests_that_are_named_as_evidence_exist():
    rows = pd.read_csv(RECORDS / "claims.csv")
    named = rows.loc[rows["test"] == "the test suite", "evidence"].str.split(", ").explode()
    assert len(named) > 4
    for where in named:
        file, _, function = where.partition("::")
        assert f"def {function}" in (CHECKOUT / file).read_text(encoding="utf-8"), where


def test_without_records_what_runs_decide_is_untested(tmp_path):
    for name in ("memory", "step_time", "step_time-gpu", "batch"):
        (tmp_path / f"{name}.csv").write_bytes((RECORDS / f"{name}.csv").read_bytes())
    rows = ledger(Records(tmp_path)).set_index("claim")
    assert rows.loc["Adam needs less tuning than SGD", "verdict"] == "untested at this scale"
    assert rows.loc["AdamWPrune prunes with minimal memory overhead", "verdict"] == "supported"


@pytest.mark.parametrize(("effect", "floor", "said"), [
    (GOOD, 0.5, "supported"), (GOOD, 2.5, "no difference found"), (BAD, 0.5, "refuted"),
    (None, 0.5, "untested at this scale")])
def test_a_measured_effect_decides(effect, floor, said):
    assert measured(effect, "here", floor).verdict == said


CASES = {"a": Case(GOOD), "b": Case(BAD), "c": Case(NONE), "d": Case(None)}


def test_a_claim_about_all_cases_shows_the_worst():
    found = all_of(CASES, "here")
    assert (found.verdict, found.effect, found.case) == ("refuted", BAD, "b")
    assert found.evidence == "here: a supported, b refuted, c no difference found, d not recorded"
    untested = all_of({"a": Case(None, why="not at work")}, "here")
    assert untested.verdict == "untested at this scale" and untested.evidence == "here: a not at work"


def test_the_worst_of_cases_in_several_units_is_told_in_half_widths():
    sure, large = Effect(-0.1, -0.11, -0.09, 5), Effect(-10.0, -19.0, -1.0, 5)
    assert all_of({"points": Case(sure), "nats": Case(large)}, "").case == "points"
    sure, large = Effect(0.1, 0.09, 0.11, 5), Effect(10.0, 1.0, 19.0, 5)
    assert some_of({"points": Case(sure), "nats": Case(large)}, "").case == "points"


def test_a_claim_that_there_are_cases_needs_one():
    assert some_of(CASES, "here").case == "a" and some_of(CASES, "here").verdict == "supported"
    assert some_of({"b": Case(BAD), "c": Case(NONE)}, "here").verdict == "no difference found"
    assert some_of({"b": Case(BAD), "d": Case(None)}, "here").verdict == "refuted"
    assert some_of({"d": Case(None)}, "here").verdict == "untested at this scale"


def test_a_claim_about_most_cases_needs_more_than_half_of_them():
    found = most_of(CASES, "here")
    assert found.verdict == "no difference found" and found.effect.mean == 0 and found.effect.seeds == 5
    assert most_of({"a": Case(GOOD), "b": Case(BAD), "e": Case(GOOD)}, "here").verdict == "supported"
    assert most_of({"a": Case(GOOD), "b": Case(BAD)}, "here").verdict == "refuted"
    assert most_of({"c": Case(NONE)}, "here").verdict == "no difference found"
    assert most_of({"a": Case(None)}, "here").verdict == "untested at this scale"


@pytest.mark.parametrize(("effect", "floor", "said"), [
    (GOOD, 0.0, "supported"), (NONE, 1.5, "supported"), (NONE, 0.5, "no difference found"), (BAD, 0.5, "refuted"),
    (BAD, 4.0, "supported"), (Effect(1.0, -1.0, 3.0, 5), 0.5, "no difference found"),
    (None, 0.0, "untested at this scale")])
def test_at_least_as_good_leaves_no_loss_beyond_the_floor(effect, floor, said):
    assert no_worse(effect, floor) == said


def test_a_comparison_in_which_a_part_was_never_at_work_decides_nothing(tmp_path):
    rows = losses(adamw=2.0, adamwspam=1.0)
    for row in rows:
        row["never_fired"] = '["spike_sigma"]' if row["arm"] == "adamwspam" else "[]"
    record(tmp_path, "defaults-gpt", rows)
    found = duel(Records(tmp_path), "defaults", "adamwspam", "adamw", ("gpt",))
    assert found.verdict == "untested at this scale" and "spike_sigma never fired (difference +1, " in found.evidence
    rows[-1]["never_fired"] = "[]"  # one run in which it was
    record(tmp_path, "defaults-gpt", rows)
    assert duel(Records(tmp_path), "defaults", "adamwspam", "adamw", ("gpt",)).verdict == "supported"


def spoilt(folder, **harm):
    """A GPT's runs in which spikes cost an arm so much."""
    record(folder, "spam-ablation", losses(**{name + suffix: 2.0 + (cost if suffix else 0.0)
                                              for name, cost in harm.items() for suffix in ("", "+spikes")}))


def test_what_spikes_cost_is_told_apart_from_what_a_cure_gains_without_them(tmp_path):
    spoilt(tmp_path, adamw=0.5, adamw_clip=0.1, element=0.8)
    records = Records(tmp_path)
    assert harms(records, ("spikes",))["gpt spikes"].effect.mean == pytest.approx(0.5)
    assert prevents("adamw_clip", spoilt=("spikes",))(records).effect.mean == pytest.approx(0.4)
    assert prevents("element", spoilt=("spikes",))(records).verdict == "refuted"
    assert prevents("adamw_clip", "element", ("spikes",))(records).effect.mean == pytest.approx(0.7)


def test_where_spikes_do_no_harm_nothing_can_prevent_it(tmp_path):
    spoilt(tmp_path, adamw=0.001, adamw_clip=-0.5)
    found = prevents("adamw_clip", spoilt=("spikes",))(Records(tmp_path))
    assert found.verdict == "untested at this scale" and "gpt spikes does AdamW no harm" in found.evidence


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
    rows = [(model, name, x) for model, ours in (("resnet50", 0.5), ("gpt2", ratio))
            for name, x in (("torch_fused", 0.97), ("ours", ours))]
    pd.DataFrame(rows, columns=["model", "contender", "ratio"]).to_csv(tmp_path / "step_time.csv", index=False)
    found = beats_fused("ours", "torch_fused", ("resnet50", "gpt2"))(Records(tmp_path))
    assert (found.verdict, found.case) == (said, "gpt2") and found.floor == pytest.approx(0.03)
    assert found.effect.mean == pytest.approx(1 - ratio / 0.97)


def record(folder, study, rows):
    pd.DataFrame(rows).assign(status="finished").to_csv(folder / f"{study}-cpu.csv", index=False)


def losses(**arms):
    return [{"arm": name, "optimizer": name, "seed": seed, "test_loss": loss + 0.001 * seed,
             "validation_loss": loss}
            for name, loss in arms.items() for seed in range(5)]


def test_a_duel_is_read_from_recorded_runs(tmp_path):
    record(tmp_path, "defaults-gpt", losses(adamw=2.0, adamw_again=2.001, sgd=1.5))
    records = Records(tmp_path)
    assert duel(records, "defaults", "sgd", "adamw", ("gpt",)).verdict == "supported"
    assert duel(records, "defaults", "adamw", "sgd", ("gpt",)).effect.mean == pytest.approx(-0.5)
    assert duel(records, "defaults", "adamw_again", "adamw", ("gpt",)).verdict == "no difference found"
    start = best_start(records)
    assert start.verdict == "refuted" and start.case == "gpt against sgd" and start.effect.mean == pytest.approx(-0.5)


def test_the_noise_is_that_of_the_study_itself_or_else_of_the_one_out_of_the_box(tmp_path):
    def arms(again):
        rows = losses(adamw=2.0, sgd=1.9)
        return rows + [{**row, "arm": "adamw_again", "test_loss": row["test_loss"] + again * (1 + row["seed"] % 2)}
                       for row in rows if row["arm"] == "adamw"]

    record(tmp_path, "defaults-gpt", arms(1.0))
    record(tmp_path, "tuned-gpt", losses(adamw=2.0, sgd=1.9))
    assert duel(Records(tmp_path), "tuned", "sgd", "adamw", ("gpt",)).verdict == "no difference found"
    record(tmp_path, "tuned-gpt", arms(0.01))
    assert duel(Records(tmp_path), "tuned", "sgd", "adamw", ("gpt",)).verdict == "supported"


@pytest.mark.parametrize(("gpt", "said"), [({"sgd": 3.0, "adamw": 1.0}, "supported"),
                                           ({"sgd": 3.0, "adamw": 3.0}, "no difference found"),
                                           ({"sgd": 1.0, "adamw": 3.0}, "refuted")])
def test_no_single_best_needs_a_defeat_of_each(tmp_path, gpt, said):
    for task in ("lstm", "gpt", "resnet18"):
        rows = losses(**(gpt if task == "gpt" else {"sgd": 1.0, "adamw": 3.0}))
        for row in rows:
            row["test_accuracy"] = 1 - row["test_loss"] / 10
        record(tmp_path, f"tuned-{task}", rows)
    found = no_single_best(Records(tmp_path))
    assert found.verdict == said and found.evidence.endswith("none" if said == "supported" else "sgd")


def test_tuning_is_told_by_what_it_gains(tmp_path):
    record(tmp_path, "defaults-gpt", losses(sgd=3.0, adam=2.0))
    record(tmp_path, "tuned-gpt", losses(sgd=1.0, adam=1.5))
    records = Records(tmp_path)
    assert less_tuning(records).effect.mean == pytest.approx(1.5) and less_tuning(records).verdict == "supported"
    assert defaults_do(records).verdict == "refuted", "half a nat worse than tuned"


def test_quicker_is_the_area_under_the_learning_curve(tmp_path):
    rows = [{"arm": name, "seed": seed, "epoch": epoch, "validation_loss": 2.0 - gain * epoch + 0.01 * seed}
            for name, gain in (("adam", 0.5), ("sgd", 0.25)) for seed in range(3) for epoch in (1, 2)]
    pd.DataFrame(rows).to_csv(tmp_path / "tuned-gpt-cpu-epochs.csv", index=False)
    found = quicker(Records(tmp_path))
    assert found.verdict == "supported" and found.effect.mean == 1 and "gpt supported" in found.evidence


def test_scatter_is_the_interval_of_the_f_test():
    a, b = pd.Series([0.0, 2.0, 4.0, 6.0]), pd.Series([0.0, 1.0, 2.0, 3.0])
    found = scatter(a, b)
    assert found.mean == pytest.approx(math.log(2))
    # F(0.975; 3, 3) = 15.439
    assert (found.low, found.high) == pytest.approx((math.log(4 / 15.439) / 2, math.log(4 * 15.439) / 2), abs=1e-4)


def test_cosine_is_read_from_the_switches():
    runs = pd.read_csv(RECORDS / "switches.csv")
    by = runs.pivot_table(index="seed", columns="schedule", values="test_accuracy")
    assert cosine(Records()).effect.mean == pytest.approx((by["cosine"] - by["constant"]).mean())


def test_checkpoints_go_both_ways():
    found = checkpoints(Records())
    assert found.verdict == "supported" and found.evidence.count(" to torch ") == 3


def test_exact_is_to_the_weight(tmp_path):
    for miss, said in ((0.0, "supported"), (2 / 61_470, "refuted")):
        record(tmp_path, "pruning-lenet5", [
            {"arm": "hybrid_0.9", "optimizer": "adamwprune", "seed": 0, "sparsity": 0.9 + miss,
             "optimizer_options": '{"target_sparsity": 0.9}'}])
        assert exact(Records(tmp_path)).verdict == said


def test_scores_are_compared_by_seed_over_their_sparsities(tmp_path):
    rows = [{"arm": f"{score}_0.{sparsity}", "optimizer": "adamwprune", "seed": seed,
             "test_accuracy": 0.9 - (0.1 if score == "hybrid" else 0.0) * (sparsity == 9) + 0.01 * seed}
            for score in ("hybrid", "magnitude") for sparsity in (5, 9) for seed in range(3)]
    rows += [{"arm": "dense", "optimizer": "adamw", "seed": seed, "test_accuracy": 0.95} for seed in range(3)]
    record(tmp_path, "pruning-lenet5", rows)
    found = score_duel("hybrid", "magnitude")(Records(tmp_path))
    assert found.verdict == "refuted" and found.effect.mean == pytest.approx(-0.05)


def test_the_default_betas_meet_the_pair_that_validation_chose(tmp_path):
    def arms(prefix, default):
        return losses(**{f"{prefix}{pair}": loss for pair, loss in {
            "0.9_0.999": default, "0.95_0.999": 2.0, "0.8_0.999": 1.0, "0.9_0.99": 2.0, "0.9_0.9999": 2.0}.items()})

    record(tmp_path, "betas", arms("b8_", 1.5) + arms("b64_", 0.9))
    record(tmp_path, "betas-gpt", arms("", 1.001))
    found = default_betas(Records(tmp_path))
    assert found.verdict == "supported" and found.effect.mean == pytest.approx(1 / 3)
    assert "batches of 8 against 0.8_0.999 refuted" in found.evidence
    assert "GPT against 0.8_0.999 supported" in found.evidence


def test_half_of_a_rise_is_in_v_after_log_2_by_log_beta2_steps():
    assert steps_to_answer(0.99) == math.ceil(math.log(0.5) / math.log(0.99))


@pytest.mark.parametrize(("loss", "said"), [(1.0, "refuted"), (2.001, "supported")])
def test_a_first_rate_must_be_no_worse_than_the_one_that_validation_chose(tmp_path, loss, said):
    rows = [{"arm": f"lr{lr}", "optimizer": "adamw", "seed": seed, "lr": lr, "model_options": '{"width": 16}',
             "parameters": 1000, "validation_loss": value, "test_loss": value + 0.001 * seed * lr}
            for lr, value in ((1e-3, 2.0), (3e-3, loss), (1e-2, 9.0)) for seed in range(3)]
    record(tmp_path, "rates", rows)
    assert first_rate(Records(tmp_path)).verdict == said


def test_decay_is_judged_at_the_strength_that_validation_chose(tmp_path):
    arms = {"wd0": (1.0, 0.2, 1.0), "wd0.1": (0.9, 0.5, 1.0), "wd1": (2.0, 1.9, 2.0), "adam_l2_0.0001": (1.2, 0.2, 1.3)}
    record(tmp_path, "decay", [{"arm": arm, "optimizer": "adam", "seed": seed, "validation_loss": validation,
                                "train_loss": train + 0.001 * seed, "test_loss": test}
                               for arm, (validation, train, test) in arms.items() for seed in range(5)])
    assert gap(Records(tmp_path)).effect.mean == pytest.approx(0.3)
    assert none_for_adam(Records(tmp_path)).effect.mean == pytest.approx(0.3)


def sizes(folder, gpt, spikes=(0.0, 0.1)):
    """Widths of a GPT at which AdamWSPAM gains so much, and AdamW meets spikes at such rates."""
    record(folder, "width-gpt", [
        {"arm": f"{name}_w{size}", "optimizer": name, "seed": seed, "parameters": size, "spike_rate": rate,
         "highest_norm": 1.0, "test_loss": 2.0 - (gain if name == "adamwspam" else 0.0) + 0.001 * seed}
        for size, gain, rate in zip((1000, 10_000), gpt, spikes, strict=True)
        for name in ("adamw", "adamwspam") for seed in range(3)])


def test_a_gain_that_grows_with_size_is_a_slope_over_decades(tmp_path):
    sizes(tmp_path, (0.1, 0.3))
    found = gain_by_size(Records(tmp_path))
    assert found.effect.mean == pytest.approx(0.2) and found.case == "gpt"


def test_spikes_must_be_seen_in_half_of_the_runs(tmp_path):
    sizes(tmp_path, (0.1, 0.3))
    assert spikes_by_size("spike_rate")(Records(tmp_path)).effect.mean == pytest.approx(0.1)
    sizes(tmp_path, (0.1, 0.3), (0.0, 0.0))
    found = spikes_by_size("spike_rate")(Records(tmp_path))
    assert found.verdict == "untested at this scale" and "none seen in 6 of 6 runs" in found.evidence


def test_an_overhead_must_exceed_what_the_fused_step_differs_from_itself(tmp_path):
    for ours, said in ((0.61, "no difference found"), (0.7, "supported")):
        rows = [("small", "torch_fused", 1.03), ("small", "terms_off", 0.6), ("small", "adamwspam", ours)]
        pd.DataFrame(rows, columns=["model", "contender", "ratio"]).to_csv(tmp_path / "step_time.csv", index=False)
        assert spam_overhead(Records(tmp_path)).verdict == said


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


def test_the_readme_tells_the_times_of_steps():
    times = pd.read_csv(RECORDS / "step_time.csv").pivot(index="contender", columns="model", values="ratio")
    readme = " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())
    ours = [f"{times.loc[name, model]:.2f}" for model in ("resnet50", "gpt2")
            for name in ("terms_off", "adamwspam_published", "adamwspam")]
    adv = times.loc["adamwadv", "resnet50"] / times.loc["torch_fused_amsgrad_clip", "resnet50"]
    assert (f"takes {ours[0]} of the time of torch's fused AdamW, SPAM as published {ours[1]}, AdamWSPAM {ours[2]}, "
            f"and AdamWAdv {adv:.2f} of torch's fused AMSGrad with clipping.") in readme
    assert f"AdamW's rule takes {ours[3]}, SPAM as published {ours[4]}, AdamWSPAM {ours[5]}." in readme
    itself = [f"{times.loc['torch_fused', model]:.2f}" for model in ("resnet18", "resnet50", "gpt2")]
    assert f"it reads {itself[0]} on ResNet-18, {itself[1]} on ResNet-50 and {itself[2]} on GPT-2." in readme


def test_the_readme_tells_the_times_of_steps_on_a_gpu():
    times = pd.read_csv(RECORDS / "step_time-gpu.csv").pivot(index="contender", columns="model", values="ratio")
    seconds = pd.read_csv(RECORDS / "step_time-gpu.csv").pivot(index="contender", columns="model", values="seconds")
    readme = " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())
    rule, adv = times.loc["terms_off"], seconds.loc["adamwadv"] / seconds.loc["torch_fused_amsgrad_clip"]
    assert (f"AdamW's rule takes {rule['resnet18']:.2f} of its time on ResNet-18, {rule['resnet50']:.2f} on ResNet-50 "
            f"and {rule['gpt2']:.2f} on GPT-2; AdamWAdv takes {adv['resnet18']:.2f}, {adv['resnet50']:.2f} and "
            f"{adv['gpt2']:.2f} of torch's fused AMSGrad") in readme


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
