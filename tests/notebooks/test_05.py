"""Notebook 05 at its defaults: what it finds is what the rules imply, computed here without the package."""

import math
import re

import pandas as pd
import pytest
import torch


def test_the_spike_stays_in_v_as_long_as_its_decay_says(said):
    found = re.search(r"disturbs AdamW's v for all (\d+) steps that were left, AdamWSPAM's for (\d+) of the \1\.", said)
    left, spam = map(int, found.groups())
    assert left == min(calm_after(0.001 * 100.0**2), left) == 600 - 150 + 1
    assert spam == pytest.approx(calm_after(0.001 * 50.0), rel=0.15)


def calm_after(entered):
    """Steps until the root of v is within a tenth of what it is without the spike of step 150, gradients being of
    deviation 1."""
    return next(k for k in range(10_000) if math.sqrt(1 + entered * 0.999**k / (1 - 0.999 ** (150 + k))) < 1.1)


def test_a_spike_is_forgotten_after_the_steps_that_beta_implies(said):
    assert f"m {math.log(0.01) / math.log(0.9):.0f}, v {math.log(0.01) / math.log(0.999):,.0f}\n" in said


def test_theta_clips_the_share_that_its_rule_says(said):
    found = re.search(r"theta 10 clips (\S+)% of spike-free elements, theta 50 (\S+)%: a higher .* the gentler", said)
    for share, theta in zip(map(float, found.groups()), (10, 50), strict=True):
        assert share == pytest.approx(100 * clipped(theta), abs=0.011), "rounded to hundredths"


def clipped(theta):
    """The share of 200 times 500 gradients that is beyond theta times the corrected v of those before it."""
    generator = torch.Generator().manual_seed(0)
    v, beyond = torch.zeros(500), 0
    for t in range(200):
        square = torch.randn(500, generator=generator) ** 2
        limit = theta * v / (1 - 0.999**t) if t else torch.full((500,), math.inf)
        beyond += int((square > limit).sum())
        v = 0.999 * v + 0.001 * torch.minimum(square, limit)
    return beyond / (200 * 500)


@pytest.fixture(scope="module")
def spoilt():
    """The gradients with 20 spikes, and each spike's step -> its factor."""
    generator = torch.Generator().manual_seed(0)
    wander = torch.cumsum(0.02 * torch.randn(1000, 1, generator=generator), 0).exp()
    gradients = wander * torch.randn(1000, 64, generator=generator)
    steps = torch.randperm(900, generator=generator)[:20] + 100
    factors = pd.Series((10 ** (1 + 2 * torch.rand(20, generator=generator))).numpy(), index=steps.tolist())
    for step, factor in factors.items():
        gradients[step] *= factor
    return gradients, factors


def test_the_spikes_span_two_decades(spoilt):
    assert 10 <= spoilt[1].min() < 20 and 500 < spoilt[1].max() <= 1000


def test_the_norm_detector_finds_what_it_says(said, spoilt):
    gradients, factors = spoilt
    norms = pd.Series(gradients.norm(dim=1).numpy())
    before = norms.rolling(100, min_periods=10)
    called = norms > before.mean().shift() + 2 * before.std().shift()
    found = re.search(r"above 2 deviations finds (\d+)% of the spikes; (\d+)% of its calls are right", said)
    recall, precision = map(int, found.groups())
    assert recall == pytest.approx(100 * called[factors.index].mean(), abs=5.1), "one spike of twenty"
    assert precision == pytest.approx(100 * called[factors.index].sum() / called.sum(), abs=2)


def test_the_first_update_after_a_reset_is_as_long_as_its_corrections_make_it(said):
    without, anew = re.search(
        r"update is (\S+) times the learning rate without, and (\S+) times with the bias", said).groups()
    assert without == f"{0.1 / math.sqrt(0.001 / (1 - 0.999**3000)):.1f}" == "3.1"
    assert anew == "1.0"


def test_the_papers_score_calls_what_stands_out_of_the_steps_before(book, said, spoilt):
    gradients, factors = spoilt
    sizes = pd.DataFrame(gradients.abs().numpy())
    called = (sizes / sizes.rolling(100, min_periods=10).mean().shift()).max(axis=1) > 50
    found = int(re.search(r"The paper's score above 50 finds (\d+)%", said)[1])
    assert found == pytest.approx(100 * called[factors.index].mean(), abs=5.1), "one spike of twenty"
    assert 0 < called[factors.index].mean() < 1, "neither none nor all, so that recall tells something"
    small, large = (called[factors.index[own]].mean() for own in (factors <= 30, factors > 100))
    assert small < large
    html = next(cell for cell in book.cells if cell.id == "0661ac4e").outputs[-1]["data"]["text/html"]
    counts = [int(count) for count in re.findall(r"<td>(\d+)</td>", html)]
    ranges = (factors <= 30, factors.between(30, 100), factors > 100)
    expected = [int(called[factors.index[own]].sum()) for own in ranges]
    assert counts[2::4] == expected and sum(counts[3::4]) == 20


def test_what_acts_before_a_spike_leaves_it_in_v_and_a_clip_keeps_it_out(said):
    shares = {name: int(share) for share, name in re.findall(
        r"(\d+)% \(([^)]+)\)", re.search(r"5\. In the 50 steps after the spike .*", said)[0])}
    for name in ("AdamW", "forget m", "the note's: m × 0.5, v × 0.9"):
        assert shares[name] < 60, "√v holds the spike"
    assert min(shares["clip by element"], shares["reset both"]) > 75
    assert re.search(r"the note's: m × 0.5, v × 0.9 +451\b", said) and re.search(r"clip by element +\d\d\b", said)


def test_both_forms_of_the_clip_are_run(said):
    found = re.search(r"clipped: (\d) of 8 by the corrected v, (\d) of 8 by the raw v", said)
    corrected, raw = map(int, found.groups())
    assert corrected < raw, "the raw v is far below the corrected one at the start"


def test_its_key_numbers_are_recorded(said):
    assert re.search(r"first update after a reset +3\.08", said)
    assert re.search(r"recall of the note's 2 +[01]\.\d", said)
    assert re.search(r"clipped at theta 50 +0\.0007", said)
