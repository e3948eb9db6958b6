"""What figures with lines share: moving them after a slider, intervals, names at their ends, bent axes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from adamw_lab.analysis.stats import paired_difference


def move_line(ax: Axes, gid: str, x: Sequence[float], y: Sequence[float], **properties: Any) -> None:
    """Move the line of that name, or draw it."""
    for line in ax.lines:
        if line.get_gid() == gid:
            line.set_data(x, y)
            return
    ax.plot(x, y, gid=gid, **properties)


def mark_spike(ax: Axes, step: float) -> str:
    """A dotted line from bottom to top, whatever the limits; its name."""
    gid = f"spike {step}"
    move_line(ax, gid, [step, step], [0, 1], color="#9A9A9A", linewidth=0.8, linestyle=":",
              transform=ax.get_xaxis_transform())
    return gid


def keep_lines(ax: Axes, gids: set[str]) -> None:
    """Remove all lines but those of these names."""
    for line in [line for line in ax.lines if line.get_gid() not in gids]:
        line.remove()


def snap_limits(ax: Axes, parts: int = 3) -> None:
    """Widen a logarithmic y axis to whole thirds of decades, so that it stands still while the data move a little."""
    low, high = np.log10(ax.get_ylim())
    ax.set_ylim(10 ** (np.floor(parts * low) / parts), 10 ** (np.ceil(parts * high) / parts), auto=None)


def fig_curve(ax: Axes, x: Sequence[float], each: Sequence[Sequence[float]], colour: str, marker: str,
              label: str) -> None:
    """A curve over the settings `x`: the mean of the seeds at each with its 95 % interval, and each seed, faint.

    `each` holds the seeds' values at every setting; a line joins those of a seed where all settings have it.
    """
    mean, low, high = intervals(each)
    if len({len(own) for own in each}) == 1:
        ax.plot(x, np.array(each), color=colour, alpha=0.2, linewidth=0.6)
    ax.errorbar(x, mean, yerr=[mean - low, high - mean], color=colour, marker=marker, markersize=5, capsize=2,
                label=label)


def intervals(each: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean, low and high end of the 95 % interval of each row of values, [3, rows]."""
    effects = [paired_difference(own, np.zeros(len(own))) for own in each]
    return np.array([(effect.mean, effect.low, effect.high) for effect in effects]).T


def name_ends(ax: Axes, fontsize: float = 7.0, heading: str = "") -> None:
    """Write the label of each line right of the axes, where the line ends, in its colour a little darkened.

    Once the limits are final. No label lies upon another; `heading` stands above them.
    """
    ax.get_ylim()  # limits that follow the data are set as late as here
    ends = []
    for line in ax.lines:
        points = np.column_stack([np.asarray(values, dtype=float) for values in line.get_data()])
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) and not line.get_label().startswith("_"):
            last = points[points[:, 0].argmax()]
            ends.append(((ax.transScale + ax.transLimits).transform(last)[1], line))
    longest = max(1 + line.get_label().count("\n") for _, line in ends)
    gap = 1.2 * fontsize * longest / 72 / _inches(ax)[1]
    heights = _apart([height for height, _ in ends], gap)
    labels = [(height, line.get_label(), 0.75 * np.array(to_rgb(line.get_color())))
              for (_, line), height in zip(ends, heights, strict=True)]
    if heading:
        labels.append((max(heights) + gap, heading, "black"))
    for height, label, colour in labels:
        ax.annotate(label, (1, height), xytext=(3, 0), xycoords="axes fraction", textcoords="offset points",
                    color=colour, fontsize=fontsize, va="center", annotation_clip=False)


def bend(ax: Axes, least: float, ticks: Sequence[float], label: Callable[[float], str], linscale: float = 1.0) -> None:
    """Make the x axis logarithmic beyond `least`, both ways, with room around all that has been drawn.

    Of the `ticks` (above 0) and their negatives those are shown that are in sight and whose labels have room.
    """
    ends = ax.dataLim.intervalx
    ax.set_xscale("symlog", linthresh=least, linscale=linscale)
    scale = ax.xaxis.get_transform()
    low, high = scale.transform(ends)
    room = 0.06 * (high - low)
    ax.set_xlim(*scale.inverted().transform([low - room, high + room]))
    kept = [0.0]
    for sign in (1, -1):
        last = 0.0
        for tick in (sign * tick for tick in ticks):
            apart = abs(float(np.diff(scale.transform([last, tick]))[0])) / (high - low) * _inches(ax)[0]
            if low <= scale.transform([tick])[0] <= high and apart > 0.031 * (3 + len(label(last)) + len(label(tick))):
                kept.append(tick)
                last = tick
    ax.set_xticks(kept, [label(tick) for tick in kept])
    ax.set_xticks([], minor=True)


def _inches(ax: Axes) -> tuple[float, float]:
    """About how wide and high a panel is once titles and labels have taken their part, before any layout."""
    grid = ax.get_subplotspec().get_gridspec()
    width, height = ax.figure.get_size_inches()
    return 0.7 * width / grid.ncols, 0.7 * height / grid.nrows


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Heights in their order, moved as groups as little as it takes for each to be `gap` from the next."""
    groups = []
    for place in np.argsort(heights, kind="stable"):
        groups.append(([place], heights[place]))
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap):
            (high, above), (low, below) = groups.pop(), groups.pop()
            centre = (len(high) * above + len(low) * below) / (len(high) + len(low))
            groups.append(([*low, *high], centre))
    moved = [0.0] * len(heights)
    for group in groups:
        for rank, place in enumerate(group[0]):
            moved[place] = _bottom(group, gap) + rank * gap
    return moved


def _bottom(group: tuple[list[int], float], gap: float) -> float:
    return group[1] - gap * (len(group[0]) - 1) / 2


def _top(group: tuple[list[int], float], gap: float) -> float:
    return group[1] + gap * (len(group[0]) - 1) / 2
