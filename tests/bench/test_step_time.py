"""The table of step times on small tensors: which rows and columns, and that the numbers are of what they say."""

from dataclasses import replace

import pytest
import torch

from adamw_lab.bench.contenders import CONTENDERS, prune_every
from adamw_lab.bench.step_time import COLUMNS, MODELS, Turns, bench_step_time, make_parameters
from adamw_lab.optim import AdamWSPAM

SHAPES = [(64, 32), (64,), (8, 4, 3, 3)]


@pytest.fixture(scope="module")
def table():
    wanted = ["torch_loop", "torch_fused", "adamwadv", "adamwspam", "mask_multiplies", "adamwprune"]
    return bench_step_time({"small": SHAPES}, wanted, repeats=3, windows=2, every=4, first_steps=())


def test_a_row_for_each_contender_and_three_for_pruning(table):
    assert list(table["contender"]) == ["torch_loop", "torch_fused", "adamwadv", "adamwspam", "mask_multiplies",
                                        "adamwprune_steady", "adamwprune_update", "adamwprune_amortized"]
    assert set(COLUMNS) == set(table.columns)
    assert (table["parameters"] == 64 * 32 + 64 + 8 * 4 * 9).all()
    assert list(table["steps"]) == [3, 3, 3, 3, 3, 6, 2, 2]


def test_turns_of_a_contender_are_spread_over_three_passes(monkeypatch):
    made = []
    for name in ("torch_fused", "torch_loop"):
        contender = CONTENDERS[name]
        monkeypatch.setitem(CONTENDERS, name, type(contender)(
            contender.label, lambda params, name=name, make=contender.make: made.append(name) or make(params)))
    table = bench_step_time({"small": SHAPES}, ["torch_loop"], repeats=7, first_steps=())
    assert table["steps"].tolist() == [7]
    assert made == ["torch_loop", "torch_fused"] * 3, "and each pass beside a fused step of its own"
    made.clear()
    assert bench_step_time({"small": SHAPES}, ["torch_loop"], repeats=1, first_steps=())["steps"].tolist() == [1]
    assert made == ["torch_loop", "torch_fused"]


def test_times_are_positive(table):
    assert (table[["seconds", "fused_seconds", "copy_seconds", "ratio"]] > 0).all(axis=None)


def test_ratios_are_of_the_same_turn():
    turns = Turns(make_parameters(SHAPES), lambda: None, "cpu")
    turns.seconds = {"copy": [1.0, 2.0, 2.0]}
    found = turns.summary([1.0, 4.0, 6.0], [2.0, 2.0, 12.0], traffic=28)
    assert (found["seconds"], found["fused_seconds"], found["copy_seconds"]) == (4.0, 2.0, 2.0)
    assert found["ratio"] == 0.5
    elements = table_elements()
    assert found["gigabytes_per_second"] == pytest.approx(28 * elements / 4e9)
    assert found["copy_gigabytes_per_second"] == pytest.approx(8 * elements / 2e9)


def table_elements():
    return sum(torch.Size(shape).numel() for shape in SHAPES)


def test_pruning_keeps_no_byte_more_than_adamw(table):
    kept = table.set_index("contender")["state_bytes_per_parameter"]
    steps = 4 * len(SHAPES) / table["parameters"].iloc[0]
    assert kept["torch_fused"] == pytest.approx(8 + steps)
    assert kept["adamwprune_steady"] - kept["torch_fused"] < 0.02  # the group's own step counters
    assert kept["mask_multiplies"] > kept["torch_fused"] + 0.9
    assert kept["adamwadv"] == pytest.approx(12, abs=0.05)


def test_a_mask_update_comes_every_so_many_steps():
    params = make_parameters(SHAPES)
    running = prune_every(params, 3, end_step=7)
    zeros = []
    for _ in range(7):
        running.step()
        zeros.append(sum(int((p == 0).sum()) for p in params))
    assert zeros == sorted(zeros)
    assert [a != b for a, b in zip([0, *zeros], zeros, strict=False)] == [True, False, False, True, False, False, True]


def test_the_models_have_the_sizes_that_they_are_known_for():
    sizes = {name: sum(torch.Size(shape).numel() for shape in shapes()) for name, shapes in MODELS.items()}
    assert sizes == {"resnet18": 11_173_962, "resnet50": 23_705_252, "gpt2": 124_439_808}


def test_steps_of_grace_are_taken_before_the_timed_ones(monkeypatch):
    taken = []
    rule = CONTENDERS["adamwspam_published"]

    def make(params):
        running = rule.make(params)
        return replace(running, step=lambda: taken.append(running.step()))

    monkeypatch.setitem(CONTENDERS, "adamwspam_published", replace(rule, make=make))
    bench_step_time({"small": SHAPES}, ["adamwspam_published"], repeats=1, first_steps=())
    assert rule.ahead == AdamWSPAM.PUBLISHED["grace_steps"] == 20
    assert len(taken) == 20 + 2 + 1 + 1, "to warm up, to be timed, for the memory"


def test_each_step_of_the_one_at_a_spike_is_one():
    running = CONTENDERS["adamwspam_spike"].make(make_parameters(SHAPES))
    for _ in range(3):
        running.step()
    assert running.optimizer.telemetry()["spikes"] == 3


def test_an_unknown_contender_is_refused():
    with pytest.raises(ValueError, match=r"unknown contender 'adamspam'; allowed: .*Did you mean 'adamwspam'\?"):
        bench_step_time({"small": SHAPES}, ["adamspam"])


def test_a_contender_that_is_not_installed_says_so(monkeypatch):
    contender = CONTENDERS["pytorch_optimizer_spam"]
    monkeypatch.setitem(CONTENDERS, "pytorch_optimizer_spam", type(contender)(
        contender.label, contender.make, package="no_such_package"))
    table = bench_step_time({"small": SHAPES}, ["pytorch_optimizer_spam"], repeats=1)
    assert table["note"].iloc[0] == "no_such_package is not installed" and table["seconds"].isna().all()


def test_a_readers_own_optimizer_is_timed_and_its_traffic_told_from_its_state(lion):
    data = bench_step_time({"tiny": [(64, 32), (64,)]}, ["lion", "torch_fused"], repeats=2, first_steps=())
    row = data.set_index("contender").loc["lion"]
    moved = row["gigabytes_per_second"] * 1e9 * row["seconds"] / row["parameters"]
    assert moved == pytest.approx(20) and row["label"] == "Lion" and row["state_bytes_per_parameter"] == 4
    with pytest.raises(ValueError, match="unknown contender 'lionn'; allowed: .*lion.*Did you mean 'lion'"):
        bench_step_time({}, ["lionn"])
