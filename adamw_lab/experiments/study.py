"""Running a named study: its points, their progress, then the table and the figure."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.catalogue import find_study
from adamw_lab.experiments.design import Arms, Study
from adamw_lab.experiments.executors import make_executor
from adamw_lab.experiments.gridrun import resolved
from adamw_lab.experiments.parameters import check_parameters, inspect_parameters
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.progress import Progress, tell
from adamw_lab.experiments.store import load_history, load_runs, run_name
from adamw_lab.provenance import CHECKOUT, RECORDS

RECORDED = ["arm", "optimizer", "seed", "status", "validation_accuracy", "validation_loss", "test_accuracy",
            "test_loss", "train_loss", "sparsity", "seconds", "steps", "epochs", "lr", "weight_decay",
            "optimizer_options", "model", "parameters", "dataset", "batch_size", "device", "precision", "threads",
            "model_options", "data_options", "pruner", "spikes", "never_fired", "spike_rate", "highest_norm"]
RECORDED_PROVENANCE = ["hardware", "python", "torch", "adamw_lab", "commit"]


def study_folder(name: str, profile: str, out: str | Path | None = None) -> Path:
    """Where a study's runs lie: `out`, by default `runs/<study>-<profile>`."""
    return Path("runs") / f"{name}-{profile}" if out is None else Path(out)


def plan_study(study: Study, profile: str, folder: Path, more: Arms | None = None) -> list[Point]:
    """The points of a study, all checked; ValueError for a setting that the notebook or training refuses.

    `more`: arms beyond its own.
    """
    notebook = CHECKOUT / "notebooks" / study.notebook
    if not notebook.is_file():
        raise ValueError(f"no notebook at {notebook}: studies run from a checkout of the project, "
                         "installed by `pip install -e .`")
    known = inspect_parameters(notebook)
    points = []
    for label, given in study.points(profile, more).items():
        parameters = resolved(check_parameters(notebook, _sorted(given, known)))
        points.append(Point(label, notebook, parameters, folder / run_name(label, notebook, parameters)))
    return points


def _sorted(given: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The settings as a notebook takes them: those that it does not know by name in its `training_options`."""
    rest = {name: value for name, value in given.items() if name not in known}
    own = {name: value for name, value in given.items() if name in known}
    return {**own, "training_options": {**own.get("training_options", {}), **rest}}


def run_study(name: str, *, profile: str = "quick", out: str | Path | None = None, record: bool | Path = False,
              collect: bool = False, **where: Any) -> int:
    """Run what is not done yet of a study, print its table and draw its figure; 0, or 1 if a point failed.

    Args:
        out: where the runs go; None (default): `runs/<study>-<profile>`.
        record: also write the numbers to `figures/data/` of the checkout, from which figures are redrawn (True), or to
            another folder.
        collect: run nothing: show, and record, what is done so far.
        where: retry_failed, whether to try again what failed before (default True); jobs, executor and the like: see
            `make_executor`, whose `kind` is called `executor` here.

    Raises:
        ValueError: an unknown study or profile, settings that are refused, or nothing to collect; nothing has started.
    """
    study = find_study(name, profile)
    folder = study_folder(name, profile, out)
    points = all_points(study, profile, folder)
    print(study.question, flush=True)
    outcomes = [] if collect else _run(study, profile, folder, points, **where)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    runs, history = results(all_points(study, profile, folder), folder)
    if collect and runs.empty:
        raise ValueError(f"no run of study {name!r}, profile {profile!r}, is done in {folder}/: nothing to collect")
    if len(runs):
        ended = runs.assign(validation_accuracy=runs["validation_accuracy"].where(runs["status"] == "finished"))
        print(f"\n{table(ended)}\n{study.note}\n")
        for path in draw(study, ended, history, folder / f"{name}-{profile}") if study.figure else []:
            print(f"figure: {path}")
    if record and not failed:
        for path in record_study(runs, history, (RECORDS if record is True else record) / f"{name}-{profile}"):
            print(f"recorded: {path}")
    return tell(outcomes)


def _run(study: Study, profile: str, folder: Path, points: list[Point], *, executor: str = "local",
         retry_failed: bool = True, **where: Any) -> list[Outcome]:
    """Run the points, and those that follow from them, until none follows."""
    while True:
        chosen = make_executor(executor, points=points, **where)
        print(f"{len(points)} runs of {study.notebook}, {chosen.slots} at a time, in {folder}/", flush=True)
        with Progress(len(points), chosen.slots) as progress:
            outcomes = run_points(points, chosen, report=progress.report, tick=progress.tick,
                                  retry_failed=retry_failed)
        further = all_points(study, profile, folder)
        if len(further) == len(points):
            return outcomes
        points = further


def all_points(study: Study, profile: str, folder: Path) -> list[Point]:
    """The points of a study, with those that follow from the finished ones once all before them are done."""
    arms: dict[str, Any] = {}
    while True:
        points = plan_study(study, profile, folder, arms)
        if study.more is None:
            return points
        runs, _ = results(points, folder)
        new = study.more(runs) if len(runs) == len(points) else {}
        if new.keys() <= arms.keys():
            return points
        arms |= new


def results(points: list[Point], folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summaries and curves of the finished points, in the points' order; other runs in the folder do not count."""
    names = {point.run_dir.name: place for place, point in enumerate(points)}
    arms = {point.run_dir.name: point.label.rpartition("_seed")[0] for point in points}
    tables = []
    for load in (load_runs, load_history):
        loaded = load(folder) if folder.is_dir() else pd.DataFrame()
        if loaded.empty:
            tables.append(loaded)
            continue
        own = loaded[loaded["run"].isin(names)]
        order = own["run"].map(names).argsort(kind="stable")
        own = own.iloc[order].reset_index(drop=True)
        own.insert(0, "arm", own["run"].map(arms))
        tables.append(own)
    if len(tables[0]):
        tables[0] = tables[0].assign(**spikiness(tables[0]["path"]))
    return tables[0], tables[1]


def spikiness(paths: pd.Series) -> dict[str, list[float]]:
    """Of each run the share of steps whose gradient norm lies above two deviations, and its highest by the median."""
    from adamw_lab.spikes import norm_scores

    rates, highest = [], []
    for path in paths:
        norms = pd.read_parquet(Path(path) / "telemetry.parquet", columns=["grad_norm"])["grad_norm"]
        rates.append(float((norm_scores(norms.tolist()) > 2).double().mean()))
        highest.append(float(norms.max() / norms.median()))
    return {"spike_rate": rates, "highest_norm": highest}


def table(runs: pd.DataFrame) -> str:
    """Accuracy (mean and range over the seeds that have one), achieved sparsity and seconds of each arm, best first.

    A run that diverged has no accuracy; how many did stands beside the number of seeds.
    """
    by = runs.groupby("arm")
    accuracy = 100 * by["validation_accuracy"].agg(["mean", "min", "max"])
    order = accuracy["mean"].sort_values(ascending=False, kind="stable").index
    diverged = by.size() - by["validation_accuracy"].count()
    rows = pd.DataFrame({
        "validation accuracy": accuracy["mean"].map("{:.2f} %".format, na_action="ignore"),
        "range over seeds": accuracy["min"].map("{:.2f}".format) + accuracy["max"].map(" to {:.2f}".format),
        "seeds": by.size().astype("str") + diverged.map(lambda n: f", {n} diverged" if n else ""),
        "sparsity": by["sparsity"].mean().map("{:.1%}".format, na_action="ignore"),
        "seconds": by["seconds"].mean().map("{:.0f}".format),
    })
    rows.loc[diverged == by.size(), "range over seeds"] = "-"
    rows = rows.fillna("-")
    return rows.loc[order].reset_index().to_string(index=False)


def draw(study: Study, runs: pd.DataFrame, history: pd.DataFrame, path: Path) -> list[Path]:
    """Draw the study's figure to `path`.svg and .png."""
    from adamw_lab import figures

    return figures.save(getattr(figures, study.figure)(runs, history), path)


def record_study(runs: pd.DataFrame, history: pd.DataFrame, path: Path) -> list[Path]:
    """Write a study's numbers as text: `path`.csv, a row a run with its hardware, and `path`-epochs.csv.

    The order is that of the points and floats have seven digits, so that the same runs give the same files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [json.loads(Path(run, "provenance.json").read_text(encoding="utf-8")) for run in runs["path"]]
    facts = pd.DataFrame(sources, columns=RECORDED_PROVENANCE)
    epochs = history.drop(columns=["run", "resumed_from"])
    written = []
    for suffix, content in (("", pd.concat([runs[RECORDED], facts], axis=1)), ("-epochs", epochs)):
        target = path.with_name(f"{path.name}{suffix}.csv")
        content.to_csv(target, index=False, float_format="%.7g", lineterminator="\n")
        written.append(target)
    return written
