"""JupyterLab and Chromium, started once, over copies of the notebooks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from adamw_lab.cli.doctor import chromium
from adamw_lab.cli.lab import lab_arguments

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ("--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update "
         "--disable-sync --no-first-run").split()
OWN = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
TRIMMED = ("04_adamw_adv", "11_hyperparameters", "12_speed_and_memory")
"""Notebooks whose other cells are run elsewhere: here they are their imports, parameters and explorer alone."""


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; the tests are skipped, and say so, where there is none."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """A JupyterLab with its token on a free port of 127.0.0.1, over copies of the notebooks and of the figures that
    they show: `url`, `token`, and `folder`, where the notebooks are."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    shutil.copytree(ROOT / "figures", home / "figures", ignore=shutil.ignore_patterns("data", "*.svg"))
    for notebook in TRIMMED:
        trim(home / "notebooks" / f"{notebook}.ipynb")
    quiet = home / OWN[1] / "labconfig" / "page_config.json"  # it would ask whether news are wanted
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    surroundings = os.environ | {name: str(home / name) for name in OWN} | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "jupyterlab", *lab_arguments(home), "--no-browser", "--ServerApp.port=0"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, start_new_session=True, env=surroundings)
    try:
        yield SimpleNamespace(**answering(server, home), folder=home / "notebooks")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def trim(path):
    """Keep the prose, the first three code cells and the one with the explorer."""
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    kept = [cell.id for k, cell in enumerate(code) if k < 3 or 'settings["explorer"]' in cell.source]
    book.cells = [cell for cell in book.cells if cell.cell_type == "markdown" or cell.id in kept]
    nbformat.write(book, path)


def answering(server, home, seconds=180):
    """Where the server answers and its token, as soon as it says so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / OWN[0]).glob("jpserver-*.json"):
            try:
                said = json.loads(file.read_text())
            except json.JSONDecodeError:  # half written
                continue
            return {"url": said["url"], "token": said["token"]}
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{(home / 'log').read_text()}")
