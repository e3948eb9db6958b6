"""Recorded studies as tables, and the comparisons that are made of them, paired by seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from adamw_lab.analysis.stats import Effect, expected_best, noise_floor, paired_difference
from adamw_lab.provenance import CHECKOUT, RECORDS
from adamw_lab.suggest import did_you_mean

MEASURE = {**dict.fromkeys(("resnet18", "fashion", "resnet50", "lenet5"), "test_accuracy"),
           **dict.fromkeys(("lstm", "gpt"), "test_loss")}
"""task -> what its runs are judged by; losses count negative, so that more is better."""
PROFILES = ("quick", "cpu", "day", "gpu")
ANEW = Path("runs") / "records"
"""Where tables of studies that were run anew lie in the checkout."""
WORTH = {"loss": 0.01, "accuracy": 0.002}
"""Differences below these, a share of a loss and a fraction of accuracy, are no difference however sure they are."""


@dataclass(frozen=True)
class Records:
    """The recorded studies of a profile, read when they are asked for; those of `anew` from what was run here.

    Raises:
        ValueError: an unknown profile.
    """

    folder: Path = RECORDS
    profile: str = "cpu"
    anew: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"unknown profile {self.profile!r}; allowed: {', '.join(PROFILES)}."
                             f"{did_you_mean(self.profile, PROFILES)}")

    def run_anew(self, studies: Sequence[str]) -> "Records":
        """Run these studies here; returns records that read them from that, and all others as before.

        Runs lie in `runs/` of the checkout, and those that are done there already are not run again; their tables lie
        in `runs/records/`. What is recorded in `figures/data/` stays as it is.

        Raises:
            TypeError: `studies` is not a list of names.
            ValueError: an unknown study, or one without this profile; nothing has started.
            RuntimeError: a run failed.
        """
        from adamw_lab.experiments.catalogue import find_study
        from adamw_lab.experiments.study import run_study, study_folder

        if isinstance(studies, str):
            raise TypeError(f"studies to run anew must be a list of names, such as ['tuned-lstm'], got {studies!r}")
        for study in studies:
            find_study(study, self.profile)
        for study in studies:
            folder = CHECKOUT / study_folder(study, self.profile)
            if run_study(study, profile=self.profile, out=folder, record=CHECKOUT / ANEW):
                raise RuntimeError(f"some runs of study {study!r} failed: what they said is in {folder}")
        return replace(self, anew=(*self.anew, *studies))

    def _path(self, study: str, suffix: str = "") -> Path:
        folder = CHECKOUT / ANEW if study in self.anew else self.folder
        return folder / f"{study}-{self.profile}{suffix}.csv"

    def runs(self, study: str) -> pd.DataFrame | None:
        """A row a run of a study; None if it is not recorded."""
        path = self._path(study)
        return pd.read_csv(path, keep_default_na=True) if path.is_file() else None

    def need(self, study: str) -> pd.DataFrame:
        """A row a run of a study; ValueError that says how to run it if it is not recorded."""
        runs = self.runs(study)
        if runs is None:
            raise ValueError(f"study {study!r} is not recorded for profile {self.profile!r}: adamw-lab study {study} "
                             f"--profile {self.profile} --record, or `run_anew([{study!r}])` (in notebooks `rerun`)")
        return runs

    def epochs(self, study: str) -> pd.DataFrame | None:
        """A row an epoch of each run; None if the study is not recorded."""
        path = self._path(study, "-epochs")
        return pd.read_csv(path) if path.is_file() else None


def scores(runs: pd.DataFrame, arm: str, measure: str) -> pd.Series:
    """An arm's scores by seed, more being better; runs that diverged have none."""
    finished = (runs["arm"] == arm) & (runs["status"] == "finished")
    own = runs.loc[finished, ["seed", measure]].set_index("seed")[measure].sort_index()
    return -own if measure.endswith("loss") else own


def compare(runs: pd.DataFrame | None, arm: str, other: str, measure: str) -> Effect | None:
    """By how much `arm` is better than `other`, over the seeds that both finished; None with fewer than two."""
    if runs is None:
        return None
    return paired(scores(runs, arm, measure), scores(runs, other, measure))


def against(runs: pd.DataFrame, other: str, measure: str) -> pd.DataFrame:
    """Every arm compared with one, a row an arm in the study's order.

    Columns: arm, optimizer, mean, low, high, seeds, and each, the seeds' own differences.
    """
    return _beside({arm: scores(runs, arm, measure) for arm in runs["arm"].unique()}, other, runs)


def harm(runs: pd.DataFrame, arm: str, kind: str) -> pd.Series:
    """What spoilt steps cost an arm, by seed: the test loss of `<arm>+<kind>` less that of the arm itself."""
    return scores(runs, arm, "test_loss") - scores(runs, f"{arm}+{kind}", "test_loss")


def spared(runs: pd.DataFrame, kind: str, other: str = "adamw") -> pd.DataFrame:
    """By how much less spoilt steps cost each arm that met them than they cost one; columns as of `against`."""
    met = runs.loc[runs["arm"].str.endswith(f"+{kind}"), "arm"].str.removesuffix(f"+{kind}").unique()
    return _beside({arm: -harm(runs, arm, kind) for arm in met}, other, runs)


def _beside(by_arm: Mapping[str, pd.Series], other: str, runs: pd.DataFrame) -> pd.DataFrame:
    optimizers, rows = runs.drop_duplicates("arm").set_index("arm")["optimizer"], []
    for arm, own in by_arm.items():
        effect = paired(own, by_arm[other])
        if arm != other and effect is not None:
            each = tuple((own - by_arm[other]).dropna())
            rows.append((arm, optimizers[arm], effect.mean, effect.low, effect.high, effect.seeds, each))
    return pd.DataFrame(rows, columns=["arm", "optimizer", "mean", "low", "high", "seeds", "each"])


def paired(a: pd.Series, b: pd.Series) -> Effect | None:
    """The mean difference of two series over the seeds of both; None with fewer than two."""
    both = a.index.intersection(b.index)
    return paired_difference(a[both], b[both]) if len(both) > 1 else None


def again(runs: pd.DataFrame | None, measure: str) -> float:
    """The noise floor: how far AdamW and the same rule by another program (adamw_again) are apart; 0 if not run."""
    if runs is None:
        return 0.0
    a, b = scores(runs, "adamw", measure), scores(runs, "adamw_again", measure)
    both = a.index.intersection(b.index)
    return noise_floor(a[both], b[both]) if len(both) > 1 else 0.0


def noise_of(runs: pd.DataFrame | None, other: pd.DataFrame | None, measure: str) -> float:
    """The noise floor by what AdamW differs from itself by in `runs`, or else in `other` runs of the task."""
    return again(runs, measure) or again(other, measure)


def floor(runs: pd.DataFrame | None, measure: str, against: str = "adamw", noise: float = 0.0) -> float:
    """What a difference from the arm `against` has to exceed: the noise floor, or `WORTH` where that is more.

    `noise` is a noise floor from other runs of the task, for runs that have none of their own.
    """
    if runs is None:
        return noise
    share = WORTH["loss"] * abs(float(scores(runs, against, measure).mean()))
    return max(noise, again(runs, measure), share if measure.endswith("loss") else WORTH["accuracy"])


def idle(runs: pd.DataFrame, arm: str) -> list[str]:
    """The options of an arm that were switched on and at work in none of its runs."""
    if "never_fired" not in runs:
        return []
    each = [set(json.loads(names)) for names in runs.loc[runs["arm"] == arm, "never_fired"]]
    return sorted(set.intersection(*each)) if each else []


def slope(by_seed: pd.DataFrame) -> Effect | None:
    """Slope of each seed's values over the logarithm to base 10 of the parameters; its mean over the seeds.

    `by_seed` has a row a number of parameters (the index) and a column a seed; None with fewer than two whole columns.
    """
    whole = by_seed.dropna(axis=1)
    if whole.shape[1] < 2 or len(whole) < 2:
        return None
    x = np.log10(whole.index.to_numpy(dtype=float))
    slopes = [float(scipy_stats.linregress(x, whole[seed]).slope) for seed in whole]
    return paired_difference(slopes, np.zeros(len(slopes)))


def gains_by_size(runs: pd.DataFrame | None, a: str, b: str, measure: str) -> pd.DataFrame | None:
    """Of arms named `<optimizer>_w<width>`: by how much a beats b, a row a number of parameters, a column a seed."""
    if runs is None:
        return None
    table = {name: runs[runs["optimizer"] == name].pivot(index="parameters", columns="seed", values=measure)
             for name in (a, b)}
    return (table[a] - table[b]) * (-1 if measure.endswith("loss") else 1)


def best_by_trials(runs: pd.DataFrame, measure: str) -> pd.Series:
    """The best to expect on validation of 1, 2, … of one optimizer's trials; a diverged one is as bad as the worst."""
    sign = -1 if measure.endswith("loss") else 1
    values = sign * runs[measure].where(runs["status"] == "finished")
    values = values.fillna(values.min())
    return pd.Series({n: sign * expected_best(values, n) for n in range(1, len(values) + 1)})


def cost_to(epochs: pd.DataFrame, target: float, measure: str, unit: str = "step") -> pd.DataFrame:
    """What it took each run until its measure first reached the target, at the end of an epoch; NaN if it never did.

    `unit` is "step" or "seconds", of training. Returns a row a seed and a column an arm.
    """
    reached = epochs[measure] <= target if measure.endswith("loss") else epochs[measure] >= target
    first = epochs[reached].groupby(["seed", "arm"])[unit].min().unstack()
    return first.reindex(index=epochs["seed"].unique(), columns=epochs["arm"].unique())


def normalized(runs: pd.DataFrame, measure: str) -> dict[str, pd.Series]:
    """Each optimizer's scores by seed on a scale where the worst mean of all is 0 and the best 1; losses by their log.

    `runs` has an arm an optimizer. A run that diverged has the worst score of all.
    """
    values = runs[measure].where(runs["status"] == "finished")
    values = -np.log(values) if measure.endswith("loss") else values
    values = values.fillna(values.min())
    means = values.groupby(runs["optimizer"]).mean()
    scaled = (values - means.min()) / (means.max() - means.min())
    return {str(name): scaled[runs["optimizer"] == name] for name in runs["optimizer"].unique()}
