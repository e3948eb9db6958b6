"""`fit`: one training run, from a config to recorded metrics, through any interruption."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from adamw_lab.interrupts import Interrupts, StopTraining
from adamw_lab.training.checkpoint import load_checkpoint
from adamw_lab.training.config import TrainConfig
from adamw_lab.training.distributed import agree, first_alone, own_part, rank, share_buffers, together, world
from adamw_lab.training.hardware import reproducible
from adamw_lab.training.metrics import evaluate, forward
from adamw_lab.training.records import RunResult, claim_run, open_run, write_run
from adamw_lab.training.run import Run
from adamw_lab.training.saving import Saver
from adamw_lab.training.telemetry import Telemetry


@dataclass(frozen=True)
class Progress:
    """What `control` sees after a step: epochs from 1, steps taken, all steps of the run, the batch's loss (0-d).

    And of the run so far: `history`, a row an epoch that is over (see `HISTORY`), and `telemetry`, whose `frames()`
    wait for the device.
    """

    epoch: int
    step: int
    total_steps: int
    loss: Tensor
    history: Sequence[Mapping[str, Any]]
    telemetry: Telemetry


Control = Callable[[Progress], None]


def fit(config: TrainConfig, run_dir: str | Path | None = None, progress: bool = True, *,
        checkpoint_minutes: float = 10.0, control: Control | None = None) -> RunResult:
    """Train a model and measure it: on train and validation after every epoch, on test once at the end.

    The same config on the same machine gives the same bits, `seconds` apart, also if the run was killed in between
    and taken up again. Initialization and images of every batch depend on the seed, never on the optimizer: runs of
    different optimizers are paired. A run whose loss or weights are no longer finite ends there, with status
    "diverged", the epochs before in its history, and no test metrics.

    Args:
        config: the run.
        run_dir: where config.json, history.parquet, telemetry.parquet, layers.parquet, summary.json and
            model.safetensors go, and checkpoints while it trains; None (default): nowhere. A run of the same resolved
            config that has ended there is returned, one that was interrupted goes on from its last checkpoint.
        progress: show a progress bar (default).
        checkpoint_minutes: time between checkpoints within an epoch (default 10); there is one after every epoch.
        control: called after every step with its `Progress`; may wait, and may raise StopTraining.

    Raises:
        ValueError: what the config asks for is not there (images, device, precision), an optimizer's option
            is out of range, or `run_dir` holds a run of another config.
        OSError: `run_dir` cannot be written, or another process of the run ended; the last good checkpoint stays.
        KeyboardInterrupt, SystemExit, StopTraining: the run was stopped by SIGINT, SIGTERM or `control`, after a
            checkpoint.
    """
    if not checkpoint_minutes > 0:
        raise ValueError(f"Invalid checkpoint_minutes: {checkpoint_minutes!r}; allowed: a number above 0")
    if run_dir == "":  # a variable of a shell that is not set; as a path it would be the current folder
        raise ValueError("Invalid run_dir: ''; allowed: a folder, or None to keep nothing")
    config = config.resolved()
    run_dir = None if run_dir is None else Path(run_dir)
    saver = Saver(run_dir, json.dumps(config.identity()), 60 * checkpoint_minutes)
    ended = None if run_dir is None else open_run(run_dir, config)
    if ended is not None:
        saver.remove()  # unless a kill came before that, nothing is left
        return ended
    with reproducible(config.seed, config.device, config.threads), world(config.parallel, config.device):
        run = Run(config)
        if run_dir is not None:
            if rank() == 0:
                claim_run(run_dir, config)
            saved = first_alone(lambda: load_checkpoint(saver.folder, saver.config, config.device))
            if saved is not None:
                run.load_state_dict(saved)
        title = f"{config.model} {config.optimizer} seed {config.seed}"
        hidden = not progress or rank() > 0
        with tqdm(total=run.total_steps, initial=run.step, desc=title, unit="step", disable=hidden) as bar:
            result = _Loop(run, saver, bar, control).to_the_end()
        if run_dir is not None and rank() == 0:
            write_run(run_dir, result, run.model_arguments)
            saver.remove()
    return result


class _Loop:
    """Takes a run from where it is to its end."""

    def __init__(self, run: Run, saver: Saver, bar: tqdm, control: Control | None) -> None:
        self.run, self.saver, self.bar, self.control = run, saver, bar, control
        self.config = run.config

    def to_the_end(self) -> RunResult:
        run = self.run
        with Interrupts() as self.interrupts:
            while not run.diverged and run.epoch < self.config.epochs:
                self._epoch()
            test = None if run.diverged else self._evaluate("test")
        if test is not None and not math.isfinite(test[0]):
            run.diverged, test = True, None
        return run.result(test)

    def _epoch(self) -> None:
        """Finish the epoch that the run is in, measure, and add a row to the history."""
        run = self.run
        train = self._train()
        if math.isfinite(train[0]) and run.weights_finite():
            validation = self._evaluate("validation")
            if math.isfinite(validation[0]):
                run.end_epoch(train, validation)
                self.saver.beat(run, validation)
                self.saver.save(run)
                self.bar.set_postfix(loss=f"{train[0]:.3f}", validation=f"{validation[1]:.1%}")
                return
        run.diverged = True

    def _train(self) -> tuple[float, float]:
        """Take the steps that the epoch still has; its (mean loss, accuracy)."""
        run = self.run
        run.model.train()
        start, before = time.perf_counter(), run.seconds
        for inputs, targets in run.batches["train"].epoch(run.epoch, start=run.batch):
            loss = self._step(inputs, targets)
            run.seconds = before + time.perf_counter() - start
            self.bar.update()
            if not self._between_steps(loss):
                break
        train = run.meter.read()  # waits for the device
        run.seconds = before + time.perf_counter() - start
        return train

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on this process's part of a batch; returns the loss of the whole."""
        run = self.run
        inputs, targets, weight, copies = own_part(inputs, targets)
        run.optimizer.zero_grad()
        if run.injector is not None:
            inputs = run.injector.batch(run.step + 1, inputs)
        with run.telemetry.watching_units(run.step + 1):
            outputs = forward(run.forward_of_step(), inputs, self.config)
        loss = run.task.loss(outputs, targets, self.config.label_smoothing)
        (loss if weight == 1 else loss * weight).backward()
        if run.injector is not None:
            run.injector.gradients(run.step + 1, run.model)
        with run.telemetry.step(run.step + 1, run.epoch + 1) as row:
            run.optimizer.step()
        run.meter.add(loss, outputs.detach(), targets, copies)
        whole = agree(loss.detach() * weight)
        row |= {"loss": whole, "lr": run.lr()}
        if run.injector is not None:
            row["injected"] = run.injector.spoils(run.step + 1)
        run.advance()
        return whole

    def _between_steps(self, loss: Tensor) -> bool:
        """Whether to go on: whether the loss is finite, as far as that is known."""
        run = self.run
        # On an accelerator reading a loss would wait for it at every step; there the epoch's mean tells, at its end.
        if torch.device(self.config.device).type == "cpu" and not math.isfinite(loss.item()):
            return False
        self.saver.beat(run)
        self._answer(Progress(run.epoch + 1, run.step, run.total_steps, loss, tuple(run.history), run.telemetry))
        return True

    def _answer(self, progress: Progress | None = None) -> None:
        """Let signals and, after a step, `control` have their say; saves where that is due or the run is to stop."""
        stop = None
        try:
            if progress is not None and self.control is not None:
                self.control(progress)
            self.interrupts.check()
        except (StopTraining, KeyboardInterrupt, SystemExit) as request:
            stop = request
        stopping, due = together(stop is not None, progress is not None and self.saver.due())
        if stopping or due:
            self.saver.save(self.run)
        if stopping:
            raise stop or StopTraining("another process of the run was stopped")

    def _evaluate(self, split: str) -> tuple[float, float]:
        share_buffers(self.run.model)
        return evaluate(self.run.shared, self.run.batches[split], self.run.task, self.config, self._answer)
