"""Where points run: on this machine, in threads that each look after a kernel; `ray_executor` has many machines."""

import queue
import signal
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Protocol, Self

from adamw_lab.experiments.kernels import Kernels
from adamw_lab.experiments.points import Conditions, Outcome, Point, attempt
from adamw_lab.provenance import cores

PATIENCE = 10.0
"""Seconds that interrupted points have to leave a checkpoint and end."""


class Executor(Protocol):
    """What `run_points` needs. To be used in a `with`."""

    slots: int
    """Points at a time."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def submit(self, point: Point) -> Any:
        """Have a point attempted; returns a handle."""

    def wait(self, handles: list[Any], seconds: float) -> list[Any]:
        """The handles of those that have ended, when one has or after `seconds`."""

    def result(self, handle: Any, point: Point) -> Outcome:
        """The outcome of one that has ended."""

    def stop(self) -> None:
        """Interrupt what is running and wait until it has ended."""


class LocalExecutor:
    """This machine.

    Args:
        jobs: points at a time, at least 1; with `gpus`, so many on each.
        conditions: what they run under.
        gpus: as CUDA_VISIBLE_DEVICES names them; each point sees one. Empty (default): nothing is said of GPUs.
    """

    def __init__(self, jobs: int, conditions: Conditions, gpus: Sequence[str] = ()) -> None:
        if jobs < 1:
            raise ValueError(f"jobs: {jobs} is not allowed; at least 1 point must run at a time")
        places: list[dict[str, str]] = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}]
        self.slots = jobs * len(places)
        self.conditions = replace(conditions, since=time.time())
        self._kernels: list[Kernels] = []
        self._stopping = False
        self._places: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for place in places * jobs:
            self._places.put(place)

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self.slots, thread_name_prefix="point")
        self._attempts: list[Future[Outcome]] = []
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, point: Point) -> Future[Outcome]:
        self._attempts = [attempt for attempt in self._attempts if not attempt.done()]
        self._attempts.append(self._pool.submit(self._attempt, point))
        return self._attempts[-1]

    def _attempt(self, point: Point) -> Outcome:
        if self._stopping:
            return Outcome(point, "stopped")
        place = self._places.get()
        try:
            conditions = replace(self.conditions, env={**self.conditions.env, **place})
            return attempt(point, conditions, self._kernels)
        finally:
            self._places.put(place)

    def wait(self, handles: list[Future[Outcome]], seconds: float) -> list[Future[Outcome]]:
        if not handles:
            time.sleep(seconds)
        return list(wait(handles, seconds, return_when=FIRST_COMPLETED).done)

    def result(self, handle: Future[Outcome], point: Point) -> Outcome:
        return handle.result()

    def stop(self) -> None:
        self._stopping = True
        told: set[tuple[int, int]] = set()
        deadline = time.monotonic() + PATIENCE
        try:
            while any(attempt.running() for attempt in self._attempts):  # some may be about to start a kernel
                number = signal.SIGINT if time.monotonic() < deadline else signal.SIGKILL
                for kernels in list(self._kernels):
                    if (id(kernels), number) not in told:
                        told.add((id(kernels), number))
                        kernels.stop(number)
                time.sleep(0.05)
        finally:  # also by a second Ctrl-C
            for kernels in list(self._kernels):
                kernels.stop(signal.SIGKILL)


def make_executor(kind: str = "local", *, points: Sequence[Point], jobs: int | None = None,
                  preload: Sequence[str] | None = (), gpus: Sequence[str] = (), address: str | None = None,
                  cpus_per_point: float | None = None, gpus_per_point: float = 0) -> Executor:
    """Where and how `points` run.

    Args:
        kind: `local`, or `ray`, which needs the extra `ray`.
        jobs: points at a time, on each GPU where `gpus` names some; None (default): one a core, fewer if their
            parameter `threads` asks for more than one, and one on an accelerator. With Ray the cluster decides.
        preload: modules that kernels start with, beside those that the notebooks import and that are known to bear it;
            None: kernels start from nothing.
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them.
        address: of a Ray cluster, `host:port`; None (default): one of our own, for this call.
        cpus_per_point, gpus_per_point: what a point takes of a Ray cluster, fractions too; None (default): its
            `threads`, else 1.

    Raises:
        ValueError: an unknown kind, options of another kind, jobs below 1, a cluster that does not answer.
    """
    from adamw_lab.experiments.imports import preloadable

    if kind not in ("local", "ray"):
        raise ValueError(f"unknown executor {kind!r}; allowed: local, ray")
    modules = None if preload is None else tuple(dict.fromkeys([*preloadable(points), *preload]))
    threads = max((point.parameters.get("threads") or 1 for point in points), default=1)
    if kind == "ray":
        from adamw_lab.experiments.ray_executor import RayExecutor

        if jobs is not None or gpus:
            raise ValueError("jobs and gpus are this machine's; with executor ray the cluster decides how many points "
                             "run at a time: say what a point takes by cpus and gpus per point")
        return RayExecutor(Conditions(preload=modules), address, cpus_per_point or threads, gpus_per_point)
    if address is not None or cpus_per_point is not None or gpus_per_point:
        raise ValueError("address and what a point takes of a cluster need executor ray, not local")
    if jobs is None:
        accelerated = any(point.parameters.get("device", "cpu") not in ("cpu", "auto") for point in points)
        jobs = 1 if accelerated or gpus else max(1, min(len(points), cores() // threads))
    share = max(1, cores() // (jobs * max(1, len(gpus))))
    return LocalExecutor(jobs, Conditions(preload=modules, threads=share), gpus)


