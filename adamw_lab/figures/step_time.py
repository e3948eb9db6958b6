"""Figures of the time of a step."""

import math
import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.style import COLOURS, STYLE, WIDTH, new_figure
from adamw_lab.optim.own import own_names

MODELS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "gpt2": "GPT-2 124 M"}
TORCH, OTHERS = "#9A9A9A", "#CFCFCF"
OURS = {"terms_off": "adamw", "adamwadv": "adamwadv", "adamwspam": "adamwspam",
        "adamwspam_spike": "adamwspam", "adamwspam_published": "adamwspam_published", "adamwprune_steady": "adamwprune",
        "adamwprune_update": "adamwprune", "adamwprune_amortized": "adamwprune"}
"""Contender -> optimizer whose colour it has. torch's own are grey, others' a lighter grey."""


def fig_step_time(ax: Axes, data: pd.DataFrame) -> None:
    """Time of a step relative to that of torch's fused AdamW, logarithmic: a bar for each contender and model.

    `data` is `bench_step_time`'s. Models are groups from the top down, each with its size and the time of the fused
    step; contenders that could not run say so.
    """
    ratios = data["ratio"].dropna()
    low, high = min(0.5, 0.9 * ratios.min()), 1.9 * ratios.max()
    marks = [2.0**k for k in range(-2, 9) if low <= 2.0**k <= high]
    marks = marks if len(marks) <= 8 else [mark for mark in marks if math.log2(mark) % 2 == 0]
    height, heights, labels = 0.0, [], []
    for model, rows in data.groupby("model", sort=False):
        heights += [height, *(height + 1.0 + place for place in range(len(rows)))]
        labels += [MODELS.get(model, model), *rows["label"]]
        count = rows["parameters"].iloc[0]
        size = f"{count / 1e6:.3g} M" if count >= 1e6 else f"{count:,}"
        ax.text(low, height, f"{size} parameters, fused {1000 * rows['fused_seconds'].median():.3g} ms",
                va="center", fontsize=6.5)
        # A grid of each group's own leaves the row of its heading free.
        ax.vlines(marks, height + 0.5, height + len(rows) + 0.5, color=STYLE["grid.color"], linewidth=0.6, zorder=0)
        ax.vlines(1.0, height + 0.5, height + len(rows) + 0.5, color="black", linewidth=0.8)
        for place, row in enumerate(rows.itertuples()):
            _bar(ax, row, height + 1.0 + place)
        height += len(rows) + 1.5
    ax.set(xscale="log", xlim=(low, high), ylim=(height - 0.8, -0.7), xlabel="time of a step / torch fused")
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(heights, labels, fontsize=6.5)
    for label in ax.get_yticklabels():
        if label.get_text() in {MODELS.get(model, model) for model in data["model"]}:
            label.set(fontweight="bold", fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)


def _bar(ax: Axes, row: tuple, height: float) -> None:
    if pd.isna(row.ratio):
        ax.text(1.04, height, "not installed", va="center", fontsize=6.5, style="italic")
        return
    ax.barh(height, row.ratio - 1.0, left=1.0, color=contender_colour(row.contender), height=0.72)
    ax.text(max(row.ratio, 1.0) * 1.04, height, f"{row.ratio:.2f}", va="center", fontsize=6.5)


def contender_colour(name: str) -> str:
    """That of its optimizer, if it is the lab's or was registered; else grey."""
    if name in OURS or name in own_names():
        return COLOURS[OURS.get(name, name)]
    return OTHERS if "optimizer" in name or "mask" in name else TORCH


def step_time_figure(data: pd.DataFrame) -> Figure:
    """`fig_step_time` at the width of a column, with the hardware beneath."""
    figure, (ax,) = new_figure(width=WIDTH, height=0.7 + 0.135 * (len(data) + 2.5 * data["model"].nunique()))
    fig_step_time(ax, data)
    name_hardware(figure, data.iloc[0])
    return figure


def name_hardware(figure: Figure, row: pd.Series, also: str = "") -> None:
    """Beneath the axes: on what it was measured, by the columns hardware, threads and torch; `also` what else."""
    parts = [*row["hardware"].split(", "), f"{row['threads']} threads", *also.split(", "),
             f"torch {row['torch']}"]
    words = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)
    letters = round(20 * figure.get_figwidth())  # a line's, at this size
    figure.supxlabel("\n".join(textwrap.wrap(words, letters)), fontsize=6.5, color="#606060")
