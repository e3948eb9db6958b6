"""Points and their execution: a papermill execution of a notebook, or a call of `fit`, in a process of its own."""

import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from adamw_lab.experiments import direct
from adamw_lab.experiments.store import is_done, mark_done

# Libraries that size their thread pools when they are imported, before the notebook could say anything.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Point:
    """One execution: a notebook, or None for `fit` alone, its parameters, and the directory for its results."""

    label: str
    notebook: Path | None
    parameters: dict[str, Any]
    run_dir: Path

    @property
    def own_directory(self) -> dict[str, str]:
        """The parameter `run_dir`, if the notebook has it."""
        return {"run_dir": str(self.run_dir.resolve())} if "run_dir" in self.parameters else {}

    @property
    def executed(self) -> Path:
        """Where the executed notebook is kept; without one, what was said."""
        return self.run_dir / ("log.txt" if self.notebook is None else "notebook.ipynb")


@dataclass(frozen=True)
class Outcome:
    """What became of a point. `error` is the last line of the failing cell's error."""

    point: Point
    status: Literal["done", "skipped", "failed"]
    seconds: float = 0.0
    error: str = ""


Report = Callable[[Outcome], None]


def execute_point(point: Point) -> Outcome:
    """Execute one point here and now. Its directory is declared finished only if all of it ran."""
    start = time.monotonic()
    point.run_dir.mkdir(parents=True, exist_ok=True)
    reason = _train(point) if point.notebook is None else _execute_notebook(point)
    seconds = time.monotonic() - start
    if reason:
        return Outcome(point, "failed", seconds, reason)
    mark_done(point.run_dir, label=point.label, seconds=round(seconds, 3))
    return Outcome(point, "done", seconds)


def _train(point: Point) -> str:
    """Why training failed, "" if it did not."""
    try:
        direct.train(point.parameters, point.run_dir)
    except Exception as error:
        traceback.print_exc()
        return _last_line(error)
    return ""


def _execute_notebook(point: Point) -> str:
    """Why the notebook failed, "" if it did not."""
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    if threads := point.parameters.get("threads"):
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else every kernel prints that its modules are frozen
    with tempfile.TemporaryDirectory(prefix="adamw-lab-") as sockets:
        # Kernels that start side by side over TCP race for ports; a socket directory of its own has no rival.
        ipc = {"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}} if os.name == "posix" else {}
        try:
            papermill.execute_notebook(
                point.notebook,
                point.executed,
                parameters={**point.parameters, **point.own_directory},
                progress_bar=False,
                config=Config(ipc),
            )
        except PapermillExecutionError as error:
            return f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
        except Exception as error:
            return _last_line(error)
    return ""


def _last_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[-1]


def run_points(points: Sequence[Point], *, jobs: int, report: Report = lambda outcome: None,
               tick: Callable[[], None] = lambda: None) -> list[Outcome]:
    """Execute all points, `jobs` at a time; finished ones are skipped, and one that fails stops no other.

    `report` is called with each outcome as it comes, `tick` about once a second. Ctrl-C ends the running
    points, kernels included, and is raised again; their directories stay unfinished, and the next call takes
    them up.
    """
    if jobs < 1:
        raise ValueError(f"jobs: {jobs} is not allowed; at least 1 point must run at a time")
    outcomes = {point.run_dir: Outcome(point, "skipped") for point in points if is_done(point.run_dir)}
    for outcome in outcomes.values():
        report(outcome)
    waiting = [point for point in points if point.run_dir not in outcomes]
    running: dict[Connection, tuple[Point, multiprocessing.Process]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                connection, process = _start(waiting[0])
                running[connection] = waiting.pop(0), process
            for connection in wait(list(running), timeout=1.0):
                point, process = running.pop(connection)
                outcomes[point.run_dir] = _result(point, connection, process)
                report(outcomes[point.run_dir])
            tick()
    finally:
        _stop([process for _, process in running.values()])
    return [outcomes[point.run_dir] for point in points]


def _start(point: Point) -> tuple[Connection, multiprocessing.Process]:
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload(direct.PRELOADED if point.notebook is None else ["papermill"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(point, sender))
    process.start()
    sender.close()
    return receiver, process


def _work(point: Point, sender: Connection) -> None:
    point.run_dir.mkdir(parents=True, exist_ok=True)
    with open(point.run_dir / "log.txt", "w") as log:
        os.dup2(log.fileno(), 2)  # what a kernel prints outside its notebook would tear the progress bar
    try:
        sender.send(execute_point(point))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(1)


def _result(point: Point, connection: Connection, process: multiprocessing.Process) -> Outcome:
    try:
        outcome = connection.recv()
    except EOFError:
        outcome = None
    connection.close()
    process.join()
    return outcome or Outcome(point, "failed", error=f"its process ended with exit code {process.exitcode}")


def _stop(processes: list[multiprocessing.Process]) -> None:
    for process in processes:
        process.terminate()  # nbclient shuts its kernel down on SIGTERM
    for process in processes:
        process.join(timeout=10)
        if process.is_alive():
            process.kill()
            process.join()
