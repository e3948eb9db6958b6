"""Figures of costs show the numbers that they are given."""

import pandas as pd
import pytest

from adamw_lab.bench.estimate import memory_estimate
from adamw_lab.figures import COLOURS, MARKERS, new_figure
from adamw_lab.figures.costs import fig_budget, fig_limit, fig_selection, fig_throughput, throughput_figure
from adamw_lab.figures.style import SPARE_MARKERS


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_speed_is_by_a_copys(ax):
    table = pd.DataFrame({"model": ["resnet18", "resnet18", "gpt2", "gpt2"],
                          "contender": ["torch_fused", "adamwspam"] * 2, "label": ["torch fused", "AdamWSPAM"] * 2,
                          "ratio": [1.0, 2.0, 1.0, None], "gigabytes_per_second": [30.0, 10.0, 60.0, None],
                          "copy_gigabytes_per_second": [40.0, 40.0, 40.0, 40.0]})
    fig_limit(ax, table)
    copy, hidden, *points = ax.lines
    assert copy.get_xdata()[0] == 1 and hidden.get_xdata()[0] == 1.5
    assert [point.get_xydata().tolist() for point in points] == [[[0.75, -0.15]], [[0.25, 0.85]], [[1.5, 0.15]]], \
        "models lie beneath each other, so that none hides another"
    assert points[1].get_color() == COLOURS["adamwspam"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["torch fused", "AdamWSPAM"]
    shapes = [point.get_marker() for point in points]
    assert shapes[0] == shapes[1] != shapes[2] and not {*shapes} & {*MARKERS.values(), *SPARE_MARKERS}


@pytest.mark.parametrize(("quantity", "expected"), [("seconds", [2.0, 40.0]), ("bytes", [3.0, 3.0])])
def test_selection_in_milliseconds_and_megabytes(ax, quantity, expected):
    table = pd.DataFrame({"elements": [10**6, 10**7], "kth_smallest_seconds": [0.002, 0.04],
                          "kthvalue_seconds": [0.01, 0.1], "kth_smallest_bytes": [3e6, 3e6],
                          "kthvalue_bytes": [16e6, 16e7]})
    fig_selection(ax, table, quantity)
    ours, torchs = ax.lines
    assert list(ours.get_xdata()) == [1, 10] and list(ours.get_ydata()) == pytest.approx(expected)
    assert torchs.get_label() == "torch.kthvalue"


def test_throughput_in_groups_with_ratios():
    table = pd.DataFrame({"model": ["resnet18"] * 2 + ["resnet50"], "way": ["tutorial", "fit", "fit, float32"],
                          "ratio": [1.0, 2.5, 1.023], "precision": ["float32", "bfloat16", "float32"],
                          "images_per_second": [60.0, 150.0, 12.0], "dataset": "digits", "batch_size": 64,
                          "threads": 2, "hardware": "a machine", "torch": "2"})
    ax = throughput_figure(table).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [60, 150, 12]
    assert [t.get_text().strip() for t in ax.texts] == ["1.00×", "2.50×", "1.02×"]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "ResNet-18", "tutorial, float32", "fit, bfloat16", "ResNet-50", "fit, float32"]
    fig_throughput(ax, table.head(1))


def test_a_budget_stacks_its_components(ax):
    small, large = memory_estimate(10**9, 10**9), memory_estimate(10**9, 10**9, pruning="movement")
    fig_budget(ax, {"dense": small, "movement": large})
    assert [t.get_text().strip() for t in ax.texts] == ["16", "25"] and "(GB)" in ax.get_xlabel()
    first = [bar for bar in ax.patches if bar.get_y() < 0]
    assert [bar.get_width() for bar in first] == [4, 4, 8, 0, 0, 0]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == pytest.approx(25)


def test_a_small_budget_is_in_megabytes(ax):
    fig_budget(ax, {"dense": memory_estimate(10**6, 0)})
    assert "(MB)" in ax.get_xlabel() and ax.texts[0].get_text().strip() == "16"
