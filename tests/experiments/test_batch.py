"""Points: executed in kernels of their own, skipped when done, named when they fail, shared between batches."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.executors import LocalExecutor
from adamw_lab.experiments.gridrun import run_grid
from adamw_lab.experiments.grids import Grid
from adamw_lab.experiments.locks import claim, holder
from adamw_lab.experiments.points import Conditions, Point
from adamw_lab.experiments.store import is_done

BODY = """
import os, pathlib, time
folder = pathlib.Path(run_dir)
(folder / "threads").write_text(os.environ.get("OMP_NUM_THREADS", "unset"))
(folder / "gpu").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
(folder / "pid").write_text(str(os.getpid()))
if what == "fail":
    raise ValueError("the first line\\nthe last line")
if what == "die":
    os._exit(3)
if what == "killed":
    os.kill(os.getpid(), 9)
with open(folder / "count", "a") as file:
    file.write("x")
if what == "wait":
    time.sleep(60)
if what == "pause":
    time.sleep(0.2)
"""
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@pytest.fixture
def book(tmp_path):
    cells = [nbformat.v4.new_code_cell("what: str = 'work'\nthreads: int = 1\nrun_dir: str = None",
                                       metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), tmp_path / "book.ipynb")
    return tmp_path / "book.ipynb"


@pytest.fixture
def point(book, tmp_path):
    def make(label, what="work", **parameters):
        given = {"what": what, "run_dir": None, **parameters}
        return Point(label, book, given, tmp_path / "runs" / label)

    return make


def local(jobs=2, gpus=(), **conditions):
    return LocalExecutor(jobs, Conditions(**conditions), gpus)


@pytest.mark.parametrize("preload", [None, ()], ids=["cold", "warm"])
def test_one_failure_stops_no_other_and_done_points_are_skipped(point, preload):
    points = [point("a", threads=3), point("b", "fail"), point("c", "die"), point("d"), point("e", "killed")]
    seen, ticks = [], []
    first = run_points(points, local(preload=preload), report=lambda outcome: seen.append(outcome.point.label),
                       tick=ticks.append)
    assert [outcome.status for outcome in first] == ["done", "failed", "failed", "done", "failed"]
    assert sorted(seen) == ["a", "b", "c", "d", "e"] and ticks
    assert [outcome.error for outcome in first if outcome.error] == [
        "cell 3: ValueError: the last line", "its kernel ended with exit code 3", "its kernel was ended by SIGKILL"]
    assert [is_done(p.run_dir) for p in points] == [True, False, False, True, False]
    assert (points[0].run_dir / "threads").read_text() == "3"
    assert all((p.run_dir / "log.txt").is_file() for p in points)
    executed = nbformat.read(points[0].executed, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    done = json.loads((points[0].run_dir / "done.json").read_text())
    assert done["label"] == "a" and done["began"] <= done["ended"]
    assert json.loads((points[0].run_dir / "provenance.json").read_text())["seconds"] == done["seconds"]

    second = run_points([points[0], points[3]], local())
    assert [outcome.status for outcome in second] == ["skipped", "skipped"]
    assert (points[0].run_dir / "count").read_text() == "x"
    kept = run_points([points[1]], local(), retry_failed=False)
    assert kept[0].status == "failed" and kept[0].error == "cell 3: ValueError: the last line"


def test_at_least_one_job():
    with pytest.raises(ValueError, match="jobs: 0 is not allowed"):
        local(jobs=0)


def test_each_point_sees_one_gpu_and_its_share_of_threads(point):
    points = [point(str(k), "pause", threads=None) for k in range(4)]
    run_points(points, local(jobs=1, gpus=["0", "3"], threads=5))
    seen = [(p.run_dir / "gpu").read_text() for p in points]
    assert set(seen) == {"0", "3"}, "both are used, and one that is done sooner takes the next point"
    assert {(p.run_dir / "threads").read_text() for p in points} == {"5"}


def script(points, folder):
    """A program that runs points, one at a time; `python PROGRAM`."""
    path = folder / "program.py"
    made = ", ".join(f"Point({p.label!r}, Path({str(p.notebook)!r}), {p.parameters!r}, Path({str(p.run_dir)!r}))"
                     for p in points)
    path.write_text(
        "from pathlib import Path\nfrom adamw_lab.experiments.batch import run_points\n"
        "from adamw_lab.experiments.executors import LocalExecutor\n"
        "from adamw_lab.experiments.points import Conditions, Point\n"
        f"outcomes = run_points([{made}], LocalExecutor(1, Conditions()))\n"
        "print(*(outcome.status for outcome in outcomes))\n")
    return [sys.executable, str(path)]


def appears(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_running_points_and_their_kernels_end_with_the_runner(point, tmp_path, number):
    waiting = point("a", "wait")
    process = subprocess.Popen(script([waiting], tmp_path), stderr=subprocess.PIPE, text=True)
    appears(waiting.run_dir / "count")
    assert holder(waiting.run_dir)["cell"] == 3
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and ("KeyboardInterrupt" in errors) == (number != signal.SIGKILL)
    assert not is_done(waiting.run_dir) and not (waiting.run_dir / "failed.json").exists()
    assert ended(int((waiting.run_dir / "pid").read_text()))
    assert holder(waiting.run_dir) is None


@pytest.mark.timeout(300)  # each of the four imports what it forks
def test_four_batches_share_the_points(point, tmp_path):
    points = [point(f"p{k}", "pause") for k in range(10)]
    program = script(points, tmp_path)  # once: what is written again may be read half by a batch that has begun
    batches = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [(*batch.communicate(timeout=250), batch.returncode) for batch in batches]
    assert [code for _, _, code in ends] == [0] * 4, ends
    said = [output.split() for output, _, _ in ends]
    assert [len(words) for words in said] == [10] * 4, ends
    for column in zip(*said, strict=True):
        assert sorted(column) == ["done", "skipped", "skipped", "skipped"]
    assert all((p.run_dir / "count").read_text() == "x" for p in points)


def test_the_lock_passes_to_the_kernel_and_goes_with_it(point):
    one = point("a")
    with claim(one.run_dir) as mine:
        assert claim(one.run_dir) is None and holder(one.run_dir)["pid"] == os.getpid()
        child = subprocess.Popen(["sleep", "60"], pass_fds=(mine.descriptor,))
    assert claim(one.run_dir) is None, "the child still has it"
    child.kill()
    child.wait()
    assert holder(one.run_dir) is None
    with claim(one.run_dir) as again:
        assert again is not None


def test_a_directory_that_cannot_be_written_is_named(point, tmp_path):
    Path(tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="runs"):
        run_points([point("a")], local())


def ended(pid):
    """Whether a process is gone, within a few seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_kernel_that_does_not_know_a_readers_optimizer_says_how_it_would(lion, tmp_path):
    notebook = Path(__file__).resolve().parents[2] / "notebooks" / "08_resnet_experiment.ipynb"
    grid = Grid(base={"optimizer": "lion", "model": "mlp", "epochs": 1})
    (outcome,) = run_grid(notebook, grid, out=tmp_path, jobs=1)
    assert outcome.status == "failed"
    assert "unknown optimizer 'lion'" in outcome.error and "adamw_lab.optim.register('lion'" in outcome.error
