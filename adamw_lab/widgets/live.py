"""A training to watch: its curves grow while the notebook stays free."""

import hashlib
import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.live import fig_live
from adamw_lab.provenance import checkout_of
from adamw_lab.training import HISTORY, RunResult, TrainConfig
from adamw_lab.training.telemetry import STEPS
from adamw_lab.widgets.explorer import Explorer, close_all, draw
from adamw_lab.widgets.frontend import cell_id
from adamw_lab.widgets.live_run import LiveRun, Look

LAYOUT = {"columns": 3, "width": 7.6, "height": 2.5}
NOTHING = Look(0, 0, 1, *(pd.DataFrame(columns=list(names), dtype=float) for names in (HISTORY, STEPS)))
"""A run before its first step."""
_shown: list["LiveTraining"] = []


def live_training(config: TrainConfig, recorded: RunResult, run_dir: str | Path | None = None
                  ) -> "Figure | LiveTraining":
    """Buttons to start, pause, stop and resume a training, and its curves; where no front end is, those of a recorded
    run.

    The one that was shown before in this kernel is stopped, with a checkpoint, and closed.

    Args:
        config: what to train.
        recorded: a run that has ended, drawn where nothing can be started.
        run_dir: the folder of the training; what was stopped there goes on from its checkpoint, what has ended is read
            back. None (default): one under `runs/live/` of the checkout that one works in, or else of this folder,
            named by the resolved config.
    """
    if cell_id() is None:
        steps = int(recorded.summary["steps"])

        def live(*axes: Axes) -> None:
            fig_live(axes, recorded.telemetry, recorded.history, config.optimizer, steps)

        return draw(live, {}, LAYOUT)
    while _shown:
        _shown.pop().close()
    _shown.append(LiveTraining(config, _folder(config) if run_dir is None else run_dir))
    return _shown[-1]


def _folder(config: TrainConfig) -> Path:
    identity = json.dumps(config.resolved().identity(), sort_keys=True)
    name = f"{config.model}-{config.optimizer}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    return checkout_of(Path.cwd() / "notebook") / "runs" / "live" / name


class LiveTraining:
    """The widget of a `LiveRun`, which it starts, pauses and stops.

    Attributes:
        run: the training.
        explorer: its figure, drawn by the training's thread while that is there.
        start, pause, stop: buttons; `progress`, `told`: how far it is, as a bar and in words.
        box: all of it, a widget.
    """

    def __init__(self, config: TrainConfig, run_dir: str | Path) -> None:
        import ipywidgets as w

        self.run = LiveRun(config, run_dir, self.show)
        self.start = w.Button(description="Start", tooltip="train; from the last checkpoint, if there is one")
        self.pause = w.Button(description="Pause", tooltip="wait after this step; go on with the same button")
        self.stop = w.Button(description="Stop", tooltip="end after this step, with a checkpoint")
        self.progress, self.told = w.IntProgress(max=1, tooltip="steps taken"), w.HTML()
        self.start.on_click(self._start)
        self.pause.on_click(self._pause_or_go_on)
        self.stop.on_click(self._stop)
        self.explorer = Explorer(self.live, {}, {}, LAYOUT, code=lambda _values: self._code())
        self.box = w.VBox([w.HBox([self.start, self.pause, self.stop, self.progress]), self.told, self.explorer.box])
        self._label()

    def show(self, _run: LiveRun) -> None:
        """Bring figure, bar and words up to date; the training's thread calls it."""
        if self.box is not None:
            self.explorer.redraw()
            self._label()

    def close(self) -> None:
        """Stop the training, with a checkpoint, and let go of everything."""
        self.run.stop()
        box, self.box = self.box, None
        for button, handler in ((self.start, self._start), (self.pause, self._pause_or_go_on), (self.stop, self._stop)):
            button.on_click(handler, remove=True)
        self.explorer.close()
        close_all(box)

    def live(self, *axes: Axes) -> None:
        """Draw the run as far as it has come. RuntimeError if it failed."""
        run = self.run
        if run.state == "failed":
            raise RuntimeError(f"The training failed. {type(run.error).__name__}: {run.error}")
        look = run.look or NOTHING
        fig_live(axes, look.telemetry, look.history, run.config.optimizer, look.total_steps)

    def _start(self, _button: object) -> None:
        self.run.start()
        self._label()

    def _stop(self, _button: object) -> None:
        self.run.stop()

    def _pause_or_go_on(self, _button: object) -> None:
        if self.run.state == "paused":
            self.run.go_on()
        else:
            self.run.pause()

    def _label(self) -> None:
        run, config = self.run, self.run.config
        state, look = run.state, run.look
        self.start.description = "Resume" if state == "stopped" else "Start"
        self.start.disabled = run.state in ("running", "paused")
        self.pause.description = "Go on" if state == "paused" else "Pause"
        self.pause.disabled = self.stop.disabled = state not in ("running", "paused")
        words = f"{config.model} on {config.dataset}, {config.optimizer}, seed {config.seed}: <b>{state}</b>"
        if look is not None:
            self.progress.max, self.progress.value = look.total_steps, look.step
            words += f", epoch {look.epoch} of {config.epochs}, step {look.step} of {look.total_steps}"
        if state == "stopped":
            words += f"; a checkpoint is in {html.escape(str(run.run_dir))}"
        elif state in ("finished", "diverged"):
            words += f"; kept in {html.escape(str(run.run_dir))}"
        self.told.value = words

    def _code(self) -> str:
        fields = {name: value for name, value in self.run.config.model_dump().items()
                  if value != TrainConfig.model_fields[name].default}
        given = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        return ("from adamw_lab.training import TrainConfig, fit\n\n"
                f"result = fit(TrainConfig({given}), run_dir={str(self.run.run_dir)!r})")

    def _repr_mimebundle_(self, **kinds: Any) -> dict[str, Any]:
        if self.box is None:
            return {"text/plain": "a live training that was closed"}
        return self.box._repr_mimebundle_(**kinds)
