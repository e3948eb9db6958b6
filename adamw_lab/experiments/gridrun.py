"""A grid over a notebook, anybody's: its points, checked, named by what determines them, and executed."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.executors import make_executor
from adamw_lab.experiments.grids import Grid
from adamw_lab.experiments.parameters import check_given, inspect_parameters
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.progress import Progress
from adamw_lab.experiments.store import files_digest, run_name

OWN = "adamw_lab"


def plan_grid(notebook: str | Path, grid: Grid, out: str | Path, depends: Sequence[str | Path] | None = None,
              ) -> list[Point]:
    """The points of a grid over a notebook.

    Args:
        notebook: has a cell tagged `parameters`; one called `run_dir` gets the point's directory.
        grid: what varies.
        out: folder of the points' directories.
        depends: files and folders whose content, beside the notebook's code and the parameters, decides the results;
            None (default): the computing parts of this package if the notebook names it, else none.

    Raises:
        ValueError: not a notebook, no kernel or parameters, a parameter that it does not have, of the wrong type or out
            of its range, no points at all, or an `out` that is a file.
    """
    notebook, out = Path(notebook), Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out {str(out)!r} is a file; allowed: a folder, or a name that is free")
    known = inspect_parameters(notebook)
    _check_kernel(notebook)
    points = grid.points()
    if not points:
        raise ValueError("the grid has no points: everything is excluded")
    digest = _digest(notebook, depends)
    checked = [check_given(known, given, notebook.name) for given in points]
    if "training_options" in known:
        checked = [resolved(given) for given in checked]
    labels = [_label(notebook, grid, point) for point in checked]
    return [Point(label, notebook, parameters, out / run_name(label, notebook, parameters, digest))
            for label, parameters in zip(labels, checked, strict=True)]


def run_grid(notebook: str | Path, grid: Grid, *, out: str | Path | None = None,
             depends: Sequence[str | Path] | None = None, retry_failed: bool = True, **where: Any) -> list[Outcome]:
    """Execute those points of a grid that are not done yet; see `plan_grid`, whose errors come before anything runs,
    and `run_points`, which says how batches share their work.

    Args:
        out: None (default): `runs/<name of the notebook>`.
        retry_failed: try again what failed before (default).
        where: jobs, preload, executor and the like: see `make_executor`, whose `kind` is called `executor` here.
    """
    notebook = Path(notebook)
    points = plan_grid(notebook, grid, Path("runs") / notebook.stem if out is None else out, depends)
    executor = make_executor(where.pop("executor", "local"), points=points, **where)
    with Progress(len(points), executor.slots) as progress:
        return run_points(points, executor, report=progress.report, tick=progress.tick, retry_failed=retry_failed)


def resolved(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a notebook that hands them to `TrainConfig`, the rest in `training_options`, as they will be: the
    device, the precision and the optimizer's own defaults in place of "auto" and None. Threads: one, if not said.

    Raises:
        ValueError: a setting that training refuses.
    """
    from adamw_lab.training import TrainConfig

    settings = {name: value for name, value in parameters.items() if name in TrainConfig.model_fields}
    if settings.get("threads", ...) is None:
        settings["threads"] = 1
    full = TrainConfig(**parameters["training_options"], **settings).resolved().model_dump()
    own = {name: full.pop(name) for name in settings}
    return {**parameters, **own, "training_options": full}


def _digest(notebook: Path, depends: Sequence[str | Path] | None) -> str | None:
    if depends is not None:
        return files_digest(tuple(map(Path, depends)))
    return None if OWN in notebook.read_text(encoding="utf-8") else hashlib.sha256().hexdigest()


def _check_kernel(notebook: Path) -> None:
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = nbformat.read(notebook, as_version=4).metadata.get("kernelspec", {}).get("name")
    if name is None:
        raise ValueError(f"{notebook} names no kernel; open it in JupyterLab, choose one and save it")
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel as error:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs()))
        raise ValueError(f"{notebook} wants the kernel {name!r}, which is not installed; there are: {known}") from error


def _label(notebook: Path, grid: Grid, parameters: dict[str, Any]) -> str:
    """What tells this point from the others, such as `adamw_lr0.001_seed0`; the notebook's name if nothing does."""
    parts = [value if isinstance(value, str) else f"{name}{value}"
             for name, value in ((name, parameters[name]) for name in grid.varying())]
    text = re.sub(r"[^A-Za-z0-9._+=-]+", "-", "_".join(parts)) or notebook.stem
    return text[:80]
