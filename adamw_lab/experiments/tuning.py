"""Tuning as a study: learning rate × weight decay for each optimizer, extended where its best lies on the edge.

Selection reads validation alone. What it chose is trained again with other seeds, by a study of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adamw_lab.experiments.design import Arms

REGRESSION_OR_LANGUAGE = ("adding_problem", "pydoc_text")
"""Data sets judged by their loss; the others by their accuracy, equal ones by loss."""


@dataclass(frozen=True)
class Space:
    """Where an optimizer is tuned: learning rates, ascending by a constant factor, times weight decays."""

    rates: tuple[float, ...]
    decays: tuple[float, ...]

    def beyond(self, rate: float, tried: list[float]) -> float | None:
        """The rate next to one that is the lowest or highest tried; None where it lies within."""
        factor = self.rates[1] / self.rates[0]
        if rate == min(tried):
            return float(f"{rate / factor:.2g}")
        return float(f"{rate * factor:.2g}") if rate == max(tried) else None


def grid_arms(spaces: Mapping[str, Space]) -> Arms:
    """An arm a trial, the same number for every optimizer."""
    return {label(name, rate, decay): trial(name, rate, decay)
            for name, space in spaces.items() for rate in space.rates for decay in space.decays}


def edge_arms(spaces: Mapping[str, Space], runs: pd.DataFrame, most: int = 2) -> Arms:
    """Trials one rate further, for each optimizer whose best rate is the lowest or highest that it was tried with.

    `most`: as many rates as may be added to a space.
    """
    arms = {}
    for name, best in best_trials(runs).items():
        space = spaces[name]
        tried = sorted(runs.loc[runs["optimizer"] == name, "lr"].unique())
        further = space.beyond(best["lr"], tried)
        if further is not None and len(tried) < len(space.rates) + most:
            arms |= {label(name, further, decay): trial(name, further, decay) for decay in space.decays}
    return arms


def best_trials(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """optimizer -> the settings of the trial that is best on validation, over the seeds' mean; diverged ones lose."""
    best = {}
    for name, own in runs.groupby("optimizer", sort=False):
        means = own.groupby(["lr", "weight_decay"])[["validation_accuracy", "validation_loss"]].mean()
        ends = own.groupby(["lr", "weight_decay"])["status"].agg(lambda status: (status == "finished").all())
        means = means[ends].reset_index()
        if own["dataset"].iloc[0] in REGRESSION_OR_LANGUAGE:
            means["validation_accuracy"] = 0.0
        order = means.sort_values(["validation_accuracy", "validation_loss"], ascending=[False, True], kind="stable")
        if len(order):
            best[str(name)] = trial(str(name), float(order["lr"].iloc[0]), float(order["weight_decay"].iloc[0]))
    return best


def label(name: str, rate: float, decay: float) -> str:
    return f"{name}_lr{rate:g}_wd{decay:g}"


def trial(name: str, rate: float, decay: float) -> dict[str, Any]:
    return {"optimizer": name, "lr": rate, "weight_decay": decay}
