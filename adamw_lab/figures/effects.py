"""Figures of comparisons: paired differences with their intervals, over optimizers, parts, scores and sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from adamw_lab.analysis.recorded import MEASURE, again, against, floor, gains_by_size
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure, share_row_labels, stacks

TITLES = {"lstm": "LSTM, adding problem", "gpt": "GPT, Python's manual", "resnet18": "ResNet-18, digits",
          "fashion": "ResNet-18, Fashion", "resnet50": "ResNet-50, digits", "lenet5": "LeNet-5, digits"}
UNITS = {**dict.fromkeys(("resnet18", "fashion", "resnet50", "lenet5"), "points"), "lstm": "squared error",
         "gpt": "nats"}
GREY = "#606060"


def fig_effects(ax: Axes, effects: pd.DataFrame, labels: Sequence[str], noise: float, *, scale: float = 1.0,
                shift: float = 0.0, filled: bool = True) -> None:
    """Differences with their intervals, one beneath the other, and the band in which a difference counts as none.

    `effects` has a row a comparison and the columns optimizer, mean, low, high.
    """
    ax.axvspan(-scale * noise, scale * noise, color="#B0B0B0", alpha=0.3, linewidth=0)
    ax.axvline(0, color=GREY, linewidth=0.8)
    for place, row in enumerate(effects.itertuples()):
        colour, y = COLOURS[row.optimizer], place + shift
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
        best = best.assign(arm=best["optimizer"])
        noise = floor(best, measure, noise=again(plain, measure))
        for runs, shift, filled in ((plain, -0.15, False), (best, 0.15, True)):
            table = against(runs, "adamw", measure).set_index("arm").reindex(names)
            table["optimizer"] = names  # also of those that were not run, which are drawn as nothing
            fig_effects(ax, table, [NAMES[name] for name in names], noise, scale=scale, shift=shift, filled=filled)
        ax.set_xlabel(f"gain on AdamW ({UNITS[task]})")
        if UNITS[task] != "points":
            least = max(noise, 1e-6)
            ax.set_xscale("symlog", linthresh=least)
            ticks = [tick for tick in (-1e-1, -1e-3, 0.0, 1e-3, 1e-1) if tick == 0 or abs(tick) > 2 * least]
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    share_row_labels(axes)
    faces = {"defaults": "white", "tuned": GREY}
    name_lines(figure, spare, [Line2D([], [], color=GREY, marker="o", markerfacecolor=face, label=label)
                               for label, face in faces.items()])
    return figure


def spam_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """Each part of SPAM less AdamW, with injected spikes and without, a row a task."""
    figure, axes = new_figure(2, rows=len(tasks), width=7.0, height=2.9 * len(tasks))
    cases = [(task, runs, spiked) for task, runs in zip(tasks, tables, strict=True) for spiked in (True, False)]
    for ax, (task, runs, spiked) in zip(axes, cases, strict=True):
        own = runs[runs["arm"].str.endswith("+spikes") == spiked]
        own = own.assign(arm=own["arm"].str.removesuffix("+spikes"))
        table = against(own, "adamw", "test_loss")
        labels = [arm.replace("_", " ") if spiked else "" for arm in table["arm"]]
        fig_effects(ax, table, labels, floor(own, "test_loss"))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_title(f"{TITLES[task]}: {'3 % of steps spoilt' if spiked else 'no spikes injected'}")
    for ax in axes[-2:]:
        ax.set_xlabel("better than AdamW by (nats)")
    return figure


def size_figure(tasks: Sequence[str], tables: Sequence[pd.DataFrame]) -> Figure:
    """Against the number of parameters: AdamWSPAM less AdamW, and how often and how far AdamW's gradient norm jumps."""
    figure, axes = new_figure(3, width=7.0, height=2.4)
    for task, runs, line in zip(tasks, tables, ("-", "--"), strict=True):
        plain = runs[runs["optimizer"] == "adamw"]
        gain = gains_by_size(runs, "adamwspam", "adamw", MEASURE[task])
        gain = gain / abs(plain.groupby("parameters")[MEASURE[task]].mean().iloc[0]) * 100
        spikes = {name: plain.pivot(index="parameters", columns="seed", values=name)
                  for name in ("spike_rate", "highest_norm")}
        for ax, table, colour in zip(axes, (gain, 100 * spikes["spike_rate"], spikes["highest_norm"]),
                                     (COLOURS["adamwspam"], COLOURS["adamw"], COLOURS["adamw"]), strict=True):
            ax.plot(table.index, table, "o", color=colour, alpha=0.3, markersize=3)
            ax.plot(table.index, table.mean(axis=1), line, color=colour, label=TITLES[task].split(",")[0])
    for ax, label in zip(axes, ("AdamWSPAM's gain on AdamW (%)", "steps with a jump of the norm (%)",
                                "highest norm by the median"), strict=True):
        ax.set(xscale="log", xlabel="parameters", ylabel=label)
    axes[0].axhline(0, color=GREY, linewidth=0.8)
    axes[1].legend()
    return figure


def betas_figure(runs: pd.DataFrame) -> Figure:
    """Pairs of betas less (0.9, 0.999), at small batches and at large ones."""
    figure, axes = new_figure(2, width=7.0, height=1.9)
    for ax, batch in zip(axes, (8, 64), strict=True):
        default = f"b{batch}_0.9_0.999"
        own = runs[runs["arm"].str.startswith(f"b{batch}_")]
        table = against(own, default, "test_loss")
        labels = ["({}, {})".format(*arm.split("_")[1:]) for arm in table["arm"]]
        fig_effects(ax, table, labels, floor(own, "test_loss", default))
        ax.set(title=f"Batches of {batch}", xlabel="better than (0.9, 0.999) by (nats)")
    axes[1].set_yticklabels([])
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
        ax.set(title=title, xlabel="smaller than without decay by (nats)")
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
