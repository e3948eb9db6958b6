"""Statistics of runs: what may be said of optimizers from a few seeds each, and what not.

After rliable (arXiv 2108.13264) and Dodge et al. (arXiv 1909.03004). Scores are arrays over seeds, a higher one better
unless a function says otherwise; "paired" means that position i of both is the same seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
VERDICTS = ("supported", "refuted", "no difference found", "untested at this scale")


@dataclass(frozen=True)
class Effect:
    """A mean with its interval at `CONFIDENCE`, and the number of seeds behind it."""

    mean: float
    low: float
    high: float
    seeds: int


def iqm(scores: ArrayLike) -> float:
    """The interquartile mean: of the middle half of all scores."""
    return float(stats.trim_mean(np.asarray(scores, dtype=float), 0.25, axis=None))


def paired_difference(a: ArrayLike, b: ArrayLike) -> Effect:
    """Mean of a - b over paired seeds, with Student's t interval.

    Not the bootstrap's: resampling five differences gives intervals of nominally 95 % that hold in some 85 % of cases.

    Raises:
        ValueError: not of one length, or fewer than two pairs.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"paired scores of shapes {a.shape} and {b.shape}; allowed: two lists of one length >= 2")
    difference = a - b
    mean = float(difference.mean())
    error = float(stats.sem(difference))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(a) - 1)) * error
    return Effect(mean, mean - half, mean + half, len(a))


def stratified_interval(scores: Sequence[ArrayLike], statistic: Any = iqm, *, resamples: int = 2000,
                        seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of all scores; seeds are resampled within each task, apart.

    Args:
        scores: an array over seeds for each task.
        statistic: of all scores in one array (default: their interquartile mean).
        resamples: how many.
        seed: of the resampling.
    """
    def joined(*samples: NDArray) -> float:
        return statistic(np.concatenate(samples))

    found = stats.bootstrap([np.asarray(own, dtype=float) for own in scores], joined, vectorized=False,
                            method="percentile", n_resamples=resamples, confidence_level=CONFIDENCE, rng=seed)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def probability_of_improvement(a: Sequence[ArrayLike], b: Sequence[ArrayLike]) -> float:
    """How likely a run of `a` is better than one of `b` on a task taken at random; a tie is half a win.

    `a` and `b` hold an array over seeds for each task. On one task it is Mann and Whitney's U by the number of pairs.
    """
    wins = []
    for x, y in zip(a, b, strict=True):
        x, y = np.asarray(x, dtype=float)[:, None], np.asarray(y, dtype=float)[None, :]
        wins.append(float(np.mean((x > y) + 0.5 * (x == y))))
    return sum(wins) / len(wins)


def performance_profile(scores: Sequence[ArrayLike], thresholds: ArrayLike) -> NDArray:
    """The share of runs that score above each threshold, [thresholds]; every task counts alike."""
    thresholds = np.asarray(thresholds, dtype=float)
    shares = [(np.asarray(own, dtype=float)[:, None] > thresholds).mean(axis=0) for own in scores]
    return np.mean(shares, axis=0)


def profile_interval(scores: Sequence[ArrayLike], thresholds: ArrayLike, *, resamples: int = 1000,
                     seed: int = 0) -> tuple[NDArray, NDArray]:
    """Percentile bootstrap intervals of a performance profile, threshold by threshold: low and high, [thresholds] each.

    Seeds are resampled within each task, apart, as in `stratified_interval`.
    """
    rng, thresholds = np.random.default_rng(seed), np.asarray(thresholds, dtype=float)
    profiles = np.zeros((resamples, len(thresholds)))
    for own in scores:
        above = np.asarray(own, dtype=float)[:, None] > thresholds
        profiles += above[rng.integers(len(above), size=(resamples, len(above)))].mean(axis=1) / len(scores)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(profiles, (tail, 100 - tail), axis=0)
    return low, high


def expected_best(scores: ArrayLike, n: int) -> float:
    """The best score to expect of n trials, drawn from these without replacement: unbiased (arXiv 2004.13705).

    The mean over all subsets of n of their maximum, sum over i of s_(i) C(i-1, n-1) / C(N, n).

    Raises:
        ValueError: n is not from 1 to the number of scores.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))
    total = len(ordered)
    if not 1 <= n <= total:
        raise ValueError(f"Invalid n: {n!r}; allowed: from 1 to the {total} trials that there are")
    weights = [math.comb(i, n - 1) / math.comb(total, n) for i in range(total)]
    return float(np.dot(weights, ordered))


def noise_floor(a: ArrayLike, again: ArrayLike) -> float:
    """How far from 0 the paired difference of an optimizer with itself may lie: the further end of its interval."""
    effect = paired_difference(a, again)
    return max(abs(effect.low), abs(effect.high))


def verdict(effect: Effect | None, floor: float = 0.0) -> str:
    """What a measured effect says of a claim that it is positive, one of `VERDICTS`.

    The interval must clear 0, and the mean the noise floor; None: nothing was measured.
    """
    if effect is None:
        return VERDICTS[3]
    if effect.low > 0 and effect.mean > floor:
        return VERDICTS[0]
    if effect.high < 0 and effect.mean < -floor:
        return VERDICTS[1]
    return VERDICTS[2]


def no_worse(effect: Effect | None, floor: float = 0.0) -> str:
    """What a measured effect says of a claim that it is not negative, that is, that one is at least as good.

    Supported where the interval leaves no loss beyond the noise floor; refuted as by `verdict`.
    """
    if effect is not None and effect.low > -floor:
        return VERDICTS[0]
    found = verdict(effect, floor)
    return found if found != VERDICTS[0] else VERDICTS[2]


def worst_verdict(found: Mapping[str, str]) -> str:
    """The verdict on a claim about all of several cases: supported if all are, refuted if one is."""
    verdicts = set(found.values())
    for one in (VERDICTS[1], VERDICTS[3], VERDICTS[2]):
        if one in verdicts:
            return one
    return VERDICTS[0]
