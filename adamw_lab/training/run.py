"""A run in progress: the parts that it is made of, and all that changes while it trains."""

import warnings
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from adamw_lab.data import load_data, make_batches
from adamw_lab.models import build_model, models_for, parameter_count
from adamw_lab.optim import AdamWPrune
from adamw_lab.optim.work import local
from adamw_lab.training.assembly import check_batch_norm, make_optimizer, make_pruner
from adamw_lab.training.config import TrainConfig
from adamw_lab.training.distributed import gathered, load_model, load_optimizer, share, synchronized, total
from adamw_lab.training.injection import SpikeInjector
from adamw_lab.training.metrics import Meter
from adamw_lab.training.records import HISTORY, RunResult
from adamw_lab.training.tasks import TASKS
from adamw_lab.training.telemetry import Telemetry


class Run:
    """A run of a resolved config, at its beginning or, by `load_state_dict`, anywhere.

    `epoch` counts the epochs that are finished, `batch` the batches done of the next, `step` all of them.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        data = load_data(config.dataset, train_size=config.train_size, image_size=config.image_size,
                         split_seed=config.split_seed, root=config.data_root, **config.data_options)
        facts = data.model_arguments()
        if config.model not in models_for(facts):
            raise ValueError(f"model {config.model!r} is not made for dataset {config.dataset!r}; allowed: "
                             f"{', '.join(models_for(facts))}")
        self.model_arguments = {**facts, **config.model_options}
        self.task = TASKS[data.task]
        if config.label_smoothing and data.task == "regression":
            raise ValueError(f"label_smoothing {config.label_smoothing!r} has no meaning for dataset "
                             f"{config.dataset!r}, whose targets are numbers; allowed: 0")
        self.digest = data.digest if data.task == "language" else None
        layout = torch.channels_last if config.precision == "bfloat16" else torch.contiguous_format
        model = build_model(config.model, seed=config.seed, **self.model_arguments)
        self.model = synchronized(model, config.parallel, config.device).to(config.device, memory_format=layout)
        self.shared = share(self.model, config.parallel)
        # One kernel for each size of batch: which one a batch meets must not depend on where a run was taken up.
        self._compiled = torch.compile(self.shared, dynamic=False) if config.compile else self.shared
        check_batch_norm(self.model, config, len(data.train))
        self.batches = {
            split: make_batches(data, split, config.batch_size, device=config.device, seed=config.seed,
                                memory_format=layout)
            for split in ("train", "validation", "test")}
        self.total_steps = config.epochs * len(self.batches["train"])
        self.optimizer, self.scheduler = make_optimizer(self.model, config, self.total_steps)
        self.pruner = make_pruner(self.optimizer, config, self.total_steps)
        self.injector = None
        if config.spikes is not None:
            self.injector = SpikeInjector(self.total_steps, **{"seed": config.seed, **config.spikes})
        self.telemetry = Telemetry(self.model, self.optimizer, self.pruner, config.telemetry_every)
        self.meter = Meter(self.task, config.device)
        self.epoch = self.batch = self.step = 0
        self.seconds = 0.0
        self.diverged = False
        self.history: list[dict[str, Any]] = []
        self.resumed_from: list[int] = []

    def forward_of_step(self) -> nn.Module:
        """What the next step's forward pass is to call: compiled if so wished, but when its layers are looked at."""
        return self.shared if self.telemetry.looks(self.step + 1) else self._compiled

    def lr(self) -> float | Tensor:
        """The learning rate that the optimizer's last step applied."""
        group = self.optimizer.param_groups[0]
        return group.get("scheduled_lr", group["lr"])

    def advance(self) -> None:
        """Count a step that was taken."""
        self.step += 1
        self.batch += 1
        self._lr = self.lr()
        if self.scheduler is not None:
            self.scheduler.step()

    def end_epoch(self, train: tuple[float, float], validation: tuple[float, float]) -> None:
        """Add the epoch to the history, and turn to the next."""
        number = self.epoch + 1
        self.history.append(dict(
            epoch=number, step=self.step, lr=float(self._lr), train_loss=train[0], train_accuracy=train[1],
            validation_loss=validation[0], validation_accuracy=validation[1],
            target_sparsity=self._target_sparsity(), sparsity=self.sparsity(),
            mask_changes=self.telemetry.total("mask_changes", number),
            revived=self.telemetry.total("revived", number), seconds=self.seconds,
            resumed_from=" ".join(map(str, self.resumed_from))))
        self.epoch, self.batch, self.resumed_from = number, 0, []
        self.meter = Meter(self.task, self.config.device)

    def weights_finite(self) -> bool:
        """Whether all are, on all processes."""
        bad = sum(int((~local(p).isfinite()).any()) for p in self.model.parameters())
        return float(total(torch.tensor(float(bad), device=self.config.device))) == 0

    def sparsity(self) -> float:
        if self.pruner is not None:
            return self.pruner.sparsity()
        return self.optimizer.sparsity() if isinstance(self.optimizer, AdamWPrune) else 0.0

    def result(self, test: tuple[float, float] | None) -> RunResult:
        """The run as it ended; `test`: (loss, accuracy), or None if it diverged."""
        history = pd.DataFrame(self.history, columns=list(HISTORY)).astype(HISTORY)
        steps, layers = self.telemetry.frames()
        summary = self._summary(test)
        model = self.model
        if self.config.parallel == "fsdp":
            weights = gathered(model.state_dict())
            model = build_model(self.config.model, **self.model_arguments).to(self.config.device)
            model.load_state_dict(weights)
        return RunResult(history, summary, model.eval(), steps, layers)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on to the bit; tensors, numbers, strings, dicts and lists.

        All processes must call it. The meter's totals are those of all.
        """
        cuda = torch.device(self.config.device).type == "cuda"
        return {
            "epoch": self.epoch, "batch": self.batch, "step": self.step, "seconds": self.seconds,
            "lr": float(self._lr), "history": self.history, "resumed_from": self.resumed_from,
            "meter": self.meter.state_dict(),
            "model": gathered(self.model.state_dict()), "optimizer": gathered(self.optimizer.state_dict()),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "pruner": None if self.pruner is None else self.pruner.state_dict(),
            "telemetry": self.telemetry.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.config.device) if cuda else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.batch, self.step, self.seconds = (
            state[name] for name in ("epoch", "batch", "step", "seconds"))
        self._lr, self.history = state["lr"], state["history"]
        self.resumed_from = [*state["resumed_from"], self.step]
        self.meter.load_state_dict(state["meter"])
        load_model(self.model, state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.pruner is not None:
            self.pruner.load_state_dict(state["pruner"])
        self.telemetry.load_state_dict(state["telemetry"])
        torch.set_rng_state(state["random"].cpu())
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.config.device)

    def _target_sparsity(self) -> float:
        """The target of the last mask update so far."""
        self.telemetry.flush()
        targets = self.telemetry.steps["target_sparsity"]
        known = targets[~targets.isnan()]
        return float(known[-1]) if len(known) else 0.0

    def _summary(self, test: tuple[float, float] | None) -> dict[str, Any]:
        """`test`: (loss, accuracy), or None for a run that diverged."""
        test_loss, test_accuracy = test or (None, None)
        last = self.history[-1] if self.history else {}
        kept = ("validation_accuracy", "validation_loss", "train_loss", "sparsity")
        named = ("optimizer", "model", "dataset", "seed", "device", "precision")
        return {
            "status": "diverged" if self.diverged else "finished", **{name: last.get(name) for name in kept},
            "test_accuracy": test_accuracy, "test_loss": test_loss, "steps": self.step, "epochs": len(self.history),
            **(self.telemetry.divergence() if self.diverged else {"diverged_at": None, "last_loss": None}),
            "seconds": self.seconds, "never_fired": self._never_fired(), "parameters": parameter_count(self.model),
            "data_digest": self.digest, **{name: getattr(self.config, name) for name in named},
            "config": self.config.model_dump(mode="json")}

    def _never_fired(self) -> list[str]:
        """What was switched on and never at work; a warning names what the config asked for by name."""
        if self.diverged:
            return []
        idle = self.telemetry.never_fired()
        if self.sparsity() < self._asked_sparsity() - 0.005:
            idle.append("target_sparsity")
        if self.injector is not None and not self.injector.truth():
            idle.append("spikes")
        asked = [name for name in idle if name in {**self.config.optimizer_options, "target_sparsity": 0, "spikes": 0}]
        if asked:
            warnings.warn(f"switched on but never at work in this run: {', '.join(asked)}", stacklevel=2)
        return idle

    def _asked_sparsity(self) -> float:
        if self.pruner is not None:
            return self.pruner.target_sparsity
        return max(group.get("target_sparsity", 0.0) for group in self.optimizer.param_groups)
