"""What a run leaves in its directory, written so that a file that exists is whole."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open
from safetensors.torch import load_model, save
from torch import nn

from adamw_lab.models import build_model
from adamw_lab.training.config import TrainConfig

HISTORY = {
    "epoch": "int64", "step": "int64", "lr": "float64", "train_loss": "float64", "train_accuracy": "float64",
    "validation_loss": "float64", "validation_accuracy": "float64", "target_sparsity": "float64",
    "sparsity": "float64", "mask_changes": "int64", "revived": "int64", "seconds": "float64", "resumed_from": "str"}
"""Columns of the history and their types."""

TABLES = ("history", "telemetry", "layers")


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    Attributes:
        history: a row an epoch, with the columns of `HISTORY`. Losses are mean cross-entropies in nats (the
            training loss with label smoothing), accuracies and sparsity fractions in [0, 1]. Training metrics
            are means over the epoch, `lr` is that of its last step; `step` and `seconds` (wall time of the
            training alone) count from the start; `mask_changes` and `revived` are weights; `resumed_from` names the
            steps at which this epoch was taken up again, and is empty where it was not interrupted.
        summary: status ("finished" or "diverged"), the last row's metrics, those on the test set (None if
            diverged), `diverged_at` and `last_loss` (the step, and the last finite training loss; else None),
            `never_fired` (what was switched on and did nothing), `data_digest` (SHA-256 of a text, else None), and
            the resolved config.
        model: the trained model, in evaluation mode.
        telemetry: a row a step; see `telemetry.STEPS`.
        layers: a row a layer every so many steps; see `telemetry.LAYERS`.
    """

    history: pd.DataFrame
    summary: dict[str, Any]
    model: nn.Module
    telemetry: pd.DataFrame
    layers: pd.DataFrame


def open_run(run_dir: Path, config: TrainConfig) -> RunResult | None:
    """Return the run of a resolved config that has ended in this directory, or make sure that it can take it.

    Raises:
        OSError: the directory cannot be written.
        ValueError: it holds a run of another config, or a damaged file.
    """
    known = run_dir / "config.json"
    if known.exists():
        _refuse_other_config(run_dir, _read_json(known), config)
        if (run_dir / "summary.json").exists():
            return _read_run(run_dir, config)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=run_dir):
            pass
    except OSError as error:
        raise OSError(f"run_dir '{run_dir}' is not writable: {error.strerror}") from error
    return None


def claim_run(run_dir: Path, config: TrainConfig) -> None:
    """Write the resolved config: from here on the directory takes no other run. What a killed process began goes."""
    for began in run_dir.rglob(".*.tmp"):
        began.unlink(missing_ok=True)
    _write_json(run_dir / "config.json", config.record())


def write_run(run_dir: Path, result: RunResult, model_arguments: dict[str, int | float]) -> None:
    """Write model.safetensors, the tables and, last, summary.json: where that is, the run has ended."""
    weights = {name: tensor.contiguous() for name, tensor in result.model.state_dict().items()}
    metadata = {name: json.dumps(value) for name, value in model_arguments.items()}
    write_atomically(run_dir / "model.safetensors", lambda path: path.write_bytes(save(weights, metadata)))
    for name in TABLES:
        table = getattr(result, name)
        write_atomically(run_dir / f"{name}.parquet", lambda path, table=table: table.to_parquet(path, index=False))
    _write_json(run_dir / "summary.json", result.summary)


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file, bring it to disk, and rename it: `path` is old or new, never torn.

    The name is brought to disk too, before anything else is done, such as removing what it replaces.

    Raises:
        OSError: names the path and the reason; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(f"cannot write '{path}': {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_model_arguments(weights: Path) -> dict[str, int | float]:
    """What `build_model` must be given, beside the name, for a model that these weights fit."""
    with safe_open(weights, framework="pt") as file:
        return {name: json.loads(value) for name, value in file.metadata().items()}


def _read_run(run_dir: Path, config: TrainConfig) -> RunResult:
    weights = run_dir / "model.safetensors"
    model = build_model(config.model, **read_model_arguments(weights)).to(config.device)
    load_model(model, weights, device=config.device)
    history, *events = (pd.read_parquet(run_dir / f"{name}.parquet") for name in TABLES)
    return RunResult(history, _read_json(run_dir / "summary.json"), model.eval(), *events)


def _refuse_other_config(run_dir: Path, there: dict[str, Any], config: TrainConfig) -> None:
    given = config.record()
    if there.get("parallel") != given["parallel"]:
        # Other processes have other threads, one each under torchrun; else their number decides the last bits.
        there = {**there, "parallel": given["parallel"], "threads": given["threads"]}
    differing = [f"{name} ({there.get(name, 'absent')!r} there, {given.get(name, 'absent')!r} given)"
                 for name in {**given, **there} if there.get(name, ...) != given.get(name, ...)]
    if differing:
        raise ValueError(f"run_dir '{run_dir}' holds a run of another config, differing in "
                         f"{', '.join(differing)}; allowed: an empty directory, or the config that is there")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is damaged ({error}); remove its directory to run again") from error


def _write_json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))
