"""What is taken away from an explorer: its figure as files, its settings as code or as a command."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from adamw_lab.figures.style import save
from adamw_lab.provenance import checkout_of


def as_code(fig_fn: Callable, values: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """Python that draws this figure anywhere. `layout`: arguments of `new_figure`."""
    lines = ["from adamw_lab.figures import new_figure", f"from {fig_fn.__module__} import {fig_fn.__name__}", "",
             f"figure, axes = new_figure({_arguments(layout)})",
             f"{fig_fn.__name__}(*axes, {_arguments(values)})", "figure"]
    return "\n".join(lines)


def as_command(notebook: str, values: Mapping[str, Any]) -> str:
    """The papermill command that, in the checkout, executes a notebook with these settings of its explorer.

    The notebook has a parameter `explorer`, a dict.
    """
    given = json.dumps({"explorer": dict(values)}, ensure_ascii=False)  # JSON is YAML
    return f"mkdir -p runs && papermill notebooks/{notebook}.ipynb runs/{notebook}.ipynb -y {shlex.quote(given)}"


def save_figure(figure: Figure, name: str, values: Mapping[str, Any]) -> list[Path]:
    """Write the figure as SVG and PNG into `runs/figures/` of the checkout that one works in, or else of this folder.

    The same settings make the same name, and the same bytes.
    """
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return save(figure, checkout_of(Path.cwd() / "notebook") / "runs" / "figures" / f"{name}-{digest}")


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
