"""`fit`: one training run, from a config to recorded metrics."""

import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from tqdm.auto import tqdm

from adamw_lab.data import load_data, make_batches
from adamw_lab.models import build_model, parameter_count
from adamw_lab.optim import OPTIMIZERS, AdamWPrune, build_optimizer
from adamw_lab.training.config import TrainConfig
from adamw_lab.training.hardware import reproducible
from adamw_lab.training.metrics import Meter, evaluate, forward
from adamw_lab.training.records import HISTORY, RunResult, claim_run, open_run, write_run


def fit(config: TrainConfig, run_dir: str | Path | None = None, progress: bool = True) -> RunResult:
    """Train a model and measure it: on train and validation after every epoch, on test once at the end.

    The same config on the same machine gives the same bits, `seconds` apart. Initialization and images of
    every batch depend on the seed, never on the optimizer: runs of different optimizers are paired. A run
    whose loss is no longer finite ends there, with status "diverged", the epochs before in its history, and
    no test metrics.

    Args:
        config: the run.
        run_dir: where config.json, history.parquet, summary.json and model.safetensors go; None (default):
            nowhere. A run of the same resolved config that has ended there is returned, not run again.
        progress: show a progress bar (default).

    Raises:
        ValueError: what the config asks for is not there (images, device, precision), an optimizer's option
            is out of range, or `run_dir` holds a run of another config.
        OSError: `run_dir` cannot be written.
    """
    config = config.resolved()
    run_dir = None if run_dir is None else Path(run_dir)
    ended = None if run_dir is None else open_run(run_dir, config)
    if ended is not None:
        return ended
    with reproducible(config.seed, config.device, config.threads):
        run = _Run(config)
        if run_dir is not None:
            claim_run(run_dir, config)
        title = f"{config.model} {config.optimizer} seed {config.seed}"
        with tqdm(total=run.total_steps, desc=title, unit="step", disable=not progress) as bar:
            result = run.to_the_end(bar)
    if run_dir is not None:
        write_run(run_dir, result, run.model_arguments)
    return result


class _Run:
    """A run in progress: all that changes while it trains, and the parts it is made of."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        data = load_data(config.dataset, train_size=config.train_size, image_size=config.image_size,
                         split_seed=config.split_seed, root=config.data_root)
        self.model_arguments = dict(
            channels=data.channels, classes=len(data.classes), image_size=data.image_size)
        layout = torch.channels_last if config.precision == "bfloat16" else torch.contiguous_format
        self.model = build_model(config.model, seed=config.seed, **self.model_arguments)
        self.model.to(config.device, memory_format=layout)
        _check_batch_norm(self.model, config, len(data.train))
        self.batches = {
            split: make_batches(data, split, config.batch_size, device=config.device, seed=config.seed,
                                memory_format=layout)
            for split in ("train", "validation", "test")}
        self.total_steps = config.epochs * len(self.batches["train"])
        self.optimizer, self.scheduler = _optimizer(self.model, config, self.total_steps)
        self.step, self.seconds = 0, 0.0
        self.lr: float | Tensor = config.lr
        self.history: list[dict[str, float]] = []

    def to_the_end(self, bar: tqdm) -> RunResult:
        trained = all(self.epoch(k, bar) for k in range(self.config.epochs))
        test = evaluate(self.model, self.batches["test"], self.config) if trained else None
        if test is not None and not math.isfinite(test[0]):
            test = None
        history = pd.DataFrame(self.history, columns=list(HISTORY)).astype(HISTORY)
        return RunResult(history, self._summary(test), self.model.eval())

    def epoch(self, k: int, bar: tqdm) -> bool:
        """Train for epoch k (from 0), measure and add a row to the history; False if the run diverged."""
        start = time.perf_counter()
        train = self._train(k, bar)
        self.seconds += time.perf_counter() - start
        if not math.isfinite(train[0]):
            return False
        validation = evaluate(self.model, self.batches["validation"], self.config)
        if not math.isfinite(validation[0]):
            return False
        self.history.append(dict(
            epoch=k + 1, step=self.step, lr=float(self.lr), train_loss=train[0], train_accuracy=train[1],
            validation_loss=validation[0], validation_accuracy=validation[1], sparsity=self._sparsity(),
            seconds=self.seconds))
        bar.set_postfix(loss=f"{train[0]:.3f}", validation=f"{validation[1]:.1%}")
        return True

    def _train(self, k: int, bar: tqdm) -> tuple[float, float]:
        """(mean loss, accuracy) of the epoch's batches as they were met; a loss not finite stays so."""
        self.model.train()
        meter = Meter(self.config.device)
        # On an accelerator reading a loss would wait for it at every step; there the mean tells, at the end.
        watch = torch.device(self.config.device).type == "cpu"
        for images, labels in self.batches["train"].epoch(k):
            loss, logits = self._train_step(images, labels)
            meter.add(loss, logits, labels)
            bar.update()
            if watch and not math.isfinite(loss.item()):
                break
        return meter.read()

    def _train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        logits = forward(self.model, images, self.config)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        group = self.optimizer.param_groups[0]
        self.lr = group.get("scheduled_lr", group["lr"])
        if self.scheduler is not None:
            self.scheduler.step()
        return loss.detach(), logits.detach()

    def _sparsity(self) -> float:
        return self.optimizer.sparsity() if isinstance(self.optimizer, AdamWPrune) else 0.0

    def _summary(self, test: tuple[float, float] | None) -> dict[str, Any]:
        """`test`: (loss, accuracy), or None for a run that diverged."""
        status = "diverged" if test is None else "finished"
        test_loss, test_accuracy = test or (None, None)
        last = self.history[-1] if self.history else {}
        kept = ("validation_accuracy", "validation_loss", "train_loss", "sparsity")
        named = ("optimizer", "model", "dataset", "seed", "device", "precision")
        return {
            "status": status, **{name: last.get(name) for name in kept}, "test_accuracy": test_accuracy,
            "test_loss": test_loss, "steps": self.step, "epochs": len(self.history), "seconds": self.seconds,
            "parameters": parameter_count(self.model), **{name: getattr(self.config, name) for name in named},
            "config": self.config.model_dump(mode="json")}


def _optimizer(model: nn.Module, config: TrainConfig,
               total_steps: int) -> tuple[Optimizer, LRScheduler | None]:
    """The optimizer, and a scheduler for torch's own, which do not anneal by themselves."""
    options = {**config.optimizer_options, "weight_decay": config.weight_decay}
    lab = OPTIMIZERS[config.optimizer].lab
    if lab and config.schedule == "constant":
        options["min_lr"] = config.lr
    optimizer = build_optimizer(config.optimizer, model, lr=config.lr, total_steps=total_steps, **options)
    if isinstance(optimizer, AdamWPrune) and not any(group["prunable"] for group in optimizer.param_groups):
        raise ValueError(f"optimizer {config.optimizer!r} finds nothing to prune in {config.model!r}; "
                         "allowed: a model with weights of two or more dimensions outside norms and embeddings")
    scheduled = config.schedule == "cosine" and not lab
    return optimizer, CosineAnnealingLR(optimizer, T_max=total_steps) if scheduled else None


def _check_batch_norm(model: nn.Module, config: TrainConfig, train_images: int) -> None:
    smallest = min(config.batch_size, train_images)
    if smallest < 2 and any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        raise ValueError(f"batch_size {config.batch_size} with {train_images} training images: model "
                         f"{config.model!r} normalizes over the batch; allowed: at least 2 images a batch")
