"""The memory calculator: what training keeps between steps, for a model of any size and each way to prune."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_lab.bench.estimate import DTYPES, MOMENTS, PRUNING, memory_estimate
from adamw_lab.figures.costs import fig_budget
from adamw_lab.figures.style import NAMES
from adamw_lab.models import build_model, parameter_count
from adamw_lab.optim import parameter_groups
from adamw_lab.widgets.controls import choice, log_slider, several
from adamw_lab.widgets.explorer import Explorer, explore

IMAGES = {"channels": 3, "classes": 10, "image_size": 32}
MODELS = {"lenet5": IMAGES, "resnet18": IMAGES, "resnet50": IMAGES | {"classes": 100},
          "gpt": {"vocabulary": 50_257, "context": 1024, "layers": 12, "heads": 12, "width": 768}}
"""name -> what it is built with."""
TITLES = {"lenet5": "LeNet-5", "resnet18": "ResNet-18, CIFAR-10", "resnet50": "ResNet-50, CIFAR-100",
          "gpt": "GPT, 12 layers of 768"}
CONTROLS = {
    "model": choice("resnet18", {TITLES[name]: name for name in MODELS} | {"of the size below": "yours"}, "model",
                    "whose parameters are counted"),
    "parameters": log_slider(1e9, 1.0, 1e12, "parameters", "of a model of your own, all of them prunable"),
    "optimizer": choice("adamw", {NAMES[name]: name for name in MOMENTS}, "optimizer", "whose state is kept"),
    "dtype": choice("float32", DTYPES.keys(), "dtype", "of weights, gradients and moments; under autocast: float32"),
    "pruning": several(("adamwprune", "magnitude", "movement"), PRUNING.keys(), "ways to prune",
                       "each a bar beside no pruning; Ctrl or Shift chooses several"),
}
RIGHT = 'style="text-align: right; padding-left: 1.5em"'
PARTS = ("weights", "gradients", "moments", "masks", "scores", "copies", "total")


def memory_calculator(given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_calculator` under controls; `given` as in `explore`."""
    return explore(fig_calculator, CONTROLS, given, height=2.6, notebook="12_speed_and_memory", tell=bytes_table)


def fig_calculator(ax: Axes, *, model: str = "resnet18", parameters: float = 1e9, optimizer: str = "adamw",
                   dtype: str = "float32", pruning: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Bytes by component without pruning and for each way to prune, as `fig_budget`.

    Args:
        model: a key of `MODELS`, or "yours".
        parameters: of "yours", all of them prunable.
        optimizer, dtype, pruning: as in `memory_estimate`.

    Returns:
        bar -> what `memory_estimate` returns.

    Raises:
        ValueError: as `memory_estimate`.
    """
    size, prunable = (round(parameters),) * 2 if model == "yours" else counted(model)
    choices = {"no pruning": memory_estimate(size, 0, optimizer, dtype)}
    for way in pruning:
        choices[way.replace("_", " ")] = memory_estimate(size, prunable, optimizer, dtype, way)
    ax.clear()
    fig_budget(ax, choices)
    ax.set_title(f"{size:,} parameters, {prunable:,} of them prunable" if pruning else f"{size:,} parameters")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return choices


@lru_cache
def counted(model: str) -> tuple[int, int]:
    """How many parameters a model of `MODELS` has, and how many of them are prunable; nothing is allocated."""
    with torch.device("meta"):
        built = build_model(model, **MODELS[model])
    prunable = [p.numel() for group in parameter_groups(built) if group["prunable"] for _, p in group["params"]]
    return parameter_count(built), sum(prunable)


def bytes_table(choices: Mapping[str, Mapping[str, int]]) -> str:
    """The numbers behind the bars, to the byte, as an HTML table."""
    names = "".join(f'<th scope="col" {RIGHT}>{name}</th>' for name in choices)
    rows = [f"<tr><th>bytes</th>{names}</tr>"]
    for part in PARTS:
        numbers = "".join(f"<td {RIGHT}>{sizes[part]:,}</td>" for sizes in choices.values())
        rows.append(f'<tr><th scope="row" style="text-align: left">{part}</th>{numbers}</tr>')
    return f'<table style="line-height: 1.4">{"".join(rows)}</table>'
