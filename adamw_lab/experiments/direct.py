"""A point without a notebook: a call of `fit`, in a process that has torch loaded already."""

from pathlib import Path
from typing import Any

from adamw_lab.experiments.store import write_json

PRELOADED = ["adamw_lab.training", "adamw_lab.optim.kernels.cpu", "adamw_lab.pruning.fused", "sklearn.datasets"]
"""Imported once, by the process that the others are forked from; what is not installed is passed over."""


def train(parameters: dict[str, Any], run_dir: Path) -> None:
    """Train what the parameters, fields of TrainConfig, describe; leaves what the experiment notebook leaves.

    Raises:
        ValueError, OSError: see `adamw_lab.training.fit`.
    """
    from adamw_lab.provenance import provenance
    from adamw_lab.training import TrainConfig, fit

    summary = fit(TrainConfig(**parameters), run_dir=run_dir, progress=False).summary
    origin = {name: summary[name] for name in ("device", "precision", "seed")}
    write_json(run_dir / "provenance.json", provenance() | origin)
