"""Figures of the memory that training and pruning take."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.style import NAMES, OTHER_COLOURS, WIDTH, new_figure

PARTS = {
    "weights": ("weights", "#4D4D4D"),
    "gradients": ("gradients", "#BDBDBD"),
    "moments": ("moments", OTHER_COLOURS["teal"]),
    "masks": ("masks", OTHER_COLOURS["wine"]),
    "scores": ("scores", OTHER_COLOURS["sand"]),
    "copies": ("copies of weights", OTHER_COLOURS["purple"]),
    "transients": ("for a moment", "#FFFFFF"),
}
METHODS = {
    "adamw": "AdamW",
    "adamwadv": "AdamWAdv",
    "adamwspam": "AdamWSPAM",
    "adamwspam_published": "SPAM, published",
    "adamwprune": "AdamWPrune",
    "adamwprune_on_adamwadv": "AdamWPrune on Adv",
    "adamwprune_on_adamwspam": "AdamWPrune on SPAM",
    "byte_masks": "byte masks",
    "magnitude_pruner": "MagnitudePruner",
    "random_pruner": "RandomPruner",
    "movement_pruner": "MovementPruner",
    "torch_prune": "torch.nn.utils.prune",
}


def fig_memory(ax: Axes, data: pd.DataFrame) -> None:
    """Bytes a weight that each method keeps, stacked by component, and beyond them what a mask update takes.

    `data` is `bench_memory`'s: a row a method, the first on top. Bytes are divided by the model's parameters;
    `other`, which is hardly anything, is left out. The number behind a bar is `pruning_bytes_per_weight`.
    """
    rows = data[["method"]].assign(**{part: data[part] / data["parameters"] for part in PARTS})
    left = pd.Series(0.0, index=rows.index)
    for part, (label, colour) in PARTS.items():
        moment = part == "transients"
        ax.barh(range(len(rows)), rows[part], left=left, color=colour, height=0.7, label=label,
                edgecolor="#9A9A9A" if moment else "white", linewidth=0.5, hatch="////" if moment else None)
        left = left + rows[part]
    for height, (pruning, end) in enumerate(zip(data["pruning_bytes_per_weight"], left, strict=True)):
        if data["sparsity"].iloc[height] > 0:
            ax.text(end + 0.5, height, f"+{pruning:.0f}", va="center", fontsize=7)
    ax.set_yticks(range(len(rows)), [METHODS.get(name) or NAMES[name] for name in rows["method"]])
    ax.set(xlim=(0, left.max() * 1.1), ylim=(len(rows) - 0.4, -0.6), xlabel="bytes a parameter")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def memory_figure(data: pd.DataFrame) -> Figure:
    """`fig_memory` at the width of a column, its legend above."""
    figure, (ax,) = new_figure(width=WIDTH, height=1.0 + 0.22 * len(data))
    fig_memory(ax, data)
    figure.legend(loc="outside upper center", ncols=3, columnspacing=1.0, handlelength=1.2)
    return figure
