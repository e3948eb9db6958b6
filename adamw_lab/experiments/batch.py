"""Running points: those that are not done, as many at a time as the executor takes, shared with other batches."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from adamw_lab.experiments.executors import Executor
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.store import FAILED, is_done, read_json
from adamw_lab.interrupts import Interrupts

RETRY = 1.0
"""Seconds until a point that another batch is running is looked at again."""


def run_points(points: Sequence[Point], executor: Executor, *, report: Callable[[Outcome], None] = lambda outcome: None,
               tick: Callable[[list[Point]], None] = lambda running: None, retry_failed: bool = True) -> list[Outcome]:
    """Execute all points; finished ones are skipped, and one that fails stops no other.

    Any number of batches, on any number of machines, may run the same points in one file system: each takes the next
    point that is neither done nor in other hands, and all end when all points have.

    Args:
        report: called with each outcome as it comes.
        tick: called about twice a second with the points that are running.
        retry_failed: try again what failed in an earlier batch (default).

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM. Nothing more is finished; running points are interrupted (a second Ctrl-C
            kills them) and stay unfinished, and the next call takes them up.
        OSError: a directory cannot be written.
    """
    for point in points:
        point.announce()
    outcomes = {point.run_dir: outcome for point in points if (outcome := _before(point, retry_failed)) is not None}
    for outcome in outcomes.values():
        report(outcome)
    waiting = [(0.0, point) for point in points if point.run_dir not in outcomes]
    running: dict[Any, Point] = {}
    with Interrupts() as interrupts, executor:
        try:
            while waiting or running:
                _check(interrupts)
                now = time.monotonic()
                while len(running) < executor.slots and (ready := _next(waiting, now)) is not None:
                    running[executor.submit(ready)] = ready
                for handle in executor.wait(list(running), 0.5):
                    point = running.pop(handle)
                    outcome = executor.result(handle, point)
                    if outcome.status == "busy":
                        waiting.append((time.monotonic() + RETRY, point))
                    else:
                        outcomes[point.run_dir] = outcome
                        report(outcome)
                tick(list(running.values()))
            _check(interrupts)
        except BaseException:
            executor.stop()
            raise
    return [outcomes[point.run_dir] for point in points]


def _check(interrupts: Interrupts) -> None:
    """Raise where it does no harm: within the executor a lock of its own could stay held for ever."""
    if interrupts.received is not None:
        raise KeyboardInterrupt


def _before(point: Point, retry_failed: bool) -> Outcome | None:
    """The outcome of a point that is not to be run."""
    if is_done(point.run_dir):
        return Outcome(point, "skipped")
    if not retry_failed and (point.run_dir / FAILED).is_file():
        return Outcome(point, "failed", error=read_json(point.run_dir / FAILED)["error"])
    return None


def _next(waiting: list[tuple[float, Point]], now: float) -> Point | None:
    """Take out the first point whose time has come."""
    for place, (when, point) in enumerate(waiting):
        if when <= now:
            del waiting[place]
            return point
    return None
