"""The doctor's report is true, and its exit code says when something does not work."""

import importlib
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

import adamw_lab
from adamw_lab.cli import app
from adamw_lab.optim.kernels import dispatch

doctor = importlib.import_module("adamw_lab.cli.doctor")  # the package has a command of that name


def report():
    """Exit code, rows by name, and the last line."""
    result = CliRunner().invoke(app, ["doctor"])
    *lines, _, last = result.stdout.splitlines()
    return result.exit_code, {line[:18].strip(): line[19:] for line in lines}, last


@pytest.fixture
def kernels_from_scratch():
    yield
    dispatch.installed.cache_clear()


def test_it_tells_what_works_and_what_will_be_used(monkeypatch):
    monkeypatch.delenv("ADAMW_LAB_KERNEL", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    code, rows, last = report()
    assert code == 0 and last == "all that is needed works"
    assert rows["adamw-lab"].startswith(adamw_lab.__version__) and rows["torch"] == torch.__version__.split("+")[0]
    assert rows["requirements"] == "met"
    assert rows["cpu eager"] == "works" and rows["cpu cpu"] == "works; serves float32 here"
    assert rows["cpu cuda"].startswith("no: ")
    assert rows["digits"] == rows["pydoc_text"] == "here"
    assert "GB free in" in rows["disk"]


def test_without_numba_it_says_why_the_plain_kernel_serves(monkeypatch, kernels_from_scratch):
    monkeypatch.delenv("ADAMW_LAB_KERNEL", raising=False)
    dispatch.installed.cache_clear()
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: None)
    rows = {finding.name: finding for finding in doctor.kernels("cpu")}
    assert rows["cpu cpu"].value == "no: numba is not installed"
    assert rows["cpu eager"].value == "works; serves float32 here"
    assert not any(finding.wrong for finding in rows.values())


def test_a_kernel_that_fails_or_errs_is_wrong(monkeypatch):
    monkeypatch.delenv("ADAMW_LAB_KERNEL", raising=False)

    class Refuses:
        def __init__(self, *arguments, kernel, **options):
            self.kernel = kernel

        def step(self):
            if self.kernel == "cpu":
                raise OSError("no compiler\nat all")

    monkeypatch.setattr(doctor, "AdamWAdv", Refuses)
    code, rows, last = report()
    assert code == 1 and last == "wrong: cpu cpu"
    assert rows["cpu cpu"] == "broken: OSError: no compiler; serves float32 here"


def test_a_kernel_whose_numbers_are_others_is_wrong(monkeypatch):
    right = doctor.AdamWAdv

    def tenfold(params, lr, **options):
        return right(params, lr=10 * lr if options["kernel"] == "cpu" else lr, **options)

    monkeypatch.setattr(doctor, "AdamWAdv", tenfold)
    assert doctor.fails("cpu", "cpu") == "its steps are not those of the eager kernel"


def test_a_kernel_that_is_demanded_in_vain_is_wrong(monkeypatch):
    monkeypatch.setenv("ADAMW_LAB_KERNEL", "cuda")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    wrong = [finding for finding in doctor.kernels("cpu") if finding.wrong]
    assert [finding.name for finding in wrong] == ["cpu cuda"] and "ADAMW_LAB_KERNEL demands it" in wrong[0].value


def test_a_package_that_is_missing_or_too_old_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: [
        "papermill>=2.6; extra == 'lab'", "numpy>=2; extra == 'lab'", "ray>=2; extra == 'ray'"])
    monkeypatch.setattr(doctor, "installed", lambda name: {"papermill": "0.1"}.get(name, "absent"))
    found = doctor.requirements()
    assert found.wrong and "(0.1)" in found.value and "numpy>=2" in found.value and "ray" not in found.value


def test_an_old_python_and_a_full_disk_are_wrong(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "OLDEST", (4, 0))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5e8))
    wrong = {finding.name for finding in doctor.findings() if finding.wrong}
    assert wrong >= {"python", "disk"}
    assert doctor.disk(tmp_path).value == f"0.5 GB free in {tmp_path}; too little for runs"


def test_a_browser_is_found_by_name_or_where_playwright_puts_it(monkeypatch, tmp_path):
    program = tmp_path / "chromium-1" / "chrome-linux" / "chrome"
    program.parent.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert "tests of widgets in a browser are skipped" in doctor.browser().value
    program.write_text("#!/bin/sh\necho Chromium 1.2.3 built on a shell\n")
    program.chmod(0o755)
    assert doctor.browser().value == f"Chromium 1.2.3, {program}"
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (_ for _ in ()).throw(OSError("no")))
    assert doctor.browser().wrong
