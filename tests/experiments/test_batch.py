"""Points: executed in processes of their own, skipped when done, named when they fail."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from adamw_lab.experiments.batch import Point, run_points
from adamw_lab.experiments.store import is_done

BODY = """
import os, pathlib
folder = pathlib.Path(run_dir)
(folder / "threads").write_text(os.environ.get("OMP_NUM_THREADS", "unset"))
(folder / "pid").write_text(str(os.getpid()))
if what == "fail":
    raise ValueError("the first line\\nthe last line")
if what == "die":
    os._exit(3)
with open(folder / "count", "a") as file:
    file.write("x")
if what == "wait":
    import time
    time.sleep(60)
"""


@pytest.fixture
def point(tmp_path):
    cells = [nbformat.v4.new_code_cell("what: str = 'work'\nthreads: int = 1\nrun_dir: str = None",
                                       metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "book.ipynb")

    def make(label, what="work", **parameters):
        given = {"what": what, "run_dir": None, **parameters}
        return Point(label, tmp_path / "book.ipynb", given, tmp_path / "runs" / label)

    return make


def test_one_failure_stops_no_other_and_done_points_are_skipped(point):
    points = [point("a", threads=3), point("b", "fail"), point("c", "die"), point("d")]
    seen, ticks = [], []
    first = run_points(points, jobs=2, report=lambda outcome: seen.append(outcome.point.label),
                       tick=lambda: ticks.append(1))
    assert [outcome.status for outcome in first] == ["done", "failed", "failed", "done"]
    assert sorted(seen) == ["a", "b", "c", "d"] and ticks
    assert first[1].error == "the last line" and "died" in first[2].error.lower()
    assert [is_done(p.run_dir) for p in points] == [True, False, False, True]
    assert (points[0].run_dir / "threads").read_text() == "3"
    assert all((p.run_dir / "log.txt").is_file() for p in points)
    executed = nbformat.read(points[0].executed, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    assert json.loads((points[0].run_dir / "done.json").read_text())["label"] == "a"

    second = run_points([points[0], points[3]], jobs=2)
    assert [outcome.status for outcome in second] == ["skipped", "skipped"]
    assert (points[0].run_dir / "count").read_text() == "x"


def test_at_least_one_job(point):
    with pytest.raises(ValueError, match="jobs: 0 is not allowed"):
        run_points([point("a")], jobs=0)


def test_an_interrupt_ends_the_running_points_and_their_kernels(point, tmp_path):
    waiting = point("a", "wait")
    script = tmp_path / "interrupted.py"
    script.write_text(
        "from pathlib import Path\nfrom adamw_lab.experiments.batch import Point, run_points\n"
        f"if __name__ == '__main__':\n    run_points([Point('a', Path({str(waiting.notebook)!r}), "
        f"{{'what': 'wait', 'run_dir': None}}, Path({str(waiting.run_dir)!r}))], jobs=1)\n")
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (waiting.run_dir / "count").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    assert (waiting.run_dir / "count").exists() and not is_done(waiting.run_dir)
    assert ended(int((waiting.run_dir / "pid").read_text()))


def ended(pid):
    """Whether a process is gone, within a few seconds."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
