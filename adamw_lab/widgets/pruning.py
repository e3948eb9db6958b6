"""The pruning explorer: which weights of a trained network go by each score, and how far another score agrees."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.removal import fig_removal
from adamw_lab.pruning import IMPORTANCE
from adamw_lab.removal import Candidates
from adamw_lab.widgets.controls import choice, slider
from adamw_lab.widgets.explorer import Explorer, explore

CONTROLS = {
    "importance": choice("hybrid", IMPORTANCE.keys(), "score", "by which weights go, the lowest first"),
    "sparsity": slider(0.9, 0.0, 0.99, "sparsity", "the share of the weights that goes, exactly"),
    "scope": choice("global", {"all layers together": "global", "each layer alike": "layer",
                               "by the layers' shapes (ERK)": "erk"}, "scope", "whose weights are ranked together"),
    "other": choice("magnitude", IMPORTANCE.keys(), "compared with", "a second score, whose ranks and choice are "
                    "compared with the first's"),
}


def pruning_explorer(candidates: Candidates, given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_removal` of a network's weights under controls; `given` as in `explore`.

    The code that it offers takes the `candidates` of the notebook.
    """
    def fig_pruning_explorer(*axes: Axes, **values: Any) -> None:
        fig_removal(axes, candidates, **values)

    return explore(fig_pruning_explorer, CONTROLS, given, columns=3, width=7.6, height=2.8, notebook="06_adamw_prune",
                   code=_code)


def _code(values: Mapping[str, Any]) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return ("from adamw_lab.figures import new_figure\nfrom adamw_lab.figures.removal import fig_removal\n\n"
            "figure, axes = new_figure(3, width=7.6, height=2.8)\n"
            f"fig_removal(axes, candidates, {given})\nfigure")
