"""The figure of pruning on several bases: scores, sparsities and the rules beneath AdamWPrune, crossed."""

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.figures.lines import fig_curve
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, WIDTH, new_figure, stacks

LABEL = r"^(?P<base>[a-z]+)_(?P<score>[a-z]+)_(?P<target>0\.\d+)$"
"""How an arm of the study `pruning-bases` is named; `dense_<base>` is not pruned."""


def crossed(runs: pd.DataFrame) -> pd.DataFrame:
    """The finished pruned runs, with base, score and target of each as columns."""
    parts = runs["arm"].str.extract(LABEL)
    table = pd.concat([runs, parts.assign(target=parts["target"].astype(float))], axis=1)
    return table[table["target"].notna() & (table["status"] == "finished")]


def bases_figure(runs: pd.DataFrame) -> Figure:
    """Test accuracy against sparsity, a panel a score, a line a base; dashed, the mean of each base without pruning."""
    table, dense = crossed(runs), runs[runs["arm"].str.startswith("dense_")]
    names = list(table["score"].unique())
    rows = -(-len(names) // 2)
    figure, axes = new_figure(2, rows=rows, width=WIDTH if stacks(7.0) else 7.0, height=2.0 * rows)
    for ax, score in zip(axes, names, strict=False):
        for base, own in table[table["score"] == score].groupby("base", sort=False):
            by = 100 * own.pivot(index="seed", columns="target", values="test_accuracy")
            fig_curve(ax, range(by.shape[1]), [by[target].tolist() for target in by], COLOURS[base], MARKERS[base],
                      NAMES[base])
            unpruned = 100 * dense.loc[dense["optimizer"] == base, "test_accuracy"].mean()
            ax.axhline(unpruned, color=COLOURS[base], linewidth=0.8, linestyle="--")
        ax.set_xticks(range(by.shape[1]), [f"{100 * target:g}" for target in by])
        ax.set(title=score, xlabel="weights pruned (%)", ylabel="test accuracy (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, columnspacing=1)
    return figure
