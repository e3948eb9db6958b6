"""Points on a real Ray cluster of two nodes, of which one dies; and one of our own, which nobody outside reaches."""

import socket
import subprocess
import sys
import threading
import time

import nbformat
import pytest

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.executors import make_executor
from adamw_lab.experiments.points import Point
from adamw_lab.experiments.store import is_done

BODY = """
import os, pathlib, time
pathlib.Path(run_dir, f"begun-{os.getpid()}").write_text(os.environ["OMP_NUM_THREADS"])
released = pathlib.Path(run_dir).parent / "released"
deadline = time.monotonic() + 120
while not released.exists() and time.monotonic() < deadline:
    time.sleep(0.05)
"""
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
pytestmark = pytest.mark.timeout(400)  # Ray's own processes take their time to start


@pytest.fixture
def points(tmp_path):
    cells = [nbformat.v4.new_code_cell("k: int = 0\nrun_dir: str = None", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(BODY)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), tmp_path / "book.ipynb")
    return [Point(f"p{k}", tmp_path / "book.ipynb", {"k": k, "run_dir": None}, tmp_path / "runs" / f"p{k}")
            for k in range(5)]


def test_a_node_dies_and_the_others_finish(points):
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    killed = threading.Event()

    def kill(running):
        begun = [point for point in running if list(point.run_dir.glob("begun-*"))]
        if len(begun) == 2 and not killed.is_set():
            cluster.remove_node(second, allow_graceful=False)
            killed.set()
            (points[0].run_dir.parent / "released").touch()  # until then both points run, however slow they began

    try:
        executor = make_executor("ray", points=points, address=cluster.address, cpus_per_point=1)
        assert executor.slots == 2
        outcomes = run_points(points, executor, tick=kill)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed.is_set() and [outcome.status for outcome in outcomes] == ["done"] * 5
    assert all(is_done(point.run_dir) for point in points)
    begun = [path for point in points for path in point.run_dir.glob("begun-*")]
    assert len(begun) == 6, "the point that was lost ran again, and no other"
    assert {path.read_text() for path in begun} == {"1"}


OWN = """
import subprocess, sys
from pathlib import Path
from adamw_lab.experiments import Grid, run_grid

from adamw_lab.experiments import progress
listening = []

def tick(self, running):
    listening.append(subprocess.run(["ss", "-ltnp"], capture_output=True, text=True).stdout)
    Path(sys.argv[2], "released").touch()

progress.Progress.tick = tick
outcomes = run_grid(sys.argv[1], Grid(axes={"k": [1]}), out=sys.argv[2], executor="ray")
print([outcome.status for outcome in outcomes])
lines = [line.split() for text in listening for line in text.splitlines() if "ray" in line or "gcs_server" in line]
print(sorted({line[3].rpartition(":")[0] for line in lines}))
"""


def test_our_own_cluster_listens_on_loopback_only(points, tmp_path):
    done = subprocess.run([sys.executable, "-c", OWN, str(points[0].notebook), str(tmp_path / "out")],
                          capture_output=True, text=True)
    status, listening = done.stdout.splitlines()[-2:]
    assert status == "['done']", done.stderr
    assert set(eval(listening)) <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"} and eval(listening)


@pytest.mark.parametrize(("options", "message"), [
    ({"address": "nowhere"}, "Ray address 'nowhere'; expected host:port"),
    ({"jobs": 2}, "jobs and gpus are this machine's"),
    ({"kind": "local", "address": "h:1"}, "need executor ray, not local"),
    ({"kind": "slurm"}, "unknown executor 'slurm'; allowed: local, ray")])
def test_bad_input(points, options, message):
    with pytest.raises(ValueError, match=message):
        make_executor(options.pop("kind", "ray"), points=points, **options)


def test_a_cluster_that_does_not_answer_is_told_at_once(points):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        make_executor("ray", points=points, address=f"127.0.0.1:{port}")
    assert time.monotonic() - start < 60
