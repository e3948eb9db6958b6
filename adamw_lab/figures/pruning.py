"""Figures of pruning: what a network keeps of its accuracy as weights go."""

import json
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.analysis.recorded import compare
from adamw_lab.analysis.stats import Effect
from adamw_lab.figures.style import OTHER_COLOURS, new_figure

# Scores are not optimizers: no colour is shared with one.
SCORES = {
    "hybrid": (OTHER_COLOURS["purple"], "P"), "magnitude": ("#202020", "o"), "fisher": (OTHER_COLOURS["green"], "s"),
    "random": ("#9A9A9A", "x"), "gradient_magnitude": (OTHER_COLOURS["cyan"], "^"),
    "movement_to_zero": (OTHER_COLOURS["wine"], "D"), "coherence": (OTHER_COLOURS["sand"], "v"),
    "variance": (OTHER_COLOURS["rose"], "<"), "saliency": (OTHER_COLOURS["teal"], ">"),
}
LINEAR = 2.0
"""Points up to which a gain on magnitude is drawn to scale where others are ten times as large."""


def fig_pruning(ax: Axes, runs: pd.DataFrame, metric: str = "validation_accuracy") -> None:
    """Accuracy against achieved sparsity: each score's mean over seeds, its range as a band.

    `runs` has a row a run and the columns optimizer, optimizer_options (JSON), `metric` and sparsity (fractions).
    Runs of other optimizers than adamwprune are the dense control, drawn across.
    """
    pruned = runs["optimizer"] == "adamwprune"
    dense = 100 * runs.loc[~pruned, metric]
    if len(dense):
        ax.axhspan(dense.min(), dense.max(), color="#B0B0B0", alpha=0.35, linewidth=0)
        ax.axhline(dense.mean(), color="#606060", linestyle="--", linewidth=1, label="dense")
    options = runs.loc[pruned, "optimizer_options"].map(json.loads)
    pruned = runs[pruned].assign(score=[o.get("importance", "hybrid") for o in options],
                                 target=[o["target_sparsity"] for o in options])
    for score, (colour, marker) in SCORES.items():
        by = pruned[pruned["score"] == score].groupby("target")
        x, y = 100 * by["sparsity"].mean(), 100 * by[metric].agg(["mean", "min", "max"])
        if len(x):
            ax.fill_between(x, y["min"], y["max"], color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, y["mean"], marker=marker, color=colour, label=score)
    ax.set(xlabel="weights pruned (%)", ylabel=f"{metric.replace('_', ' ')} (%)")


def pruning_figure(runs: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """The study of scores in two panels: all of it, and what happens above the weakest score."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.7)
    for ax in (left, right):
        fig_pruning(ax, runs)
    left.set_title("All scores")
    left.legend(loc="lower left")
    close = runs[~runs["optimizer_options"].str.contains('"random"')]["validation_accuracy"]
    right.set(ylim=(100 * close.min() - 0.4, 100 * close.max() + 0.4), title="A closer look", ylabel="")
    return figure


def fig_against_magnitude(ax: Axes, runs: pd.DataFrame, sparsities: Sequence[float]) -> None:
    """Each way to prune less magnitude by AdamWPrune at each sparsity, test accuracy paired by seed, with intervals.

    `runs` has arms named `<score>_<sparsity>`; those of the baseline pruners begin with `gradual_`. Where a gain would
    hide the others, the axis is logarithmic beyond `LINEAR` points.
    """
    arms = runs["arm"].str.extract(r"^(\w+)_(0\.\d+)$")[0].dropna().unique()
    others = [name for name in arms if name not in ("magnitude", "random")]
    for place, name in enumerate(others):
        colour, marker = SCORES[name.removeprefix("gradual_").replace("movement", "movement_to_zero")]
        for row, sparsity in enumerate(sparsities):
            effect = compare(runs, f"{name}_{sparsity}", f"magnitude_{sparsity}", "test_accuracy")
            if effect is not None:
                _interval(ax, effect, row + 0.1 * (place - len(others) / 2), colour, marker,
                          name.replace("_", " ") if row == 0 else None, name.startswith("gradual_"))
    ax.axvline(0, color="#606060", linewidth=0.8)
    ax.set_yticks(range(len(sparsities)), [f"{sparsity:.0%}" for sparsity in sparsities])
    ax.set(xlabel="better than magnitude by (points)", ylabel="weights pruned", ylim=(len(sparsities) - 0.4, -0.6))
    if max(abs(limit) for limit in ax.get_xlim()) > 10 * LINEAR:
        ax.set_xscale("symlog", linthresh=LINEAR, linscale=2)
        ticks = [tick for tick in (-30, -10, -2, -1, 0, 1, 2, 10, 30)
                 if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
        ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.set_xlabel(f"better than magnitude by (points,\nbeyond {LINEAR:g} logarithmic)")
    ax.grid(axis="y", visible=False)


def _interval(ax: Axes, effect: Effect, y: float, colour: str, marker: str, label: str | None, hollow: bool) -> None:
    ax.plot([100 * effect.low, 100 * effect.high], [y, y], color=colour, linewidth=1)
    ax.plot(100 * effect.mean, y, marker, color=colour, label=label, markerfacecolor="white" if hollow else colour)


def scores_figure(runs: pd.DataFrame) -> Figure:
    """The study of scores: test accuracy at the achieved sparsity, and each way to prune less magnitude."""
    sparsities = sorted(runs["arm"].str.extract(r"_(0\.\d+)$")[0].dropna().astype(float).unique(), reverse=True)
    figure, (left, right) = new_figure(2, width=7.0, height=2.0 + 0.28 * len(sparsities))
    plain = runs["arm"].str.fullmatch(r"dense|(?!gradual)\w+_0\.\d+")
    fig_pruning(left, runs[plain], "test_accuracy")
    left.set_xticks([100 * sparsity for sparsity in sparsities])
    left.legend(loc="lower left")
    fig_against_magnitude(right, runs, sparsities)
    right.legend(fontsize=6, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1, borderaxespad=0.1)
    return figure
