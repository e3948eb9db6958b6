"""Every notebook: clean in the repository, and it runs, from the root and from its own folder."""

import ast
import json
from pathlib import Path

import nbformat
import papermill
import pytest

from adamw_lab.experiments import inspect_parameters
from adamw_lab.training import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TINY = {"model": "mlp", "epochs": 1, "train_size": 100}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def book(path):
    return nbformat.read(path, as_version=4)


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_it_is_valid_and_committed_without_outputs(book):
    nbformat.validate(book)
    assert set(book.metadata) == {"kernelspec", "language_info"} and book.metadata.kernelspec.name == "python3"
    assert all(not cell.outputs and cell.execution_count is None for cell in code(book))
    assert len({cell.id for cell in book.cells}) == len(book.cells)


def test_it_has_the_anatomy(book):
    assert 15 <= len(book.cells) <= 35
    first = book.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert all(word in first.source for word in ("**Question.**", "**What to expect.**", "**How long.**"))
    assert book.cells[1].cell_type == "markdown", "prose comes first"
    tagged = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1 and tagged[0] in code(book)[:2]


def test_there_are_fifteen_or_more():
    assert len(NOTEBOOKS) >= 15


def test_its_cells_are_short_and_call_the_package(book, path):
    own = 0
    for cell in code(book):
        assert len(cell.source.splitlines()) <= 15, cell.id
        assert max(map(len, cell.source.splitlines())) <= 110, cell.id
        tree = ast.parse(cell.source)
        if is_an_optimizer(tree):
            own += 1
            continue
        defined = [node for node in ast.walk(tree)
                   if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
        assert not defined, cell.id
    assert own == (path.stem == "14_your_own_optimizer"), "a reader writes one optimizer, there and nowhere else"


def is_an_optimizer(tree):
    """Whether a cell is a class under torch.optim.Optimizer and nothing besides, with no class or function in it but
    its methods."""
    match tree.body:
        case [ast.ClassDef(bases=[base], body=body)] if ast.unparse(base) == "torch.optim.Optimizer":
            inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            return len(inside) == 1 + len(body) and all(isinstance(node, ast.FunctionDef) for node in body)
    return False


@pytest.mark.parametrize(("source", "is_one"), [
    ("class A(torch.optim.Optimizer):\n    def step(self): pass", True), ("def step(): pass", False),
    ("class A(torch.optim.Optimizer):\n    def step(self): pass\nx = 1", False), ("x = 1", False),
    ("class A:\n    def step(self): pass", False),
    ("class A(torch.optim.Optimizer):\n    def step(self):\n        def helper(): pass", False)])
def test_the_exemption_is_for_an_optimizer_alone(source, is_one):
    assert is_an_optimizer(ast.parse(source)) == is_one


def test_its_links_lead_somewhere(book, path):
    for cell in book.cells:
        if cell.cell_type == "markdown":
            for target in (part.split(")")[0] for part in cell.source.split("](")[1:]):
                assert target.startswith("https://") or (path.parent / target).exists(), target


def test_papermill_and_the_package_read_the_same_parameters(path):
    theirs = papermill.inspect_notebook(str(path))
    ours = inspect_parameters(path)
    assert {name: p["inferred_type_name"] for name, p in theirs.items()} == {name: p.type for name, p in ours.items()}
    assert all(parameter.help for parameter in ours.values())


def execute(path, tmp_path, monkeypatch, folder, **parameters):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return papermill.execute_notebook(str(path), str(tmp_path / "out.ipynb"), parameters=parameters,
                                      progress_bar=False)


def test_08_runs_from_the_root_and_leaves_its_records(tmp_path, monkeypatch):
    path = ROOT / "notebooks" / "08_resnet_experiment.ipynb"
    run = tmp_path / "run"
    book = execute(path, tmp_path, monkeypatch, ROOT, **TINY, optimizer="adamwprune", run_dir=str(run),
                   optimizer_options='{"target_sparsity": 0.5, "update_every": 1}',
                   training_options='{"model_options": {"hidden": 32}}')
    summary = json.loads((run / "summary.json").read_text())
    origin = json.loads((run / "provenance.json").read_text())
    assert summary["status"] == "finished" and summary["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert summary["config"]["optimizer_options"] == {"target_sparsity": 0.5, "update_every": 1}
    said = "".join(output.get("text", "") for cell in code(book) for output in cell.outputs)
    assert f"mlp: {summary['parameters']:,} parameters" in said
    assert origin["torch"] and origin["hardware"] and origin["seed"] == 0


ELSEWHERE = {"01", "02", "03", "04", "05", "06", "07", "09", "10", "11", "12", "13", "14"}
"""Those that the file of tests of this number executes at their defaults."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem[:2] not in ELSEWHERE],
                         ids=lambda path: path.stem)
def test_it_runs_at_its_defaults_from_its_own_folder(path, tmp_path, monkeypatch):
    book = execute(path.name, tmp_path, monkeypatch, path.parent)
    said = "".join(output.get("text", "") for cell in code(book) for output in cell.outputs)
    assert "The run finished" in said and all(cell.execution_count for cell in code(book) if cell.source)


def test_what_is_executed_elsewhere_is(path):
    own = ROOT / "tests" / "notebooks" / f"test_{path.stem[:2]}.py"
    assert (path.stem[:2] in ELSEWHERE) == own.is_file()


@pytest.mark.parametrize("settings", [
    {"model": "gpt", "dataset": "pydoc_text", "train_size": 2000,
     "training_options": {"model_options": {"layers": 1, "width": 32}, "data_options": {"context": 32}}},
    {"model": "lstm", "dataset": "adding_problem", "train_size": 100,
     "training_options": {"data_options": {"length": 6}}}], ids=["text", "numbers"])
def test_08_trains_sequences_too(tmp_path, monkeypatch, settings):
    path = ROOT / "notebooks" / "08_resnet_experiment.ipynb"
    book = execute(path, tmp_path, monkeypatch, ROOT, epochs=1, **settings)
    said = "".join(output.get("text", "") for cell in code(book) for output in cell.outputs)
    assert "The run finished" in said and "guessing gets" in said


def test_08_refuses_a_misspelt_parameter(tmp_path, monkeypatch):
    path = ROOT / "notebooks" / "08_resnet_experiment.ipynb"
    message = "unknown parameter 'optimiser'.*Did you mean 'optimizer'"
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        execute(path, tmp_path, monkeypatch, ROOT, optimiser="adam")


def test_08_survives_a_run_that_diverges(tmp_path, monkeypatch):
    path = ROOT / "notebooks" / "08_resnet_experiment.ipynb"
    book = execute(path, tmp_path, monkeypatch, ROOT, **TINY, optimizer="sgd", lr=1e30)
    said = "".join(output.get("text", "") for cell in code(book) for output in cell.outputs)
    assert "The run diverged" in said


def test_08_takes_every_setting_of_a_training():
    parameters = inspect_parameters(ROOT / "notebooks" / "08_resnet_experiment.ipynb")
    known = set(parameters) - {"training_options", "run_dir"}
    assert known < set(TrainConfig.model_fields)
    for name in known:
        assert parameters[name].default == TrainConfig.model_fields[name].default, name
