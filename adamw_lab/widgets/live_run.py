"""A training in a thread of its own, which can be watched, paused, stopped with a checkpoint, and resumed."""

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adamw_lab.training import HISTORY, Progress, RunResult, StopTraining, TrainConfig, fit

LOOK = 0.4
"""Seconds of training between two looks, at least; and at least `SHARE` times what a look took."""
SHARE = 5
STATES = ("ready", "running", "paused", "stopped", "finished", "diverged", "failed")


@dataclass(frozen=True)
class Look:
    """A run as it was after a step: epochs from 1, steps, all steps, and tables of `RunResult` as far as they go."""

    epoch: int
    step: int
    total_steps: int
    history: pd.DataFrame
    telemetry: pd.DataFrame


class LiveRun:
    """`fit` in a thread. Only one trains at a time in a process: starting one stops the one before.

    What `fit` sets is torch's for the whole process: while a run trains, other threads compute with deterministic
    kernels too, and torch's global generator is the run's; no model here draws from it after its weights are made.

    Args:
        config: the run.
        run_dir: where it keeps its checkpoints and, in the end, its results; see `fit`.
        watch: called from the thread with this, whenever there is something new to see. Optional.

    Attributes:
        state: one of `STATES`.
        look: the last `Look`; None before the first.
        result: the `RunResult` once it has ended.
        error: what ended it, if it failed.
    """

    _training: "LiveRun | None" = None
    _starting = threading.Lock()

    def __init__(self, config: TrainConfig, run_dir: str | Path, watch: Callable[["LiveRun"], None] | None = None
                 ) -> None:
        self.config, self.run_dir, self.watch = config, Path(run_dir), watch or (lambda run: None)
        self.state = "ready"
        self.look: Look | None = None
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        self._go, self._halt = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._next = 0.0

    def start(self) -> None:
        """Train, from the last checkpoint in `run_dir` if one is there; a run that has ended there is read back.

        Nothing happens while it trains.
        """
        with LiveRun._starting:
            if self.alive() and self.state in ("running", "paused"):
                return
            if LiveRun._training is not None:
                LiveRun._training.stop()  # this one too, if its thread is about to end
            LiveRun._training = self
            self.error, self._next = None, 0.0
            self._halt.clear()
            self._go.set()
            self.state = "running"
            # A daemon, as a kernel that is shut down does not wait; `atexit` stops it with a checkpoint where it can.
            atexit.register(self.stop)
            self._thread = threading.Thread(target=self._train, name="live training", daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Wait after the step that is being taken, until `go_on` or `stop`."""
        if self.state == "running":
            self._go.clear()

    def go_on(self) -> None:
        """Go on after `pause`."""
        self._go.set()

    def stop(self) -> None:
        """End it after the step that is being taken, with a checkpoint; returns when it has ended."""
        self._halt.set()
        self._go.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def alive(self) -> bool:
        """Whether its thread is there: it trains, or is paused."""
        return self._thread is not None and self._thread.is_alive()

    def _train(self) -> None:
        try:
            self.result = fit(self.config, self.run_dir, progress=False, control=self._control)
            steps = self.result.summary["steps"]
            self.look = Look(len(self.result.history), steps, self.look.total_steps if self.look else steps,
                             self.result.history, self.result.telemetry)
            self._turn(self.result.summary["status"])
        except StopTraining:
            self._turn("stopped")
        except BaseException as error:  # a thread's error would be printed into whatever cell runs
            self.error = error
            self._turn("failed")
        finally:
            atexit.unregister(self.stop)

    def _control(self, progress: Progress) -> None:
        began = time.monotonic()
        if began >= self._next:
            self._see(progress)
            self._turn("running")
            now = time.monotonic()
            self._next = now + max(LOOK, SHARE * (now - began))
        if not self._go.is_set():
            self._see(progress)
            self._turn("paused")
            self._go.wait()
            if not self._halt.is_set():
                self._turn("running")
        if self._halt.is_set():
            self._see(progress)
            raise StopTraining

    def _see(self, progress: Progress) -> None:
        history = pd.DataFrame(progress.history, columns=list(HISTORY)).astype(HISTORY)
        telemetry = progress.telemetry.frames()[0]
        self.look = Look(progress.epoch, progress.step, progress.total_steps, history, telemetry)

    def _turn(self, state: str) -> None:
        self.state = state
        self.watch(self)
