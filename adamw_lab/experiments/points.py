"""A point: one papermill execution of a notebook with given parameters, in a directory of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from adamw_lab.experiments.kernels import Kernels, KernelSettings
from adamw_lab.experiments.locks import Claim, claim
from adamw_lab.experiments.store import FAILED, POINT, is_done, mark_done, read_json, write_json
from adamw_lab.provenance import checkout_of, provenance


@dataclass(frozen=True)
class Point:
    """One execution: a notebook, its complete parameters, and the directory that its results go to."""

    label: str
    notebook: Path
    parameters: dict[str, Any]
    run_dir: Path

    @property
    def own_directory(self) -> dict[str, str]:
        """The parameter `run_dir`, if the notebook has it."""
        return {"run_dir": str(self.run_dir.resolve())} if "run_dir" in self.parameters else {}

    @property
    def executed(self) -> Path:
        """Where the executed notebook is kept."""
        return self.run_dir / "notebook.ipynb"

    def announce(self) -> None:
        """Make the directory, with what is to run there, unless it is there."""
        if not (self.run_dir / POINT).is_file():
            self.run_dir.mkdir(parents=True, exist_ok=True)
            write_json(self.run_dir / POINT, {"label": self.label, "notebook": str(self.notebook.resolve()),
                                              "parameters": self.parameters})


@dataclass(frozen=True)
class Outcome:
    """What became of a point. `error` is the failing cell and the last line of its error.

    Skipped: it was done before. Busy: another batch is running it. Stopped: interrupted, to be taken up again.
    """

    point: Point
    status: Literal["done", "skipped", "failed", "busy", "stopped"]
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Conditions:
    """What points run under. It is not part of what they compute, threads apart where a notebook has no say.

    Attributes:
        preload: modules that the kernels' server imports; None: kernels from nothing.
        threads: for a notebook that has no parameter `threads`; None: as many as the libraries take.
        env: environment variables of the kernels.
        since: Unix time at which the batch began; what failed elsewhere after it is not tried again by this batch.
    """

    preload: tuple[str, ...] | None = ()
    threads: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0


def attempt(point: Point, conditions: Conditions, kernels: list[Kernels] | None = None) -> Outcome:
    """Execute a point here and now, unless it is done or in other hands. Its directory is declared finished only if
    every cell ran. The kernels it starts are added to `kernels`, for others to interrupt.

    Raises:
        OSError: its directory cannot be written.
    """
    if is_done(point.run_dir):
        return Outcome(point, "skipped")
    claimed = claim(point.run_dir)
    if claimed is None:
        return Outcome(point, "busy")
    with claimed:
        if is_done(point.run_dir):
            return Outcome(point, "skipped")
        failed = point.run_dir / FAILED
        if failed.is_file() and failed.stat().st_mtime > conditions.since > 0:
            return Outcome(point, "failed", error=read_json(failed)["error"])
        failed.unlink(missing_ok=True)
        point.announce()
        return _execute(point, conditions, claimed, kernels)


def _execute(point: Point, conditions: Conditions, claimed: Claim, kernels: list[Kernels] | None) -> Outcome:
    own = Kernels(KernelSettings(
        preload=conditions.preload, env=conditions.env, threads=point.parameters.get("threads") or conditions.threads,
        log=(point.run_dir / "log.txt").resolve(), lock=claimed.descriptor))
    if kernels is not None:
        kernels.append(own)
    began, start = datetime.now(UTC), time.monotonic()
    try:
        reason = _papermill(point, own, claimed)
    finally:
        if kernels is not None:
            kernels.remove(own)
    seconds = time.monotonic() - start
    if own.stopped:
        return Outcome(point, "stopped", seconds)
    if reason:
        write_json(point.run_dir / FAILED, {"error": reason, "time": _iso(datetime.now(UTC))})
        return Outcome(point, "failed", seconds, reason)
    times = {"seconds": round(seconds, 3), "began": _iso(began), "ended": _iso(datetime.now(UTC))}
    if not (point.run_dir / "provenance.json").is_file():
        origin = provenance(checkout_of(point.notebook)) | {"seed": point.parameters.get("seed")}
        write_json(point.run_dir / "provenance.json", origin | times)
    mark_done(point.run_dir, label=point.label, **times)
    return Outcome(point, "done", seconds)


def _papermill(point: Point, kernels: Kernels, claimed: Claim) -> str:
    """Execute the notebook; what went wrong, in a line, or an empty string."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    cells = len(nbformat.read(point.notebook, as_version=4).cells) + 1  # papermill adds the parameters given

    def on_cell_start(cell: Any, cell_index: int) -> None:
        claimed.say(cell=cell_index + 1, cells=cells)

    try:
        with kernels.manager() as manager:
            papermill.execute_notebook(point.notebook, point.executed, progress_bar=False, on_cell_start=on_cell_start,
                                       parameters={**point.parameters, **point.own_directory}, **manager)
    except PapermillExecutionError as error:
        return f"cell {error.exec_count}: {error.ename}: {_last_line(error.evalue)}"
    except Exception as error:
        return kernels.end() or f"{type(error).__name__}: {_last_line(str(error))}"
    return ""


_PYDANTIC_POINTER = "For further information visit"
"""How pydantic ends what it refuses, beneath the line that says why."""


def _last_line(text: str) -> str:
    stripped = map(str.strip, text.splitlines())
    lines = [line for line in stripped if line and not line.startswith(_PYDANTIC_POINTER)]
    return (lines or [""])[-1]


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
