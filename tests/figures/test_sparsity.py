"""Figures of sparsity and of memory show the numbers that they are given."""

import pandas as pd
import pytest

from adamw_lab.figures import fig_memory, fig_sparsity, memory_figure, new_figure
from adamw_lab.figures.memory import METHODS as LABELS
from adamw_lab.figures.memory import PARTS


def test_a_bar_for_each_layer_and_a_line_for_all():
    report = pd.DataFrame({"layer": ["conv", "fc"], "elements": [500, 1500], "zeros": [100, 1200]})
    _, (ax,) = new_figure()
    fig_sparsity(ax, report.assign(sparsity=report["zeros"] / report["elements"]))
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([20, 80])
    assert ax.lines[0].get_xdata()[0] == 65.0 and "65.0 %" in ax.texts[0].get_text()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["conv (500)", "fc (1.5 k)"]
    low, high = ax.get_ylim()
    assert low > high  # the first layer is on top


@pytest.fixture
def table():
    rows = []
    for method, masks, sparsity in (("adamw", 0, 0.0), ("magnitude_pruner", 1, 0.7)):
        row = dict.fromkeys(PARTS, 0) | {"weights": 400, "moments": 800, "masks": 100 * masks, "transients": 50}
        row |= {"method": method, "parameters": 100, "sparsity": sparsity, "pruning_bytes_per_weight": masks}
        rows.append(row)
    return pd.DataFrame(rows)


def test_bytes_a_parameter_are_stacked(table):
    _, (ax,) = new_figure()
    fig_memory(ax, table)
    drawn = {c.get_label(): [(b.get_x(), b.get_width()) for b in c] for c in ax.containers}
    assert drawn["weights"] == [(0, 4), (0, 4)] and drawn["moments"] == [(4, 8), (4, 8)]
    assert drawn["masks"] == [(12, 0), (12, 1)] and drawn["for a moment"] == [(12, 0.5), (13, 0.5)]
    assert [t.get_text() for t in ax.texts] == ["+1"]  # of those that prune
    assert [t.get_text() for t in ax.get_yticklabels()] == ["AdamW", "MagnitudePruner"]


def test_every_measured_method_has_a_name():
    from adamw_lab.bench.memory import METHODS

    assert set(LABELS) == set(METHODS)


def test_the_figure_has_a_legend_of_every_part(table):
    (legend,) = memory_figure(table).legends
    assert [t.get_text() for t in legend.get_texts()] == [label for label, _ in PARTS.values()]
