"""Figures of comparisons: paired differences with their intervals, over optimizers, parts, scores and sizes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from adamw_lab.analysis.recorded import MEASURE, against, floor, noise_of, spared
from adamw_lab.figures.lines import bend, name_ends
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, WIDTH, new_figure, share_row_labels, stacks, written

TITLES = {"lstm": "LSTM, adding problem", "gpt": "GPT, Python's manual", "resnet18": "ResNet-18, digits",
          "fashion": "ResNet-18, Fashion", "resnet50": "ResNet-50, digits", "lenet5": "LeNet-5, digits"}
UNITS = {**dict.fromkeys(("resnet18", "fashion", "resnet50", "lenet5"), "points"), "lstm": "squared error",
         "gpt": "nats"}
GREY = "#606060"
ABOVE, BELOW, SEEDS = -0.3, 0.12, 0.2
"""Of two differences in a row, where the first and the second are, and how far beneath each its seeds; in rows."""
PARTS = {
    "adamw_clip": "AdamW + clip", "element": "clip by element", "norm_reset": "detector, reset",
    "norm_damp": "detector, damped", "periodic": "periodic reset", "periodic_no_restart": "… without restart",
    "periodic_warmup": "… with warm-up", "adamwspam": "AdamWSPAM", "all": "all parts", "published": "as published",
    **{f"theta_{theta}": f"theta {theta}" for theta in (5, 500, 5000)}}
"""Arms of the SPAM studies -> what they are."""
SPOILT = {"spikes": True, "noise": False}
"""What spoilt the steps -> whether it is drawn filled."""


def fig_effects(ax: Axes, effects: pd.DataFrame, labels: Sequence[str], noise: float | None, *, scale: float = 1.0,
                shift: float = 0.0, filled: bool = True) -> None:
    """Differences with their intervals and beneath each every seed, faint; a grey band where a difference is none.

    Args:
        effects: a row a comparison and the columns optimizer, mean, low, high, and each, the seeds' differences.
        labels: of the rows.
        noise: half the width of the band; None where a call before has drawn it.
        scale: by which all of them are multiplied.
        shift: rows by which these lie beneath the labels.
        filled: whether the markers are.
    """
    if noise is not None:
        ax.axvspan(-scale * noise, scale * noise, color="#B0B0B0", alpha=0.3, linewidth=0)
        ax.axvline(0, color=GREY, linewidth=0.8)
    for place, row in enumerate(effects.itertuples()):
        colour, y = COLOURS[row.optimizer], place + shift
        if not np.isnan(row.mean):
            seeds = scale * np.array(row.each)
            ax.scatter(seeds, np.full(len(seeds), y + SEEDS), s=6, color=colour, alpha=0.4, linewidth=0)
        ax.plot([scale * row.low, scale * row.high], [y, y], color=colour, linewidth=1.2)
        ax.plot(scale * row.mean, y, MARKERS[row.optimizer], color=colour, markersize=5,
                markerfacecolor=colour if filled else "white")
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def task_panels(tasks: Sequence[str], height: float) -> tuple[Figure, list[Axes], list[Axes]]:
    """Titled axes for the tasks, three a row and each row `height` inches, and the places that are left, empty.

    In a narrow figure they stand two a row and are lower.
    """
    narrow = stacks(7.0)
    columns = min(2 if narrow else 3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = new_figure(columns, rows=rows, width=WIDTH if narrow else 7.0,
                              height=(0.8 * height if narrow else height) * rows)
    panels, spare = axes[: len(tasks)], axes[len(tasks):]
    for ax, task in zip(panels, tasks, strict=True):
        ax.set_title(TITLES[task].replace(", ", ",\n") if narrow else TITLES[task], fontsize=7.5 if narrow else 8.5)
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
    """By how much each optimizer is better than AdamW on each task: hollow out of the box, filled when tuned alike.

    A task has a row for each optimizer that was run on it, and says how many seeds it has.
    """
    figure, axes, spare = task_panels(tasks, height=2.7)
    for ax, task, plain, best in zip(axes, tasks, defaults, tuned, strict=True):
        measure, scale = MEASURE[task], 100.0 if MEASURE[task].endswith("accuracy") else 1.0
        names = [name for name in plain["arm"].unique() if name not in ("adamw", "adamw_again")]
        noise = floor(best, measure, noise=noise_of(best, plain, measure))
        for runs, shift, filled, band in ((plain, ABOVE, False, noise), (best, BELOW, True, None)):
            table = against(runs, "adamw", measure).set_index("arm").reindex(names)
            table["optimizer"] = names  # also of those that were not run, which are drawn as nothing
            fig_effects(ax, table, [NAMES[name] for name in names], band, scale=scale, shift=shift, filled=filled)
        seeds = max(runs["seed"].nunique() for runs in (plain, best))
        bend(ax, max(scale * noise, 1e-6), (1.0, 3.0, 10.0, 30.0) if scale > 1 else (1e-3, 0.1), written)
        ax.set_xlabel(f"gain on AdamW\n({UNITS[task]}),\n{seeds} seeds" if stacks(7.0) else
                      f"gain on AdamW ({UNITS[task]}),\n{seeds} seeds")
    share_row_labels(axes)
    _name_faces(figure, spare, {"defaults": "white", "tuned": GREY})
    return figure


def _name_faces(figure: Figure, spare: Sequence[Axes], faces: Mapping[str, str]) -> None:
    """A legend of what hollow and filled markers mean: label -> face."""
    name_lines(figure, spare, [Line2D([], [], color=GREY, marker="o", markerfacecolor=face, label=label)
                               for label, face in faces.items()])


def spam_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """What each part of SPAM spares AdamW of what spoilt steps cost it, and what it is worth without; a row a task."""
    narrow = stacks(7.0)
    figure, axes = new_figure(2, rows=len(tasks), width=WIDTH if narrow else 7.0, height=3.3 * len(tasks))
    for (left, right), task, runs in zip(zip(axes[::2], axes[1::2], strict=True), tasks, tables, strict=True):
        noise = floor(runs, "test_loss")
        plain = against(runs[~runs["arm"].str.contains("+", regex=False)], "adamw", "test_loss")
        for kind, filled in SPOILT.items():
            table = spared(runs, kind).set_index("arm").reindex(plain["arm"]).reset_index()
            table["optimizer"] = plain["optimizer"]  # also of those that did not meet it, which are drawn as nothing
            fig_effects(left, table, [PARTS[arm] for arm in table["arm"]], noise if filled else None, filled=filled,
                        shift=ABOVE if filled else BELOW)
        fig_effects(right, plain, [PARTS[arm] for arm in plain["arm"]], noise)
        network = TITLES[task].split(",")[0]
        for ax, title, label in ((left, "steps spoilt", "costs less than"), (right, "none spoilt", "better than")):
            ax.set_title(f"{network}:\n{title}" if narrow else f"{network}: {title}", fontsize=7.5 if narrow else 8.5)
            ax.set_xlabel(f"{label}\nAdamW by (nats)" if narrow else f"{label} AdamW by (nats)")
            ax.xaxis.set_major_locator(MaxNLocator(2 if narrow else 4))
            ax.xaxis.set_major_formatter(lambda value, _: written(value))
    share_row_labels(axes)
    _name_faces(figure, (), {"gradients × 100": GREY, "noise, norm × 100": "white"})
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
    """Test loss against the learning rate, a line a width; the rate of each that is best on validation marked.

    Every seed is a faint dot, the band is their range.
    """
    figure, (ax,) = new_figure(height=2.6)
    shades = np.linspace(0.4, 1.0, runs["parameters"].nunique())
    for shade, (parameters, own) in zip(shades, runs.groupby("parameters"), strict=True):
        colour = 1 - shade * (1 - np.array(to_rgb(COLOURS["adamw"])))  # and not alpha: labels have it, too
        by = own.groupby("lr")["test_loss"].agg(["mean", "min", "max"])
        ax.fill_between(by.index, by["min"], by["max"], color=colour, alpha=0.18, linewidth=0)
        ax.scatter(own["lr"], own["test_loss"], s=6, color=colour, alpha=0.5, linewidth=0)
        ax.plot(by.index, by["mean"], color=colour, label=f"{parameters / 1000:.0f} k")
        best = own.groupby("lr")["validation_loss"].mean().idxmin()
        ax.plot(best, by.loc[best, "mean"], MARKERS["adamw"], color=colour, markersize=5)
    ax.set(xscale="log", xlabel="learning rate", ylabel="test loss (nats)")
    name_ends(ax, heading="parameters")
    return figure
