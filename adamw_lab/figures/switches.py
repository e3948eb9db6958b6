"""Figures of AdamWAdv's parts: the clip at work, and each switch alone and together."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from adamw_lab.figures.style import COLOURS, new_figure


def switch_names(runs: pd.DataFrame) -> pd.Series:
    """What is on in each run, in words: "AMSGrad + clip", …, "none"; of the columns amsgrad, clip_norm, schedule."""
    parts = {"AMSGrad": runs["amsgrad"].astype(bool), "clip": runs["clip_norm"].notna(),
             "cosine": runs["schedule"] == "cosine"}
    table = pd.DataFrame(parts)
    return table.apply(lambda row: " + ".join(name for name in parts if row[name]) or "none", axis=1)


def switch_effects(runs: pd.DataFrame, metric: str = "validation_loss") -> pd.DataFrame:
    """Paired differences of each combination from AdamW with all switches off, seed by seed.

    Returns:
        A row a combination, fewest switches first: `switches`, `difference` (mean), `low` and `high` (95 % interval of
        the mean by Student's t), and `differences`, the array of all seeds.

    Raises:
        ValueError: fewer than two seeds, or a combination that lacks a seed.
    """
    values = runs.assign(switches=switch_names(runs)).pivot(index="seed", columns="switches", values=metric)
    if len(values) < 2 or values.isna().any(axis=None):
        raise ValueError("switch_effects needs at least two seeds, and each seed in every combination")
    differences = values.sub(values["none"], axis=0).drop(columns="none")
    order = sorted(differences, key=lambda name: (name.count("+"), name))
    half = student.ppf(0.975, len(values) - 1) * differences.std() / np.sqrt(len(values))
    mean = differences.mean()
    table = pd.DataFrame({"difference": mean, "low": mean - half, "high": mean + half}).loc[order]
    table["differences"] = [differences[name].to_numpy() for name in order]
    return table.rename_axis("switches").reset_index()


def fig_switches(ax: Axes, effects: pd.DataFrame, label: str = "validation loss (nats)", scale: float = 1.0) -> None:
    """`switch_effects`, the first on top: every seed faint, the mean and its 95 % interval strong."""
    for height, row in enumerate(effects.itertuples()):
        ax.plot(scale * row.differences, np.full(len(row.differences), height), "o", color=COLOURS["adamwadv"],
                alpha=0.35, markersize=3, markeredgewidth=0)
        ax.plot([scale * row.low, scale * row.high], [height] * 2, color="black", linewidth=1.4)
        ax.plot(scale * row.difference, height, "D", color="black", markersize=4)
    ax.axvline(0, color="#9A9A9A", linewidth=0.8)
    ax.set_yticks(range(len(effects)), effects["switches"])
    ax.set(xlabel=f"{label}, less that of AdamW", ylim=(len(effects) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def fig_clipping(ax: Axes, telemetry: pd.DataFrame, clip_norm: float) -> None:
    """The global gradient norm of every step of a run before the clip, and the limit."""
    over = telemetry["grad_norm"] > clip_norm
    for part, colour, label in ((~over, "#9A9A9A", "passes whole"), (over, COLOURS["adamw_clip"], "is scaled down")):
        ax.plot(telemetry["step"][part], telemetry["grad_norm"][part], ".", color=colour, markersize=3, label=label)
    ax.axhline(clip_norm, color="black", linewidth=0.8)
    ax.set(xlabel="step", ylabel="norm of the gradient", yscale="log")
    ax.legend(loc="lower left")


def switches_figure(runs: pd.DataFrame) -> Figure:
    """The three switches of AdamWAdv in all combinations: loss and accuracy beside AdamW's, paired by seed."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.6)
    fig_switches(left, switch_effects(runs))
    fig_switches(right, switch_effects(runs, "validation_accuracy"), "validation accuracy (points)", 100.0)
    right.set_yticklabels([])
    return figure
