"""Figures of comparisons: paired differences with their intervals, over optimizers, parts, scores and sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from adamw_lab.analysis.recorded import MEASURE, against, floor, noise_of, spared
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure, share_row_labels, stacks

TITLES = {"lstm": "LSTM, adding problem", "gpt": "GPT, Python's manual", "resnet18": "ResNet-18, digits",
          "fashion": "ResNet-18, Fashion", "resnet50": "ResNet-50, digits", "lenet5": "LeNet-5, digits"}
UNITS = {**dict.fromkeys(("resnet18", "fashion", "resnet50", "lenet5"), "points"), "lstm": "squared error",
         "gpt": "nats"}
GREY = "#606060"
PARTS = {
    "adamw_clip": "AdamW + clip", "element": "clip by element", "norm_reset": "detector, reset",
    "norm_damp": "detector, damped", "periodic": "periodic reset", "periodic_no_restart": "… without restart",
    "periodic_warmup": "… with warm-up", "adamwspam": "AdamWSPAM", "all": "all parts", "published": "as published",
    **{f"theta_{theta}": f"theta {theta}" for theta in (5, 500, 5000)}}
"""Arms of the SPAM studies -> what they are."""
SPOILT = {"spikes": True, "noise": False}
"""What spoilt the steps -> whether it is drawn filled."""


def fig_effects(ax: Axes, effects: pd.DataFrame, labels: Sequence[str], noise: float, *, scale: float = 1.0,
                shift: float = 0.0, filled: bool = True) -> None:
    """Differences with their intervals, one beneath the other, and the band in which a difference counts as none.

    `effects` has a row a comparison and the columns optimizer, mean, low, high, and each, the seeds' differences.
    """
    ax.axvspan(-scale * noise, scale * noise, color="#B0B0B0", alpha=0.3, linewidth=0)
    ax.axvline(0, color=GREY, linewidth=0.8)
    for place, row in enumerate(effects.itertuples()):
        colour, y = COLOURS[row.optimizer], place + shift
        if not np.isnan(row.mean):
            seeds = scale * np.array(row.each)
            ax.scatter(seeds, np.full(len(seeds), y), s=5, color=colour, alpha=0.25, linewidth=0)
        ax.plot([scale * row.low, scale * row.high], [y, y], color=colour, linewidth=1.2)
        ax.plot(scale * row.mean, y, MARKERS[row.optimizer], color=colour, markersize=5,
                markerfacecolor=colour if filled else "white")
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def task_panels(tasks: Sequence[str], height: float) -> tuple[Figure, list[Axes], list[Axes]]:
    """Titled axes for the tasks, three a row and each row `height` inches, and the places that are left, empty.

    In a narrow figure they stand under each other, are lower, and no place is left.
    """
    narrow = stacks(7.0)
    columns = 1 if narrow else min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = new_figure(columns, rows=rows, width=7.0, height=(0.75 * height if narrow else height) * rows)
    panels, spare = axes[: len(tasks)], axes[len(tasks):]
    for ax, task in zip(panels, tasks, strict=True):
        ax.set_title(TITLES[task])
    for ax in spare:
        ax.set_axis_off()
    return figure, panels, spare


def name_lines(figure: Figure, spare: Sequence[Axes], handles: Sequence[Line2D]) -> None:
    """The legend of all panels: in the place that is left, or above them."""
    if spare:
        spare[0].legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside upper center", ncols=4 if figure.get_figwidth() > 5 else 2)


def optimizers_figure(tasks: Sequence[str], defaults: Sequence[pd.DataFrame],
                      tuned: Sequence[pd.DataFrame]) -> Figure:
    """Each optimizer less AdamW on each task: hollow out of the box, filled when tuned with equal effort.

    The rows are the optimizers of the first task; another task may lack some.
    """
    figure, axes, spare = task_panels(tasks, height=2.7)
    names = [name for name in defaults[0]["arm"].unique() if name not in ("adamw", "adamw_again")]
    for ax, task, plain, best in zip(axes, tasks, defaults, tuned, strict=True):
        measure, scale = MEASURE[task], 100.0 if MEASURE[task].endswith("accuracy") else 1.0
        noise = floor(best, measure, noise=noise_of(best, plain, measure))
        for runs, shift, filled in ((plain, -0.15, False), (best, 0.15, True)):
            table = against(runs, "adamw", measure).set_index("arm").reindex(names)
            table["optimizer"] = names  # also of those that were not run, which are drawn as nothing
            fig_effects(ax, table, [NAMES[name] for name in names], noise, scale=scale, shift=shift, filled=filled)
        ax.set_xlabel(f"gain on AdamW ({UNITS[task]})")
        least = max(scale * noise, 1e-6)
        ax.set_xscale("symlog", linthresh=least)
        ends = (-1e2, -1e1, -1.0, 0.0, 1.0, 1e1) if scale > 1 else (-1e-1, -1e-3, 0.0, 1e-3, 1e-1)
        ticks = [tick for tick in ends if tick == 0 or abs(tick) > 2 * least]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    share_row_labels(axes)
    faces = {"defaults": "white", "tuned": GREY}
    name_lines(figure, spare, [Line2D([], [], color=GREY, marker="o", markerfacecolor=face, label=label)
                               for label, face in faces.items()])
    return figure


def spam_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """What each part of SPAM spares AdamW of what spoilt steps cost it, and what it is worth without; a row a task."""
    figure, axes = new_figure(2, rows=len(tasks), width=7.0, height=3.0 * len(tasks))
    for (left, right), task, runs in zip(zip(axes[::2], axes[1::2], strict=True), tasks, tables, strict=True):
        noise = floor(runs, "test_loss")
        plain = against(runs[~runs["arm"].str.contains("+", regex=False)], "adamw", "test_loss")
        for kind, filled in SPOILT.items():
            table = spared(runs, kind).set_index("arm").reindex(plain["arm"]).reset_index()
            table["optimizer"] = plain["optimizer"]  # also of those that did not meet it, which are drawn as nothing
            fig_effects(left, table, [PARTS[arm] for arm in table["arm"]], noise, filled=filled,
                        shift=-0.15 if filled else 0.15)
        fig_effects(right, plain, [PARTS[arm] for arm in plain["arm"]], noise)
        network = TITLES[task].split(",")[0]
        left.set(title=f"{network}: steps spoilt", xlabel="costs less than AdamW by (nats)")
        right.set(title=f"{network}: none spoilt", xlabel="better than AdamW by (nats)")
        for ax in (left, right):
            ax.xaxis.set_major_locator(MaxNLocator(4))
    share_row_labels(axes)
    faces = {"gradients × 100": GREY, "noise, norm × 100": "white"}
    name_lines(figure, (), [Line2D([], [], color=GREY, marker="o", markerfacecolor=face, label=label)
                            for label, face in faces.items()])
    return figure


def betas_figure(runs: pd.DataFrame, gpt: pd.DataFrame) -> Figure:
    """Pairs of betas less (0.9, 0.999): LeNet-5 at small batches and at large ones, and a GPT."""
    figure, axes = new_figure(3, width=7.0, height=1.9)
    cases = {"LeNet-5, batch 8": (runs, "b8_"), "LeNet-5, batch 64": (runs, "b64_"), "GPT": (gpt, "")}
    for ax, (title, (table, prefix)) in zip(axes, cases.items(), strict=True):
        default = f"{prefix}0.9_0.999"
        own = table[table["arm"].str.startswith(prefix)]
        effects = against(own, default, "test_loss")
        labels = ["({}, {})".format(*arm.removeprefix(prefix).split("_")) for arm in effects["arm"]]
        fig_effects(ax, effects, labels, floor(own, "test_loss", default))
        ax.set(title=title, xlabel="gain on default (nats)")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel("(β₁, β₂)")
    share_row_labels(axes)
    return figure


def decay_figure(runs: pd.DataFrame) -> Figure:
    """Weight decays less none: the test loss, and the gap between training and validation."""
    runs = runs.assign(gap_loss=runs["validation_loss"] - runs["train_loss"])
    figure, axes = new_figure(2, width=7.0, height=1.9)
    for ax, measure, title in zip(axes, ("test_loss", "gap_loss"), ("Test loss", "Gap, validation less training"),
                                  strict=True):
        table = against(runs, "wd0", measure)
        labels = [arm.replace("adam_l2_", "Adam, coupled ").replace("wd", "AdamW, decoupled ") for arm in table["arm"]]
        fig_effects(ax, table, labels, floor(runs, measure, "wd0"))
        ax.set(title=title, xlabel="less than without decay (nats)")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    share_row_labels(axes)
    return figure


def rates_figure(runs: pd.DataFrame) -> Figure:
    """Test loss against the learning rate, a line a width; the rate of each that is best on validation marked."""
    figure, (ax,) = new_figure(height=2.4)
    shades = np.linspace(0.35, 1.0, runs["parameters"].nunique())
    for shade, (parameters, own) in zip(shades, runs.groupby("parameters"), strict=True):
        by = own.groupby("lr")["test_loss"].agg(["mean", "min", "max"])
        ax.fill_between(by.index, by["min"], by["max"], color=COLOURS["adamw"], alpha=0.12, linewidth=0)
        ax.plot(by.index, by["mean"], color=COLOURS["adamw"], alpha=shade, label=f"{parameters:,}")
        best = own.groupby("lr")["validation_loss"].mean().idxmin()
        ax.plot(best, by.loc[best, "mean"], "o", color=COLOURS["adamw"], alpha=shade)
    ax.set(xscale="log", xlabel="learning rate", ylabel="test loss (nats)")
    ax.legend(title="parameters", title_fontsize=7.5)
    return figure
