"""`fit`: what it records, that it repeats, that optimizers are paired, and how it ends badly."""

import json
import math

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adamw_lab.data import load_data, make_batches
from adamw_lab.models import build_model
from adamw_lab.optim import OPTIMIZERS, parameter_groups
from adamw_lab.training import HISTORY, TrainConfig, fit, hardware, loop, records, run

SMALL = dict(model="mlp", dataset="digits", train_size=200, epochs=2, batch_size=64, device="cpu",
             precision="float32", threads=1)
STEPS = 4
"""Batches an epoch of `SMALL`."""


def train(run_dir=None, **fields):
    return fit(TrainConfig(**{**SMALL, **fields}), run_dir=run_dir, progress=False)


def weights(result):
    return result.model.state_dict()


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_history_and_summary():
    result = train(optimizer="adamwadv", lr=3e-3, epochs=3)
    history, summary = result.history, result.summary
    assert dict(history.dtypes.astype(str)) == HISTORY
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["step"].tolist() == [STEPS, 2 * STEPS, 3 * STEPS]
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history["seconds"].is_monotonic_increasing and history["seconds"].iloc[0] > 0
    assert (summary["status"], summary["epochs"], summary["steps"]) == ("finished", 3, 3 * STEPS)
    for name in ("train_loss", "validation_loss", "validation_accuracy", "sparsity", "seconds"):
        assert summary[name] == history[name].iloc[-1]
    assert 0.3 < summary["test_accuracy"] <= 1 and 0 < summary["test_loss"] < math.log(10)
    assert summary["parameters"] == sum(p.numel() for p in result.model.parameters())
    assert summary["config"] == TrainConfig(**{**SMALL, "optimizer": "adamwadv", "lr": 3e-3, "epochs": 3,
                                               "weight_decay": 0.01, "parallel": "none"}).model_dump(mode="json")
    assert not result.model.training


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimizer_trains(optimizer):
    result = train(optimizer=optimizer)
    assert result.summary["status"] == "finished"
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_pruning_reaches_its_target():
    result = train(optimizer="adamwprune", epochs=4,
                   optimizer_options={"target_sparsity": 0.5, "update_every": 1})
    assert result.summary["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert result.history["sparsity"].is_monotonic_increasing
    layers = [p for p in result.model.parameters() if p.ndim >= 2]
    zeros = sum((p == 0).sum().item() for p in layers) / sum(p.numel() for p in layers)
    assert zeros == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("model", "precision", "threads"), [("lenet5", "float32", 2), ("resnet18", "bfloat16", 1)])
def test_same_config_same_bits(model, precision, threads, monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: True)
    fields = dict(model=model, optimizer="adamwspam", precision=precision, epochs=1, threads=threads)
    first = train(**fields)
    torch.manual_seed(99)
    second = train(**fields)
    assert_same_bits(weights(first), weights(second))
    pd.testing.assert_frame_equal(first.history.drop(columns="seconds"), second.history.drop(columns="seconds"),
                                  check_exact=True)
    assert {**first.summary, "seconds": 0} == {**second.summary, "seconds": 0}
    assert first.summary["precision"] == precision


def test_another_seed_another_run():
    assert train(epochs=1).summary["train_loss"] != train(epochs=1, seed=1).summary["train_loss"]


def test_initialization_and_batches_do_not_depend_on_the_optimizer(monkeypatch):
    seen = []

    class Recorded(loop.Run):
        def __init__(self, config):
            super().__init__(config)
            self.start = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.met = []
            seen.append(self)

    step = loop._Loop._step
    monkeypatch.setattr(loop, "Run", Recorded)
    monkeypatch.setattr(loop._Loop, "_step", lambda self, images, labels: (
        self.run.met.append((images.clone(), labels.clone())), step(self, images, labels))[1])
    train(optimizer="sgd")
    train(optimizer="adamwprune")
    one, other = seen
    assert_same_bits(one.start, other.start)
    assert len(one.met) == len(other.met) == 2 * STEPS
    for (images, labels), (others, other_labels) in zip(one.met, other.met, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)


@pytest.mark.parametrize("optimizer", ["adamw", "adamwadv"])
def test_cosine_ends_near_zero_and_constant_stays(optimizer):
    cosine = train(optimizer=optimizer, lr=1e-3).history["lr"]
    total = 2 * STEPS
    expected = [0.5e-3 * (1 + math.cos(math.pi * (step - 1) / total)) for step in (STEPS, total)]
    assert cosine.tolist() == pytest.approx(expected, rel=1e-6)
    assert train(optimizer=optimizer, lr=1e-3, schedule="constant").history["lr"].tolist() == [1e-3, 1e-3]


def test_adamw_and_the_lab_with_its_terms_off_train_alike():
    torchs = train(optimizer="adamw", lr=1e-3)
    labs = train(optimizer="adamw_clip", lr=1e-3, optimizer_options={"clip_norm": None})
    for name, tensor in weights(torchs).items():
        torch.testing.assert_close(weights(labs)[name], tensor, rtol=1e-4, atol=1e-6)


def test_fit_is_the_plain_loop():
    """The same weights and metrics, to the bit, as the loop of every tutorial on the same batches."""
    result = train(model="resnet18", train_size=100, lr=1e-3, label_smoothing=0.1, seed=5)
    data = load_data("digits", train_size=100)
    batches, validation = (make_batches(data, split, 64, device="cpu", seed=5) for split in ("train", "validation"))
    with hardware.reproducible(0, "cpu", threads=1):
        model = build_model("resnet18", channels=1, classes=10, image_size=8, seed=5)
        optimizer = torch.optim.AdamW(parameter_groups(model), lr=1e-3, fused=True)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        for epoch in range(2):
            model.train()
            total = hits = 0.0
            for images, labels in batches.epoch(epoch):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
                loss.backward()
                optimizer.step()
                scheduler.step()
                total += loss.item() * len(labels)
                hits += (logits.argmax(1) == labels).sum().item()
            assert result.history["train_loss"][epoch] == pytest.approx(total / 100, rel=1e-6)
            assert result.history["train_accuracy"][epoch] == pytest.approx(hits / 100)
        model.eval()
        images, labels = (torch.cat(parts) for parts in zip(*validation.epoch(0), strict=True))
        logits = model(images).detach()
    assert_same_bits(weights(result), model.state_dict())
    assert result.summary["validation_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert result.summary["validation_accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_label_smoothing_enters_the_training_loss_alone():
    plain, smooth = train(epochs=1, lr=1e-9), train(epochs=1, lr=1e-9, label_smoothing=0.5)
    assert smooth.summary["train_loss"] != plain.summary["train_loss"]
    assert smooth.summary["validation_loss"] == pytest.approx(plain.summary["validation_loss"], abs=1e-4)


def test_the_last_images_of_an_epoch_are_not_dropped(monkeypatch):
    sizes = []
    step = loop._Loop._step
    monkeypatch.setattr(loop._Loop, "_step",
                        lambda self, images, labels: (sizes.append(len(images)), step(self, images, labels))[1])
    train(epochs=1)
    assert sizes == [64, 64, 64, 8]


def test_test_images_are_met_once_after_training(monkeypatch):
    met = []
    evaluate = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda model, batches, *rest: (
        met.append(batches), evaluate(model, batches, *rest))[1])
    train()
    validation, again, test = met
    assert validation is again and test is not validation


# Runs that end badly


def test_a_diverged_run_keeps_its_history(tmp_path, monkeypatch):
    step = loop._Loop._step

    def poisoned(self, images, labels):
        return step(self, images * (math.nan if self.run.step == STEPS + 1 else 1), labels)

    monkeypatch.setattr(loop._Loop, "_step", poisoned)
    result = train(tmp_path, epochs=3)
    assert (result.summary["status"], result.summary["epochs"]) == ("diverged", 1)
    assert result.summary["steps"] == result.summary["diverged_at"] == STEPS + 2
    assert result.summary["last_loss"] == result.telemetry["loss"][STEPS]
    assert len(result.history) == 1 and result.summary["test_accuracy"] is None
    assert result.summary["validation_loss"] == result.history["validation_loss"].iloc[0]
    assert train(tmp_path, epochs=3).summary == result.summary


def test_a_run_that_diverges_at_once_has_an_empty_history(tmp_path):
    result = train(tmp_path, optimizer="sgd", lr=1e30)
    assert result.summary["status"] == "diverged" and result.summary["validation_accuracy"] is None
    assert (result.summary["diverged_at"], result.summary["last_loss"]) == (2, result.telemetry["loss"][0])
    assert result.history.empty and dict(result.history.dtypes.astype(str)) == HISTORY
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "history.parquet"), result.history)


def test_weights_that_are_not_finite_are_found_where_the_loss_is_not_told(monkeypatch):
    epoch = loop._Loop._train

    def spoil(self):
        train = epoch(self)
        next(self.run.model.parameters()).data.view(-1)[0] = math.inf
        return train

    monkeypatch.setattr(loop._Loop, "_train", spoil)
    result = train()
    assert (result.summary["status"], result.summary["diverged_at"]) == ("diverged", STEPS)
    assert result.summary["last_loss"] == result.telemetry["loss"].iloc[-1] and result.history.empty


def test_more_training_images_than_there_are():
    with pytest.raises(ValueError, match="train_size.*100000"):
        train(train_size=100_000)


def test_an_option_out_of_range():
    with pytest.raises(ValueError, match="theta.*-1"):
        train(optimizer="adamwspam", optimizer_options={"theta": -1})


def test_batch_norm_needs_two_images():
    with pytest.raises(ValueError, match="batch_size 1 with 200 training images: model 'resnet18'"):
        train(model="resnet18", batch_size=1)


def test_a_last_batch_of_one_image_does_not_stop_batch_norm():
    assert train(model="resnet18", train_size=65, epochs=1).summary["steps"] == 1


def test_nothing_to_prune(monkeypatch):
    monkeypatch.setattr(run, "build_model", lambda *args, **kwargs: nn.BatchNorm2d(1))
    with pytest.raises(ValueError, match="optimizer 'adamwprune' finds nothing to prune in 'mlp'; allowed"):
        train(optimizer="adamwprune")


# The run directory


def test_a_finished_run_is_returned_and_not_run_again(tmp_path, monkeypatch):
    first = train(tmp_path / "a" / "b", optimizer="adamwspam")
    monkeypatch.setattr(loop, "Run", None)
    again = train(tmp_path / "a" / "b", optimizer="adamwspam")
    pd.testing.assert_frame_equal(first.history, again.history)
    assert first.summary == again.summary
    assert_same_bits(weights(first), weights(again))
    assert not again.model.training
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "config.json", "history.parquet", "layers.parquet", "model.safetensors", "summary.json", "telemetry.parquet"]


def test_bfloat16_run_is_restored_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: True)
    fields = dict(model="lenet5", epochs=1, precision="bfloat16")
    assert_same_bits(weights(train(tmp_path, **fields)), weights(train(tmp_path, **fields)))


def test_saved_weights_are_read_without_this_package(tmp_path):
    from safetensors.torch import load_file

    result = train(tmp_path)
    model = build_model("mlp", **records.read_model_arguments(tmp_path / "model.safetensors"))
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert_same_bits(model.state_dict(), weights(result))


def test_a_directory_with_another_run_is_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(ValueError, match=r"another config, differing in lr \(0.001 there, 0.01 given\), epochs \(2 th"):
        train(tmp_path, lr=0.01, epochs=5)
    assert train(tmp_path).summary["epochs"] == 2


def test_a_directory_with_another_unfinished_run_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Loop, "_epoch", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        train(tmp_path)
    with pytest.raises(ValueError, match="differing in seed"):
        train(tmp_path, seed=3)
    assert train(tmp_path).summary["status"] == "finished"


def test_a_refused_config_leaves_the_directory_free(tmp_path):
    with pytest.raises(ValueError, match="theta"):
        train(tmp_path, optimizer="adamwspam", optimizer_options={"theta": -1})
    assert not list(tmp_path.iterdir())
    assert train(tmp_path, optimizer="adamwspam", epochs=1).summary["status"] == "finished"


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Run", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"run_dir '.*/file/run' is not writable: Not a directory"):
        train(tmp_path / "file" / "run")


def test_a_damaged_record_is_named(tmp_path):
    train(tmp_path, epochs=1)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary.json' is damaged .*; remove its directory to run again"):
        train(tmp_path, epochs=1)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text("old")

    def disk_full(temporary):
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="cannot write '.*summary.json': .*No space left on device"):
        records.write_atomically(path, disk_full)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_summary_is_strict_json(tmp_path):
    train(tmp_path, optimizer="sgd", lr=1e30)

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)["status"] == "diverged"
