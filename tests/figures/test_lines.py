"""Lines are drawn once, then moved."""

import numpy as np

from adamw_lab.figures import new_figure
from adamw_lab.figures.lines import keep_lines, mark_spike, move_line


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
