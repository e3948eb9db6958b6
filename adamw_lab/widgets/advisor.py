"""The optimizer advisor: the note's guidelines for a model, and the measurements that speak for or against each."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.figures.advice import fig_evidence
from adamw_lab.guide import LEDGER, PRIORITIES, RULES, Recommendation, recommend
from adamw_lab.widgets.controls import choice, log_slider, tick
from adamw_lab.widgets.explorer import Explorer, explore
from adamw_lab.widgets.memory import TITLES, counted
from adamw_lab.widgets.words import scrolling

CONTROLS = {
    "model": choice("resnet18", {title: name for name, title in TITLES.items()} | {"of the size below": "yours"},
                    "model", "whose parameters are counted"),
    "parameters": log_slider(1e8, 1e4, 1e12, "parameters", "of a model of your own"),
    "task": choice("train", {"train": "train", "train and prune": "prune"}, "task", "what the optimizer is for"),
    "priority": choice(None, {"none of these": None} | {name: name for name in PRIORITIES if name}, "priority",
                       "stability; accuracy: the last point of it, in vision; overhead: as little as can be"),
    "weight_decay": tick(True, "weight decay", "whether decay of the weights is wanted"),
    "noisy_gradients": tick(False, "noisy gradients", "whether gradients are noisy, as with small batches"),
}


def optimizer_advisor(given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_advice` under controls, the recommendation beneath it; `given` as in `explore`."""
    return explore(fig_advice, CONTROLS, given, width=7.6, height=3.3, notebook="11_hyperparameters",
                   tell=lambda advice: scrolling(advice._repr_html_()), code=_code)


def fig_advice(ax: Axes, *, model: str = "resnet18", parameters: float = 1e8, **wishes: Any) -> Recommendation:
    """What the ledger says on the claims behind a recommendation, as `fig_evidence`.

    Args:
        model: a key of `widgets.memory.MODELS`, or "yours".
        parameters: of "yours".
        wishes: arguments of `recommend`.

    Returns:
        The recommendation.

    Raises:
        ValueError: as `recommend`; or there is no ledger.
    """
    advice = recommend(_size(model, parameters), **wishes)
    if not LEDGER.is_file():
        raise ValueError(f"no ledger at {LEDGER}: adamw-lab claims computes it in a checkout")
    asked = [claim for why in advice.why for claim in RULES[why.partition(":")[0]].claims]
    ledger = pd.read_csv(LEDGER).set_index("claim").loc[asked].reset_index()
    ax.clear()
    fig_evidence(ax, ledger)
    ax.set_title(f"{advice.name}, for {_size(model, parameters):,} parameters: what was measured")
    return advice


def _size(model: str, parameters: float) -> int:
    return round(parameters) if model == "yours" else counted(model)[0]


def _code(values: Mapping[str, Any]) -> str:
    wishes = {name: value for name, value in values.items() if name not in ("model", "parameters")}
    given = ", ".join(f"{name}={value!r}" for name, value in wishes.items())
    return ("from adamw_lab.guide import recommend\n\n"
            f"recommend({_size(values['model'], values['parameters'])}, {given})")
