"""The ledger in one picture."""

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.analysis.stats import VERDICTS
from adamw_lab.figures.style import OTHER_COLOURS, new_figure

SHADES = dict(zip(VERDICTS, (OTHER_COLOURS["green"], OTHER_COLOURS["rose"], "#B0B0B0", "#E8E8E8"), strict=True))


def claims_figure(claims: pd.DataFrame) -> Figure:
    """How many claims of each section of the note, and of the README, met which verdict."""
    section = claims["source"].str.removeprefix("note, ")
    counts = claims.groupby([section, "verdict"]).size().unstack(fill_value=0).reindex(columns=VERDICTS, fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index]
    figure, (ax,) = new_figure(width=7.0, height=2.8)
    left = pd.Series(0, index=counts.index)
    for said in VERDICTS:
        ax.barh(counts.index, counts[said], left=left, color=SHADES[said], label=said, height=0.7)
        left = left + counts[said]
    ax.set(xlabel="claims")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=4 if figure.get_figwidth() > 5 else 2, columnspacing=1.2)
    return figure
