"""Notebook 13 at its defaults: it shows every claim under its verdict, and ranks them as the recorded ledger does."""

import html
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from scipy import stats

LEDGER = pd.read_csv(Path(__file__).resolve().parents[2] / "figures" / "data" / "claims.csv")
UNDER = {"supported": "bbf66c4d", "refuted": "66d72cbf", "no difference found": "758c5d61",
         "untested at this scale": "3a8021de"}


@pytest.mark.parametrize("verdict", UNDER)
def test_every_claim_stands_under_its_verdict(book, verdict):
    shown = next(cell for cell in book.cells if cell.id == UNDER[verdict]).outputs[-1]["data"]["text/html"]
    claims = [html.unescape(text) for text in re.findall(r'class="data row\d+ col0" *>([^<]*)</td>', shown)]
    assert claims == LEDGER.loc[LEDGER["verdict"] == verdict, "claim"].tolist()


def test_it_counts_them(said):
    assert f"{len(LEDGER)} claims; {(LEDGER['seeds'] > 1).sum()} of them decided by runs over seeds" in said
    for whose in ("README", "asked here", "note"):
        own = LEDGER[LEDGER["source"].str.startswith(whose)]["verdict"]
        counts = list(map(int, re.search(rf"\n{whose} +(\d+) +(\d+) +(\d+) +(\d+)\n", said).groups()))
        assert counts == [(own == verdict).sum() for verdict in UNDER]


def test_the_five_that_it_names_clear_their_noise_most(findings):
    decided = LEDGER[(LEDGER["seeds"] > 1) & LEDGER["verdict"].isin(["supported", "refuted"])]
    width = (decided["high"] - decided["low"]) / 2
    clear = (decided["effect"].abs() / width)[width > 0].sort_values(ascending=False)
    rows = LEDGER.loc[clear.index[:5]].set_index("claim")
    assert set(findings) == set(rows.index)
    for claim, (verdict, *numbers, seeds) in findings.items():
        row = rows.loc[claim]
        assert verdict == row["verdict"] and seeds == row["seeds"]
        assert numbers == pytest.approx(row[["effect", "low", "high"]].tolist(), rel=0.006)


def test_so_many_comparisons_are_corrected_by_benjamini_and_yekutieli(said):
    wide = LEDGER[(LEDGER["seeds"] > 1) & (LEDGER["high"] > LEDGER["low"])]
    free = wide["seeds"] - 1
    t = wide["effect"].abs() * stats.t.ppf(0.975, free) / (wide["high"] - wide["low"]) * 2
    p = 2 * stats.t.sf(t, free)
    m = len(p)
    order = p.argsort()
    harmonic = sum(1 / k for k in range(1, m + 1))
    steps = p[order] * m * harmonic / range(1, m + 1)
    corrected = pd.Series(pd.Series(steps[::-1]).cummin()[::-1].to_numpy(), wide.index[order]).sort_index()
    decided = wide["verdict"].isin(["supported", "refuted"])
    assert (f"{decided.sum()} of {m} claims with an interval are supported or refuted; "
            f"{(decided & (corrected < 0.05)).sum()} stay so after the correction.") in said
    for _, row in wide[decided & (corrected >= 0.05)].iterrows():
        assert f"- {row['claim']}: {row['verdict']}\n" in said


def test_theta_clips_the_share_that_its_rule_says(said):
    found = re.search(r"'theta 5': '(\S+)% clipped', 'theta 10': '(\S+)% clipped', 'theta 50': '(\S+)% clipped'", said)
    for shown, theta in zip(map(float, found.groups()), (5, 10, 50), strict=True):
        assert shown == pytest.approx(100 * clipped(theta), abs=0.011)


def clipped(theta):
    """The share of 300 times 1,000 gradients that is beyond theta times the corrected v of those before it."""
    generator = torch.Generator().manual_seed(0)
    v, beyond = torch.zeros(1000, dtype=torch.float64), 0
    for t in range(300):
        square = torch.randn(1000, generator=generator, dtype=torch.float64) ** 2
        limit = theta * v / (1 - 0.999**t) if t else torch.full_like(v, math.inf)
        beyond += int((square > limit).sum())
        v = 0.999 * v + 0.001 * torch.minimum(square, limit)
    return beyond / (300 * 1000)
