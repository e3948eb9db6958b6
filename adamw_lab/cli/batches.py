"""`adamw-lab batch`: a grid over anybody's notebook."""

import json
from dataclasses import replace
from pathlib import Path

from adamw_lab.experiments import Grid, inspect_parameters, parse_axis, plan_grid, read_grid, run_grid


def make_grid(axes: list[str], file: Path | None) -> Grid:
    """The grid of a file, or an empty one, with the axes of the command line, which replace the file's.

    Raises:
        ValueError: see `parse_axis` and `read_grid`; an axis given twice.
    """
    grid = Grid() if file is None else read_grid(file)
    given: dict[str, list] = {}
    for text in axes:
        name, values = parse_axis(text)
        if name in given:
            raise ValueError(f"{name!r} is given twice")
        given[name] = values
    base = {name: value for name, value in grid.base.items() if name not in given}
    return replace(grid, base=base, axes={**grid.axes, **given})


def list_parameters(notebook: Path) -> str:
    """A line a parameter: name, type, default, help."""
    rows = [(p.name, p.type, json.dumps(p.default), p.help) for p in inspect_parameters(notebook).values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def run(notebook: Path, grid: Grid, *, out: Path | None, jobs: int | None, depends: list[Path] | None,
        dry: bool) -> int:
    """Execute a grid, or list its points; 0, or 1 if a point failed."""
    folder = Path("runs") / notebook.stem if out is None else out
    points = plan_grid(notebook, grid, folder, depends)
    if dry:
        for point in points:
            print(point.run_dir)
        print(f"{len(points)} points")
        return 0
    try:
        outcomes = run_grid(notebook, grid, out=folder, jobs=jobs, depends=depends)
    except KeyboardInterrupt:
        print("stopped; the same command takes up what is not done")
        raise
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"failed: {outcome.point.label}: {outcome.error}\n        see {outcome.point.executed}")
    counts = [sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")]
    print("{} done, {} skipped because they were done before, {} failed".format(*counts))
    return 1 if failed else 0
