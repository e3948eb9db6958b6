"""Every notebook is clean in the repository and has the anatomy; test_NN.py holds what notebook NN finds."""

import ast
from pathlib import Path

import nbformat
import papermill
import pytest

from adamw_lab.experiments import inspect_parameters

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


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


def test_it_is_executed_at_its_defaults_by_tests_of_its_own(path):
    assert (ROOT / "tests" / "notebooks" / f"test_{path.stem[:2]}.py").is_file()
