"""One style for all figures, and files that come out the same, byte for byte, whenever they are drawn."""

import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

# Okabe and Ito's palette for the colours shown most, Tol's muted one for the rest; markers serve in grey.
COLOURS = {
    "sgd": "#6E6E6E",
    "adagrad": "#882255",
    "rmsprop": "#999933",
    "adam": "#56B4E9",
    "adamw": "#0072B2",
    "adamw_clip": "#332288",
    "adamwadv": "#009E73",
    "adamwspam": "#E69F00",
    "adamwspam_published": "#CC79A7",
    "adamwprune": "#D55E00",
}
MARKERS = {
    "sgd": "s",
    "adagrad": "<",
    "rmsprop": ">",
    "adam": "^",
    "adamw": "o",
    "adamw_clip": "h",
    "adamwadv": "D",
    "adamwspam": "v",
    "adamwspam_published": "X",
    "adamwprune": "P",
}
NAMES = {
    "sgd": "SGD",
    "adagrad": "AdaGrad",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "adamw_clip": "AdamW + clip",
    "adamwadv": "AdamWAdv",
    "adamwspam": "AdamWSPAM",
    "adamwspam_published": "SPAM, published",
    "adamwprune": "AdamWPrune",
}

WIDTH = 3.4
"""Inches of one column of a paper; 7 inches are two."""

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the same everywhere
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "figure.dpi": 120,
    "savefig.dpi": 220,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "adamw-lab",
}


def use_style() -> None:
    """Draw everything after this in the style of the project."""
    mpl.rcParams.update(STYLE)


def new_figure(columns: int = 1, *, width: float = WIDTH, height: float = 2.4) -> tuple[Figure, list]:
    """A figure in the project's style and its axes, side by side; sizes in inches."""
    use_style()
    figure, axes = plt.subplots(1, columns, figsize=(width, height), squeeze=False)
    plt.close(figure)  # pyplot forgets it, so that a notebook shows it where it is asked for and not twice
    return figure, list(axes[0])


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write `path`.svg and `path`.png (220 dpi), without dates or versions in them.

    Each file appears whole or not at all. The style must be that of `use_style`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        target = path.with_name(f"{path.name}.{suffix}")
        draft = path.with_name(f".{path.name}.{os.getpid()}.{suffix}")
        with mpl.rc_context(STYLE):
            figure.savefig(draft, format=suffix, metadata=metadata)
        os.replace(draft, target)
        written.append(target)
    return written
