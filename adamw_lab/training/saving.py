"""When a run writes to its directory while it trains: checkpoints and a heartbeat."""

import json
import shutil
import time
from pathlib import Path

from adamw_lab.training.checkpoint import save_checkpoint
from adamw_lab.training.distributed import rank
from adamw_lab.training.records import write_atomically
from adamw_lab.training.run import Run

BEAT = 2.0
"""Seconds between heartbeats, at least."""


class Saver:
    """Writes for a run, or does nothing where it has no directory.

    Args:
        run_dir: the run's directory, or None.
        config: the run's config as text.
        seconds: time between checkpoints within an epoch.
    """

    def __init__(self, run_dir: Path | None, config: str, seconds: float) -> None:
        self.run_dir, self.config, self.seconds = run_dir, config, seconds
        self._saved, self._beat = time.monotonic(), -BEAT

    @property
    def folder(self) -> Path:
        return self.run_dir / "checkpoints"

    def due(self) -> bool:
        return time.monotonic() - self._saved >= self.seconds

    def save(self, run: Run) -> None:
        """Write a checkpoint; OSError, which names the path, if that fails."""
        if self.run_dir is not None:
            state = run.state_dict()
            if rank() == 0:
                save_checkpoint(self.folder, run.step, self.config, state)
        self._saved = time.monotonic()

    def beat(self, run: Run, validation: tuple[float, float] | None = None) -> None:
        """Say in heartbeat.json where the run is, at most every two seconds, or with an epoch's validation."""
        now = time.monotonic()
        if self.run_dir is None or rank() != 0 or validation is None and now - self._beat < BEAT:
            return
        self._beat = now
        last = run.history[-1]["validation_accuracy"] if run.history else None
        content = {"epoch": run.epoch + 1, "epochs": run.config.epochs, "step": run.step,
                   "total_steps": run.total_steps, "validation_accuracy": last, "seconds": run.seconds}
        write_atomically(self.run_dir / "heartbeat.json", lambda path: path.write_text(json.dumps(content)))

    def remove(self) -> None:
        """Remove what only a run in progress needs."""
        if self.run_dir is not None and rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.run_dir / "heartbeat.json").unlink(missing_ok=True)
