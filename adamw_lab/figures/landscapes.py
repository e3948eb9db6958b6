"""Figures of descents: paths over contours, losses, and step sizes by coordinate.

A second call with the same axes moves the lines that are there and redraws the ground only for another landscape, so
that a slider need not begin anew; what is shown is the same as on fresh axes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from adamw_lab.descents import RULES, best_lr, descend
from adamw_lab.figures.lines import keep_lines, mark_spike, move_line
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure
from adamw_lab.landscapes import LANDSCAPES, Landscape, get_landscape

BENEATH = ("adagrad",)
"""Whose paths are wide and beneath the others: AdaGrad goes the first steps of RMSprop or Adam."""
CLASSICS = ("sgd_plain", "sgd", "adagrad", "rmsprop", "adam")
FLOOR = 1e-8
"""Losses closer than this to the lowest are drawn here, shorter steps not at all."""
_best_lr = lru_cache(maxsize=1000)(best_lr)
_GROUND = ("#FFFFFF", "#F8F8F6", "#F1F1EE", "#EAEAE6", "#E3E3DE", "#DCDCD6", "#D5D5CE", "#CECEC6", "#C7C7BE")


def look(name: str) -> dict[str, Any]:
    """Colour, dashes and label of an optimizer's line; SGD without momentum is dashed and its markers are hollow."""
    if name == "sgd_plain":
        return {"color": COLOURS["sgd"], "linestyle": (0, (3, 1.2)), "label": "SGD", "markerfacecolor": "white"}
    return {"color": COLOURS[name], "linestyle": "-", "label": NAMES[name]}


def marker_of(name: str) -> str:
    """Marker of an optimizer; SGD without momentum shares SGD's."""
    return MARKERS["sgd" if name == "sgd_plain" else name]


def fig_trajectories(ax: Axes, landscape: str | Landscape = "rosenbrock", optimizers: Sequence[str] = CLASSICS, *,
                     losses: Axes | None = None, lr: float | None = None, steps: int = 200,
                     betas: tuple[float, float] | None = None, weight_decay: float = 0.0, noise: float | None = None,
                     spikes: Mapping[int, float] | None = None, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Descend with each optimizer and draw the paths, and into the axes `losses` the losses over the steps.

    Args:
        lr: the learning rate of all; None (default): each one's best, by `best_lr`.
        The others are those of `descents.descend`.

    Returns:
        name -> table of `descend`.
    """
    runs = {}
    for name in optimizers:
        # Found once: a slider that moves something else need not wait for the search. The reader's own may change.
        search = _best_lr if isinstance(name, str) and name in RULES else best_lr
        rate = search(landscape, name, steps=steps, betas=betas, noise=noise, seed=seed) if lr is None else lr
        runs[name] = descend(landscape, name, steps, lr=rate, betas=betas, weight_decay=weight_decay, noise=noise,
                             spikes=spikes, seed=seed)
    fig_paths(ax, landscape, runs)
    if losses is not None:
        fig_losses(losses, landscape, runs, spikes or {})
    return runs


def fig_paths(ax: Axes, landscape: str | Landscape, runs: Mapping[str, pd.DataFrame]) -> None:
    """Where each run went, over the contours; a ring at the start, stars at the minima, a marker where a run ends.

    `runs`: name of the optimizer -> table of `descents.descend`.
    """
    place = get_landscape(landscape)
    _ground(ax, place)
    shown = set()
    for name, run in runs.items():
        # The last bits of a sine differ between processors; four decimals do not.
        x, y = run["x"].round(4), run["y"].round(4)
        move_line(ax, name, x, y, linewidth=_width(name), zorder=1.9 if name in BENEATH else 2, **look(name))
        move_line(ax, f"{name} end", x[-1:], y[-1:], linestyle="none", zorder=4, **_end(name))
        shown |= {name, f"{name} end"}
    keep_lines(ax, shown | {"start", "minima"})


def _end(name: str) -> dict[str, Any]:
    """The marker where a path ends, edged so that it is seen upon its path."""
    colour = look(name)["color"]
    face, edge = ("white", colour) if name == "sgd_plain" else (colour, "white")
    return {"marker": marker_of(name), "color": face, "markersize": 5, "markeredgecolor": edge, "markeredgewidth": 0.7}


def _width(name: str) -> float:
    return 2.6 if name in BENEATH else 1.1


def name_paths(runs: Sequence[str]) -> list[Line2D]:
    """Handles of a legend for `fig_paths`: each optimizer's line with the marker of its end."""
    return [Line2D([], [], linewidth=_width(name), **{**_end(name), "markerfacecolor": _end(name)["color"],
                                                       **look(name)}) for name in runs]


def fig_losses(ax: Axes, landscape: str | Landscape, runs: Mapping[str, pd.DataFrame],
               spikes: Mapping[int, float] | None = None) -> None:
    """Loss above the lowest at each step, on a logarithmic axis; dotted lines mark the spikes."""
    lowest = get_landscape(landscape).lowest
    gaps = {name: np.clip(run["loss"] - lowest, FLOOR, None) for name, run in runs.items()}
    for name, run in runs.items():
        move_line(ax, name, run["step"], gaps[name], **look(name))
    keep_lines(ax, {*runs, *(mark_spike(ax, at) for at in spikes or {})})
    first = max(gap.iloc[0] for gap in gaps.values())
    least = min(gap.min() for gap in gaps.values())
    if ax.get_yscale() != "log":
        ax.set(yscale="log", xlabel="step", ylabel="loss above the lowest")
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlim=(0, max(run["step"].iloc[-1] for run in runs.values())),
           ylim=(max(0.5 * least, FLOOR), 30 * first))


def fig_strides(ax: Axes, run: pd.DataFrame, name: str) -> None:
    """The length of each step along x (strong) and along y (faint, dashed) of one run, on a logarithmic axis.

    Where a step is shorter than `FLOOR` the line is broken.
    """
    for coordinate, alpha, dashes in (("x", 1.0, "-"), ("y", 0.55, (0, (2, 1)))):
        lengths = run[coordinate].diff().abs()[1:]
        move_line(ax, coordinate, run["step"][1:], lengths.where(lengths >= FLOOR),
                  color=look(name)["color"], alpha=alpha, linestyle=dashes, label=f"along {coordinate}")
    ax.set(yscale="log", xlabel="step", ylabel="length of a step")
    ax.yaxis.set_minor_formatter(NullFormatter())


def fig_sweep(ax: Axes, tables: Mapping[str, pd.DataFrame], limit: float | None = None) -> None:
    """Mean loss over a descent against its learning rate; a line ends before a loss that is not in the picture.

    `tables`: name of the optimizer -> table of `descents.sweep`. `limit`: a learning rate to mark by a dotted line.
    """
    if limit is not None:
        ax.axvline(limit, color="#9A9A9A", linewidth=0.8, linestyle=":")
    least = min(table["mean_loss"].min() for table in tables.values())
    first = max(table["mean_loss"].iloc[0] for table in tables.values())
    for name, table in tables.items():
        ax.plot(table["lr"], table["mean_loss"].where(table["mean_loss"] <= 3 * first), marker=marker_of(name),
                markersize=3, **look(name))
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="mean loss above the lowest",
           ylim=(max(least, FLOOR) / 2, 3 * first))
    ax.yaxis.set_minor_formatter(NullFormatter())


def landscapes_figure(steps: int = 200, seed: int = 0) -> Figure:
    """Five optimizers, each at its best learning rate, on all landscapes but the tilted one; computed."""
    names = [name for name in LANDSCAPES if name != "tilted"]
    figure, (ax,) = new_figure(width=7.0, height=4.9)
    ax.remove()
    columns = 3 if figure.get_figwidth() > 5 else 2
    figure.set_figheight(0.4 + 4.5 / 2 * -(-len(names) // columns))
    axes = figure.subplots(-(-len(names) // columns), columns)
    for ax, name in zip(axes.flat, names, strict=True):
        fig_trajectories(ax, name, steps=steps, seed=seed)
        ax.set_title(LANDSCAPES[name].title, fontsize=8.5 if columns == 3 else 7)
    figure.legend(handles=name_paths(CLASSICS), loc="outside lower center", ncols=2 * columns - 1, handlelength=2.2,
                  columnspacing=1.2)
    return figure


def _ground(ax: Axes, place: Landscape) -> None:
    gid = f"ground of {place.title} {place.start}"
    if any(artist.get_gid() == gid for artist in ax.collections):
        return
    for artist in [*ax.collections, *ax.lines]:
        artist.remove()
    xs, ys = (np.linspace(*ends, 141) for ends in place.domain)
    loss = place.value(*np.meshgrid(xs, ys))
    # Levels that take equal shares of the ground show a valley as well as an egg box.
    levels = np.quantile(loss, np.linspace(0, 1, len(_GROUND) + 1) ** 1.5)
    # As pixels also in an SVG, where an egg box would be a megabyte of outlines.
    ax.contourf(xs, ys, loss, levels=levels, colors=_GROUND, zorder=0).set(gid=gid, rasterized=True)
    ax.plot(*place.start, "o", color="black", markerfacecolor="white", markersize=5, zorder=3, gid="start")
    ax.plot(*np.transpose(place.minima), "*", color="black", markersize=7, markeredgecolor="white",
            markeredgewidth=0.5, linestyle="none", zorder=5, gid="minima")
    ax.set(xlim=place.domain[0], ylim=place.domain[1], xlabel="x", ylabel="y")
    ax.grid(visible=False)
