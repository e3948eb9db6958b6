"""Figures of pruning: what a network keeps of its accuracy as weights go."""

import json
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.analysis.recorded import compare
from adamw_lab.analysis.stats import Effect
from adamw_lab.figures.style import new_figure

# Scores are not optimizers: they have colours of their own, of the same colour-blind safe set.
SCORES = {
    "hybrid": ("#D55E00", "P"), "magnitude": ("#000000", "o"), "fisher": ("#0072B2", "s"),
    "random": ("#9A9A9A", "x"), "gradient_magnitude": ("#56B4E9", "^"), "movement_to_zero": ("#009E73", "D"),
    "coherence": ("#E69F00", "v"), "variance": ("#CC79A7", "<"), "saliency": ("#8C564B", ">"),
}


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

    `runs` has arms named `<score>_<sparsity>`; those of the baseline pruners begin with `gradual_`.
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
    right.legend(fontsize=6)
    return figure
