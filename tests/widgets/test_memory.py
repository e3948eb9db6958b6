"""The memory calculator's bars are the estimates, of models as they are built."""

import pytest

from adamw_lab.bench.estimate import memory_estimate
from adamw_lab.models import build_model, parameter_count
from adamw_lab.widgets import Explorer, memory
from adamw_lab.widgets.controls import values_of


@pytest.fixture
def explorer():
    made = Explorer(memory.fig_calculator, memory.CONTROLS, values_of(memory.CONTROLS, {"model": "lenet5"}),
                    {"columns": 1, "width": 7.0, "height": 2.6}, tell=memory.bytes_table)
    yield made
    made.close()


def bars(ax):
    """bar -> its sum in the unit of the axis."""
    ends = {}
    for patch in ax.patches:
        row = round(patch.get_y() + patch.get_height() / 2)
        ends[row] = max(ends.get(row, 0.0), patch.get_x() + patch.get_width())
    return {label.get_text(): ends[row] for row, label in enumerate(ax.get_yticklabels())}


def test_the_bars_are_the_estimates(explorer):
    size = parameter_count(build_model("lenet5", **memory.MODELS["lenet5"]))
    assert memory.counted("lenet5")[0] == size
    prunable = memory.counted("lenet5")[1]
    for dtype, optimizer in (("float32", "adamw"), ("bfloat16", "adamwadv")):
        explorer.controls["dtype"].value = dtype
        explorer.controls["optimizer"].value = optimizer
        expected = {"no pruning": memory_estimate(size, 0, optimizer, dtype)["total"]}
        for way in ("adamwprune", "magnitude", "movement"):
            expected[way] = memory_estimate(size, prunable, optimizer, dtype, way)["total"]
        assert bars(explorer.axes[0]) == pytest.approx({name: 1e-6 * total for name, total in expected.items()})
        assert all(f"{total:,}</td>" in explorer.below.value for total in expected.values())


def test_a_model_of_ones_own_is_prunable_whole(explorer):
    explorer.controls["model"].value = "yours"
    explorer.controls["parameters"].value = 1e9
    explorer.controls["pruning"].value = ("byte_masks",)
    assert bars(explorer.axes[0]) == pytest.approx({"no pruning": 16.0, "byte masks": 17.0})
    assert explorer.axes[0].get_title(loc="left").startswith("1,000,000,000 parameters")


def test_ways_that_exclude_each_other_are_told(explorer):
    explorer.controls["optimizer"].value = "adamwprune"
    assert "contradicts optimizer 'adamwprune'" in explorer.message
    explorer.controls["pruning"].value = ()
    assert explorer.message == "" and list(bars(explorer.axes[0])) == ["no pruning"]
