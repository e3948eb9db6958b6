"""Lines are drawn once, then moved; curves have their seeds and intervals; names and axes have room."""

import itertools

import numpy as np
import pytest

from adamw_lab.figures import new_figure
from adamw_lab.figures.lines import bend, fig_curve, keep_lines, mark_spike, move_line, name_ends


def test_a_line_is_drawn_once_then_moved_and_what_is_not_kept_goes():
    _, (ax,) = new_figure()
    move_line(ax, "a", [0, 1], [2, 3], color="red", label="first")
    line, = ax.lines
    move_line(ax, "a", [0, 1, 2], [4, 5, 6], color="blue")
    assert ax.lines[0] is line and line.get_color() == "red" and line.get_label() == "first"
    np.testing.assert_array_equal(line.get_xydata(), [[0, 4], [1, 5], [2, 6]])
    assert mark_spike(ax, 7) == mark_spike(ax, 7) == "spike 7" and len(ax.lines) == 2
    ax.set_ylim(-100, 100)
    assert ax.lines[1].get_path().get_extents(ax.lines[1].get_transform()).height == ax.bbox.height
    keep_lines(ax, {"spike 7"})
    assert [line.get_gid() for line in ax.lines] == ["spike 7"]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_stand_where_lines_end_on_the_right_and_none_upon_another(scale):
    figure, (ax,) = new_figure()
    ends = {"low": 1.0, "middle": 5.0, "beside it": 5.1, "and again": 5.05, "high": 9.0}
    for name, end in ends.items():
        ax.plot([2, 1, 0, 3], [end, 2, 3, np.nan], label=name)
    ax.plot([0, 1], [1, 1])
    ax.set_yscale(scale)
    name_ends(ax, heading="all of them")
    figure.draw_without_rendering()
    *names, heading = ax.texts
    extents = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert [text.get_text() for text in names] == list(ends) and heading.get_text() == "all of them"
    assert all(extent.x0 >= ax.bbox.x1 for extent in extents.values())
    assert not any(one.overlaps(other) for one, other in itertools.combinations(extents.values(), 2))
    for name in ("low", "high"):
        place = (extents[name].y0 + extents[name].y1) / 2
        assert ax.transData.inverted().transform((0, place))[1] == pytest.approx(ends[name], rel=0.02)
    below = sorted(ends, key=lambda name: extents[name].y0)
    assert below == sorted(ends, key=ends.get)


def test_a_bent_axis_holds_everything_and_labels_that_have_room():
    figure, (ax,) = new_figure(width=3.0)
    ax.plot([-200, 5], [0, 0])
    ax.scatter([-300], [0])
    bend(ax, 2.0, (1, 3, 10, 30, 100), "{:g}".format)
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert ax.get_xscale() == "symlog" and low < -300 and high > 5
    labels = [label for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]
    shown = {label.get_text() for label in labels}
    assert {"0", "-3"} <= shown < {"0", "1", "3", "-1", "-3", "-10", "-30", "-100"}
    extents = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(extents, 2))


def means(ax):
    return [bars.lines[0].get_ydata().tolist() for bars in ax.containers]


def test_a_curve_has_its_seeds_its_means_and_their_intervals():
    _, (ax,) = new_figure()
    fig_curve(ax, [1, 2], [(1.0, 3.0), (4.0, 4.0)], "black", "x", "some")
    assert means(ax) == [[2.0, 4.0]]
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[1.0, 4.0], [3.0, 4.0]], "a line a seed"
    low, high = ax.containers[0].lines[1]
    assert high.get_ydata()[0] - 2.0 == pytest.approx(2.0 - low.get_ydata()[0]) == pytest.approx(12.706, abs=0.001)


def test_seeds_that_are_missing_at_a_setting_leave_the_means():
    _, (ax,) = new_figure()
    fig_curve(ax, [1, 2], [(1.0, 3.0), (4.0, 4.0, 7.0)], "black", "x", "some")
    assert means(ax) == [[2.0, 5.0]] and len(ax.lines) == 3, "the curve and the caps of its bars"
