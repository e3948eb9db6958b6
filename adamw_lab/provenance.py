"""Where a result comes from: commit, versions, hardware, time."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numba", "numpy", "pandas", "papermill")
CHECKOUT = Path(__file__).resolve().parent.parent
RECORDS = CHECKOUT / "figures" / "data"
"""The recorded numbers behind figures, findings and the ledger."""


def provenance(folder: Path = CHECKOUT) -> dict[str, object]:
    """Commit checked out in `folder` ("" if none is), whether it was changed, versions, hardware and time, ready for
    JSON; default: of this project."""
    import adamw_lab

    return {
        "adamw_lab": adamw_lab.__version__,
        **git_state(folder),
        "python": platform.python_version(),
        **{name: installed(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "hardware": hardware(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_state(folder: Path = CHECKOUT) -> dict[str, object]:
    """The commit checked out in `folder` and whether tracked files differ from it; "" where git knows none."""
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    if not (folder / ".git").exists():
        return {"commit": "", "dirty": False}
    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return {"commit": "", "dirty": False}


def checkout_of(file: str | Path) -> Path:
    """The checkout that holds a file; the file's own folder where none does."""
    folder = Path(file).resolve().parent
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)


def installed(package: str) -> str:
    """The version of an installed package, or "absent"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def hardware() -> str:
    """The machine in words: its processor and cores, and its GPU if torch sees one."""
    import torch

    words = f"{processor()}, {cores()} cores"
    if torch.cuda.is_available():
        words += f", {torch.cuda.get_device_name()}"
    return words


def processor() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
