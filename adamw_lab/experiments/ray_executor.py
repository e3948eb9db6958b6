"""Points on many machines: each is a Ray task, all write to one shared file system."""

import os
import socket
import time
from dataclasses import replace
from typing import Any, Self

from adamw_lab.experiments.points import Conditions, Outcome, Point, attempt

ANSWER = 15.0
"""Seconds in which a cluster must answer; `ray.init` alone would wait for ever."""
# Ray calls it after the systems where it is the default, and reads it when it is imported.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
RETRIES = 5
"""How often a point is begun again, elsewhere, when its node dies."""


class RayExecutor:
    """A Ray cluster, or one of our own on this machine, which listens on 127.0.0.1 only and ends with the batch.

    A cluster that others started listens where they told it to. Whoever reaches it can run any code on it: keep it
    behind a firewall, as Ray's own documentation says.

    Args:
        conditions: what points run under; their threads are the share of cores that they take.
        address: of the cluster, `host:port`, or `ray://host:port` from outside; None: one of our own.
        cpus, gpus: what a point takes, fractions too.

    Raises:
        ValueError: Ray is not installed, the cluster does not answer, or no node has what a point takes.
    """

    def __init__(self, conditions: Conditions, address: str | None, cpus: float, gpus: float) -> None:
        if address is None:
            os.environ.update(LOOPBACK)
        try:
            import ray
        except ModuleNotFoundError:
            raise ValueError("executor ray needs the extra 'ray': pip install 'adamw-lab[ray]'") from None
        self.ray, self._running = ray, set()
        if address is not None:
            _check_answers(address)
        self._connect(address)
        share = max(1, int(cpus))
        self.conditions = replace(conditions, since=time.time(), threads=share)
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(attempt)
        self._check_fits({"CPU": cpus, "GPU": gpus})
        # Ray queues what does not fit yet; this is only how many points wait there at most.
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1) / max(cpus, 0.01)))

    def _connect(self, address: str | None) -> None:
        quiet = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {}
        self._own = not self.ray.is_initialized()
        if self._own:
            self.ray.init(address=address, log_to_driver=False, logging_level="error", **quiet)

    def _check_fits(self, wanted: dict[str, float]) -> None:
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in nodes):
            has = "; ".join(", ".join(f"{node.get(name, 0):g} {name}" for name in wanted) for node in nodes)
            asked = ", ".join(f"{count:g} {name}" for name, count in wanted.items())
            self.__exit__()
            raise ValueError(f"a point takes {asked}, and no node of the cluster has that: {has}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._own:
            self.ray.shutdown()

    def submit(self, point: Point) -> Any:
        here = replace(point, notebook=point.notebook.resolve(), run_dir=point.run_dir.resolve())
        handle = self._task.remote(here, self.conditions)
        self._running.add(handle)
        return handle

    def wait(self, handles: list[Any], seconds: float) -> list[Any]:
        if not handles:
            time.sleep(seconds)
            return []
        return self.ray.wait(handles, num_returns=1, timeout=seconds)[0]

    def result(self, handle: Any, point: Point) -> Outcome:
        self._running.discard(handle)
        try:
            return replace(self.ray.get(handle), point=point)
        except self.ray.exceptions.RayError as error:
            return Outcome(point, "failed", error=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")

    def stop(self) -> None:
        """End the points' workers, and their kernels with them; the last checkpoints stay."""
        for handle in self._running:
            self.ray.cancel(handle, force=True)


def _check_answers(address: str) -> None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise ValueError(f"Ray address {address!r}; expected host:port, such as 10.0.0.5:6379")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise ValueError(f"no Ray cluster answers at {address}: {error}") from None
