"""`adamw-lab batch`: a grid over anybody's notebook."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from adamw_lab.experiments import Grid, inspect_parameters, make_executor, parse_axis, plan_grid, read_grid, run_grid
from adamw_lab.experiments.imports import check_preload
from adamw_lab.experiments.progress import tell


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


def run(notebook: Path, grid: Grid, *, out: Path | None, depends: list[Path] | None, dry: bool, retry_failed: bool,
        **where: Any) -> int:
    """Execute a grid, or list its points; 0, or 1 if a point failed."""
    folder = Path("runs") / notebook.stem if out is None else out
    if not dry:
        return tell(run_grid(notebook, grid, out=folder, depends=depends, retry_failed=retry_failed, **where))
    points = plan_grid(notebook, grid, folder, depends)
    if where["executor"] != "ray":  # which would begin or join a cluster
        make_executor(where.pop("executor"), points=points, **where)
    for point in points:
        print(point.run_dir)
    print(f"{len(points)} points")
    return 0


def where(*, jobs: int | None, executor: str, preload: list[str] | None, cold: bool, gpus: str | None,
          jobs_per_gpu: int | None, address: str | None, cpus: float | None, gpus_per_point: float) -> dict[str, Any]:
    """The options of the command line as `make_executor` takes them.

    Raises:
        ValueError: options that exclude each other, a module that is not installed, GPUs that are no numbers, or any
            where there are none.
    """
    if cold and preload:
        raise ValueError("--cold-kernels and --preload exclude each other")
    check_preload(preload or [])
    named = [] if gpus is None else gpus.split(",")
    if not all(name.isdecimal() for name in named):
        raise ValueError(f"--gpus {gpus!r}: expected the GPUs' numbers, such as 0,1")
    if named and not _gpus_here():
        raise ValueError(f"--gpus {gpus!r}: torch sees no GPU here")
    if jobs_per_gpu is not None and (not named or jobs is not None):
        raise ValueError("--jobs-per-gpu goes with --gpus and without --jobs")
    return {"executor": executor, "jobs": jobs if jobs_per_gpu is None else jobs_per_gpu,
            "preload": None if cold else preload or [], "gpus": named, "address": address, "cpus_per_point": cpus,
            "gpus_per_point": gpus_per_point}


def _gpus_here() -> int:
    import torch  # which takes longer to import than all else here

    return torch.cuda.device_count()
