"""Tuning as a study: learning rate × weight decay for each optimizer, extended where its best lies on the edge.

Selection reads validation alone. What it chose is trained again with other seeds, by a study of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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

    def further(self, best: Mapping[str, Any], own: pd.DataFrame, most: int) -> list[tuple[float, float]]:
        """The (rate, decay) to try next where the best lies on the edge of what was tried: first rates, then decays."""
        rates, decays = sorted(own["lr"].unique()), sorted(own["weight_decay"].unique())
        rate = _beyond(best["lr"], rates, self.rates[1] / self.rates[0])
        if rate is not None and len(rates) < len(self.rates) + most:
            return [(rate, decay) for decay in self.decays]
        decay = _beyond(best["weight_decay"], decays, 10.0) if len(self.decays) > 1 else None
        return [(best["lr"], decay)] if decay is not None and len(decays) < len(self.decays) + most else []


def _beyond(value: float, tried: list[float], factor: float) -> float | None:
    """What comes next to a value that is the lowest or highest tried; None where it lies within, or is 0."""
    if value == 0:
        return None
    if value == max(tried):
        return float(f"{value * factor:.2g}")
    return float(f"{value / factor:.2g}") if value == min(tried) else None


def grid_arms(spaces: Mapping[str, Space], options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Arms:
    """An arm a trial, the same number for every optimizer. `options`: optimizer -> options that all its trials have."""
    return {label(name, rate, decay): trial(name, rate, decay, options.get(name, {}))
            for name, space in spaces.items() for rate in space.rates for decay in space.decays}


def edge_arms(spaces: Mapping[str, Space], runs: pd.DataFrame, most: int = 2) -> Arms:
    """Further trials for each optimizer whose best lies on the edge of the rates, or else of the decays, tried.

    `most`: as many rates, and decays, as may be added to a space.
    """
    arms = {}
    for name, best in best_trials(runs).items():
        for rate, decay in spaces[name].further(best, runs[runs["optimizer"] == name], most):
            arms[label(name, rate, decay)] = best | trial(name, rate, decay)
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
            best[str(name)] = trial(str(name), float(order["lr"].iloc[0]), float(order["weight_decay"].iloc[0]),
                                    json.loads(own["optimizer_options"].iloc[0]))
    return best


def label(name: str, rate: float, decay: float) -> str:
    return f"{name}_lr{rate:g}_wd{decay:g}"


def trial(name: str, rate: float, decay: float, options: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    settings = {"optimizer": name, "lr": rate, "weight_decay": decay}
    return settings | ({"optimizer_options": dict(options)} if options else {})
