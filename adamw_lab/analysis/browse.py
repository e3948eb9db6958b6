"""Any study's runs, recorded or under a folder: looked up, filtered, smoothed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from adamw_lab.analysis.recorded import RECORDS
from adamw_lab.experiments.store import load_history, load_runs
from adamw_lab.suggest import did_you_mean

EPOCHS = "-epochs.csv"
X = ("epoch", "step", "seconds")


@dataclass(frozen=True)
class Study:
    """Runs and their curves.

    Attributes:
        name: as `open_study` takes it.
        runs: a row a run: `run`, and whatever is known of it.
        epochs: a row an epoch of each: `run`, and the columns of `training.HISTORY`.
    """

    name: str
    runs: pd.DataFrame
    epochs: pd.DataFrame

    def select(self, where: str = "") -> pd.DataFrame:
        """The runs of which a condition holds, such as "optimizer == 'adamw' and lr < 0.01"; "" (default): all.

        Raises:
            ValueError: it cannot be read, or is no condition, or holds of none.
        """
        if not where.strip():
            return self.runs
        columns = ", ".join(self.runs.columns)
        try:
            holds = self.runs.eval(where)
        except Exception as error:  # of a dozen kinds, as pandas parses what was typed
            raise ValueError(f"filter {where!r} cannot be read ({error}); allowed: a condition in pandas' words on "
                             f"{columns}") from error
        if not isinstance(holds, pd.Series) or holds.dtype != bool:
            raise ValueError(f"filter {where!r} is no condition; allowed: one that is true or false of each run, such "
                             "as optimizer == 'adamw'")
        if not holds.any():
            raise ValueError(f"filter {where!r} holds of none of the {len(self.runs)} runs")
        return self.runs[holds]


def recorded_studies(folder: Path = RECORDS) -> list[str]:
    """The names of the recorded studies with curves, each with its profile: "tuned-gpt-cpu"."""
    names = sorted(path.name.removesuffix(EPOCHS) for path in folder.glob(f"*{EPOCHS}"))
    return [name for name in names if (folder / f"{name}.csv").is_file()]


def open_study(where: str, folder: Path = RECORDS) -> Study:
    """The study of that name that is recorded under `figures/data/`; or else the finished runs under a folder, or of a
    study under `runs/`.

    Raises:
        ValueError: there is neither, or no run has finished there.
    """
    if where in recorded_studies(folder):
        return _recorded(where, folder)
    try:
        runs = load_runs(where)
    except ValueError as error:
        known = recorded_studies(folder)
        raise ValueError(f"{error}; recorded: {', '.join(known)}.{did_you_mean(where, known)}") from None
    epochs = load_history(where) if len(runs) else pd.DataFrame()
    if epochs.empty:
        raise ValueError(f"no finished run with a history under {where!r}; allowed: a folder of runs of "
                         f"08_resnet_experiment.ipynb or of fit, or one of {', '.join(recorded_studies(folder))}")
    return Study(where, runs, epochs)


@cache
def _recorded(name: str, folder: Path) -> Study:
    runs, epochs = (pd.read_csv(folder / f"{name}{suffix}") for suffix in (".csv", EPOCHS))
    tables = []
    for table in (runs, epochs):
        tables.append(table.assign(run=table["arm"] + ", seed " + table["seed"].astype(str)))
    return Study(name, *tables)


def curves(study: Study, runs: pd.DataFrame, metric: str, *, x: str = "step", smoothing: float = 0.0
           ) -> dict[str, pd.DataFrame]:
    """Each run's metric after every epoch.

    With s the smoothing, the values y are averaged as Adam averages gradients, corrected for the start:

        m_t = s·m_{t-1} + (1-s)·y_t,    shown: m_t / (1 - s^t)

    Args:
        runs: rows of `study.runs`.
        metric: a column of `study.epochs`.
        x: "epoch", "step" or "seconds" (of training).
        smoothing: in [0, 1); 0 (default): none.

    Returns:
        run -> table with the columns epoch, step, x and y. Runs without the metric are left out.

    Raises:
        ValueError: an argument out of range, or no run has the metric.
    """
    if x not in X:
        raise ValueError(f"unknown x {x!r}; allowed: {', '.join(X)}.{did_you_mean(str(x), X)}")
    if metric not in study.epochs:
        raise ValueError(f"unknown metric {metric!r}; allowed: {', '.join(study.epochs.columns)}."
                         f"{did_you_mean(metric, study.epochs.columns)}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"Invalid smoothing value: {smoothing!r}; allowed: from 0 to below 1")
    found = {}
    for run, rows in study.epochs[study.epochs["run"].isin(runs["run"])].groupby("run", sort=False):
        rows = rows[rows[metric].notna()].sort_values("epoch")
        if len(rows):
            y = rows[metric].astype(float).ewm(alpha=1 - smoothing).mean()
            table = {"epoch": rows["epoch"], "step": rows["step"], "x": rows[x], "y": y}
            found[run] = pd.DataFrame(table).reset_index(drop=True)
    if not found:
        raise ValueError(f"none of the {len(runs)} runs has the metric {metric!r}")
    return found


def mean_curve(tables: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """The mean of x and y of some of the `curves` after each epoch that all of them reached, with the columns x and y;
    None if there are fewer than two, or they took different steps to the same epoch."""
    together = pd.concat(tables).groupby("epoch")
    reached = together["y"].count() == len(tables)
    if len(tables) < 2 or not reached.any() or (together["step"].nunique() > 1).any():
        return None
    return together[["x", "y"]].mean()[reached].reset_index(drop=True)
