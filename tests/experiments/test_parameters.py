"""Notebook parameters: read from the notebook's own cell, checked before anything starts."""

import nbformat
import papermill
import pytest

from adamw_lab.experiments.parameters import (
    Parameter,
    check_parameters,
    collect_parameters,
    inspect_parameters,
    parse_parameters,
)

CELL = """\
# what may be set
lr: float = 1e-3  # learning rate
weight_decay: float = None
epochs: int = 4  # passes, not "# steps"
name: str = "a # b"  # what it is called
plain: bool = False
options: dict = {}  # JSON will do
sizes: list = [1, 2]
"""


@pytest.fixture
def notebook(tmp_path):
    cell = nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import math"), cell])
    book.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "book.ipynb")
    return tmp_path / "book.ipynb"


def test_name_type_default_and_help_are_read(notebook):
    parameters = inspect_parameters(notebook)
    assert parameters["lr"] == Parameter("lr", "float", 1e-3, "learning rate")
    assert parameters["epochs"].help == 'passes, not "# steps"'
    assert parameters["name"] == Parameter("name", "str", "a # b", "what it is called")
    assert parameters["weight_decay"] == Parameter("weight_decay", "float", None, "")


def test_papermill_reads_the_same_names_and_types(notebook):
    theirs = papermill.inspect_notebook(str(notebook))
    ours = inspect_parameters(notebook)
    assert {name: p["inferred_type_name"] for name, p in theirs.items()} == {n: p.type for n, p in ours.items()}


def test_given_values_join_the_defaults(notebook):
    assert check_parameters(notebook, {"epochs": 2}) == {
        "lr": 1e-3, "weight_decay": None, "epochs": 2, "name": "a # b", "plain": False, "options": {}, "sizes": [1, 2]}


@pytest.mark.parametrize(("name", "given", "value"), [
    ("lr", "1e-4", 1e-4), ("lr", 1, 1.0), ("epochs", "3", 3), ("epochs", 3.0, 3), ("plain", "true", True),
    ("options", '{"theta": 50}', {"theta": 50}), ("options", {"a": 1}, {"a": 1}), ("sizes", "[3]", [3]),
    ("weight_decay", None, None), ("weight_decay", "1e-2", 1e-2)])
def test_values_as_yaml_and_command_lines_write_them(notebook, name, given, value):
    result = check_parameters(notebook, {name: given})[name]
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(("name", "value", "kind"), [
    ("lr", "fast", "float"), ("lr", None, "float"), ("lr", True, "float"), ("epochs", 2.5, "int"),
    ("epochs", False, "int"), ("name", 3, "str"), ("plain", "perhaps", "bool"), ("options", "[1]", "dict")])
def test_a_wrong_type_is_refused_with_the_name_and_the_value(notebook, name, value, kind):
    with pytest.raises(ValueError, match=f"parameter {name}: .* is not of type {kind}") as error:
        check_parameters(notebook, {name: value})
    assert repr(value) in str(error.value)


def test_an_unknown_name_is_refused_with_the_nearest(notebook):
    with pytest.raises(ValueError, match=r"unknown parameter 'epoch' of book.ipynb; .*Did you mean 'epochs'\?"):
        check_parameters(notebook, {"epoch": 3})


@pytest.mark.parametrize(("source", "message"), [
    ("lr: float = 1e-3\nlr = 2", "line 2 of the parameters cell: 'lr' is assigned twice"),
    ("lr: float = 1e-3\nprint(lr)", r"line 2 .*'print\(lr\)'.*only assignments"),
    ("lr = 2 * 3.0 + x", "the parameters cell computes a default in 'lr = 2 [*] 3.0 [+] x'; allowed: plain values"),
    ("lr: complex = 1", "parameter lr: unknown type 'complex'; allowed: bool, int")])
def test_a_cell_that_declares_something_else_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        parse_parameters(source)


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "none.ipynb")
    with pytest.raises(ValueError, match="none.ipynb: no cell is tagged 'parameters'"):
        inspect_parameters(tmp_path / "none.ipynb")


def run(*cells):
    """A notebook's namespace after these cells."""
    namespace = {"In": ["", *cells, "collect_parameters(globals())"]}
    for cell in cells:
        exec(cell, namespace)
    return namespace


def test_inside_a_notebook_the_values_are_collected():
    assert collect_parameters(run("import math", "lr: float = 1e-3\nname: str = 'a'")) == {"lr": 1e-3, "name": "a"}


def test_inside_a_notebook_what_papermill_injects_wins_and_is_checked():
    cells = "lr: float = 1e-3\nname: str = 'a'", '# Parameters\nlr = "1e-4"\n'
    assert collect_parameters(run(*cells)) == {"lr": 1e-4, "name": "a"}


def test_inside_a_notebook_a_misspelt_parameter_is_refused():
    with pytest.raises(ValueError, match=r"unknown parameter 'nmae' of this notebook; .*Did you mean 'name'\?"):
        collect_parameters(run("lr: float = 1e-3\nname: str = 'a'", '# Parameters\nnmae = "b"\n'))


def test_inside_a_notebook_a_second_run_of_the_cells_counts():
    cells = "lr: float = 1e-3", "# Parameters\nlr = 1.0\n", "lr: float = 0.5", "lr + 1"
    assert collect_parameters(run(*cells)) == {"lr": 0.5}


def test_inside_a_notebook_the_parameters_cell_must_have_run():
    with pytest.raises(ValueError, match="run the parameters cell"):
        collect_parameters(run("import math"))
