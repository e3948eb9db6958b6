"""Figures of pruning: what a network keeps of its accuracy as weights go."""

import json

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.style import new_figure

# Scores are not optimizers: they have colours of their own, of the same colour-blind safe set.
SCORES = {
    "hybrid": ("#D55E00", "P"), "magnitude": ("#000000", "o"), "fisher": ("#0072B2", "s"),
    "random": ("#9A9A9A", "x"), "gradient_magnitude": ("#56B4E9", "^"), "movement_to_zero": ("#009E73", "D"),
    "coherence": ("#E69F00", "v"), "variance": ("#CC79A7", "<"), "saliency": ("#8C564B", ">"),
}


def fig_pruning(ax: Axes, runs: pd.DataFrame) -> None:
    """Validation accuracy against achieved sparsity: each score's mean over seeds, its range as a band.

    `runs` has a row a run and the columns optimizer, optimizer_options (JSON), validation_accuracy and sparsity
    (fractions). Runs of other optimizers than adamwprune are the dense control, drawn across.
    """
    pruned = runs["optimizer"] == "adamwprune"
    dense = 100 * runs.loc[~pruned, "validation_accuracy"]
    if len(dense):
        ax.axhspan(dense.min(), dense.max(), color="#B0B0B0", alpha=0.35, linewidth=0)
        ax.axhline(dense.mean(), color="#606060", linestyle="--", linewidth=1, label="dense")
    options = runs.loc[pruned, "optimizer_options"].map(json.loads)
    pruned = runs[pruned].assign(score=[o.get("importance", "hybrid") for o in options],
                                 target=[o["target_sparsity"] for o in options])
    for score, (colour, marker) in SCORES.items():
        by = pruned[pruned["score"] == score].groupby("target")
        x, y = 100 * by["sparsity"].mean(), 100 * by["validation_accuracy"].agg(["mean", "min", "max"])
        if len(x):
            ax.fill_between(x, y["min"], y["max"], color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, y["mean"], marker=marker, color=colour, label=score)
    ax.set(xlabel="weights pruned (%)", ylabel="validation accuracy (%)")


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
