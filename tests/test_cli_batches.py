"""`adamw-lab batch` over a notebook that knows nothing of this project."""

import json

import nbformat
import pytest
from typer.testing import CliRunner

from adamw_lab import cli

KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
PARAMETERS = "x = 1  # a number, in [0, 10]\nmode: str = 'plain'  # how\nrun_dir: str = None  # where"
BODY = "import pathlib\npathlib.Path(run_dir, 'answer').write_text(f'{mode} {x * x}')\nassert x != 3, 'three is bad'"


@pytest.fixture
def book(tmp_path):
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
    path = tmp_path / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["batch", *map(str, arguments)])


def test_points_run_once_and_failures_are_named(book, tmp_path):
    first = run(book, "-p", "x=2,3", "-p", "mode=plain", "--out", tmp_path / "out", "--jobs", 2)
    assert first.exit_code == 1
    assert "failed: x3_plain: cell 3: AssertionError: three is bad" in first.stdout
    assert "1 done, 0 skipped because they were done before, 1 failed" in first.stdout
    (answer,) = (tmp_path / "out").glob("x2_plain-*/answer")
    assert answer.read_text() == "plain 4"
    assert (answer.parent / "done.json").is_file()
    second = run(book, "-p", "x=2", "-p", "mode=plain", "--out", tmp_path / "out")
    assert second.exit_code == 0 and "0 done, 1 skipped" in second.stdout
    (failed,) = (tmp_path / "out").glob("x3_plain-*")
    said = run("--status", tmp_path / "out").stdout
    assert said == (f"failed:  {failed.name}: cell 3: AssertionError: three is bad\n"
                    f"         see {failed / 'notebook.ipynb'}\n1 done, 0 running, 1 failed, 0 waiting\n")
    kept = run(book, "-p", "x=2,3", "-p", "mode=plain", "--out", tmp_path / "out", "--retry-failed", "no")
    assert kept.exit_code == 1 and "0 done, 1 skipped because they were done before, 1 failed" in kept.stdout


def test_a_grid_file_and_the_command_line_together(book, tmp_path):
    (tmp_path / "grid.yml").write_text("base: {mode: loud}\naxes: {x: [1, 2]}\nexclude:\n  - {x: 1, mode: plain}\n")
    result = run(book, "--grid", tmp_path / "grid.yml", "-p", "mode=loud,plain", "--dry-run", "--out", tmp_path / "out")
    names = [line.rpartition("/")[2].rpartition("-")[0] for line in result.stdout.splitlines()[:-1]]
    assert names == ["x1_loud", "x2_loud", "x2_plain"] and result.stdout.endswith("3 points\n")
    assert not (tmp_path / "out").exists()


def test_names_change_with_code_parameters_and_what_it_depends_on(book, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/tool.py").write_text("x = 1\n")
    names = set()

    def name():
        return run(book, "-p", "x=2", "--dry-run", "--depends", tmp_path / "lib").stdout

    names.add(name())
    (tmp_path / "lib/tool.py").write_text('"""A docstring changes no result."""\nx = 1  # nor does a comment\n')
    names.add(name())
    assert len(names) == 1
    (tmp_path / "lib/tool.py").write_text("x = 2\n")
    names.add(name())
    content = json.loads(book.read_text())
    content["cells"][1]["source"] += "\nprint(x)"
    book.write_text(json.dumps(content))
    names.add(name())
    assert len(names) == 3


def test_parameters_are_listed(book):
    result = run(book, "--list-parameters")
    assert result.stdout == ("x        int  1        a number, in [0, 10]\nmode     str  \"plain\"  how\n"
                             "run_dir  str  null     where\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["-p", "z=1"], "unknown parameter 'z' of book.ipynb; allowed: x, mode, run_dir."),
    (["-p", "mod=a"], "unknown parameter 'mod' of book.ipynb; allowed: x, mode, run_dir. Did you mean 'mode'?"),
    (["-p", "x=many"], "parameter x: 'many' is not of type int (for example 3)"),
    (["-p", "x=11"], "parameter x: 11 is out of range; allowed: in [0, 10]"),
    (["-p", "x=1", "-p", "x=2"], "'x' is given twice"),
    (["--depends", "/nowhere"], "depends: nothing at /nowhere"),
    (["--executor", "slurm"], "unknown executor 'slurm'; allowed: local, ray"),
    (["--address", "h:1"], "address and what a point takes of a cluster need executor ray"),
    (["--executor", "ray", "--jobs", "2"], "with executor ray the cluster decides"),
    (["--gpus", "one"], "--gpus 'one': expected the GPUs' numbers, such as 0,1"),
    (["--gpus", "0"], "--gpus '0': torch sees no GPU here"),
    (["--jobs-per-gpu", "2"], "--jobs-per-gpu goes with --gpus"),
    (["--preload", "nowhere.at_all"], "preload: no module 'nowhere.at_all' is installed"),
    (["--preload", "torch", "--cold-kernels"], "exclude each other"),
    (["--retry-failed", "maybe"], "--retry-failed 'maybe'; allowed: yes, no")])
def test_bad_input_is_refused_before_anything_starts(book, tmp_path, arguments, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for dry in ([], ["--dry-run"]) if "ray" not in arguments else ([],):
        result = run(book, *arguments, *dry, "--out", tmp_path / "out")
        assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_directory_that_is_a_file(book, tmp_path):
    (tmp_path / "out").write_text("")
    result = run(book, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "is a file; allowed: a folder, or a name that is free" in result.stderr


@pytest.mark.parametrize(("change", "message"), [
    (lambda book: book["cells"][0]["metadata"].clear(), "no cell is tagged 'parameters'"),
    (lambda book: book["metadata"].clear(), "names no kernel"),
    (lambda book: book["metadata"]["kernelspec"].update(name="cobol"), "wants the kernel 'cobol', which is not"),
    (lambda book: book.pop("cells"), "is not a notebook: KeyError: 'cells'")])
def test_notebooks_that_cannot_run(book, change, message):
    content = json.loads(book.read_text())
    change(content)
    book.write_text(json.dumps(content))
    result = run(book, "--dry-run")
    assert result.exit_code == 2 and message in result.stderr


def test_a_file_that_is_no_json(book):
    book.write_text("{")
    assert "is not a notebook: JSONDecodeError" in run(book, "--dry-run").stderr


def test_the_status_of_a_folder_without_a_batch(tmp_path):
    result = run("--status", tmp_path)
    assert result.exit_code == 2 and "no batch has run in" in result.stderr


def test_no_notebook():
    assert "which notebook?" in run().stderr


def test_jobs_zero(book):
    assert run(book, "--jobs", 0).exit_code == 2
