"""A figure as a picture, fast enough to follow a slider."""

import io
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

SCREEN, SHARP = 110, 1.25
"""Pixels of the page for an inch of the figure, and of the picture for a pixel of the page."""
SIDES = ("left", "center", "right")
LINES = 2
"""The zorder from which on artists lie in front: lines, spines, texts and legends."""


class Canvas:
    """Draws a figure over and over.

    What lies behind the lines, axes with their ticks above all, is drawn anew only when it is another, and the layout
    is made anew only when a tick label has become longer than any before it, or there is a new title or name.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure, self.room = figure, None
        figure.set_dpi(SCREEN * SHARP)
        self.agg = FigureCanvasAgg(figure)
        self._frame: list[Any] = []
        self._behind: Any = None

    def png(self) -> bytes:
        """The bytes of a PNG file."""
        self.draw()
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.agg.buffer_rgba())).convert("RGB").save(file, "png", compress_level=1)
        return file.getvalue()

    def draw(self) -> None:
        """Draw into the buffer of `agg`."""
        if self._behind is None or frame(self.figure) != self._frame or any(a.stale for a in behind(self.figure)):
            self._draw_behind()
        self.agg.restore_region(self._behind)
        renderer = self.agg.get_renderer()
        for ax in self.figure.axes:
            for artist in sorted(in_front(ax), key=Artist.get_zorder):
                artist.draw(renderer)

    def _draw_behind(self) -> None:
        if self.room is None:
            self._lay_out()
        self._draw_without_front()
        needed = room_needed(self.figure)
        if any(map(int.__gt__, needed, self.room)):
            self._lay_out()
            self._draw_without_front()
        self._behind = self.agg.copy_from_bbox(self.figure.bbox)
        self._frame = frame(self.figure)

    def _lay_out(self) -> None:
        self.figure.set_layout_engine("constrained")
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        needed = room_needed(self.figure)
        self.room = list(map(max, needed, self.room or needed))

    def _draw_without_front(self) -> None:
        hidden = [artist for ax in self.figure.axes for artist in in_front(ax) if artist.get_visible()]
        for artist in hidden:
            artist.set_visible(False)
        self.agg.draw()
        for artist in hidden:
            artist.set_visible(True)


def in_front(ax: Axes) -> list[Artist]:
    """What is drawn over the axes and whatever fills areas. The title is not in it: only a drawing of the axes moves it
    to its place."""
    return [artist for artist in inside(ax) if artist.get_zorder() >= LINES]


def behind(figure: Figure) -> list[Artist]:
    """What is drawn before that, but for the axes and titles, and what belongs to no axes."""
    filled = [artist for ax in figure.axes for artist in inside(ax) if artist.get_zorder() < LINES]
    return filled + [artist for artist in figure.get_children() if not isinstance(artist, Axes)]


def inside(ax: Axes) -> list[Artist]:
    """All that is drawn in axes but their axis and titles."""
    titles = (ax.title, ax._left_title, ax._right_title)
    return [artist for artist in ax.get_children() if not isinstance(artist, Axis) and artist not in titles]


def frame(figure: Figure) -> list[Any]:
    """All that tells how the axes look, and what lies behind."""
    told: list[Any] = behind(figure)
    for ax in figure.axes:
        told += map(ax.get_title, SIDES)
        for axis in (ax.xaxis, ax.yaxis):
            told += [*axis.get_view_interval(), axis.get_scale(), axis.get_label_text(), axis.get_major_locator(),
                     axis.get_minor_locator(), axis.get_major_formatter(), axis.get_minor_formatter()]
    return told


def room_needed(figure: Figure) -> list[int]:
    """Whether the figure has a title; for each axes, the letters of the longest label of its y axis, as it was drawn
    last, and whether it has titles and names."""
    needed = [int(bool(figure.get_suptitle()))]
    for ax in figure.axes:
        needed.append(max((len(tick.label1.get_text()) for tick in ax.yaxis.majorTicks), default=0))
        needed += [int(bool(words)) for words in (*map(ax.get_title, SIDES), ax.get_xlabel(), ax.get_ylabel())]
    return needed
