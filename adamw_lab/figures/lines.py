"""Lines that are moved rather than drawn again, so that a figure can follow a slider."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes


def move_line(ax: Axes, gid: str, x: Sequence[float], y: Sequence[float], **properties: Any) -> None:
    """Move the line of that name, or draw it."""
    for line in ax.lines:
        if line.get_gid() == gid:
            line.set_data(x, y)
            return
    ax.plot(x, y, gid=gid, **properties)


def mark_spike(ax: Axes, step: float) -> str:
    """A dotted line from bottom to top, whatever the limits; its name."""
    gid = f"spike {step}"
    move_line(ax, gid, [step, step], [0, 1], color="#9A9A9A", linewidth=0.8, linestyle=":",
              transform=ax.get_xaxis_transform())
    return gid


def keep_lines(ax: Axes, gids: set[str]) -> None:
    """Remove all lines but those of these names."""
    for line in [line for line in ax.lines if line.get_gid() not in gids]:
        line.remove()
