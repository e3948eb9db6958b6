"""Forked kernels: each as if new, none with anything of another, no threads and no GPU before the fork."""

import json
import os
import statistics
from multiprocessing import forkserver

import nbformat
import pytest

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.executors import LocalExecutor, make_executor
from adamw_lab.experiments.points import Conditions, Point

KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
LEAKS = """
import builtins, gc, json, os, sys, tempfile, threading
import numpy, matplotlib, matplotlib.pyplot as plt, pandas, torch
def parent_threads():
    for thread in os.scandir(f"/proc/{os.getppid()}/task"):
        with open(f"{thread.path}/comm") as file:
            yield file.read().strip()
facts = {
    "pid": os.getpid(), "parent_threads": list(parent_threads()), "session": os.getsid(0),
    "leaked": hasattr(builtins, "leak") or "LEAK" in os.environ or pandas.get_option("display.max_rows") == 7,
    "numpy": numpy.random.rand(), "backend": matplotlib.get_backend(), "torch_seed": torch.initial_seed(),
    "threads": torch.get_num_threads(), "omp": os.environ["OMP_NUM_THREADS"], "argv": sys.argv[0],
    "cuda": torch.cuda.is_initialized(), "main": __name__, "rows": len(pandas.DataFrame({"a": [1, 2]})),
    "frozen": gc.get_freeze_count(),
}
builtins.leak = True
os.environ["LEAK"] = "1"
pandas.set_option("display.max_rows", 7)
numpy.random.seed(0)
torch.manual_seed(5)
x = torch.randn(500, 500, requires_grad=True)
(x @ x).sum().backward()
facts["sum"] = bool(x.grad.isfinite().all())
from numba import njit, prange, get_num_threads
@njit(parallel=True)
def total(n):
    s = 0
    for i in prange(n):
        s += i
    return s
facts |= {"numba": total(1000), "numba_threads": get_num_threads()}
with open(f"{run_dir}/facts.json", "w") as file:
    json.dump(facts, file)
plt.plot([1, 2]);
"""


def notebook(path, body, parameters="k: int = 0\nrun_dir: str = None"):
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(body)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


@pytest.mark.timeout(300)
def test_every_point_gets_a_fresh_process(tmp_path):
    book = notebook(tmp_path / "book.ipynb", LEAKS)
    points = [Point(f"p{k}", book, {"k": k, "run_dir": None}, tmp_path / "runs" / f"p{k}") for k in range(4)]
    executor = make_executor(points=points, jobs=2)
    assert {"torch", "pandas", "matplotlib.pyplot", "numba"} <= set(executor.conditions.preload)
    outcomes = run_points(points, executor)
    assert [outcome.status for outcome in outcomes] == ["done"] * 4, [o.error for o in outcomes]
    facts = [json.loads((point.run_dir / "facts.json").read_text()) for point in points]
    for own in ("pid", "numpy", "torch_seed"):
        assert len({fact[own] for fact in facts}) == 4, own
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    for fact in facts:
        assert not fact["leaked"] and not fact["cuda"]
        assert len(fact["parent_threads"]) == 1, fact["parent_threads"]
        assert fact["session"] == fact["pid"] and fact["main"] == "__main__" and fact["argv"] == "ipykernel_launcher"
        assert "inline" in fact["backend"]
        assert str(fact["threads"]) == str(fact["numba_threads"]) == fact["omp"] == share
        assert fact["sum"] and fact["numba"] == 499500
        assert fact["frozen"] > 100_000, "a search for garbage would copy the pages of all that the server imported"
    shown = nbformat.read(points[0].executed, as_version=4).cells[-1].outputs
    assert any("image/png" in output.get("data", {}) for output in shown), "plots appear as in any notebook"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("preload", [None, ()], ids=["cold", "warm"])
def test_many_kernels_at_once_all_start(tmp_path, preload):
    book = notebook(tmp_path / "book.ipynb", "print(k)")
    count = 48 if preload == () else 12
    points = [Point(f"p{k}", book, {"k": k, "run_dir": None}, tmp_path / "runs" / f"p{k}") for k in range(count)]
    outcomes = run_points(points, LocalExecutor(16, Conditions(preload=preload)))
    assert [outcome.status for outcome in outcomes] == ["done"] * count
    assert statistics.median(outcome.seconds for outcome in outcomes) > 0


def test_the_runners_environment_is_not_written_to(tmp_path, monkeypatch):
    """Other threads copy it while they start kernels: a variable that goes in between is a KeyError of theirs."""
    forkserver._forkserver._stop()  # so that a server begins here
    book, written = notebook(tmp_path / "book.ipynb", "print(k)"), []
    point = Point("p", book, {"k": 0, "run_dir": None}, tmp_path / "run")
    with monkeypatch.context() as patch:
        for change in ("__setitem__", "__delitem__"):
            patch.setattr(type(os.environ), change, lambda self, name, *value: written.append(name))
        (outcome,) = run_points([point], LocalExecutor(1, Conditions(preload=())))
    assert outcome.status == "done" and not written


def test_a_notebook_may_stop_its_kernel_and_print_outside_its_cells(tmp_path):
    book = notebook(tmp_path / "book.ipynb", "import os\nos.write(2, b'to the log\\n')\nexit()")
    point = Point("p", book, {"k": 0, "run_dir": None}, tmp_path / "run")
    (outcome,) = run_points([point], LocalExecutor(1, Conditions()))
    assert "to the log" in (point.run_dir / "log.txt").read_text()
    assert outcome.status in ("done", "failed") and (outcome.status == "done") == (not outcome.error)
