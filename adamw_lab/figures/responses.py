"""Figures of what optimizers make of gradients that are given, and of Adam's moments."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from adamw_lab.descents import respond
from adamw_lab.figures.landscapes import look, marker_of
from adamw_lab.figures.style import COLOURS, MARKERS, new_figure
from adamw_lab.moments import sparse_travel, trace_adam

SHADES = ("#56B4E9", "#2B7BB0", "#123F5F")
"""Adam's blue at three depths, for its settings."""


def fig_responses(ax: Axes, changes: Mapping[str, np.ndarray]) -> None:
    """The size of each change of a weight over the steps, both logarithmic; name of the optimizer -> changes [T]."""
    for name, change in changes.items():
        ax.plot(np.arange(1, len(change) + 1), np.abs(change), **look(name))
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="change of the weight\n(learning rates)")
    ax.yaxis.set_minor_formatter(NullFormatter())


def fig_moments(ax: Axes, gradients: np.ndarray, trace: Mapping[str, np.ndarray]) -> None:
    """A stream of gradients [T], and Adam's mean and root mean square of it, from `moments.trace_adam`."""
    steps = np.arange(1, len(gradients) + 1)
    ax.plot(steps, gradients, ".", color="#BDBDBD", markersize=2, label="gradient")
    ax.plot(steps, trace["m_hat"], color=COLOURS["adam"], label="first moment $\\hat{m}$")
    ax.plot(steps, trace["v_hat"] ** 0.5, color="black", label="$\\sqrt{\\hat{v}}$")
    ax.set(xlabel="step", ylabel="gradient", xlim=(0, len(gradients)))
    ax.legend(loc="lower left", ncols=3, columnspacing=1, handlelength=1.2, bbox_to_anchor=(0, 1), borderaxespad=0.1)


def fig_checked(ax: Axes, x: Sequence[float], curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Measured values as Adam's markers, the formula's as lines, of up to three.

    `curves` is label -> (measured, formula), each as long as `x`.
    """
    for (label, (measured, formula)), colour in zip(curves.items(), SHADES, strict=False):
        ax.plot(x, formula, color=colour, linewidth=1.0)
        ax.plot(x, measured, MARKERS["adam"], color=colour, markersize=3, label=label)


def fig_sparse(ax: Axes, table: pd.DataFrame) -> None:
    """Distance of a weight against the share of steps with a gradient; `table` is `moments.sparse_travel`'s."""
    for name, rows in table.groupby("optimizer", sort=False):
        ax.plot(rows["share"], rows["travel"], marker=marker_of(name), markersize=3, **look(name))
    ax.set(xscale="log", yscale="log", xlabel="share of steps with a gradient", ylabel="distance / that at share 1")
    ax.legend()


def uncorrected_steps(steps: np.ndarray, betas: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Adam's steps without the bias correction under a gradient of 1, in learning rates: measured, and by the formula.

    (1 - b1^t) / √(1 - b2^t) at the steps t >= 1 that are asked for.
    """
    measured = -trace_adam(np.ones(int(steps.max())), betas=betas, eps=0.0)["uncorrected"][steps - 1]
    return measured, (1 - betas[0] ** steps) / np.sqrt(1 - betas[1] ** steps)


def fig_bias(ax: Axes, steps: np.ndarray, beta1: float, beta2s: Sequence[float]) -> None:
    """Adam's steps without the bias correction, for up to three b2; with it they are 1 at every step."""
    fig_checked(ax, steps, {f"β₂ = {beta2:g}": uncorrected_steps(steps, (beta1, beta2)) for beta2 in beta2s})
    ax.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    least = min(np.min(line.get_ydata()) for line in ax.lines)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="step, uncorrected\n(learning rates)",
           ylim=(0.7 if least > 0.99 else 0.7 * least, 150))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper left", handlelength=1)


def fig_scale(ax: Axes, scales: np.ndarray, epsilons: Sequence[float]) -> None:
    """Adam's step under a constant gradient against the gradient's size: c / (c + eps); SGD's is c."""
    constant = np.tile(scales, (5, 1))
    measured = {eps: -respond("adam", constant, eps=eps)[-1] for eps in epsilons}
    fig_checked(ax, scales, {f"ε = {_power(eps)}": (measured[eps], scales / (scales + eps)) for eps in epsilons})
    ax.plot(scales, -respond("sgd_plain", constant)[-1], **look("sgd_plain"))
    ax.set(xscale="log", yscale="log", xlabel="size of the gradient", ylabel="step (learning rates)", ylim=(3e-5, 900))
    ax.legend(loc="upper left", handlelength=1.5)


def _power(x: float) -> str:
    """A power of ten as one, another number as it is."""
    exponent = round(math.log10(x))
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}" if math.isclose(x, 10.0**exponent) else f"{x:g}"


def adam_figure() -> Figure:
    """Three properties of Adam: bias correction, sparse gradients, indifference to scale; computed."""
    figure, axes = new_figure(3, width=7.0, height=2.4)
    fig_bias(axes[0], np.unique(np.logspace(0, 4, 25).astype(int)), 0.9, (0.99, 0.999, 0.9999))
    fig_sparse(axes[1], sparse_travel(("sgd_plain", "adagrad", "rmsprop", "adam"), np.logspace(-2.5, 0, 6)))
    fig_scale(axes[2], np.logspace(-12, 2, 29), (1e-8, 1e-4))
    for ax, title in zip(axes, ("Bias correction", "Sparse gradients", "Scale and ε"), strict=True):
        ax.set_title(title)
        ax.minorticks_off()  # over so many decades they say little and take as long as all else
    return figure
