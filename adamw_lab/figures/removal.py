"""Figure of which weights would go by a score, and how far another agrees.

A second call with the same axes moves the artists that are there, so that a slider need not begin anew.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from adamw_lab.figures.sparsity import fig_sparsity
from adamw_lab.figures.style import COLOURS
from adamw_lab.removal import Candidates, shared, shared_by_chance


def fig_removal(axes: Sequence[Axes], candidates: Candidates, importance: str = "hybrid", other: str = "magnitude",
                sparsity: float = 0.9, scope: str = "global") -> None:
    """Into three axes: the share of every layer that goes; the sizes of those that go and of all; ranks by two scores.

    The arguments are those of `Candidates.masks`; `other` is the score that `importance` is compared with. Above the
    ranks stands how much of what goes by one goes by the other too, and how much that would be by chance.
    """
    by_layer, sizes, ranks = axes
    masks = candidates.masks(importance, sparsity, scope)
    fig_sparsity(by_layer, candidates.report(masks))
    by_layer.set_xlabel(f"weights that go by {_words(importance)} (%)")
    fig_sizes(sizes, candidates, masks)
    fig_ranks(ranks, candidates, importance, other)
    same = shared(masks, candidates.masks(other, sparsity, scope))
    agreement = f"correlation {candidates.agreement(importance, other):.2f}"
    told = f"; of what goes\n{100 * same:.0f} % is the same, {100 * shared_by_chance(masks, scope):.0f} % by chance"
    ranks.set_title(agreement + (";\nnothing goes" if np.isnan(same) else told), fontsize=7)


def fig_sizes(ax: Axes, candidates: Candidates, masks: Sequence[Tensor]) -> None:
    """How many weights there are of each size, on a logarithmic axis: all in grey, and those that go."""
    edges, counts = candidates.size_edges, {"all": candidates.sizes(), "go": candidates.sizes(masks)}
    for name, colour in (("all", "#C4C4C4"), ("go", COLOURS["adamwprune"])):
        there = [patch for patch in ax.patches if patch.get_gid() == name]
        if there:
            there[0].set_data(counts[name], edges)
        else:
            ax.stairs(counts[name], edges, fill=True, color=colour, label=name, gid=name)
    if ax.get_legend() is None:
        ax.set(xscale="log", xlim=edges[[0, -1]], ylim=(0, 1.05 * counts["all"].max()), ylabel="weights",
               xlabel="size of the weight, |w|")
        ax.legend(loc="upper left")


def fig_ranks(ax: Axes, candidates: Candidates, one: str, other: str) -> None:
    """How many weights have each pair of ranks, the darker the more (by the root); on the diagonal two scores agree."""
    root = np.sqrt(candidates.rank_table(one, other))
    if ax.images:
        ax.images[0].set(data=root, clim=(0, root.max()))
    else:
        ax.imshow(root, origin="lower", extent=(0, 100, 0, 100), cmap="Greys", vmin=0, vmax=root.max())
        ax.grid(visible=False)
    ax.set(xlabel=f"rank by {_words(one)} (%)", ylabel=f"rank by {_words(other)} (%)")


def _words(score: str) -> str:
    return score.replace("_", " ")
