"""The commands: what they call, what they print, and how they end on bad input."""

import json
import os
import sys

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import adamw_lab
from adamw_lab import cli
from adamw_lab.cli.settings import one_line, settings_from

TINY = ["model=lenet5", "dataset=digits", "epochs=1", "train_size=64", "batch_size=32", "device=cpu"]


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def refused(result, *parts):
    """One line on stderr that holds all parts, exit code 2."""
    assert result.exit_code == 2
    assert result.stderr.startswith("adamw-lab: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def foreign_checkout(tmp_path, monkeypatch):
    """A checkout with two notebooks of its own; its folder."""
    monkeypatch.setattr(cli, "CHECKOUT", tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, code in {"00_good": "print(6 * 7)", "01_bad": "1 / 0"}.items():
        cells = [nbformat.v4.new_code_cell(code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    return tmp_path


def test_version():
    assert run("--version").stdout == f"adamw-lab {adamw_lab.__version__}\n"


def test_no_arguments_print_the_commands():
    result = run()
    for command in ("fit", "study", "notebooks", "figures", "data", "doctor", "lab", "test", "lint", "gallery",
                    "batch"):
        assert f"\n  {command} " in result.output


def test_an_unknown_command_is_told_the_nearest():
    result = run("stdy")
    assert result.exit_code == 2
    assert "Did you mean 'study'?" in result.stderr


def test_fit_trains_and_prints_the_summary(tmp_path):
    result = run("fit", *TINY, "lr=1e-3", "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "summary.json").read_text())
    printed = dict(line.split(None, 1) for line in result.stdout.splitlines() if " " in line)
    assert printed["status"] == summary["status"] == "finished"
    assert float(printed["validation_accuracy"]) == pytest.approx(summary["validation_accuracy"], rel=1e-3)
    assert summary["config"]["lr"] == 1e-3
    assert "config" not in printed


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        ("model=lenet", ["lenet", "Did you mean 'lenet5'?"]),
        ("dataset=digit", ["digit", "Did you mean 'digits'?"]),
        ("optimizer=adamwspan", ["adamwspan", "Did you mean 'adamwspam'?"]),
        ("epochs=-1", ["epochs", "-1"]),
        ("epochs=many", ["epochs", "'many'"]),
        ("epoch=3", ["epoch"]),
        ("batch_size=0", ["batch_size", "0"]),
        ("train_size=100000", ["train_size", "100000"]),
        ("lr", ["expected key=value, got 'lr'"]),
        ("=3", ["expected key=value, got '=3'"]),
        ("lr=[1", ["the value of 'lr' is not YAML: '[1'"]),
        ("model=mlp", ["'model' is given twice"]),
    ],
)
def test_fit_refuses_bad_settings_in_one_line(bad, parts):
    key = bad.partition("=")[0]
    good = [setting for setting in TINY if bad == "model=mlp" or not setting.startswith(f"{key}=")]
    refused(run("fit", *good, bad), *parts)


def test_fit_refuses_a_run_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    refused(run("fit", *TINY, "--run-dir", tmp_path / "file"), str(tmp_path / "file"))
    refused(run("fit", *TINY, "--run-dir", ""), "Invalid run_dir: ''; allowed: a folder")


def test_values_are_yaml_with_exponents():
    numbers = ["lr=1e-4", "eps=1E+2", "decay=.5e-1", "seed=3"]
    assert settings_from(numbers) == {"lr": 1e-4, "eps": 100.0, "decay": 0.05, "seed": 3}
    others = ["name=e-4", "size=", "options={lr: 2e-3, fused: true}"]
    assert settings_from(others) == {"name": "e-4", "size": None, "options": {"lr": 2e-3, "fused": True}}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_as_itself(x):
    value = settings_from([f"x={x!r}"])["x"]
    assert isinstance(value, float)
    assert value == x


def test_an_error_of_many_lines_becomes_one():
    assert one_line(ValueError("first\n   second")) == "first second"
    assert one_line(ValueError()) == "ValueError"


def test_study_hands_over_its_options_and_its_exit_code(monkeypatch, tmp_path):
    seen = {}

    def run_study(name, **options):
        seen.update(options, name=name)
        return 1

    monkeypatch.setattr("adamw_lab.experiments.run_study", run_study)
    assert run("study", "optimizers", "--profile", "cpu", "--jobs", 2, "--out", tmp_path).exit_code == 1
    assert seen["name"] == "optimizers"
    assert (seen["profile"], seen["jobs"], seen["out"]) == ("cpu", 2, tmp_path)


def test_study_refuses_what_it_does_not_know():
    refused(run("study", "optimisers"), "'optimisers'", "Did you mean 'optimizers'?")
    refused(run("study", "optimizers", "--profile", "quik"), "'quik'", "Did you mean 'quick'?")
    assert run("study", "optimizers", "--jobs", 0).exit_code == 2


def test_notebooks_are_all_executed_and_failures_are_named(foreign_checkout):
    out = foreign_checkout / "out"
    result = run("notebooks", "--out", out)
    assert result.exit_code == 1
    assert "01_bad.ipynb failed in cell 1: ZeroDivisionError: division by zero" in result.stderr
    assert "1 executed, 1 failed" in result.stdout
    done = nbformat.read(out / "00_good.ipynb", as_version=4)
    assert done.cells[-1].outputs[0].text == "42\n"
    assert (out / "01_bad.ipynb").exists()


def test_notebooks_by_the_beginning_of_their_name(foreign_checkout):
    refused(run("notebooks", "7", "--out", foreign_checkout / "out"), "begins with 7")
    assert not (foreign_checkout / "out").exists()


def test_figures_hands_over_what_it_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr("adamw_lab.figures.draw_all", lambda out, data, **more: [out / "x.svg", data, *more.items()])
    monkeypatch.setattr("adamw_lab.figures.manifest", lambda data: {"x": str(data)})
    folders = ("--out", tmp_path / "a", "--data", tmp_path / "b")
    (tmp_path / "a").mkdir()
    result = run("figures", *folders)
    assert result.exit_code == 0 and json.loads((tmp_path / "a" / "manifest.json").read_text()) == {
        "x": str(tmp_path / "b")}
    (tmp_path / "a" / "manifest.json").unlink()
    result = run("figures", "spike", *folders, "--format", "pdf", "--width", "3.3")
    assert "('names', ['spike'])" in result.output and "('width', 3.3)" in result.output
    assert not (tmp_path / "a" / "manifest.json").exists()


def test_figures_without_numbers_are_refused(tmp_path):
    refused(run("figures", "--out", tmp_path, "--data", tmp_path), "no numbers at", str(tmp_path))


def test_data_fetches_each_and_refuses_unknown_names():
    result = run("data", "digits")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("digits: ")
    refused(run("data", "digit"), "'digit'", "Did you mean 'digits'?")


@pytest.fixture
def becomes(monkeypatch):
    """The command line of the program that takes this process's place, in a list that fills when it does."""
    seen = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: seen.extend(arguments))
    return seen


def test_test_becomes_pytest_in_the_checkout(monkeypatch, foreign_checkout, becomes):
    (foreign_checkout / "tests").mkdir()
    monkeypatch.chdir("/")
    assert run("test", "-k", "optim").exit_code == 0
    assert becomes[:3] == [sys.executable, "-m", "pytest"] and becomes[-2:] == ["-k", "optim"]
    assert os.getcwd() == str(foreign_checkout)


def test_lab_becomes_jupyterlab_on_this_machine_alone(foreign_checkout, becomes):
    assert run("lab", "--no-browser").exit_code == 0
    assert becomes[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={foreign_checkout}" in becomes
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in becomes
    assert "--ServerApp.ip=127.0.0.1" in becomes
    assert becomes[-1] == "--no-browser"


def test_what_needs_a_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "CHECKOUT", tmp_path)
    refused(run("notebooks"), str(tmp_path / "notebooks"), "pip install -e")
    refused(run("test"), str(tmp_path / "tests"))


def test_a_program_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    refused(run("test"), "pytest is not installed", "pip install")
