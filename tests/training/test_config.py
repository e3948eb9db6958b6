"""TrainConfig refuses what is wrong, and says what is right."""

import json

import pytest
import torch
from pydantic import ValidationError

from adamw_lab.training import TrainConfig, fit, hardware


@pytest.mark.parametrize(("fields", "message"), [
    ({"epoch": 2}, r"unknown field 'epoch'; allowed: model, dataset, .* Did you mean 'epochs'\?"),
    ({"run_dir": "x"}, r"run_dir is no field of a config: give it to fit\(config, run_dir=...\), or as --run-dir"),
    ({"model": "resnt18"}, r"unknown model 'resnt18'; allowed: .* Did you mean 'resnet18'\?"),
    ({"dataset": "digit"}, r"unknown dataset 'digit'; allowed: .* Did you mean 'digits'\?"),
    ({"optimizer": "adamspam"}, r"unknown optimizer 'adamspam'; allowed: .* Did you mean 'adamwspam'\?"),
    ({"optimizer": "adamwspam", "optimizer_options": {"teta": 50}},
     r"unknown option 'teta' of optimizer 'adamwspam'; allowed: .* Did you mean 'theta'\?"),
    ({"optimizer": "sgd", "optimizer_options": {"betas": [0.9, 0.99]}},
     "unknown option 'betas' of optimizer 'sgd'"),
    ({"optimizer_options": {"weight_decay": 0.1}}, "weight_decay is a field of its own: give weight_decay=0.1"),
    ({"optimizer_options": {"lr": 0.1}}, "lr is a field of its own"),
    ({"optimizer": "adamwprune", "optimizer_options": {"importance": abs}}, "cannot be recorded"),
    ({"optimizer": "adamwspam", "optimizer_options": {"theta": float("inf")}}, "cannot be recorded"),
    ({"optimizer": "adamwadv", "optimizer_options": {"min_lr": 1e-5}, "schedule": "constant"},
     "min_lr=1e-05 contradicts schedule 'constant'"),
    ({"epochs": -1}, "epochs\n.*greater than or equal to 1 .*input_value=-1"),
    ({"epochs": 0}, "epochs\n.*greater than or equal to 1"),
    ({"epochs": 1.5}, "epochs\n.*valid integer"),
    ({"batch_size": 0}, "batch_size\n.*greater than or equal to 1 .*input_value=0"),
    ({"train_size": 0}, "train_size\n.*greater than or equal to 1"),
    ({"image_size": 4}, "image_size\n.*greater than or equal to 8"),
    ({"lr": 0}, "lr\n.*greater than 0"),
    ({"lr": "fast"}, "lr\n.*valid number"),
    ({"lr": float("nan")}, "lr\n.*finite number"),
    ({"weight_decay": -0.1}, "weight_decay\n.*greater than or equal to 0"),
    ({"seed": -1}, "seed\n.*greater than or equal to 0"),
    ({"label_smoothing": 1.0}, "label_smoothing\n.*less than 1"),
    ({"threads": 0}, "threads\n.*greater than or equal to 1"),
    ({"threads": 10**6}, "threads\n.*less than or equal to 1024"),
    ({"optimizer_options": {"betas": 0.9}}, "Invalid betas value: 0.9; allowed: 2 numbers"),
    ({"optimizer_options": {"betas": [0.9]}}, r"Invalid betas value: \[0.9\]; allowed: 2 numbers"),
    ({"optimizer_options": {"amsgrad": "no"}}, "Invalid amsgrad value: 'no'; allowed: True or False"),
    ({"optimizer": "sgd", "optimizer_options": {"momentum": "big"}},
     "Invalid momentum value: 'big'; allowed: a number"),
    ({"precision": "fp16"}, "precision\n.*'auto', 'float32' or 'bfloat16' .*input_value='fp16'"),
    ({"schedule": "linear"}, "schedule\n.*'cosine' or 'constant'"),
    ({"device": "cudda"}, r"unknown device 'cudda'; allowed: auto, cpu, cuda, mps\. Did you mean 'cuda'\?"),
    ({"device": "cuda:x"}, "device 'cuda:x' is malformed"),
    ({"model_options": {"witdh": 2}}, r"unknown option 'witdh' of model 'resnet18'; allowed: width. Did you mean"),
    ({"model": "lenet5", "model_options": {"width": 2}}, "unknown option 'width' of model 'lenet5'; allowed: none"),
    ({"data_options": {"length": 9}}, "unknown option 'length' of dataset 'digits'; allowed: none"),
    ({"dataset": "adding_problem", "data_options": {"length": 0}}, "Invalid length value: 0; allowed: a whole number"),
    ({"dataset": "pydoc_text", "data_options": {"contxt": 9}}, "unknown option 'contxt' .* Did you mean 'context'"),
    ({"pruner": {"target_sparsity": 0.5}}, r"unknown pruner None; allowed as pruner\['name'\]: magnitude, mov"),
    ({"pruner": {"name": "magnitud"}}, "unknown pruner 'magnitud'; allowed .* Did you mean 'magnitude'"),
    ({"pruner": {"name": "magnitude", "sparsity": 0.5}},
     "unknown option 'sparsity' of pruner 'magnitude'; allowed: target_sparsity, .* Did you mean 'target_sparsity'"),
    ({"pruner": {"name": "movement", "seed": 1}}, "unknown option 'seed' of pruner 'movement'"),
    ({"optimizer": "adamwprune", "pruner": {"name": "random"}}, "pruner .* contradicts optimizer 'adamwprune'"),
    ({"optimizer": "adamw", "optimizer_options": {"target_sparsity": 0.5}},
     "unknown option 'target_sparsity' of optimizer 'adamw'"),
    ({"spikes": {"factor": 10}}, "spikes need at or rate, one of them"),
    ({"spikes": {"rate": 2}}, "Invalid rate of spikes: 2; allowed: a number from 0 to 1"),
    ({"spikes": {"rate": 0.1, "kind": "loss"}}, "Invalid kind of spikes: 'loss'; allowed: gradient, noise, batch"),
    ({"spikes": {"rate": float("nan")}}, "spikes .* cannot be recorded"),
    ({"parallel": "tp"}, "parallel\n.*'auto', 'none', 'ddp' or 'fsdp'"),
    ({"telemetry_every": -1}, "telemetry_every\n.*greater than or equal to 0"),
    ({"compile": "perhaps"}, "compile\n.*valid boolean"),
    ({"split_seed": -1}, "split_seed\n.*greater than or equal to 0"),
    ({"label_smoothing": -0.1}, "label_smoothing\n.*greater than or equal to 0"),
    ({"epochs": True}, "Invalid epochs value: True; allowed: a number"),
    ({"lr": False}, "Invalid lr value: False; allowed: a number"),
    ({"telemetry_every": True}, "Invalid telemetry_every value: True; allowed: a number"),
    ({"seed": 2**32}, "seed\n.*less than 4294967296"),
    ({"weight_decay": float("inf")}, "weight_decay\n.*finite number"),
    ({"model": 3}, "model\n.*valid string"),
    ({"data_root": 3}, "data_root\n.*valid string"),
    ({"optimizer_options": [1]}, "optimizer_options\n.*valid dictionary"),
    ({"spikes": [3]}, "spikes\n.*valid dictionary"),
    ({"parallel": None}, "parallel\n.*'auto', 'none', 'ddp' or 'fsdp'"),
    ({"device": "auto:1"}, "device 'auto:1' is malformed"),
])
def test_refuses(fields, message):
    with pytest.raises(ValidationError, match=message):
        TrainConfig(**fields)


ADDING = {"model": "lstm", "dataset": "adding_problem", "train_size": 20}


@pytest.mark.parametrize(("fields", "message"), [
    ({"optimizer": "adamwspam", "optimizer_options": {"theta": -1}}, "Invalid theta value: -1; allowed: None or a num"),
    ({"optimizer_options": {"betas": [2, 0.9]}}, "Invalid beta parameter at index 0: 2"),
    ({"optimizer": "adamwprune", "optimizer_options": {"importance": [1]}},
     r"optimizer_options .*\[1\].* of 'adamwprune' have a value of the wrong type"),
    ({"optimizer": "adagrad", "optimizer_options": {"lr_decay": -1}}, "Invalid lr_decay value: -1"),
    ({"optimizer": "adamwprune", "optimizer_options": {"target_sparsity": 2}}, "Invalid target_sparsity: 2; allowed"),
    ({"optimizer": "adamwprune", "optimizer_options": {"pattern": "2:4", "target_sparsity": 0.7}},
     "Invalid target_sparsity value: 0.7; pattern '2:4' fixes it at 0.5"),
    ({"pruner": {"name": "magnitude", "target_sparsity": 1.5}}, "Invalid target_sparsity: 1.5; allowed"),
    ({"pruner": {"name": "magnitude", "begin_step": 50, "end_step": 3}}, "Invalid begin_step, end_step: 50, 3"),
    ({"model_options": {"width": -1}}, "Invalid width value: -1; allowed: a number above 0"),
    ({"model": "gpt"}, "model 'gpt' is not made for dataset 'digits'; allowed: lenet5"),
    ({"train_size": 10**6}, "Invalid train_size value: 1000000; allowed: at most"),
    ({"train_size": 1}, "batch_size 64 with 1 training images: model 'resnet18' normalizes over the batch"),
    ({**ADDING, "image_size": 8}, "Invalid image_size value: 8; allowed: None, since 'adding_problem' has no images"),
    ({**ADDING, "label_smoothing": 0.1}, "label_smoothing 0.1 has no meaning for dataset 'adding_problem'"),
])
def test_what_does_not_go_together_is_refused_before_anything_starts(fields, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        fit(TrainConfig(**fields), tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(("fields", "message"), [
    ({"parallel": "fsdp"}, "parallel 'fsdp' needs processes"), ({"parallel": "ddp"}, "parallel 'ddp' needs processes"),
    ({"device": "cuda:99"}, "device 'cuda:99' is not on this machine")])
def test_what_this_machine_cannot_do_is_refused_when_it_is_resolved(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**fields).resolved()


def test_compiling_takes_a_compiler(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValidationError, match=r"compile True needs a C\+\+ compiler, one of g\+\+, .*allowed: False"):
        TrainConfig(compile=True)


def test_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().epochs = 3


def test_a_number_written_as_text_is_that_number():
    assert TrainConfig(lr="1e-4").lr == 1e-4


def test_options_are_a_copy_that_survives_json():
    betas = [0.9, 0.95]
    config = TrainConfig(optimizer_options={"betas": tuple(betas)})
    assert config.optimizer_options == {"betas": betas}
    assert TrainConfig(**json.loads(config.model_dump_json())) == config


def test_resolving_writes_the_defaults_out():
    resolved = TrainConfig(optimizer="sgd", device="cpu", precision="float32").resolved()
    assert (resolved.lr, resolved.weight_decay, resolved.threads) == (0.1, 0.0, torch.get_num_threads())
    given = TrainConfig(lr=0.3, weight_decay=0.2, threads=1).resolved()
    assert (given.lr, given.weight_decay, given.threads) == (0.3, 0.2, 1)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adamwspam_published", "adamwprune"])
def test_resolving_twice_changes_nothing(optimizer):
    resolved = TrainConfig(optimizer=optimizer).resolved()
    assert "auto" not in (resolved.device, resolved.precision)
    assert resolved.resolved() == resolved


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_follows_the_hardware(monkeypatch, fast, precision):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: fast)
    assert TrainConfig(device="cpu").resolved().precision == precision


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: False)
    with pytest.raises(ValueError, match="precision 'bfloat16': device 'cpu' .* allowed: auto, float32"):
        TrainConfig(device="cpu", precision="bfloat16").resolved()


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' is not on this machine; allowed: auto, .*cpu"):
        TrainConfig(device="cuda").resolved()
