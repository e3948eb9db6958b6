"""One list of dependencies, in pyproject.toml; everything else that names some agrees with it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import adamw_lab
from adamw_lab.cli import app

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text()
HEAVY = (
    "pandas matplotlib sklearn torchvision numba pydantic IPython scipy typer duckdb sympy torch.distributed.tensor"
).split()


def requirements(*extras):
    """Name -> specifier of the core and the named extras."""
    listed = [*PROJECT["dependencies"], *(r for e in extras for r in PROJECT["optional-dependencies"][e])]
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, listed)}


def pins():
    """The lines of constraints.txt that are not comments."""
    return [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def pip_section():
    return next(entry["pip"] for entry in ENVIRONMENT if isinstance(entry, dict))


def run_make(*arguments, path=os.environ["PATH"], folder=ROOT):
    # Not the options of a make that runs these tests.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env={**env, "PATH": path}, capture_output=True, text=True
    )


@pytest.mark.parametrize("extra", ["lab", "dev", "bench", "ray", "tensorboard"])
def test_every_dependency_is_pinned_to_a_version_it_admits(extra):
    pinned = {canonicalize_name(name): version for name, version in (line.split("==") for line in pins())}
    for name, specifier in requirements(extra).items():
        assert name in pinned, f"{name} is missing from constraints.txt"
        assert specifier.contains(pinned[name]), f"{name}=={pinned[name]} is not {specifier}"


def test_the_lock_holds_exact_versions_alone():
    for line in pins():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)


def test_the_lock_is_sorted_and_names_nothing_twice():
    names = [canonicalize_name(line.split("==")[0]) for line in pins()]
    assert names == sorted(set(names))


def test_environment_yml_installs_this_project_and_names_only_its_dependencies():
    *names, project = pip_section()
    assert project == "-e .[lab,dev]"
    assert set(names) == {"jupyterlab", "torch", "torchvision", "papermill", "seaborn", "ipywidgets"}
    assert {canonicalize_name(name) for name in names} <= requirements("lab").keys()


def test_environment_yml_asks_for_a_python_that_the_project_admits():
    python = next(entry for entry in ENVIRONMENT if str(entry).startswith("python="))
    assert python.removeprefix("python=") in Requirement(f"python{PROJECT['requires-python']}").specifier
    assert "pip" in ENVIRONMENT


def test_make_and_conda_install_the_same_extras_and_make_with_the_lock():
    assert "install --quiet -c constraints.txt -e '.[lab,dev]'" in MAKEFILE
    assert "$(VENV)/.installed: pyproject.toml constraints.txt" in MAKEFILE
    assert {"lab", "dev"} <= PROJECT["optional-dependencies"].keys()


def test_make_alone_prints_every_target():
    targets = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)[0].split()) - {"active"}
    result = run_make()
    assert result.returncode == 0
    assert {line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")} == targets


def test_whatever_make_runs_is_a_command():
    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    used = set(re.findall(r"\$\(lab\) (\w+)", MAKEFILE))
    assert used <= commands
    assert used >= {"study", "test", "lab", "notebooks", "figures", "data"}


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("study", "study optimizers --profile quick --jobs 1"),
        ("test", "test --jobs 1"),
        ("data", "data fashion_mnist cifar10 --jobs 1"),
    ],
)
def test_make_hands_its_arguments_to_the_command(target, command):
    result = run_make("--dry-run", "VENV=", "ARGS=--jobs 1", target)
    assert result.stdout.rstrip().endswith(f'python" -m adamw_lab {command}')


STUB = """#!/bin/sh
if [ "$1" = -m ] && [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; else echo "$*" >> "$LOG"; fi
"""
"""A Python that makes environments with a copy of itself, and writes down whatever else it is asked for."""


def test_make_sets_up_once_and_again_when_a_requirement_changes_also_in_a_folder_with_spaces(tmp_path, monkeypatch):
    folder, log, stub = tmp_path / "my lab", tmp_path / "log", tmp_path / "python3"
    folder.mkdir()
    for file in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, folder)
    stub.write_text(STUB)
    stub.chmod(0o755)
    monkeypatch.setenv("LOG", str(log))

    def installs():
        result = run_make("study", f"PYTHON={stub}", folder=folder)
        assert result.returncode == 0, result.stderr
        asked = log.read_text().splitlines()
        assert asked[-1] == "-m adamw_lab study optimizers --profile quick"
        return sum("install --quiet -c constraints.txt -e .[lab,dev]" in line for line in asked)

    assert [installs(), installs()] == [1, 1]
    later = (folder / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(folder / "pyproject.toml", (later, later))
    assert installs() == 2


def test_make_refuses_an_active_environment_without_the_package(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    result = run_make("study", "VENV=", path=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 2
    assert "adamw-lab is not installed there: pip install" in result.stderr


def test_make_refuses_an_old_python(tmp_path):
    python = tmp_path / "old"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    python.chmod(0o755)
    result = run_make("setup", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")
    assert result.returncode == 2
    assert "needs Python 3.11 or newer" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_the_optimizers_import_nothing_heavy():
    code = (
        "import sys, torch; before = set(sys.modules); import adamw_lab.optim; "
        f"print(*(m for m in {HEAVY} if m in set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == []


def test_rooms_are_reached_as_attributes():
    assert adamw_lab.optim.AdamWSPAM.__name__ == "AdamWSPAM"
    with pytest.raises(AttributeError, match="no attribute 'optimm'"):
        adamw_lab.optimm  # noqa: B018


def test_without_typer_the_entry_point_says_what_to_install(monkeypatch):
    from adamw_lab import __main__ as entry

    monkeypatch.setattr(entry, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'adamw-lab\[lab\]'"):
        entry.main()


def test_the_citation_names_the_sources():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"] == "MIT"
    text = str(citation["references"])
    assert "github.com/mcgrof/AdamWPrune" in text
    assert "2501.06842" in text
