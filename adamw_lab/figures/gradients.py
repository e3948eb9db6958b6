"""Figures of gradients that vanish and explode: through time, through layers, at a cliff."""

from collections.abc import Mapping

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from torch import Tensor
from torch.nn import functional as F

from adamw_lab.cliff import cliff_loss
from adamw_lab.figures.lines import name_ends
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, OTHER_COLOURS, new_figure
from adamw_lab.training.gradients import gradient_by_layer, gradient_by_time
from adamw_lab.vanishing import deep_networks, recurrent_networks, some_sequences

# Networks are not optimizers: no colour is shared with one.
NETWORKS = {"RNN": ("#202020", "-"), "RNN, radius 1": ("#202020", "--"), "RNN, radius 1.5": ("#202020", ":"),
            "LSTM": (OTHER_COLOURS["purple"], "-"), "GRU": (OTHER_COLOURS["green"], "-"), "plain": ("#202020", "-"),
            "residual": (OTHER_COLOURS["rose"], "-")}
"""name -> colour and dashes."""
CLIPPED = " + clip"


def fig_by_time(ax: Axes, norms: Mapping[str, Tensor]) -> None:
    """|∂L/∂s_t| by that of the last state, over the steps back in time; a line for each network (a key of `NETWORKS`).

    What is below the grey line is lost where float32 adds it to the gradient of the last state.

    Args:
        norms: name -> what `gradient_by_time` returns.
    """
    rounded = torch.finfo(torch.float32).eps / 2
    if min(float(norm.min() / norm[-1]) for norm in norms.values()) < rounded:
        ax.axhline(rounded, color="#9A9A9A", linewidth=0.8, linestyle=":")
        ax.text(0.99, rounded / 1.5, "float32 rounds it away", fontsize=6, color="#6E6E6E", ha="right", va="top",
                transform=ax.get_yaxis_transform())
    for name, norm in norms.items():
        colour, dashes = NETWORKS[name]
        back = range(len(norm) - 1, -1, -1)
        ax.plot(back, (norm / norm[-1]).tolist(), color=colour, linestyle=dashes, label=name)
    ax.set(yscale="log", xlabel="steps back in time", ylabel="gradient / that of the last state")
    ax.yaxis.set_minor_formatter(NullFormatter())


def fig_by_layer(ax: Axes, sizes: Mapping[str, pd.Series], quantity: str) -> None:
    """A size of every weight matrix from the input to the output, a line for each network or optimizer.

    Args:
        sizes: key of `NETWORKS` or of `NAMES` -> sizes in the order of the layers.
        quantity: what they are, for the axis.
    """
    for name, size in sizes.items():
        colour, dashes = NETWORKS.get(name) or (COLOURS[name], "-")
        ax.plot(range(1, len(size) + 1), size, color=colour, linestyle=dashes, marker=".", label=NAMES.get(name, name))
    ax.set(yscale="log", xlabel="layer, from the input", ylabel=quantity)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_minor_formatter(NullFormatter())
    name_ends(ax)


def fig_cliff(ax: Axes, paths: Mapping[str, Tensor], low: tuple[float, float] = (4.0, -4.0),
              high: tuple[float, float] = (7.0, -1.0), points: int = 240) -> None:
    """The loss of `cliff` in grey, darker where it is higher, and paths [steps, 2] of (w, b) upon it.

    Args:
        paths: key of `NAMES`, with " + clip" behind it where gradients were clipped -> path.
        low, high: the corners of what is shown.
        points: of the grid, each way.
    """
    w = torch.linspace(low[0], high[0], points, dtype=torch.float64)
    b = torch.linspace(low[1], high[1], points, dtype=torch.float64)
    loss = cliff_loss(w.expand(points, points), b[:, None].expand(points, points))
    ax.imshow(loss.numpy(), origin="lower", extent=(low[0], high[0], low[1], high[1]), cmap="Greys", vmin=0, vmax=0.6,
              aspect="auto", interpolation="nearest")
    for name, path in paths.items():
        optimizer = name.removesuffix(CLIPPED)
        clipped = name != optimizer
        ax.plot(path[:, 0], path[:, 1], color=COLOURS[optimizer], linestyle="--" if clipped else "-", linewidth=0.9,
                label=NAMES[optimizer] + CLIPPED * clipped)
        ax.plot(*path[-1], color=COLOURS[optimizer], marker=MARKERS[optimizer],
                markerfacecolor="white" if clipped else None)
    ax.set(xlabel="w", ylabel="b", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.grid(visible=False)


def gradients_figure(length: int = 100, depth: int = 20, seed: int = 0) -> Figure:
    """Gradients before any training, through time and through layers; computed, in a second."""
    inputs, targets = some_sequences(length)
    norms = {name: gradient_by_time(model, inputs, targets) for name, model in recurrent_networks(seed=seed).items()}
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(64, 64, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 10, (64,), generator=generator)
    layers = {}
    for name, model in deep_networks(depth, seed).items():
        F.cross_entropy(model.double()(images), labels).backward()
        layers[name] = gradient_by_layer(model.layers)
    figure, (left, right) = new_figure(2, width=7.0, height=2.6)
    fig_by_time(left, norms)
    fig_by_layer(right, layers, "gradient norm of the weights")
    name_ends(left)
    return figure
