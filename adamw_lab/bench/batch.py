"""The batch runner against plain papermill, many kernels at once, and the run store with many runs."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pandas as pd

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.executors import make_executor
from adamw_lab.experiments.points import Point
from adamw_lab.experiments.store import load_runs, mark_done, write_json
from adamw_lab.provenance import cores, hardware

HEAVY = "import pandas\nimport seaborn\nimport torch\nimport torchvision"
LIGHT = "print(k)"


def bench_batch(heavy: int = 8, light: int = 96, workers: int = 16, runs: int = 10_000) -> pd.DataFrame:
    """A row a measurement: name, count (of notebooks or runs), done, seconds in all, seconds_each (median, where each
    is timed), ratio (plain papermill's seconds by these).

    `papermill`: notebooks that import torch, torchvision, pandas and seaborn, one after another by
    `papermill.execute_notebook`. `batch`: the same notebooks by the runner, one a core, its start included.
    `batch_one`: one at a time, so that `seconds_each` is what a notebook costs beside its own work. `many`: light
    notebooks, `workers` at a time, three times over. `load_runs`: the summaries of so many runs as one table.
    """
    rows = []
    with _folder() as folder:
        book = _notebook(folder / "heavy.ipynb", HEAVY)
        plain = _papermill(book, folder, heavy)
        rows.append({"name": "papermill", "count": heavy, "done": heavy, **plain})
        for name, jobs in (("batch", min(heavy, cores())), ("batch_one", 1)):
            row = _batch(book, folder / name, heavy, jobs)
            rows.append({"name": name, **row, "ratio": plain["seconds"] / row["seconds"]})
        book = _notebook(folder / "light.ipynb", LIGHT)
        for turn in range(3):
            rows.append({"name": "many", **_batch(book, folder / f"many{turn}", light, workers)})
        _make_runs(folder / "runs", runs)
        start = time.perf_counter()
        found = len(load_runs(folder / "runs"))
        rows.append({"name": "load_runs", "count": runs, "done": found, "seconds": time.perf_counter() - start})
    return pd.DataFrame(rows).assign(workers=workers, hardware=hardware())


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _notebook(path: Path, imports: str) -> Path:
    cells = [nbformat.v4.new_code_cell("k: int = 0", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(imports)]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def _papermill(book: Path, folder: Path, count: int) -> dict[str, float]:
    import papermill

    each, start = [], time.perf_counter()
    for k in range(count):
        began = time.perf_counter()
        papermill.execute_notebook(book, folder / f"out{k}.ipynb", parameters={"k": k}, progress_bar=False)
        each.append(time.perf_counter() - began)
    return {"seconds": time.perf_counter() - start, "seconds_each": statistics.median(each), "ratio": 1.0}


def _batch(book: Path, folder: Path, count: int, jobs: int) -> dict[str, float]:
    points = [Point(f"p{k}", book, {"k": k}, folder / f"p{k}") for k in range(count)]
    start = time.perf_counter()
    outcomes = run_points(points, make_executor(points=points, jobs=jobs))
    return {"count": count, "done": sum(outcome.status == "done" for outcome in outcomes),
            "seconds": time.perf_counter() - start,
            "seconds_each": statistics.median(outcome.seconds for outcome in outcomes)}


def _make_runs(folder: Path, count: int) -> None:
    """Runs as `fit` leaves them, but for their curves and weights."""
    from adamw_lab.training import TrainConfig

    config = TrainConfig(device="cpu", precision="float32", threads=1).model_dump(mode="json")
    metrics = dict.fromkeys(("validation_accuracy", "validation_loss", "test_accuracy", "test_loss", "seconds"), 0.5)
    for k in range(count):
        run = folder / f"adamw_seed{k}-{k:012x}"
        run.mkdir(parents=True)
        summary = {"status": "finished", **metrics, "steps": 140, "seed": k, "optimizer": "adamw", "model": "resnet18"}
        write_json(run / "summary.json", {**summary, "config": {**config, "seed": k}})
        mark_done(run, label=f"adamw_seed{k}")
