"""Figure of what was measured about guidelines."""

import textwrap

import pandas as pd
from matplotlib.axes import Axes

from adamw_lab.figures.claims import SHADES

FAR = 6.0
"""Effects further out are drawn here, as arrows."""
LEAST = 8
"""Rows that there is room for, at least."""


def fig_evidence(ax: Axes, claims: pd.DataFrame) -> None:
    """Each claim's effect in half-widths of its 95 % interval, a claim a row, the first on top.

    Beyond 1 the interval lies on the claim's side, beyond -1 against it, whatever the effect's unit. Where nothing was
    measured, or without an interval, the verdict stands instead; colours are verdicts.

    `claims` has the columns claim, verdict, effect, low and high of the ledger.
    """
    half = (claims["high"] - claims["low"]) / 2
    strength = (claims["effect"] / half).where(half > 0)
    for row, (verdict, value) in enumerate(zip(claims["verdict"], strength, strict=True)):
        if pd.isna(value):
            ax.text(0, row, f" {verdict}", va="center", fontsize=6.5)
            continue
        end = max(-FAR, min(FAR, value))
        ax.plot([0, end], [row, row], color=SHADES[verdict], linewidth=1.5)
        marker = "o" if end == value else ">" if value > 0 else "<"
        ax.plot(end, row, marker, color=SHADES[verdict], markersize=5)
        ax.text(end, row - 0.16, verdict, ha="center", va="bottom", fontsize=6)
    ax.axvspan(-1, 1, color="#B0B0B0", alpha=0.25, linewidth=0)
    ax.axvline(0, color="#606060", linewidth=0.8)
    labels = ["\n".join(textwrap.wrap(claim, 60)) for claim in claims["claim"]]
    ax.set_yticks(range(len(labels)), labels, fontsize=6.5 if len(labels) <= LEAST else 6)
    ax.set(xlim=(-FAR - 0.6, FAR + 0.6), ylim=(max(len(labels), LEAST) - 0.4, -0.75),
           xlabel="refuted  ←  effect in half-widths of its 95 % interval  →  supported")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
