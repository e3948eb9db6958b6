"""`explore`: one path for the figure, the widget and what is taken away; and nothing is left of a cell's first run."""

import gc
import io
import json
import shlex
import weakref
from types import SimpleNamespace

import IPython
import numpy as np
import pytest
import yaml
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure
from PIL import Image

from adamw_lab.widgets import Explorer, choice, explore, log_slider, number, scale, several, slider, text, tick
from adamw_lab.widgets.canvas import SCREEN, SHARP
from adamw_lab.widgets.controls import values_of
from adamw_lab.widgets.frontend import cell_id

CONTROLS = {"slope": slider(1.0, -2.0, 2.0, "slope", "how steep"), "count": slider(5, 2, 50, "count", "of points"),
            "power": scale(None, {"none": None, "two": 2, "three": 3}, "power", "of x"),
            "scale": log_slider(1.0, 1e-3, 1e3, "scale", "of y"), "marked": tick(False, "marked", "points too"),
            "names": several(("a",), "abc", "names", "lines"), "title": text("", "title", "above"),
            "colour": choice("red", ("red", "blue"), "colour", "of lines"), "shift": number(0.0, "shift", "upwards")}


def fig_lines(ax, *, slope=1.0, count=5, power=None, scale=1.0, marked=False, names=("a",), title="", colour="red",
              shift=0.0):
    """Straight or bent lines, in place."""
    if title == "wrong":
        raise ValueError("a title <may not> be 'wrong'")
    x = np.linspace(0, 1, count)
    for k, name in enumerate(names):
        line = next((line for line in ax.lines if line.get_gid() == name), None) or ax.plot([], [], gid=name)[0]
        line.set(data=(x, scale * slope * x ** (power or 1) + shift + k), color=colour, marker="o" if marked else "")
    for line in [line for line in ax.lines if line.get_gid() not in names]:
        line.remove()
    ax.set(title=title, xlim=(0, 1), ylim=(-2 * scale, 3 * scale))
    return names


@pytest.fixture
def front_end(monkeypatch):
    """As in JupyterLab, in a cell of that name."""
    asked = {"metadata": {"cellId": "cell 7"}}
    kernel = SimpleNamespace(get_parent=lambda channel: asked)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    return asked


@pytest.fixture
def explorer():
    made = Explorer(fig_lines, CONTROLS, values_of(CONTROLS, {}), {"columns": 1, "width": 4.0, "height": 3.0},
                    notebook="05_adamw_spam", tell=lambda names: f"<b>{', '.join(names)}</b>")
    yield made
    made.close()


def drawn(axes):
    return {line.get_gid(): (line.get_ydata().tolist(), line.get_color(), line.get_marker()) for line in axes[0].lines}


def test_without_a_front_end_there_is_the_figure_and_no_widget():
    before = len(_instances)
    figure = explore(fig_lines, CONTROLS, {"slope": 2.0, "names": ["b", "c"]})
    assert isinstance(figure, Figure) and len(_instances) == before
    assert drawn(figure.axes)["c"][0] == [1.0, 1.5, 2.0, 2.5, 3.0]


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=SimpleNamespace(
    get_parent=lambda channel: {})), SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda channel: {
        "metadata": {"tags": []}}))], ids=["a script", "a console", "nothing yet", "nbclient"])
def test_what_is_no_front_end(monkeypatch, shell):
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    assert cell_id() is None


def test_a_cell_that_runs_again_leaves_nothing(front_end):
    explore(fig_lines, CONTROLS)
    count, seen = len(_instances), []
    for _ in range(4):
        explorer = explore(fig_lines, CONTROLS)
        seen += map(weakref.ref, (explorer.figure, explorer.box, explorer.controls["slope"], explorer.picture))
        last = explorer  # as IPython's Out keeps what a cell showed
    assert len(_instances) == count
    old = last
    last = explore(fig_lines, CONTROLS)
    gc.collect()
    assert not any(ref() for ref in seen) and old.box is None
    assert old._repr_mimebundle_() == {"text/plain": "an explorer that was closed"}
    front_end["metadata"]["cellId"] = "another"
    explore(fig_lines, CONTROLS).close()
    assert len(_instances) == count and last.box is not None
    last.close()
    last.close()


def test_every_control_redraws_in_place(explorer):
    line = explorer.axes[0].lines[0]
    moves = {"slope": -1.0, "marked": True, "count": 3, "power": 2, "scale": 10.0, "colour": "blue", "shift": 0.5}
    for name, value in moves.items():
        picture = bytes(explorer.picture.value)
        explorer.controls[name].value = value
        assert bytes(explorer.picture.value) != picture, name
    assert explorer.axes[0].lines[0] is line and explorer.seconds > 0 and explorer.status.value.endswith(" ms")
    explorer.controls["names"].value = ("a", "c")
    assert drawn(explorer.axes) == {"a": ([0.5, -2.0, -9.5], "blue", "o"), "c": ([1.5, -1.0, -8.5], "blue", "o")}
    assert explorer.below.value == "<b>a, c</b>"
    assert drawn(explore(fig_lines, CONTROLS, explorer.values).axes) == drawn(explorer.axes)


def test_a_wrong_value_is_told_in_the_figures_place_and_the_widget_lives_on(explorer):
    frame = explorer.picture.layout.width, explorer.picture.layout.height
    explorer.controls["title"].value = "wrong"
    assert explorer.message == "a title <may not> be 'wrong'"
    assert explorer.picture.layout.display == "none" and "&lt;may not&gt;" in explorer.complaint.value
    assert "image/png" not in explorer._repr_mimebundle_()
    explorer.controls["title"].value = "right"
    assert explorer.message == explorer.complaint.value == "" and explorer.picture.layout.display == ""
    assert (explorer.picture.layout.width, explorer.picture.layout.height) == frame == ("440px", "330px")
    assert drawn(explorer.axes) == drawn(explore(fig_lines, CONTROLS, {"title": "right"}).axes)


def test_it_says_that_it_is_busy_and_for_how_long(explorer):
    said = []
    explorer.status.observe(lambda change: said.append(change["new"]), "value")
    explorer.controls["slope"].value = 0.5
    assert said[0] == "drawing …" and said[-1].endswith(" ms") and len(said) == 2


def test_the_picture_is_a_sharp_one_and_is_kept_where_no_kernel_is(explorer):
    bundle = explorer._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert Image.open(io.BytesIO(explorer.picture.value)).size == tuple(int(SCREEN * SHARP * side) for side in (4, 3))


def test_longer_tick_labels_get_their_room(explorer):
    before = explorer.axes[0].get_position().x0
    explorer.controls["scale"].value = 1000.0
    assert explorer.axes[0].get_position().x0 > before
    explorer.controls["scale"].value = 100.0
    room = explorer.axes[0].get_position().x0
    explorer.controls["slope"].value = 0.3
    assert explorer.axes[0].get_position().x0 == room, "axes stand still otherwise"


def test_a_choice_of_none_can_be_taken_back(explorer):
    before = drawn(explorer.axes)
    for index, power in ((2, 3), (0, None)):  # a front end sets the place in the list
        explorer.controls["power"].index = index
        assert explorer.values["power"] == power and explorer.controls["power"].index == index
    assert drawn(explorer.axes) == before


def press(explorer, label):
    buttons = [child for child in explorer.box.children[3].children if getattr(child, "description", "") == label]
    buttons[0].click()
    return explorer.output.value


def test_the_code_draws_the_same_figure(explorer, monkeypatch):
    monkeypatch.setattr(fig_lines, "__module__", "adamw_lab.widgets.landscape")
    monkeypatch.setattr("adamw_lab.widgets.landscape.fig_lines", fig_lines, raising=False)
    explorer.controls["names"].value = ("b", "c")
    explorer.controls["power"].value = 3
    space = {}
    exec(press(explorer, "As code"), space)
    assert drawn(space["axes"]) == drawn(explorer.axes)
    assert tuple(space["figure"].get_size_inches()) == (4.0, 3.0)


def test_the_command_gives_papermill_the_values(explorer):
    explorer.controls["names"].value = ("b",)
    explorer.controls["title"].value = "it's θ"
    *command, given = shlex.split(press(explorer, "As a command"))
    assert command == ["mkdir", "-p", "runs", "&&", "papermill", "notebooks/05_adamw_spam.ipynb",
                       "runs/05_adamw_spam.ipynb", "-y"]
    assert values_of(CONTROLS, yaml.safe_load(given)["explorer"]) == explorer.values


def test_the_figure_is_saved_under_runs_the_same_each_time(explorer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    paths = press(explorer, "Save this figure").splitlines()
    first = {path: open(path, "rb").read() for path in paths}
    assert press(explorer, "Save this figure").splitlines() == paths
    assert {path: open(path, "rb").read() for path in paths} == first
    assert [path.startswith(str(tmp_path / "runs" / "figures" / "lines-")) for path in paths] == [True, True]
    explorer.controls["slope"].value = 0.1
    assert press(explorer, "Save this figure").splitlines() != paths
    explorer.controls["title"].value = "wrong"
    assert press(explorer, "Save this figure") == "ValueError: a title <may not> be 'wrong'"


@pytest.mark.parametrize(("given", "message"), [
    ({"slop": 1}, "unknown control 'slop'; allowed: slope, count, .* Did you mean 'slope'"),
    ({"slope": 3}, "Invalid slope value: 3; allowed: from -2 to 2"),
    ({"slope": True}, "Invalid slope value: True"), ({"slope": "1"}, "Invalid slope value: '1'"),
    ({"power": 4}, "Invalid power value: 4; allowed: None, 2, 3"),
    ({"names": "ab"}, "Invalid names value: 'ab'; allowed: a list"),
    ({"names": ["a", "d"]}, "Invalid names value: 'd'; allowed: a, b, c"),
    ({"colour": "rod"}, "Invalid colour value: 'rod'; allowed: red, blue. Did you mean 'red'")])
def test_values_that_a_control_cannot_hold_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        explore(fig_lines, CONTROLS, given)


def test_controls_have_labels_help_and_wait_for_the_end_of_a_drag(explorer):
    for name, control in CONTROLS.items():
        widget = explorer.controls[name]
        assert (widget.description, widget.tooltip) == (control.label, control.help)
        assert not getattr(widget, "continuous_update", False), name
    assert json.loads(json.dumps(explorer.values))["names"] == ["a"]
