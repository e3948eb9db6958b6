"""Statistics against cases worked out by hand, scipy, and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from adamw_lab.analysis import stats

NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=7)


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert stats.iqm([100, 1, 2, 3, 4, 5, 6, -100]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert stats.iqm([[1, 2], [3, 4]]) == 2.5


def test_a_paired_difference_is_the_t_interval():
    a, b = [3.0, 5.0, 4.0, 8.0], [1.0, 4.0, 4.0, 5.0]
    effect = stats.paired_difference(a, b)
    theirs = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    assert effect.mean == 1.5 and effect.seeds == 4
    assert (effect.low, effect.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_what_is_not_paired_is_refused(a, b):
    with pytest.raises(ValueError, match="paired scores of shapes"):
        stats.paired_difference(a, b)


def test_why_not_the_bootstrap_for_five_pairs():
    random = np.random.default_rng(0)
    samples = random.normal(size=(400, 5))
    ours = sum(e.low < 0 < e.high for e in (stats.paired_difference(x, np.zeros(5)) for x in samples))
    resampled = samples[:, random.integers(0, 5, (1000, 5))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert 0.92 < ours / 400 < 0.98
    assert ((low < 0) & (high > 0)).mean() < 0.88


def test_the_interval_of_a_profile_is_that_of_its_shares():
    same, mixed = [1.0] * 4, [0.0, 1.0] * 10
    low, high = stats.profile_interval([same], [0.5, 1.5], resamples=50)
    assert low.tolist() == high.tolist() == [1.0, 0.0], "where all seeds agree it has no width"
    low, high = stats.profile_interval([mixed, same], [0.5], resamples=4000)
    theirs = scipy_stats.binom.ppf([0.025, 0.975], 20, 0.5) / 20
    assert [low[0], high[0]] == pytest.approx((theirs + 1) / 2, abs=0.026), "tasks count alike, seeds stay in theirs"


def test_the_stratified_interval_resamples_each_task_apart():
    tight = [np.zeros(4), np.full(4, 10.0)]
    assert stats.stratified_interval(tight, np.mean, resamples=50) == (5.0, 5.0), "pooling would spread it"
    scores = np.random.default_rng(1).normal(size=20)
    low, high = stats.stratified_interval([scores], np.mean, resamples=2000)
    theirs = scipy_stats.bootstrap((scores,), np.mean, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


@given(NUMBERS, NUMBERS)
def test_probability_of_improvement_is_mann_and_whitneys(a, b):
    ours = stats.probability_of_improvement([a], [b])
    assert ours == pytest.approx(scipy_stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    assert stats.probability_of_improvement([b], [a]) == pytest.approx(1 - ours)


def test_every_task_counts_alike_in_a_probability_of_improvement():
    assert stats.probability_of_improvement([[1.0], [0.0] * 9], [[0.0], [1.0] * 9]) == 0.5


def test_a_profile_by_hand():
    scores = [[1.0, 2.0, 3.0, 4.0], [3.0]]
    assert stats.performance_profile(scores, [0, 2, 3, 9]).tolist() == [1.0, 0.75, 0.125, 0.0]


@given(NUMBERS, st.data())
def test_the_expected_best_is_the_mean_over_all_subsets(scores, data):
    n = data.draw(st.integers(1, len(scores)))
    by_hand = np.mean([max(subset) for subset in itertools.combinations(scores, n)])
    assert stats.expected_best(scores, n) == pytest.approx(by_hand, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n", [0, 4])
def test_more_trials_than_there_are_have_no_expected_best(n):
    with pytest.raises(ValueError, match=f"Invalid n: {n}; allowed: from 1 to the 3 trials"):
        stats.expected_best([1.0, 2.0, 3.0], n)


@pytest.mark.parametrize(("low", "mean", "high", "floor", "said"), [
    (1, 2, 3, 0.5, "supported"), (-3, -2, -1, 0.5, "refuted"), (-1, 1, 3, 0.5, "no difference found"),
    (0.1, 0.2, 0.3, 0.5, "no difference found"), (-0.3, -0.2, -0.1, 0.5, "no difference found")])
def test_a_verdict_must_clear_zero_and_the_floor(low, mean, high, floor, said):
    assert stats.verdict(stats.Effect(mean, low, high, 5), floor) == said


def test_nothing_measured_is_untested():
    assert stats.verdict(None) == "untested at this scale"


def test_the_noise_floor_is_the_further_end():
    again = stats.paired_difference([1.0, 2.0, 3.0], [1.5, 2.0, 2.0])
    assert stats.noise_floor([1.0, 2.0, 3.0], [1.5, 2.0, 2.0]) == pytest.approx(max(-again.low, again.high))


@pytest.mark.parametrize(("verdicts", "said"), [
    ("sss", "supported"), ("srs", "refuted"), ("sns", "no difference found"), ("sun", "untested at this scale")])
def test_a_claim_about_all_cases_is_as_good_as_its_worst(verdicts, said):
    names = {word[0]: word for word in stats.VERDICTS}
    assert stats.worst_verdict({str(i): names[v] for i, v in enumerate(verdicts)}) == said
