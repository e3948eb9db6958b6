"""A reader's own optimizer trains, is resumed to the bit, and is refused where it is another or unknown."""

import json

import pytest
import torch

from adamw_lab.optim import OPTIMIZERS, register
from adamw_lab.training import StopTraining, TrainConfig, fit

TINY = {"model": "mlp", "train_size": 100, "batch_size": 25, "epochs": 2, "precision": "float32", "device": "cpu",
        "threads": 1, "model_options": {"hidden": 16}, "optimizer": "lion", "lr": 1e-2}


def stopped_at(step):
    def control(progress):
        if progress.step == step:
            raise StopTraining

    return control


def test_it_trains_with_torchs_cosine(lion):
    result = fit(TrainConfig(**TINY, optimizer_options={"betas": [0.8, 0.99]}), progress=False)
    assert result.summary["status"] == "finished" and result.summary["optimizer"] == "lion"
    assert result.history["train_loss"].is_monotonic_decreasing
    lrs = result.telemetry["lr"]
    assert lrs.iloc[0] == pytest.approx(1e-2) and lrs.iloc[-1] < 1e-3
    assert TrainConfig(model="mlp", optimizer="lion").resolved().lr == 1e-4


def test_a_run_that_was_stopped_ends_with_the_same_bits(lion, tmp_path):
    config = TrainConfig(**TINY)
    whole = fit(config, progress=False)
    with pytest.raises(StopTraining):
        fit(config, tmp_path, progress=False, control=stopped_at(5))
    again = fit(config, tmp_path, progress=False)
    assert again.history["resumed_from"].tolist() == ["", "5"]
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert fit(config, tmp_path, progress=False).summary == again.summary


def test_another_rule_under_the_name_does_not_go_on_nor_take_what_ended(lion, tmp_path):
    config = TrainConfig(**TINY)
    with pytest.raises(StopTraining):
        fit(config, tmp_path / "stopped", progress=False, control=stopped_at(5))
    fit(config, tmp_path / "ended", progress=False)
    other = type("Lion", (lion,), {"step": lambda self: None, "__module__": lion.__module__})
    register("lion", other)
    for folder in ("stopped", "ended"):
        with pytest.raises(ValueError, match=r"holds a run of another config, differing in optimizer_code \('"):
            fit(config, tmp_path / folder, progress=False)
    register("lion", lion)
    assert fit(config, tmp_path / "stopped", progress=False).summary["status"] == "finished"


def test_a_process_that_does_not_know_it_refuses_it(lion, tmp_path):
    known = TrainConfig(**TINY)
    del OPTIMIZERS["lion"]
    with pytest.raises(ValueError, match=r"unknown optimizer 'lion'; allowed: .*adamw_lab\.optim\.register\('lion'"):
        TrainConfig(**TINY)
    with pytest.raises(ValueError, match=r"unknown optimizer 'lion'"):
        fit(known, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_the_records_of_other_runs_are_what_they_were(tmp_path):
    config = TrainConfig(**{**TINY, "optimizer": "adamw", "epochs": 1})
    fit(config, tmp_path, progress=False)
    assert set(json.loads((tmp_path / "config.json").read_text())) == set(TrainConfig.model_fields)
