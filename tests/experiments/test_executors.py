"""How many points run at a time, where, and with which modules at hand."""

import signal
import threading
from types import SimpleNamespace

import nbformat
import pytest

from adamw_lab.experiments import executors
from adamw_lab.experiments.executors import LocalExecutor, make_executor
from adamw_lab.experiments.imports import check_preload, imported, preloadable
from adamw_lab.experiments.points import Conditions, Outcome, Point


@pytest.fixture
def book(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in (
        "import os, torch.nn as nn\nfrom sklearn import datasets", "%matplotlib inline\nimport pandas",
        "from . import mine\nimport tensorflow\nfrom adamw_lab.training import fit", "def f():\n    import scipy")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "book.ipynb")
    return tmp_path / "book.ipynb"


def points(book, count=12, **parameters):
    return [Point(str(k), book, parameters, None) for k in range(count)]


@pytest.mark.parametrize(("jobs", "parameters"), [
    (8, {"device": "cpu", "threads": 1}), (2, {"device": "cpu", "threads": 4}), (8, {"threads": None}), (8, {}),
    (1, {"device": "cuda", "threads": 1})])
def test_jobs_follow_the_cores_and_the_threads_of_a_point(monkeypatch, book, jobs, parameters):
    monkeypatch.setattr(executors, "cores", lambda: 8)
    executor = make_executor(points=points(book, **parameters))
    assert executor.slots == jobs and executor.conditions.threads == 8 // jobs


def test_a_few_points_take_a_few_jobs_and_gpus_divide_the_cores(monkeypatch, book):
    monkeypatch.setattr(executors, "cores", lambda: 8)
    assert make_executor(points=points(book, 3)).slots == 3
    two = make_executor(points=points(book), gpus=["0", "1"], jobs=2)
    assert two.slots == 4 and two.conditions.threads == 2


def test_what_the_notebooks_import_is_preloaded_where_it_bears_a_fork(book):
    assert imported(book) == ("os", "torch.nn", "sklearn", "tensorflow", "adamw_lab.training")
    assert preloadable(points(book)) == ["torch.nn", "sklearn", "adamw_lab.training"]
    executor = make_executor(points=points(book), preload=["scipy.stats", "sklearn"])
    assert executor.conditions.preload == ("torch.nn", "sklearn", "adamw_lab.training", "scipy.stats")
    assert make_executor(points=points(book), preload=None).conditions.preload is None


def test_a_module_that_is_not_installed_is_named():
    check_preload(["torch.nn"])
    with pytest.raises(ValueError, match="no module 'torch.nowhere' is installed"):
        check_preload(["torch.nowhere"])


def test_a_stop_reaches_a_point_that_is_only_about_to_start_its_kernel(monkeypatch, book):
    begun, told, ended = threading.Event(), [], threading.Event()
    kernels = SimpleNamespace(stop=lambda number: (told.append(number), ended.set()))

    def attempt(point, conditions, started):
        begun.set()
        assert not ended.wait(0.3)
        started.append(kernels)
        return Outcome(point, "stopped" if ended.wait(20) else "done")

    monkeypatch.setattr(executors, "attempt", attempt)
    first, second = points(book, 2)
    with LocalExecutor(1, Conditions()) as executor:
        handles = [executor.submit(first), executor.submit(second)]
        assert begun.wait(20)
        executor.stop()
        assert told[0] == signal.SIGINT and handles[0].result(0).status == "stopped"
        assert handles[1].result(20).status == "stopped", "what has not begun does not"
