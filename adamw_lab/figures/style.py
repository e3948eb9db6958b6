"""One style for all figures, and files that come out the same, byte for byte, whenever they are drawn."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline

from adamw_lab.optim.own import own_names
from adamw_lab.optim.registry import OPTIMIZERS

SPARE_COLOURS = ("#8B0000", "#7FC97F", "#000000", "#F0E442")
SPARE_MARKERS = ("p", "d", "8", "H")
"""Looks of the optimizers that `optim.register` adds, in their order: four of them differ in both, sixteen in one."""


class Looks(dict[str, str]):
    """optimizer -> what it has in figures. A name that is not in it has a spare look: by its place among those
    registered or, where it is not, as in runs of another session's optimizer, the first."""

    def __init__(self, known: dict[str, str], spare: Callable[[str, int], str]) -> None:
        super().__init__(known)
        self._spare = spare

    def __missing__(self, name: str) -> str:
        own = own_names()
        return self._spare(name, own.index(name) if name in own else 0)


def _own_title(name: str, place: int) -> str:
    """The name of its class, unless that would be mistaken for another's."""
    title = OPTIMIZERS[name].cls.__name__ if name in OPTIMIZERS else name
    others = [OPTIMIZERS[other].cls.__name__ for other in own_names() if other != name]
    return name if title in (*NAMES.values(), *others) else title


# Okabe and Ito's palette for the colours shown most, Tol's muted one for the rest; markers serve in grey.
COLOURS = Looks({
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
}, lambda name, place: SPARE_COLOURS[place % 4])
MARKERS = Looks({
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
}, lambda name, place: SPARE_MARKERS[(place + place // 4) % 4])
NAMES = Looks({
    "sgd": "SGD + momentum",
    "adagrad": "AdaGrad",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "adamw_clip": "AdamW + clip",
    "adamwadv": "AdamWAdv",
    "adamwspam": "AdamWSPAM",
    "adamwspam_published": "SPAM, published",
    "adamwprune": "AdamWPrune",
}, _own_title)

OTHER_COLOURS = {"purple": "#AA4499", "green": "#117733", "rose": "#CC6677", "teal": "#44AA99", "sand": "#C4B454",
                 "cyan": "#88CCEE", "wine": "#661100"}
"""Of what is no optimizer, such as scores and verdicts. Tol's muted palette, for the colour-blind, sand darkened."""


def _outline(*corners: tuple[float, float]) -> Outline:
    return Outline([*corners, corners[0]], closed=True)


OTHER_MARKERS = {
    "star": "*", "bar": _outline((-0.35, -1), (0.35, -1), (0.35, 1), (-0.35, 1)), "dome": Outline.wedge(0, 180),
    "bow tie": _outline((-1, -0.8), (-1, 0.8), (1, -0.8), (1, 0.8)), "bowl": Outline.wedge(180, 360),
    "spark": (4, 1, 0), "hourglass": _outline((-0.8, -1), (0.8, -1), (-0.8, 1), (0.8, 1)),
    "slab": _outline((-1, -0.35), (1, -0.35), (1, 0.35), (-1, 0.35)), "cross": "x",
}
"""Likewise: shapes that no optimizer has."""

WIDTH = 3.4
"""Inches of one column of a paper; 7 inches are two."""

COMMITTED = ("svg", "png")
# Dates and versions off, so that a redraw is the same file.
FORMATS = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None},
           "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
SQUEEZE = 0.75
"""Panels asked to be narrower than this share of what they were made for go under each other, not side by side."""
_width: ContextVar[float | None] = ContextVar("width", default=None)

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
    "pdf.fonttype": 42,
    "svg.hashsalt": "adamw-lab",
}


def use_style() -> None:
    """Draw everything after this in the style of the project."""
    mpl.rcParams.update(STYLE)


@contextmanager
def at_width(width: float | None) -> Iterator[None]:
    """Within it `new_figure` makes figures `width` inches wide, whatever is asked for; None changes nothing.

    Raises ValueError for a width outside [2, 20].
    """
    if width is not None and not 2 <= width <= 20:
        raise ValueError(f"width: {width!r} inches is not allowed; allowed: 2 to 20")
    token = _width.set(width)
    try:
        yield
    finally:
        _width.reset(token)


def new_figure(columns: int = 1, *, rows: int = 1, width: float = WIDTH, height: float = 2.4) -> tuple[Figure, list]:
    """A figure in the project's style and its axes, row by row; sizes in inches."""
    use_style()
    asked = _width.get()
    if asked is not None:
        if stacks(width):
            rows, columns, height = rows * columns, 1, height * columns
        width = asked
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    for ax in axes.flat:
        ax.set_title("", wrap=True)  # a title that would leave the figure goes on in a second line
    plt.close(figure)  # pyplot forgets it, so that a notebook shows it where it is asked for and not twice
    return figure, list(axes.flat)


def stacks(width: float) -> bool:
    """Whether `new_figure` would put panels made for `width` inches under each other, as within `at_width`."""
    asked = _width.get()
    return asked is not None and asked < SQUEEZE * width


def share_row_labels(axes: Sequence[Axes]) -> None:
    """Take away the labels of rows where the panel to the left has the same, and write others into the panel.

    Panels in the first column keep theirs. Draw every panel with all its labels, then call this.
    """
    labels = [[text.get_text() for text in ax.get_yticklabels()] for ax in axes]
    for ax, before, own in zip(axes[1:], labels, labels[1:], strict=False):
        if not ax.get_subplotspec().is_first_col():
            for height, label in zip(ax.get_yticks(), own if own != before else (), strict=False):
                ax.text(0.02, height - 0.45, label, transform=ax.get_yaxis_transform(), fontsize=7.5, va="center")
            ax.set_yticklabels([])


def written(number: float) -> str:
    """A number for a label, with a minus and not a hyphen before it."""
    return f"{number:g}".replace("-", "−")


def save(figure: Figure, path: str | Path, formats: Sequence[str] = COMMITTED) -> list[Path]:
    """Write `path`.svg and `path`.png (220 dpi), or the formats named (keys of `FORMATS`), without dates or versions.

    Each file appears whole or not at all. The style must be that of `use_style`. ValueError for another format.
    """
    path = Path(path)
    for suffix in formats:
        if suffix not in FORMATS:
            raise ValueError(f"unknown format {suffix!r}; allowed: {', '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE), _laid_out(figure):
        for suffix in formats:
            target = path.with_name(f"{path.name}.{suffix}")
            draft = path.with_name(f".{path.name}.{os.getpid()}.{suffix}")
            figure.savefig(draft, format=suffix, metadata=FORMATS[suffix])
            os.replace(draft, target)
            written.append(target)
    return written


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Within it panels stay where they are: to lay them out anew for every format is half of the time."""
    engine = figure.get_layout_engine()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
