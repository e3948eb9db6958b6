"""Figures of AdamWAdv's parts: the clip at work, and each switch alone and together."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from adamw_lab.figures.effects import SEEDS
from adamw_lab.figures.style import COLOURS, MARKERS, new_figure


def switch_states(runs: pd.DataFrame) -> pd.DataFrame:
    """Which of AMSGrad, clip and cosine is on in each run, of its columns amsgrad, clip_norm and schedule."""
    return pd.DataFrame({"AMSGrad": runs["amsgrad"].astype(bool), "clip": runs["clip_norm"].notna(),
                         "cosine": runs["schedule"] == "cosine"})


def switch_effects(runs: pd.DataFrame, metric: str = "validation_loss") -> pd.DataFrame:
    """Paired differences of each combination from AdamW with all switches off, seed by seed.

    Returns:
        A row a combination, fewest switches first: `switches`, `difference` (mean), `low` and `high` (95 % interval of
        the mean by Student's t), and `differences`, the array of all seeds.

    Raises:
        ValueError: fewer than two seeds, or a combination that lacks a seed.
    """
    values = _by_seed(runs, metric)
    names = {on: " + ".join(name for name, one in zip(values.columns.names, on, strict=True) if one)
             for on in sorted(values.columns, key=lambda on: (sum(on), not on[0], not on[1]))}
    none = values[next(iter(names))]
    return _intervals({name: values[on] - none for on, name in names.items() if name})


def main_effects(runs: pd.DataFrame, metric: str = "validation_loss") -> pd.DataFrame:
    """Paired differences of each switch on from off, the mean over all states of the others; as `switch_effects`."""
    values = _by_seed(runs, metric)
    return _intervals({name: values.xs(True, axis=1, level=name).mean(axis=1)
                       - values.xs(False, axis=1, level=name).mean(axis=1) for name in values.columns.names})


def _by_seed(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row a seed, a column for each state of the three switches."""
    states = switch_states(runs)
    table = states.assign(seed=runs["seed"], metric=runs[metric])
    values = table.pivot(index="seed", columns=list(states), values="metric")
    if len(values) < 2 or values.isna().any(axis=None):
        raise ValueError("the effect of a switch needs two seeds or more, and each seed in every combination")
    return values


def _intervals(differences: dict[str, pd.Series]) -> pd.DataFrame:
    rows = []
    for name, column in differences.items():
        half = student.ppf(0.975, len(column) - 1) * column.std() / np.sqrt(len(column))
        rows.append({"switches": name, "difference": column.mean(), "low": column.mean() - half,
                     "high": column.mean() + half, "differences": column.to_numpy()})
    return pd.DataFrame(rows)


def fig_switches(ax: Axes, effects: pd.DataFrame) -> None:
    """Gains by `switch_effects` or `main_effects`, first on top: mean and interval strong, every seed faint beneath.

    A gain is a difference with its sign turned, as less loss is better.
    """
    for height, row in enumerate(effects.itertuples()):
        ax.plot(-row.differences, np.full(len(row.differences), height + SEEDS), "o", color=COLOURS["adamwadv"],
                alpha=0.4, markersize=3, markeredgewidth=0)
        ax.plot([-row.high, -row.low], [height] * 2, color="black", linewidth=1.4)
        ax.plot(-row.difference, height, MARKERS["adamwadv"], color="black", markersize=4)
    ax.axvline(0, color="#9A9A9A", linewidth=0.8)
    ax.set_yticks(range(len(effects)), effects["switches"])
    ax.set(xlabel="gain in validation loss (nats)", ylim=(len(effects) - 0.5, -0.5))
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
    """AdamWAdv's three switches: every combination beside none, and each on against off over the others."""
    figure, (left, right) = new_figure(2, width=7.0, height=2.6)
    fig_switches(left, switch_effects(runs))
    left.set_title("Beside none of them")
    fig_switches(right, main_effects(runs))
    right.set_title("On against off")
    right.set_xlim(left.get_xlim())
    return figure
