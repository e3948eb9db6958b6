"""What determines a training run: a typed, frozen config that refuses what it does not know."""

import json
import re
import shutil
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from adamw_lab.data import DATASETS, check_data_options
from adamw_lab.models import MODELS, model_options
from adamw_lab.optim.own import code_digest
from adamw_lab.optim.registry import OPTIMIZERS, check_name, check_options
from adamw_lab.suggest import did_you_mean
from adamw_lab.training.assembly import check_pruner
from adamw_lab.training.distributed import resolve_parallel
from adamw_lab.training.hardware import resolve_device, resolve_precision
from adamw_lab.training.injection import check_spikes

COMPILERS = ("g++", "clang++", "c++")
NUMBERS = ("lr", "weight_decay", "epochs", "batch_size", "seed", "train_size", "image_size", "label_smoothing",
           "split_seed", "telemetry_every", "threads")
"""Fields where True, which pydantic takes for 1, would be a slip."""
MOST_THREADS = 1024
"""With more, OpenMP cannot start them all, and ends the process."""
DEVICES = ("auto", "cpu", "cuda", "mps")


class TrainConfig(BaseModel):
    """A training run, checked when it is made.

    Args:
        model: a key of `adamw_lab.models.MODELS`.
        dataset: a key of `adamw_lab.data.DATASETS`.
        optimizer: a key of `adamw_lab.optim.OPTIMIZERS`, to which `adamw_lab.optim.register` adds.
        optimizer_options: its other arguments: numbers, strings, booleans, None and lists of these.
        model_options: options of the model, such as `width` of a ResNet, `hidden` of a recurrent network, `layers` of
            the GPT.
        data_options: options of the data set, `length` of adding_problem or `context` of pydoc_text.
        lr: learning rate; None (default): the optimizer's own.
        weight_decay: of the weights (biases and norms have none); None (default): the optimizer's own.
        epochs: passes over the training images.
        batch_size: images a step. The last batch of an epoch may be smaller; a single image left over sits it out.
        seed: of the initialization, the order of the images and their augmentation, which depend on no other
            part of a config than the model and the data.
        train_size: train on so many images, a stratified subset; None (default): all.
        image_size: resize the images to this height and width in pixels; None (default): as they are.
        device: "auto" (default: cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", …, "mps".
        precision: "float32"; "bfloat16": autocast, with channels_last; "auto" (default): bfloat16 where the
            hardware computes in it, else float32.
        schedule: of the learning rate: "cosine" (default), from lr to 0 over the run, or "constant".
        label_smoothing: of the training loss, in [0, 1).
        split_seed: of the split into train, validation and test.
        data_root: folder of the data; None (default): the data set's usual places.
        pruner: {"name": "magnitude", "movement" or "random", and options of that class in `adamw_lab.pruning`}: prune
            by a baseline, whatever the optimizer but adamwprune; None (default): do not. `begin_step` and `end_step`
            are a tenth and three quarters of the run unless given.
        spikes: arguments of `adamw_lab.training.injection.SpikeInjector`, which spoils some steps on purpose; None
            (default): none.
        compile: let torch compile the forward and backward pass (default False); takes a C++ compiler on a CPU.
        parallel: "auto" (default): "ddp" under torchrun, else "none"; "ddp": every process holds the model; "fsdp":
            each holds a part of it (FSDP2). A batch is that of all processes together.
        telemetry_every: steps between looks at every layer (default 50); 0: none.
        threads: CPU threads that torch computes with; None (default): as many as it has now.

    Raises:
        pydantic.ValidationError: a ValueError that names the field, its value and what is allowed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=False)

    model: str = "resnet18"
    dataset: str = "digits"
    optimizer: str = "adamw"
    optimizer_options: dict[str, Any] = {}
    model_options: dict[str, Any] = {}
    data_options: dict[str, Any] = {}
    lr: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(64, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)
    train_size: int | None = Field(None, ge=1)
    image_size: int | None = Field(None, ge=8)
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    split_seed: int = Field(0, ge=0, lt=2**32)
    data_root: str | None = None
    pruner: dict[str, Any] | None = None
    spikes: dict[str, Any] | None = None
    compile: bool = False
    parallel: Literal["auto", "none", "ddp", "fsdp"] = "auto"
    telemetry_every: int = Field(50, ge=0)
    threads: int | None = Field(None, ge=1, le=MOST_THREADS)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name == "run_dir":
                raise ValueError("run_dir is no field of a config: give it to fit(config, run_dir=...), "
                                 "or as --run-dir")
            if name not in cls.model_fields:
                raise ValueError(f"unknown field {name!r}; allowed: {', '.join(cls.model_fields)}."
                                 f"{did_you_mean(str(name), cls.model_fields)}")
        return values

    @field_validator(*NUMBERS, mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"Invalid {info.field_name} value: {value!r}; allowed: a number")
        return value

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        return _known("model", name, MODELS)

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, name: str) -> str:
        return _known("dataset", name, DATASETS)

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        check_name(name)
        return name

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str) -> str:
        if name.split(":")[0] not in DEVICES:
            raise ValueError(f"unknown device {name!r}; allowed: {', '.join(DEVICES)}."
                             f"{did_you_mean(name, DEVICES)}")
        if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", name):
            raise ValueError(f"device {name!r} is malformed; allowed: a name, or name:index as in 'cuda:0'")
        return name

    @field_validator("optimizer_options", "model_options", "data_options", "pruner", "spikes")
    @classmethod
    def _recordable(cls, options: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        try:
            return json.loads(json.dumps(options, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{info.field_name} {options!r} cannot be recorded ({error}); allowed: finite "
                             "numbers, strings, booleans, None, and lists of these") from error

    @field_validator("compile")
    @classmethod
    def _compilable(cls, wanted: bool) -> bool:
        if wanted and not any(map(shutil.which, COMPILERS)):
            raise ValueError(f"compile True needs a C++ compiler, one of {', '.join(COMPILERS)}, and none is "
                             "installed; allowed: False")
        return wanted

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        options = self.optimizer_options
        for name in ("lr", "weight_decay"):
            if name in options:
                raise ValueError(f"{name} is a field of its own: give {name}={options[name]!r} beside "
                                 "optimizer_options, not in it")
        if self.schedule == "constant" and "min_lr" in options:
            raise ValueError(f"min_lr={options['min_lr']!r} contradicts schedule 'constant'; "
                             "allowed: schedule='cosine', or no min_lr")
        check_options(self.optimizer, options)
        check_data_options(self.dataset, self.data_options)
        known = model_options(self.model)
        for name in self.model_options:
            if name not in known:
                raise ValueError(f"unknown option {name!r} of model {self.model!r}; allowed: "
                                 f"{', '.join(known) or 'none'}.{did_you_mean(name, known)}")
        if self.pruner is not None:
            check_pruner(self.pruner, self.optimizer)
        if self.spikes is not None:
            check_spikes(**self.spikes)
        return self

    def record(self) -> dict[str, Any]:
        """The fields as JSON has them, and of an optimizer that was registered its code: under the same name it may
        have become another rule since."""
        code = code_digest(self.optimizer)
        return self.model_dump(mode="json") | ({} if code is None else {"optimizer_code": code})

    def identity(self) -> dict[str, Any]:
        """What a run is known by: all but `parallel`, since a run may go on on more processes or fewer."""
        return {name: value for name, value in self.record().items() if name != "parallel"}

    def resolved(self) -> "TrainConfig":
        """The same run with everything that this machine or an optimizer's default decides written out.

        Raises:
            ValueError: this machine does not have the device or the precision, or this process not the optimizer, if
                the config came from another.
        """
        check_name(self.optimizer)
        spec = OPTIMIZERS[self.optimizer]
        device = resolve_device(self.device)
        return self.model_copy(update={
            "lr": spec.lr if self.lr is None else self.lr,
            "weight_decay": spec.options["weight_decay"] if self.weight_decay is None else self.weight_decay,
            "device": device,
            "parallel": resolve_parallel(self.parallel),
            "precision": resolve_precision(self.precision, device),
            "threads": torch.get_num_threads() if self.threads is None else self.threads,
        })


def _known(what: str, name: str, allowed: Any) -> str:
    if name not in allowed:
        raise ValueError(f"unknown {what} {name!r}; allowed: {', '.join(allowed)}."
                         f"{did_you_mean(name, allowed)}")
    return name
