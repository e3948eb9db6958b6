"""Figures of training runs. Each function draws one thing into the axes it is given and changes no data."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure

METRICS = {
    "validation_accuracy": ("validation accuracy (%)", 100.0),
    "train_accuracy": ("training accuracy (%)", 100.0),
    "validation_loss": ("validation loss (nats)", 1.0),
    "train_loss": ("training loss (nats)", 1.0),
    "sparsity": ("sparsity (%)", 100.0),
    "lr": ("learning rate", 1.0),
}


def fig_curves(ax: Axes, history: pd.DataFrame, metric: str = "validation_accuracy") -> None:
    """One metric against epochs: every seed faint, the mean of an optimizer's seeds strong.

    `history` has a row an epoch of each run and the columns optimizer, seed, epoch and `metric`.
    """
    label, scale = METRICS[metric]
    for name, runs in history.groupby("optimizer", sort=False):
        curves = scale * runs.pivot(index="epoch", columns="seed", values=metric)
        if curves.shape[1] > 1:
            ax.plot(curves.index, curves, color=COLOURS[name], alpha=0.3, linewidth=0.8)
        mean = curves.mean(axis=1)
        ax.plot(mean.index, mean, color=COLOURS[name], marker=MARKERS[name], label=NAMES[name])
    ax.set(xlabel="epoch", ylabel=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def fig_training(ax: Axes, history: pd.DataFrame, quantity: str, optimizer: str) -> None:
    """One run's "loss" or "accuracy" against epochs, on the images it trains on and on the validation images."""
    scale = 100.0 if quantity == "accuracy" else 1.0
    epochs = history["epoch"]
    ax.plot(epochs, scale * history[f"train_{quantity}"], "--", color="#9A9A9A", label="training")
    ax.plot(epochs, scale * history[f"validation_{quantity}"], color=COLOURS[optimizer], marker=MARKERS[optimizer],
            label="validation")
    ax.set(xlabel="epoch", ylabel="loss (nats)" if quantity == "loss" else "accuracy (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()


def fig_comparison(ax: Axes, runs: pd.DataFrame) -> None:
    """Final validation accuracy of each optimizer: a dot a seed, a bar at the mean, the best mean on top.

    `runs` has a row a run and the columns optimizer, seed, validation_accuracy and sparsity (fractions).
    """
    means = runs.groupby("optimizer")["validation_accuracy"].mean().sort_values(kind="stable")
    for height, name in enumerate(means.index):
        own = runs[runs["optimizer"] == name]
        points = 100 * own["validation_accuracy"]
        ax.plot([100 * means[name]] * 2, [height - 0.32, height + 0.32], color=COLOURS[name], linewidth=2)
        ax.plot(points, [height] * len(points), MARKERS[name], color=COLOURS[name], markeredgecolor="white",
                markeredgewidth=0.5, markersize=6)
    ax.set_yticks(range(len(means)), [_row_label(name, runs) for name in means.index])
    ax.set(xlabel="validation accuracy (%)", ylim=(-0.6, len(means) - 0.4))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def _row_label(name: str, runs: pd.DataFrame) -> str:
    sparsity = runs.loc[runs["optimizer"] == name, "sparsity"].mean()
    return f"{NAMES[name]}\n{100 * sparsity:.0f} % of weights pruned" if sparsity > 0.005 else NAMES[name]


def study_figure(runs: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """A study in two panels: the curves of all optimizers, and where each of them ended."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.7)
    fig_curves(left, history)
    left.set_title("Every epoch")
    left.legend(loc="lower right")
    fig_comparison(right, runs)
    right.set_title("The end")
    return figure
