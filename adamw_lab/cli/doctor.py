"""What `adamw-lab doctor` reports: what is installed here, what works, what will be used, and what is wrong."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

import adamw_lab
from adamw_lab.data import DATASETS, present
from adamw_lab.optim import AdamWAdv
from adamw_lab.optim.kernels.dispatch import KERNELS, choose_kernel, forced_kernel, why_not
from adamw_lab.provenance import hardware, installed

OLDEST = (3, 11)
PACKAGES = ("torch", "torchvision", "numba", "triton", "papermill", "jupyterlab", "ipywidgets", "playwright", "ray",
            "pytorch_optimizer")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COMPUTED = ("digits", "adding_problem", "pydoc_text")
"""Data sets that come with scikit-learn or with Python, or are computed."""
LEAST_DISK = 1e9
"""Bytes that runs and their checkpoints should find free."""


class Finding(NamedTuple):
    """A row of the report; `wrong` says that something does not work that ought to."""

    name: str
    value: str
    wrong: bool = False


def examine(say: Callable[[str], object]) -> list[str]:
    """Say the report line by line; the names of what is wrong."""
    wrong = []
    for finding in findings():
        say(f"{finding.name:<18} {finding.value}")
        if finding.wrong:
            wrong.append(finding.name)
    say(f"\nwrong: {', '.join(wrong)}" if wrong else "\nall that is needed works")
    return wrong


def findings() -> Iterator[Finding]:
    """The report, row by row."""
    yield Finding("adamw-lab", f"{adamw_lab.__version__} in {Path(adamw_lab.__file__).parent}")
    old = sys.version_info < OLDEST
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
                  + f"; too old, 3.{OLDEST[1]} is needed" * old, old)
    for package in PACKAGES:
        yield Finding(package, installed(package))
    yield requirements()
    yield Finding("torch build", f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU")
    yield Finding("hardware", hardware())
    yield Finding("threads", f"{torch.get_num_threads()} of torch")
    for device in devices():
        yield from kernels(device)
    for name in DATASETS:
        if name != "imagefolder":  # the user's own
            here = name in COMPUTED or present(name)
            yield Finding(name, "here" if here else f"not here; to get it: adamw-lab data {name}")
    yield browser()
    yield disk(Path.cwd())


def requirements() -> Finding:
    """Whether what pyproject.toml lists for training and notebooks is there, in the versions that it asks for."""
    from packaging.requirements import Requirement

    name, missing = "requirements", []
    try:
        listed = importlib.metadata.requires("adamw-lab") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "adamw-lab itself is not installed, so a notebook's kernel will not find it: "
                       "pip install -e '.[lab,dev]'", True)
    for requirement in map(Requirement, listed):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        have = installed(requirement.name)
        if have == "absent" or not requirement.specifier.contains(have, prereleases=True):
            missing.append(f"{requirement} ({have})")
    if missing:
        return Finding(name, f"not met: {', '.join(missing)}; pip install -e '.[lab,dev]'", True)
    return Finding(name, "met")


def devices() -> list[str]:
    """The devices that torch can use here, as it names them."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def kernels(device: str) -> Iterator[Finding]:
    """What each kernel does on a device: steps and agrees with the plain one, or cannot serve it, and why."""
    tensors = [torch.zeros(1, device=device)]
    used = forced_kernel(None) or choose_kernel(tensors)
    for kernel in KERNELS:
        reason = why_not(kernel, tensors)
        broken = reason is None and fails(kernel, device)
        value = f"no: {reason}" if reason else f"broken: {broken}" if broken else "works"
        if kernel == used:
            value += "; yet ADAMW_LAB_KERNEL demands it" if reason else "; serves float32 here"
        yield Finding(f"{device} {kernel}", value, bool(broken) or kernel == used and reason is not None)


def fails(kernel: str, device: str) -> str | None:
    """Why three steps of AdamWAdv by a kernel are not those of the eager one; None if they are."""
    ends = []
    try:
        for one in (kernel, "eager"):
            p = torch.nn.Parameter(torch.linspace(-1, 1, 100, device=device))
            optimizer = AdamWAdv([p], lr=0.1, total_steps=3, kernel=one)
            for _ in range(3):
                p.grad = torch.sin(p.detach() * 7)
                optimizer.step()
            ends.append(p.detach().cpu())
    except Exception as error:  # a compiler or a driver may fail in any way: it is reported, not raised
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None if torch.allclose(*ends, atol=1e-5) else "its steps are not those of the eager kernel"


def chromium() -> str | None:
    """The program by which the widgets are tested in a browser: the system's, or the one that Playwright got."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is not None:
        return found
    cache = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
    return next((str(path) for path in sorted(Path(cache).glob("chromium-*/chrome-linux*/chrome"))), None)


def browser() -> Finding:
    """Chromium and its version."""
    program = chromium()
    if program is None:
        return Finding("chromium", "absent; without it the tests of widgets in a browser are skipped: "
                       "apt-get install chromium, or playwright install chromium")
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20).stdout.split(" built")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("chromium", f"{program} does not start: {error}", True)
    return Finding("chromium", f"{said[0].strip()}, {program}")


def disk(folder: Path) -> Finding:
    """What is free where runs will go."""
    free = shutil.disk_usage(folder).free
    little = free < LEAST_DISK
    return Finding("disk", f"{free / 1e9:.1f} GB free in {folder}" + "; too little for runs" * little, little)
