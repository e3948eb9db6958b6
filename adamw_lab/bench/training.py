"""Images a second of the whole training loop, beside the loop that most tutorials have."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from adamw_lab.data import ImageData, load_data
from adamw_lab.models import build_model
from adamw_lab.provenance import hardware, installed
from adamw_lab.training import TrainConfig
from adamw_lab.training.hardware import reproducible
from adamw_lab.training.loop import _Loop
from adamw_lab.training.metrics import forward
from adamw_lab.training.run import Run
from adamw_lab.training.saving import Saver

Step = Callable[[], Any]


def bench_training(models: Sequence[str] = ("resnet18", "resnet50"), *, dataset: str = "fashion_mnist",
                   batch_size: int = 64, blocks: int = 9, steps: int = 2, compile: bool = True,
                   train_size: int | None = None) -> pd.DataFrame:
    """Train by several loops in turn, blocks of steps of each, in one process and on the same images.

    The ways: "tutorial", float32, a DataLoader of two worker processes with torchvision's transforms on PIL images,
    torch's for-loop AdamW, `loss.item()` at every step; "fit", all that `fit` does at a step, telemetry included, in
    the precision that it chooses here; "fit, float32"; "bare", forward, backward and fused step alone on one resident
    batch in `fit`'s precision; "fit, looking", `fit` with a look at every layer at every step; "fit, compiled".

    Args:
        models: names of image models.
        dataset: a data set of images.
        batch_size: images a step.
        blocks, steps: timed blocks of each way, and steps in a block, after one step that is not timed.
        compile: measure the compiled way too (default), which compiles for minutes.
        train_size: images to train on; None (default): all.

    Returns:
        A row for each model and way: `images_per_second`, the median of its blocks; `ratio`, the median over blocks of
        its speed by the tutorial's; of "fit", `overhead`, the median over blocks of its time by that of "bare", less 1,
        with the looks at the layers that a config has by default; `precision`, `batch_size`, `threads`, `hardware`,
        `torch`.
    """
    data = load_data(dataset, train_size=train_size)
    rows = []
    for model in models:
        ways = _ways(model, data, dict(model=model, dataset=dataset, batch_size=batch_size, epochs=1000,
                                       train_size=train_size, optimizer="adamw"), compile)
        for step, _ in ways.values():
            step()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(blocks):
            for name, (step, _) in ways.items():
                seconds[name].append(_timed(step, steps))
        for name, (_, precision) in ways.items():
            rows.append({"model": model, "way": name, "ratio": _median_ratio(seconds["tutorial"], seconds[name]),
                         "overhead": _overhead(seconds) if name == "fit" else math.nan, "precision": precision,
                         "images_per_second": batch_size * steps / median(seconds[name])})
    return pd.DataFrame(rows).assign(dataset=dataset, batch_size=batch_size, threads=torch.get_num_threads(),
                                     hardware=hardware(), torch=installed("torch"))


def _overhead(seconds: dict[str, list[float]]) -> float:
    """What "fit" costs beyond "bare", one look in so many steps included."""
    every = TrainConfig().telemetry_every
    alone, looking = (_median_ratio(seconds[way], seconds["bare"]) for way in ("fit", "fit, looking"))
    return alone - 1 + (looking - alone) / every


def _median_ratio(seconds: list[float], others: list[float]) -> float:
    return median(one / other for one, other in zip(seconds, others, strict=True))


def _timed(step: Step, steps: int) -> float:
    start = _now()
    for _ in range(steps):
        step()
    return _now() - start


def _now() -> float:
    """The time at which all that was asked for so far is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def _ways(model: str, data: ImageData, fields: dict[str, Any], compile: bool) -> dict[str, tuple[Step, str]]:
    """name -> (one step, precision). Those to be compared closely are far from the tutorial, whose workers go on."""
    chosen = TrainConfig(**fields).resolved()
    ways = {"tutorial": (_tutorial(model, data, chosen), "float32"),
            "fit, float32": (_fit(TrainConfig(**fields, precision="float32").resolved()), "float32"),
            "fit, looking": (_fit(TrainConfig(**fields, telemetry_every=1).resolved()), chosen.precision),
            "fit": (_fit(chosen), chosen.precision),
            "bare": (_bare(chosen), chosen.precision)}
    if compile:
        ways["fit, compiled"] = _fit(TrainConfig(**fields, compile=True).resolved()), chosen.precision
    return ways


def _fit(config: TrainConfig) -> Step:
    """A step of `fit`, with all that comes between two steps."""
    run = Run(config)
    loop = _Loop(run, Saver(None, "", float("inf")), tqdm(disable=True), None)
    loop.interrupts = _NoInterrupts()
    run.model.train()
    batches = _endless(run.batches["train"].epoch)

    def step() -> None:
        with reproducible(config.seed, config.device, config.threads):
            loop._between_steps(loop._step(*next(batches)))

    return step


class _NoInterrupts:
    def check(self) -> None:
        """No signals are caught here."""


def _bare(config: TrainConfig) -> Step:
    run = Run(config)
    run.model.train()
    images, labels = next(run.batches["train"].epoch(0))

    def step() -> None:
        with reproducible(config.seed, config.device, config.threads):
            run.optimizer.zero_grad()
            F.cross_entropy(forward(run.model, images, config), labels).backward()
            run.optimizer.step()

    return step


def _tutorial(name: str, data: ImageData, config: TrainConfig) -> Step:
    model = build_model(name, seed=0, **data.model_arguments()).to(config.device)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    augment = [v2.RandomCrop(data.image_size, padding=data.augmentation.pad)] if data.augmentation.pad else []
    augment += [v2.RandomHorizontalFlip()] if data.augmentation.flip else []
    transform = v2.Compose([*augment, v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
                            v2.Normalize(data.mean, data.std)])
    loader = DataLoader(_Pictures(data, transform), config.batch_size, shuffle=True, num_workers=2, drop_last=True)
    batches = _endless(lambda number: iter(loader))

    def step() -> None:
        model.train()
        images, labels = (part.to(config.device) for part in next(batches))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def _endless(epoch: Callable[[int], Iterator]) -> Iterator:
    number = 0
    while True:
        yield from epoch(number)
        number += 1


class _Pictures(Dataset):
    """Images as PIL pictures, transformed one by one."""

    def __init__(self, data: ImageData, transform: Callable) -> None:
        self.images, self.labels, self.transform = data.train.images.numpy(), data.train.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        pixels = self.images[index].transpose(1, 2, 0)
        picture = Image.fromarray(np.ascontiguousarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels))
        return self.transform(picture), self.labels[index]
