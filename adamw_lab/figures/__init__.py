"""Figures: one style, pure drawing functions `fig_x(ax, data, …)`, and the committed figures by name."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.figures.images import fig_images
from adamw_lab.figures.runs import fig_comparison, fig_curves, fig_training, study_figure
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure, save, use_style

__all__ = ["COLOURS", "FIGURES", "MARKERS", "NAMES", "draw_all", "fig_comparison", "fig_curves", "fig_images",
           "fig_training", "new_figure", "save", "study_figure", "use_style"]


def draw_study(data: Path, name: str) -> Figure:
    """The figure of a recorded study, from `<name>.csv` and `<name>-epochs.csv`."""
    return study_figure(pd.read_csv(data / f"{name}.csv"), pd.read_csv(data / f"{name}-epochs.csv"))


FIGURES = {"optimizers-quick": draw_study}
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
