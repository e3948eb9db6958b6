"""What a notebook imports, so that the kernels' server can import it first."""

import ast
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from adamw_lab.experiments.points import Point
from adamw_lab.experiments.store import notebook_code

BEARING = ("adamw_lab", "duckdb", "ipywidgets", "matplotlib", "nbformat", "numba", "numpy", "pandas", "PIL", "pyarrow",
           "pydantic", "safetensors", "scipy", "seaborn", "sklearn", "torch", "torchvision", "tqdm", "yaml")
"""Packages that start no threads and touch no GPU when they are imported, so that what imported them can be forked.

Others can be named by `preload`, by those who know them."""


def preloadable(points: Iterable[Point]) -> list[str]:
    """The modules that the notebooks of `points` import and that bear a fork, in their order."""
    found = (name for notebook in dict.fromkeys(point.notebook for point in points) for name in imported(notebook))
    return [name for name in dict.fromkeys(found) if name.partition(".")[0] in BEARING]


@cache
def imported(notebook: Path) -> tuple[str, ...]:
    """The modules that a notebook's code cells import at their top level; cells with a magic are passed over."""
    names: list[str] = []
    for source in notebook_code(notebook):
        try:
            body = ast.parse(source).body
        except SyntaxError:
            continue
        for node in body:
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
    return tuple(dict.fromkeys(names))


def check_preload(modules: Sequence[str]) -> None:
    """ValueError for a module that is not installed."""
    for name in modules:
        try:
            known = find_spec(name) is not None
        except ModuleNotFoundError:
            known = False
        if not known:
            raise ValueError(f"preload: no module {name!r} is installed")
