"""Checkpoints that a torn write, another run or a full disk cannot turn into a wrong result."""

import hashlib
import io
import json
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

KEPT = 2
NAME = re.compile(r"step(\d+)-([0-9a-f]{16})\.pt")


def save_checkpoint(folder: Path, step: int, config: str, state: dict[str, Any]) -> Path:
    """Write a checkpoint; then remove all but the last two.

    The file is made beside its place, brought to disk and renamed; its name tells the first half of its SHA-256.

    Args:
        folder: where a run's checkpoints lie; made if missing.
        step: steps taken.
        config: the run's config as JSON, which `load_checkpoint` asks for.
        state: tensors, numbers, strings, None, and dicts, lists and tuples of these.

    Raises:
        OSError: names the path; the checkpoints that were there still are.
    """
    from adamw_lab.training.records import write_atomically

    content = io.BytesIO()
    torch.save({"config": config, "step": step, "state": state}, content)
    data = content.getbuffer()
    path = folder / f"step{step:08d}-{hashlib.sha256(data).hexdigest()[:16]}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write '{folder}': {error}") from error
    write_atomically(path, lambda temporary: temporary.write_bytes(data))
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path, config: str, device: str) -> dict[str, Any] | None:
    """The state of the newest sound checkpoint of this config, its tensors on `device`; None if there is none.

    What is torn, or of another run, is set aside under a name that ends in .bad, with a warning. `threads` may differ
    here: whether they may is for `open_run` to say.
    """
    for path in _newest_first(folder):
        problem, state = _read(path, config, device)
        if state is not None:
            return state
        aside = path.with_name(f"{path.name}.bad")
        path.replace(aside)
        warnings.warn(f"checkpoint '{path}' {problem}; set aside as '{aside.name}'", stacklevel=2)
    return None


def _newest_first(folder: Path) -> list[Path]:
    found = [p for p in folder.glob("step*.pt") if NAME.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, reverse=True)


def _read(path: Path, config: str, device: str) -> tuple[str, dict[str, Any] | None]:
    """(what is wrong, None) or ("", state)."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest()[:16] != NAME.fullmatch(path.name)[2]:
        return "is damaged: its content is not what its name says", None
    try:
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        state, theirs, ours = content["state"], json.loads(content["config"]), json.loads(config)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError):
        return "is no checkpoint of this package", None
    if {**theirs, "threads": None} != {**ours, "threads": None}:
        return "is of a run with another config", None
    return "", state
