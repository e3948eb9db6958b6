"""What is drawn in parts is, to the pixel, what matplotlib draws."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from adamw_lab.figures import new_figure
from adamw_lab.widgets import landscape, memory, schedules, spikes
from adamw_lab.widgets.canvas import Canvas
from adamw_lab.widgets.controls import values_of

FIGURES = {
    "landscape": (landscape, landscape.fig_landscape, {"columns": 2}, [
        {"spike_at": 90}, {"spike_at": 0}, {"landscape": "saddle"}, {"optimizers": ["adam", "sgd"]}, {"lr": 0.1}]),
    "spikes": (spikes, spikes.fig_spike_lab, {"rows": 2, "columns": 2}, [
        {"spike_at": 101}, {"spikes": 2}, {"theta": 1.0}, {"spike_factor": 1e4}, {"steps": 300}]),
    "schedules": (schedules, schedules.fig_designed, {"columns": 2}, [
        {"warmup_steps": 20}, {"reset_interval": 0}, {"lr": 0.3}, {"schedules": ["cubic", "linear"]},
        {"initial_warmup": 50}]),
    "memory": (memory, memory.fig_calculator, {}, [
        {"dtype": "float64"}, {"pruning": []}, {"model": "lenet5"}, {"optimizer": "adamwadv"}])}


def pixels(canvas):
    return np.asarray(canvas.buffer_rgba()).copy()


def whole(figure):
    """As matplotlib draws it, at once and from nothing; and again by the canvas that it has."""
    canvas = figure.canvas
    fresh = FigureCanvasAgg(figure)
    fresh.draw()
    figure.set_canvas(canvas)
    return pixels(fresh)


@pytest.mark.parametrize("name", FIGURES)
def test_the_picture_is_the_figure(name):
    module, fig_fn, shape, moves = FIGURES[name]
    figure, axes = new_figure(**shape, width=7.0, height=3.0)
    canvas, values = Canvas(figure), values_of(module.CONTROLS, {})
    for move in [{}, {}, *moves]:
        values |= move
        fig_fn(*axes, **values)
        canvas.draw()
        np.testing.assert_array_equal(pixels(canvas.agg), whole(figure), err_msg=str(move))


def test_only_what_is_another_is_drawn_again(monkeypatch):
    figure, (ax,) = new_figure()
    line, = ax.plot([1, 2], [3, 4])
    bar, = ax.bar([1], [1])
    canvas, drawn = Canvas(figure), []
    monkeypatch.setattr(canvas, "_draw_without_front", lambda old=canvas._draw_without_front: drawn.append(old()))
    canvas.draw()
    before = pixels(canvas.agg)
    changes = {
        "nothing": (lambda: None, 0), "a line": (lambda: line.set_ydata([4, 3]), 0),
        "an area": (lambda: bar.set_height(2), 1), "another": (lambda: ax.axhspan(1, 2, color="red"), 1),
        "a limit": (lambda: ax.set_xlim(0, 3), 1), "ticks": (lambda: ax.set_yticks([1, 2], ["a", "b"]), 1),
        "a name": (lambda: ax.set_xlabel("x"), 2), "another name": (lambda: ax.set_xlabel("y"), 1),
        "the title": (lambda: ax.set_title("x"), 2), "what is above all": (lambda: figure.suptitle("y"), 2)}
    for what, (change, times) in changes.items():
        drawn.clear()
        change()
        canvas.draw()
        assert len(drawn) == times, what
        np.testing.assert_array_equal(pixels(canvas.agg), whole(figure), err_msg=what)
        assert np.array_equal(pixels(canvas.agg), before) == (what == "nothing"), what
        before = pixels(canvas.agg)


def test_its_layout_is_kept_until_a_label_needs_more_room():
    figure, (ax,) = new_figure()
    ax.plot([0, 1], [0, 1])
    canvas, places = Canvas(figure), []
    for top in (2, 1, 1e5, 1, 2e5):
        ax.set_ylim(0, top)
        canvas.png()
        places.append(ax.get_position().x0)
    assert places[0] == places[1] < places[2] == places[3] == places[4]
