"""Figure of the runs of any study."""

import json

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from adamw_lab.analysis.browse import curves, mean_curve, open_study
from adamw_lab.figures.lines import keep_lines, move_line
from adamw_lab.figures.runs import METRICS
from adamw_lab.figures.style import COLOURS, NAMES, OTHER_COLOURS
from adamw_lab.suggest import did_you_mean

DASHES = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (4, 1, 1, 1)))
MOST, LETTERS = 14, 30
"""Groups that the legend names, and letters of a name."""
PLACE = (0.1, 0.15, 0.6, 0.8)
"""Of the axes in the figure: the same whatever the legend beside it says."""
XLABELS = {"epoch": "epoch", "step": "step", "seconds": "seconds of training"}


def fig_browser(ax: Axes, *, study: str = "tuned-gpt-cpu", where: str = "", group: str = "optimizer",
                metric: str = "validation_loss", x: str = "step", smoothing: float = 0.0) -> pd.DataFrame:
    """Every run that fits faint, and the mean of each group strong; a group of one run is strong itself.

    A mean goes as far as all runs of its group do, and is there only if they took the same steps. A second call with
    the same axes moves the lines that are there.

    Args:
        study, where: as `open_study` and `Study.select` take them.
        group: a column of the runs, by which they are coloured.
        metric, x, smoothing: as in `curves`; `metric` is a key of `METRICS`.

    Returns:
        The runs drawn: rows of `Study.runs`.

    Raises:
        ValueError: an argument that those refuse, a metric or a group that there is not.
    """
    opened = open_study(study)
    runs = opened.select(where)
    if group not in runs:
        raise ValueError(f"the runs of {study} have no {group!r} to be grouped by; allowed: {', '.join(runs.columns)}."
                         f"{did_you_mean(group, runs.columns)}")
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; allowed: {', '.join(METRICS)}.{did_you_mean(metric, METRICS)}")
    label, scale = METRICS[metric]
    found = curves(opened, runs, metric, x=x, smoothing=smoothing)
    runs = runs[runs["run"].isin(found)]
    groups = list(runs.groupby(group, sort=False, dropna=False)["run"])
    drawn, handles = set(), []
    for place, (name, members) in enumerate(groups):
        look = _look(group, name, place)
        tables = [found[run] for run in members]
        mean = mean_curve(tables)
        for run, table in zip(members, tables, strict=True):
            faint = {"alpha": 0.3, "linewidth": 0.7} if len(tables) > 1 and mean is not None else {}
            drawn.add(_line(ax, f"run {run}", table["x"], scale * table["y"], **look | faint | {"label": None}))
        if mean is not None:
            drawn.add(_line(ax, f"mean {name}", mean["x"], scale * mean["y"], zorder=3, **look))
        handles.append((name, look))
    keep_lines(ax, drawn)
    _frame(ax, XLABELS[x], label.removesuffix(" (nats)"), metric.endswith("loss"))  # not of every task
    _legend(ax, [look for _, look in handles])
    return runs


def _look(group: str, name: object, place: int) -> dict[str, object]:
    """Optimizers, and arms of their names, have their colour everywhere; other groups one by their place."""
    if group in ("optimizer", "arm") and name in dict(COLOURS):
        return {"color": COLOURS[name], "linestyle": "-", "label": NAMES[name]}
    palette = list(OTHER_COLOURS.values())
    dashes = DASHES[place // len(palette) % len(DASHES)]
    return {"color": palette[place % len(palette)], "linestyle": dashes, "label": _short(group, name)}


def _short(group: str, name: object) -> str:
    """A label: of options their values alone; what is too long is cut."""
    if isinstance(name, str) and name.startswith("{"):
        text = ", ".join(map(str, json.loads(name).values())) or "no options"
    else:
        text = f"{name}" if group == "arm" else f"{group.replace('_', ' ')} {name}"
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _line(ax: Axes, what: str, x: pd.Series, y: pd.Series, **look: object) -> str:
    """Move or draw a line; its name, of which its look is a part, as lines keep theirs when they are moved."""
    gid = f"{what} {sorted(look.items(), key=str)}"
    move_line(ax, gid, x, y, **look)
    return gid


def _frame(ax: Axes, xlabel: str, ylabel: str, logarithmic: bool) -> None:
    ends = [getattr(line.get_ydata(), end)() for line in ax.lines for end in ("min", "max")]
    wide = logarithmic and 0 < 10 * min(ends) < max(ends)
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if wide else "linear", position=PLACE)
    ax.relim()
    ax.autoscale_view()


def _legend(ax: Axes, looks: list[dict[str, object]]) -> None:
    handles = [Line2D([], [], **look) for look in looks[:MOST]]
    if len(looks) > MOST:
        handles.append(Line2D([], [], linestyle="none", label=f"and {len(looks) - MOST} more"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=6.5)
