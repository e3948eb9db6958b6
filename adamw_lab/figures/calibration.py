"""The calibration on Fashion-MNIST: how near a run comes to what is published."""

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.figures.lines import name_ends
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, WIDTH, new_figure

PUBLISHED = {"ResNet-18, unverified submission": 0.949, "ResNet-20, random erasing": 0.956}
"""Test accuracies: the data set's own list of submissions, and arXiv 1708.04896."""


def calibration_figure(runs: pd.DataFrame, epochs: pd.DataFrame) -> Figure:
    """Validation accuracy by epoch, test accuracy after the last one (hollow), and the published test accuracies.

    Args:
        runs: a row a run, one an optimizer, with the columns optimizer and test_accuracy, a fraction.
        epochs: a row an epoch of these runs, with optimizer, epoch and validation_accuracy, a fraction.
    """
    figure, (ax,) = new_figure(width=WIDTH, height=2.2)
    for name, own in epochs.groupby("optimizer", sort=False):
        test = 100 * float(runs.loc[runs["optimizer"] == name, "test_accuracy"].iloc[0])
        ax.plot(own["epoch"], 100 * own["validation_accuracy"], color=COLOURS[name], marker=MARKERS[name])
        ax.plot(own["epoch"].iloc[-1] + 0.08, test, MARKERS[name], color=COLOURS[name], markerfacecolor="white",
                label=f"{NAMES[name]}\n{test:.1f} on test")
    for label, accuracy in PUBLISHED.items():
        ax.axhline(100 * accuracy, color="#606060", linestyle="--", linewidth=0.8)
        below = accuracy == min(PUBLISHED.values())
        ax.annotate(f"{label}: {100 * accuracy:.1f}", (0.02, 100 * accuracy), xytext=(0, -2 if below else 2),
                    xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                    va="top" if below else "bottom", fontsize=6.5)
    ax.set(xlabel="epoch", ylabel="accuracy (%)", xticks=sorted(epochs["epoch"].unique()), ylim=(None, 97.5))
    name_ends(ax, fontsize=6.5)
    return figure
