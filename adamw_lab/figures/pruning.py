"""Figures of pruning: what a network keeps of its accuracy as weights go."""

import json
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.analysis.recorded import compare, scores
from adamw_lab.analysis.stats import Effect
from adamw_lab.figures.lines import bend
from adamw_lab.figures.style import OTHER_COLOURS, OTHER_MARKERS, new_figure, written

# Scores are not optimizers: no colour and no marker is shared with one.
SCORES = {
    name: (colour, OTHER_MARKERS[shape]) for name, colour, shape in (
        ("hybrid", OTHER_COLOURS["purple"], "star"), ("magnitude", "#202020", "bar"),
        ("fisher", OTHER_COLOURS["green"], "dome"), ("random", "#9A9A9A", "cross"),
        ("gradient_magnitude", OTHER_COLOURS["cyan"], "bowl"),
        ("movement_to_zero", OTHER_COLOURS["wine"], "hourglass"), ("coherence", OTHER_COLOURS["sand"], "slab"),
        ("variance", OTHER_COLOURS["rose"], "bow tie"), ("saliency", OTHER_COLOURS["teal"], "spark"))
}
APART = 0.15
"""Rows between two ways to prune at one sparsity, 1 being those between sparsities."""
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
            ax.plot(x, y["mean"], marker=marker, markersize=5, color=colour, label=score)
    ax.set(xlabel="weights pruned (%)", ylabel=f"{metric.replace('_', ' ')} (%)")


def pruning_figure(runs: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """The study of scores in two panels: all of it, and what happens above the weakest score."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.7)
    for ax in (left, right):
        fig_pruning(ax, runs)
    left.set_title("All scores")
    left.legend(loc="lower left")
    close = runs[~runs["optimizer_options"].str.contains('"random"')]["validation_accuracy"]
    right.set(ylim=(100 * close.min() - 0.4, 100 * close.max() + 0.4), title="A closer look")
    return figure


def fig_against_magnitude(ax: Axes, runs: pd.DataFrame, sparsities: Sequence[float]) -> None:
    """Each way to prune less magnitude by AdamWPrune at each sparsity, test accuracy paired by seed, with intervals.

    `runs` has arms named `<score>_<sparsity>`; those of the baseline pruners begin with `gradual_`. Where a gain would
    hide the others, the axis is logarithmic beyond `LINEAR` points.
    """
    arms = runs["arm"].str.extract(r"^(\w+)_(0\.\d+)$")[0].dropna().unique()
    others = [name for name in arms if name not in ("magnitude", "random")]
    for row, sparsity in enumerate(sparsities):
        for place, name in enumerate(others):
            own, beside = f"{name}_{sparsity}", f"magnitude_{sparsity}"
            effect = compare(runs, own, beside, "test_accuracy")
            if effect is not None:
                each = (scores(runs, own, "test_accuracy") - scores(runs, beside, "test_accuracy")).dropna()
                _interval(ax, effect, each, row + APART * (place - (len(others) - 1) / 2), name, row == 0)
    ax.axvline(0, color="#606060", linewidth=0.8)
    ax.set_yticks(range(len(sparsities)), [f"{100 * sparsity:g} %" for sparsity in sparsities])
    ax.set(xlabel="better than magnitude by (points)", ylabel="weights pruned", ylim=(len(sparsities) - 0.4, -0.6))
    if max(abs(limit) for limit in ax.get_xlim()) > 10 * LINEAR:
        bend(ax, LINEAR, (1, 2, 10, 30), lambda tick: "+" * (tick > 0) + written(tick), linscale=2)
        ax.set_xlabel(f"better than magnitude by (points,\nbeyond {LINEAR:g} logarithmic)")
    ax.grid(axis="y", visible=False)


def _interval(ax: Axes, effect: Effect, each: pd.Series, y: float, name: str, labelled: bool) -> None:
    """The mean and its interval, and beneath them every seed, faint; hollow for the baseline pruners."""
    colour, marker = SCORES[name.removeprefix("gradual_").replace("movement", "movement_to_zero")]
    ax.plot([100 * effect.low, 100 * effect.high], [y, y], color=colour, linewidth=1)
    ax.plot(100 * effect.mean, y, marker=marker, markersize=5, color=colour,
            label=name.replace("_", " ") if labelled else None,
            markerfacecolor="white" if name.startswith("gradual_") else colour)
    ax.scatter(100 * each, [y + 0.45 * APART] * len(each), s=4, color=colour, alpha=0.4, linewidth=0)


def scores_figure(runs: pd.DataFrame) -> Figure:
    """The study of scores: test accuracy at the achieved sparsity, and each way to prune less magnitude."""
    sparsities = sorted(runs["arm"].str.extract(r"_(0\.\d+)$")[0].dropna().astype(float).unique(), reverse=True)
    figure, (left, right) = new_figure(2, width=7.0, height=1.7 + 0.42 * len(sparsities))
    plain = runs["arm"].str.fullmatch(r"dense|(?!gradual)\w+_0\.\d+")
    fig_pruning(left, runs[plain], "test_accuracy")
    left.set_xticks([100 * sparsity for sparsity in sparsities])
    left.legend(loc="lower left")
    fig_against_magnitude(right, runs, sparsities)
    right.legend(fontsize=6.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1, borderaxespad=0.1)
    return figure
