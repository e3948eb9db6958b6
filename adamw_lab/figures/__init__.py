"""Figures: one style, pure drawing functions `fig_x(ax, data, …)`, and the committed figures by name."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.figures.images import fig_images
from adamw_lab.figures.memory import fig_memory, memory_figure
from adamw_lab.figures.pruning import fig_pruning, pruning_figure
from adamw_lab.figures.runs import fig_comparison, fig_curves, fig_training, study_figure
from adamw_lab.figures.sparsity import fig_sparsity
from adamw_lab.figures.spikes import spike_figure
from adamw_lab.figures.step_time import fig_step_time, step_time_figure
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure, save, use_style

__all__ = ["COLOURS", "FIGURES", "MARKERS", "NAMES", "draw_all", "fig_comparison", "fig_curves", "fig_images",
           "fig_memory", "fig_pruning", "fig_sparsity", "fig_step_time", "fig_training", "memory_figure",
           "new_figure", "pruning_figure", "save", "step_time_figure", "study_figure", "use_style"]


def _drawn_as(figure: Callable[[pd.DataFrame, pd.DataFrame], Figure]) -> Callable[[Path, str], Figure]:
    """`figure` of a recorded study, from `<name>.csv` and `<name>-epochs.csv`."""
    return lambda data, name: figure(pd.read_csv(data / f"{name}.csv"), pd.read_csv(data / f"{name}-epochs.csv"))


def _of_table(figure: Callable[[pd.DataFrame], Figure]) -> Callable[[Path, str], Figure]:
    """`figure` of one recorded table, `<name>.csv`."""
    return lambda data, name: figure(pd.read_csv(data / f"{name}.csv"))


FIGURES = {
    "optimizers-quick": _drawn_as(study_figure),
    "pruning-quick": _drawn_as(pruning_figure),
    "step_time": _of_table(step_time_figure),
    "memory": _of_table(memory_figure),
    "spike": lambda data, name: spike_figure(),
}
"""Each committed figure's name -> function (folder of the data, name) that draws it."""


def draw_all(out: str | Path, data: str | Path) -> list[Path]:
    """Redraw every committed figure into `out` from the numbers under `data`; returns the files written.

    Raises ValueError where the numbers of a figure are missing.
    """
    written = []
    for name, draw in FIGURES.items():
        try:
            figure = draw(Path(data), name)
        except FileNotFoundError as error:
            raise ValueError(f"figure {name!r}: no numbers at {error.filename}") from error
        written += save(figure, Path(out) / name)
    return written
