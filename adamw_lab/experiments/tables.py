"""Recorded tables: many small runs, a row each, behind a figure of one notebook. They need no notebook to run."""

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adamw_lab.experiments.study import RECORDED_PROVENANCE, RECORDS
from adamw_lab.provenance import provenance
from adamw_lab.suggest import did_you_mean

SMALL = {"dataset": "digits", "precision": "float32", "threads": 1, "telemetry_every": 0}
MEASURED = ("status", "steps", "train_loss", "validation_loss", "validation_accuracy", "test_accuracy")


def decay_points() -> list[dict[str, Any]]:
    """Adam (its decay as L2 regularization) and AdamW over learning rate, weight decay and seed: 200 images, an MLP."""
    base = {**SMALL, "model": "mlp", "train_size": 200, "batch_size": 16, "epochs": 20}
    axes = {"seed": (0, 1, 2), "optimizer": ("adam", "adamw"), "lr": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
            "weight_decay": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)}
    return [{**base, **dict(zip(axes, values, strict=True))} for values in itertools.product(*axes.values())]


def switch_points() -> list[dict[str, Any]]:
    """AdamWAdv's three switches in all eight combinations, ten seeds each: LeNet-5 on the digits."""
    base = {**SMALL, "model": "lenet5", "batch_size": 32, "epochs": 8, "lr": 3e-3, "optimizer": "adamwadv"}
    return [{**base, "seed": seed, "schedule": "cosine" if cosine else "constant",
             "optimizer_options": {"amsgrad": amsgrad, "clip_norm": 1.0 if clip else None}}
            for seed in range(10) for amsgrad, clip, cosine in itertools.product((False, True), repeat=3)]


TABLES = {"decay": decay_points, "switches": switch_points}
"""name of the CSV file -> the settings of its runs, as TrainConfig takes them."""


def fit_table(points: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Train every point, one after the other; a row each: what it was given, and how it ended.

    Returns:
        The settings, those in `optimizer_options` as columns of their own; `MEASURED` of the summary; and `clipped`,
        the share of steps whose gradient was scaled down.
    """
    from tqdm.auto import tqdm

    from adamw_lab.training import TrainConfig, fit

    rows = []
    for point in tqdm(points, unit="run", disable=len(points) < 20):
        result = fit(TrainConfig(**point), progress=False)
        settings = {name: value for name, value in point.items() if name != "optimizer_options"}
        rows.append({**settings, **point.get("optimizer_options", {}),
                     **{name: result.summary.get(name) for name in MEASURED},
                     "clipped": float((result.telemetry["clip_coefficient"] < 1).mean())})
    return pd.DataFrame(rows)


def record_table(name: str, folder: Path) -> Path:
    """Run a table of `TABLES` and write it to `folder`/<name>.csv, with what it was computed on and by.

    Raises:
        ValueError: there is no such table.
    """
    check_table(name)
    return keep_table(fit_table(TABLES[name]()), folder / f"{name}.csv")


def keep_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as CSV, with what it was computed on and by, in the place of one that is there."""
    path, origin = Path(path), provenance()
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.assign(**{fact: origin[fact] for fact in RECORDED_PROVENANCE})
    table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    return path


def load_table(name: str) -> pd.DataFrame:
    """The recorded table of that name, from `figures/data/` of the checkout.

    Raises:
        ValueError: there is no such table.
        OSError: it is not recorded.
    """
    check_table(name)
    return pd.read_csv(RECORDS / f"{name}.csv")


def train_again(name: str, count: int) -> pd.DataFrame:
    """Train some runs of a recorded table once more, always the same, and put them beside what was recorded.

    Returns:
        A row a run: its settings, as far as the table has them, and the validation loss `recorded` and `again`. The
        same machine and versions give the same numbers, others nearly so.

    Raises:
        ValueError: no such table, or a count that is not from 1 to its number of runs.
    """
    recorded, points = load_table(name), TABLES[name]()
    if not 1 <= count <= len(points):
        raise ValueError(f"Invalid count: {count!r}; allowed: from 1 to {len(points)}")
    chosen = random.Random(0).sample(range(len(points)), count)
    again = fit_table([points[i] for i in chosen])
    shown = [column for column in ("optimizer", "lr", "weight_decay", "amsgrad", "clip_norm", "schedule", "seed")
             if column in recorded]
    rows = recorded.iloc[chosen].reset_index(drop=True)
    return rows[shown].assign(recorded=rows["validation_loss"], again=again["validation_loss"])


def check_table(name: str) -> None:
    """Refuse a name that is not in `TABLES`: ValueError."""
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}; allowed: {', '.join(TABLES)}.{did_you_mean(name, TABLES)}")
