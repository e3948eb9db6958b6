"""`explore`: a pure figure function, and controls that redraw it as they are moved."""

import html
import io
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from adamw_lab.figures.style import new_figure
from adamw_lab.widgets.controls import Control, values_of
from adamw_lab.widgets.export import as_code, as_command, save_figure
from adamw_lab.widgets.frontend import cell_id

SCREEN, SHARP = 110, 1.25
"""Pixels of the page for an inch of the figure, and of the picture for a pixel of the page."""
_live: dict[tuple[str, str], "Explorer"] = {}


def explore(fig_fn: Callable, controls: Mapping[str, Control], given: Mapping[str, Any] | None = None, *,
            rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 2.8, notebook: str | None = None,
            tell: Callable[[Any], str] | None = None, code: Callable[[dict[str, Any]], str] | None = None
            ) -> "Figure | Explorer":
    """A figure under controls where a front end is, and the figure alone where none is: under papermill, in a script.

    Args:
        fig_fn: `fig_fn(*axes, **values)` draws on fresh axes and, called again with the same ones, moves what is there.
            A top-level function, so that code can import it, unless `code` is given.
        controls: argument of `fig_fn` -> `Control`.
        given: values that take the place of the controls' own.
        rows, columns, width, height: of `new_figure`, in inches.
        notebook: the notebook, without suffix, whose parameter `explorer` becomes `given`; None (default): no command.
        tell: what `fig_fn` returns -> HTML beneath the figure; None (default): nothing.
        code: values -> Python that draws the figure; None (default): a call of `fig_fn`.

    Raises:
        ValueError: `given` has an unknown name, or a value that its control cannot hold; or what `fig_fn` raises where
            there is no front end to show it.
    """
    values = values_of(controls, given or {})
    layout = {"rows": rows, "columns": columns, "width": width, "height": height}
    cell = cell_id()
    if cell is None:
        return draw(fig_fn, values, layout)
    key = (cell, fig_fn.__name__)
    if key in _live:  # the cell runs again
        _live.pop(key).close()
    _live[key] = Explorer(fig_fn, controls, values, layout, notebook=notebook, tell=tell, code=code)
    return _live[key]


def draw(fig_fn: Callable, values: Mapping[str, Any], layout: Mapping[str, Any]) -> Figure:
    """The figure alone."""
    figure, axes = new_figure(**layout)
    fig_fn(*axes, **values)
    return figure


class Explorer:
    """A figure and its controls, for a front end. Made by `explore`, which closes the one that a cell made before.

    Attributes:
        controls: name -> the ipywidgets widget.
        box: all of it, a widget.
        figure, axes: what is drawn on; fresh after an error.
        seconds: what the last redraw took in the kernel.
        message: the error that is shown in the figure's place; "" if none.
    """

    def __init__(self, fig_fn: Callable, controls: Mapping[str, Control], values: Mapping[str, Any],
                 layout: Mapping[str, Any], *, notebook: str | None = None,
                 tell: Callable[[Any], str] | None = None, code: Callable[[dict[str, Any]], str] | None = None) -> None:
        self.fig_fn, self.layout, self.notebook, self.tell = fig_fn, dict(layout), notebook, tell
        self.code = code or (lambda now: as_code(fig_fn, now, self.layout))
        self.seconds, self.message = 0.0, ""
        self._read = {name: control.read for name, control in controls.items()}
        self.controls = {name: control.build(values[name]) for name, control in controls.items()}
        self.box = self._build()
        self._renew()
        self.redraw()
        for widget in self.controls.values():
            widget.observe(self.redraw, "value")

    @property
    def values(self) -> dict[str, Any]:
        """What the controls hold: the arguments of `fig_fn`."""
        return {name: self._read[name](widget.value) for name, widget in self.controls.items()}

    def redraw(self, _change: object = None) -> None:
        """Draw what the controls say. An error is shown in the figure's place, and the next redraw begins anew."""
        began = time.perf_counter()
        self.status.value = "drawing …"
        try:
            told = self.fig_fn(*self.axes, **self.values)
            self.picture.value = self._canvas.png()
            self.below.value = self.tell(told) if self.tell else ""
            self._say("")
        except Exception as error:  # whatever a reader's value does, the widget lives on
            self._say(str(error) or type(error).__name__)
            self._renew()
        self.seconds = time.perf_counter() - began
        self.status.value = f"{1000 * self.seconds:.0f} ms"

    def close(self) -> None:
        """Let go of everything: the widgets at the front end, their observers, the figure. Again: nothing."""
        if self.box is None:
            return
        for widget in self.controls.values():
            widget.unobserve_all()
        close_all(self.box)
        self.figure.clear()
        self.figure = self.axes = self.box = self.picture = self.status = self.below = self.output = None
        self._canvas, self.controls = None, {}

    def _renew(self) -> None:
        self.figure, self.axes = new_figure(**self.layout)
        self._canvas = Canvas(self.figure)

    def _say(self, message: str) -> None:
        self.message = message
        self.complaint.value = f'<div role="alert"><b>Not drawn.</b> {html.escape(message)}</div>' if message else ""
        self.picture.layout.display = "none" if message else ""
        self.complaint.layout.display = "" if message else "none"

    def _build(self) -> Any:
        import ipywidgets as w

        wide, high = (f"{SCREEN * self.layout[side]:.0f}px" for side in ("width", "height"))
        self.picture = w.Image(format="png", layout={"width": wide, "height": high})
        self.complaint = w.HTML(layout={"display": "none"})
        self.status, self.below = w.Label(layout={"height": "2em"}), w.HTML()
        self.output = w.Textarea(layout={"width": wide, "height": "5em"}, rows=3, tooltip="to be copied",
                                 placeholder="What is saved or to be copied appears here.")
        # A figure in a frame of its own size: nothing beneath it moves, whatever is shown.
        frame = w.Box([self.picture, self.complaint], layout={"width": wide, "height": high, "overflow": "hidden",
                                                              "flex": "0 0 auto"})
        panel = w.Box(list(self.controls.values()), layout={"flex_flow": "row wrap", "max_width": wide})
        return w.VBox([panel, frame, self.below, w.HBox([*self._buttons(), self.status]), self.output])

    def _buttons(self) -> list[Any]:
        import ipywidgets as w

        offers = [("Save this figure", "as SVG and PNG under runs/figures", self.saved),
                  ("As code", "Python that draws this figure, to be copied", lambda: self.code(self.values))]
        if self.notebook:
            offers.append(("As a command", "papermill, with these parameters, to be copied",
                           lambda: as_command(self.notebook, self.values)))
        buttons = []
        for label, tooltip, make in offers:
            button = w.Button(description=label, tooltip=tooltip)
            button.on_click(lambda _button, make=make: self._show(make))
            buttons.append(button)
        return buttons

    def _show(self, make: Callable[[], str]) -> None:
        try:
            self.output.value = make()
        except (ValueError, OSError) as error:
            self.output.value = f"{type(error).__name__}: {error}"
        self.output.focus()

    def saved(self) -> str:
        """Save the figure as it would be drawn without controls; where it is."""
        figure = draw(self.fig_fn, self.values, self.layout)
        name = self.fig_fn.__name__.removeprefix("fig_").replace("_", "-")
        return "\n".join(map(str, save_figure(figure, name, self.values)))

    def _repr_mimebundle_(self, **kinds: Any) -> dict[str, Any]:
        """The widget, and its picture for where the notebook is read without a kernel."""
        if self.box is None:
            return {"text/plain": "an explorer that was closed"}
        picture = {} if self.message else {"image/png": b64encode(self.picture.value).decode()}
        return {**self.box._repr_mimebundle_(**kinds), **picture, "text/plain": f"explore({self.fig_fn.__name__})"}


class Canvas:
    """A figure as PNG, fast: the layout is made anew only when a tick label has become longer than any before it."""

    def __init__(self, figure: Figure) -> None:
        self.figure, self.room = figure, None
        figure.set_dpi(SCREEN * SHARP)
        self.agg = FigureCanvasAgg(figure)

    def png(self) -> bytes:
        """The bytes of a PNG file."""
        self.agg.draw()
        needed = [max((len(tick.label1.get_text()) for tick in ax.yaxis.majorTicks), default=0)
                  for ax in self.figure.axes]
        if self.room and any(map(int.__gt__, needed, self.room)):
            self.figure.set_layout_engine("constrained")
            self.agg.draw()
        self.figure.set_layout_engine("none")
        self.room = list(map(max, needed, self.room or needed))
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.agg.buffer_rgba())).convert("RGB").save(file, "png", compress_level=1)
        return file.getvalue()


def close_all(widget: Any) -> None:
    """Close a widget and those within it, each with its layout and its style."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    for part in (widget.layout, getattr(widget, "style", None), widget):
        if part is not None:
            part.close()
