"""What people see of a batch: while it runs, at its end, and from another terminal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tqdm.auto import tqdm

from adamw_lab.experiments.locks import holder
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.store import FAILED, POINT, is_done, read_json


class Progress:
    """A bar with the time left and a line for each running point where there is a terminal or a notebook, and a line
    for each point that ends, everywhere."""

    def __init__(self, total: int, jobs: int):
        self.total, self.jobs, self.ended, self.skipped = total, jobs, 0, 0
        self.took: list[float] = []

    def __enter__(self) -> Self:
        self.bar = tqdm(total=self.total, unit="run", smoothing=0, disable=None, leave=False)
        self.lines: list[tqdm] = []
        return self

    def __exit__(self, *error: object) -> None:
        for line in self.lines:
            line.close()
        self.bar.close()

    def report(self, outcome: Outcome) -> None:
        self.ended += 1
        if outcome.status == "skipped":
            self.skipped += 1
            self.bar.initial = self.skipped  # so that the bar's rate counts what ran
        elif outcome.status == "failed":
            self.bar.write(f"{self.place()} {outcome.point.label} FAILED: {outcome.error}")
        else:
            self.took.append(outcome.seconds)
            self.bar.write(f"{self.place()} {outcome.point.label} done in {outcome.seconds:.0f} s{self.left()}")
        self.bar.update()

    def place(self) -> str:
        return f"[{self.ended}/{self.total}]"

    def left(self) -> str:
        """The time left, if those to come take as long as those that are done."""
        if self.ended == self.total:
            return ""
        seconds = sum(self.took) / len(self.took) * (self.total - self.ended) / self.jobs
        return f"; about {tqdm.format_interval(seconds)} left"

    def tick(self, running: Sequence[Point]) -> None:
        self.bar.refresh()
        if self.bar.disable:
            return
        while len(self.lines) < min(len(running), self.jobs):
            self.lines.append(tqdm(total=0, bar_format="{desc}", position=len(self.lines) + 1, leave=False))
        texts = [f"  {point.label}: {where_it_is(point.run_dir)}" for point in running]
        for line, text in zip(self.lines, [*texts, *[""] * len(self.lines)], strict=False):
            line.set_description_str(text)


def where_it_is(run_dir: Path) -> str:
    """Where a running point is, in words, from its heartbeat and its lock."""
    said = holder(run_dir) or {}
    words = [f"cell {said['cell']} of {said['cells']}"] if "cell" in said else ["starting"]
    beat = _read(run_dir / "heartbeat.json")
    if {"epoch", "epochs"} <= beat.keys():
        words = [f"epoch {beat['epoch']} of {beat['epochs']}"]
        words += [f"{name.replace('_', ' ')} {value:.4g}" for name, value in beat.items()
                  if isinstance(value, float) and name != "seconds"]
    return ", ".join(words)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def tell(outcomes: Sequence[Outcome]) -> int:
    """Print what failed, with where to look, and a last line that counts; 0, or 1 if a point failed."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"failed: {outcome.point.label}: {outcome.error}\n        see {outcome.point.executed}")
    counts = [sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")]
    print("{} done, {} skipped because they were done before, {} failed".format(*counts))
    return 1 if failed else 0


def status(folder: str | Path) -> list[str]:
    """Where the points of a folder are, in lines: those that run, those that failed, and a last line that counts.

    Raises:
        ValueError: no point has been announced there.
    """
    folder = Path(folder)
    runs = sorted(path.parent for path in folder.glob(f"*/{POINT}"))
    if not runs:
        raise ValueError(f"no batch has run in {str(folder)!r}")
    lines, counts = [], dict.fromkeys(("done", "running", "failed", "waiting"), 0)
    for run_dir in runs:
        state = _state(run_dir)
        counts[state] += 1
        if state == "running":
            said = holder(run_dir) or {}
            lines.append(f"running: {run_dir.name}: {where_it_is(run_dir)} ({said.get('host')}, {said.get('pid')})")
        elif state == "failed":
            lines.append(f"failed:  {run_dir.name}: {read_json(run_dir / FAILED)['error']}\n"
                         f"         see {run_dir / 'notebook.ipynb'}")
    return [*lines, ", ".join(f"{count} {state}" for state, count in counts.items())]


def _state(run_dir: Path) -> str:
    if is_done(run_dir):
        return "done"
    if holder(run_dir) is not None:
        return "running"
    return "failed" if (run_dir / FAILED).is_file() else "waiting"
