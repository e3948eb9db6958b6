"""Figures of what training costs: the speed of the memory, exact selection, images a second, a budget of memory."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from adamw_lab.figures.memory import PARTS
from adamw_lab.figures.step_time import MODELS, OTHERS, TORCH, contender_colour, name_hardware
from adamw_lab.figures.style import COLOURS, OTHER_COLOURS, OTHER_MARKERS, WIDTH, new_figure

SHAPES = tuple(OTHER_MARKERS[shape] for shape in ("dome", "bar", "star", "hourglass"))
"""Of models, which are no optimizers."""
HIDDEN_READ = 1.5
"""A copy moves 12 bytes an element where 8 are counted, if memory is read before it is written."""
SELECTION = {"kth_smallest": ("kth_smallest", COLOURS["adamwprune"], "P"),
             "kthvalue": ("torch.kthvalue", TORCH, OTHER_MARKERS["bar"])}
WAYS = {"tutorial": OTHERS, "bare": TORCH}
"""Ways of training that are not the lab's loop -> colour."""


def fig_limit(ax: Axes, data: pd.DataFrame) -> None:
    """Speed at which each step moves the bytes that its rule must move, by the speed of a copy in the same turns.

    A row for each contender, and in it a marker for each model, the first one highest. The lines are a copy's speed,
    and half as much again, which a copy would show if what it reads unasked were counted. Neither is a limit: a step
    may be faster than a copy.

    Args:
        data: `bench_step_time`'s table, or a part of it; rows without a time are left out.
    """
    data = data.dropna(subset=["ratio"])
    rows = {name: height for height, name in enumerate(data["contender"].unique())}
    for known, dashes in ((1.0, "-"), (HIDDEN_READ, "--")):
        ax.axvline(known, color="black", linewidth=0.8, linestyle=dashes)
    count = data["model"].nunique()
    for place, ((model, part), shape) in enumerate(zip(data.groupby("model", sort=False), SHAPES, strict=False)):
        speed = part["gigabytes_per_second"] / part["copy_gigabytes_per_second"]
        for contender, x in zip(part["contender"], speed, strict=True):
            ax.plot(x, rows[contender] + 0.3 * (place - (count - 1) / 2), marker=shape, markersize=6,
                    color=contender_colour(contender), markeredgecolor="#4D4D4D", markeredgewidth=0.4,
                    linestyle="none", label=MODELS.get(model, model))
    labels = data.drop_duplicates("contender")["label"]
    ax.set_yticks(range(len(rows)), labels, fontsize=6.5)
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="speed in memory / a copy's")
    low, high = ax.get_xlim()
    marks = [mark for mark in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 4, 10) if low <= mark <= high]
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.set_xticks([], minor=True)
    ax.tick_params(axis="y", length=0)


def limit_figure(data: pd.DataFrame) -> Figure:
    """`fig_limit` at the width of a column, models explained above and the hardware beneath."""
    figure, (ax,) = new_figure(width=WIDTH, height=0.95 + 0.23 * data["contender"].nunique())
    fig_limit(ax, data)
    shapes = [Line2D([], [], marker=shape, color="#BDBDBD", markersize=6, markeredgecolor="#4D4D4D",
                     markeredgewidth=0.4, linestyle="none", label=MODELS.get(model, model))
              for model, shape in zip(data["model"].unique(), SHAPES, strict=False)]
    figure.legend(handles=shapes, loc="outside upper right", ncols=3, fontsize=6.5, columnspacing=0.8,
                  handletextpad=0.1)
    name_hardware(figure, data.iloc[0])
    return figure


def fig_selection(ax: Axes, data: pd.DataFrame, quantity: str) -> None:
    """Time ("seconds") or memory ("bytes") of exact selection over the number of scores, ours and torch's.

    Args:
        data: `bench_selection`'s rows as a table.
        quantity: which.
    """
    unit, factor = {"seconds": ("time (ms)", 1e3), "bytes": ("memory taken (MB)", 1e-6)}[quantity]
    for way, (label, colour, marker) in SELECTION.items():
        ax.plot(data["elements"] / 1e6, factor * data[f"{way}_{quantity}"], color=colour, marker=marker, label=label)
    ax.set(xscale="log", yscale="log", xlabel="scores (million)", ylabel=unit)
    ax.set_xticks(data["elements"] / 1e6, [f"{n:g}" for n in data["elements"] / 1e6])
    ax.set_xticks([], minor=True)
    ax.yaxis.set_minor_formatter(NullFormatter())


def selection_figure(data: pd.DataFrame) -> Figure:
    """Time and memory of exact selection, side by side in a column."""
    figure, axes = new_figure(2, width=WIDTH, height=1.9)
    for ax, quantity in zip(axes, ("seconds", "bytes"), strict=True):
        fig_selection(ax, data, quantity)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def fig_throughput(ax: Axes, data: pd.DataFrame) -> None:
    """Images a second of each way to train, models in groups from the top down.

    The number behind a bar is how many times as fast as the tutorial's loop it is, over paired turns of both.

    Args:
        data: `bench_training`'s table.
    """
    height, heights, labels = 0.0, [], []
    for model, rows in data.groupby("model", sort=False):
        heights.append(height)
        labels.append(MODELS.get(model, model))
        for row in rows.itertuples():
            height += 1
            heights.append(height)
            labels.append(f"{row.way}, {row.precision}" if row.precision not in row.way else row.way)
            ax.barh(height, row.images_per_second, color=WAYS.get(row.way, OTHER_COLOURS["teal"]), height=0.72)
            ax.text(row.images_per_second, height, f" {row.ratio:.2f}×", va="center", fontsize=6.5)
        height += 1.5
    ax.set_yticks(heights, labels, fontsize=6.5)
    ax.set(xlim=(0, 1.2 * data["images_per_second"].max()), ylim=(height - 0.8, -0.7), xlabel="images a second")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def throughput_figure(data: pd.DataFrame) -> Figure:
    """`fig_throughput` at the width of a column, with the hardware beneath."""
    figure, (ax,) = new_figure(width=WIDTH, height=0.8 + 0.16 * (len(data) + 2.5 * data["model"].nunique()))
    fig_throughput(ax, data)
    first = data.iloc[0]
    name_hardware(figure, first, f"{first['dataset']}, batches of {first['batch_size']}")
    return figure


def fig_budget(ax: Axes, estimates: Mapping[str, Mapping[str, int]]) -> None:
    """What training keeps in memory, a bar for each choice, stacked by component, its sum behind it.

    Args:
        estimates: label -> what `memory_estimate` returns; the first on top.
    """
    largest = max(sizes["total"] for sizes in estimates.values())
    unit, factor = ("GB", 1e-9) if largest >= 1e9 else ("MB", 1e-6)
    for height, sizes in enumerate(estimates.values()):
        left = 0.0
        for part in (part for part in PARTS if part in sizes):
            label, colour = PARTS[part]
            ax.barh(height, factor * sizes[part], left=left, color=colour, height=0.7, edgecolor="white", linewidth=0.5,
                    label=label if height == 0 else None)
            left += factor * sizes[part]
        ax.text(left, height, f" {left:.3g}", va="center", fontsize=7)
    ax.set_yticks(range(len(estimates)), list(estimates))
    ax.set(xlim=(0, 1.12 * factor * largest), ylim=(len(estimates) - 0.4, -0.6),
           xlabel=f"memory between steps ({unit})")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
