"""The spike lab draws the bowl that its controls say, by the same rules as the optimizers."""

import numpy as np
import pytest

from adamw_lab.optim import AdamWSPAM, build_optimizer
from adamw_lab.spikes import descend_bowl
from adamw_lab.widgets import Explorer, spike_lab, spikes
from adamw_lab.widgets.controls import values_of


@pytest.fixture
def explorer():
    made = Explorer(spikes.fig_spike_lab, spikes.CONTROLS, values_of(spikes.CONTROLS, {"steps": 120, "spike_at": 60}),
                    {"rows": 2, "columns": 2, "width": 7.0, "height": 3.6})
    yield made
    made.close()


def test_what_is_drawn_is_what_the_optimizers_do(explorer):
    moves = {"spike_factor": 1000.0, "spikes": 2, "apart": 30, "theta": 10.0, "spike_sigma": 3.0, "reset_interval": 40,
             "warmup_steps": 10, "lr": 0.05, "seed": 2}
    for name, value in moves.items():
        explorer.controls[name].value = value
    assert explorer.message == ""
    resets = {"reset_interval": 40, "warmup_steps": 10}
    makers = {"adamw": lambda params: build_optimizer("adamw", params, lr=0.05),
              "adamwspam": lambda params: AdamWSPAM(params, lr=0.05, theta=10.0, spike_sigma=3.0, **resets),
              "adamwspam_published": lambda params: AdamWSPAM.published(params, lr=0.05, **resets)}
    places = {60: 1000.0, 90: 1000.0}
    for name, make in makers.items():
        run = descend_bowl(make, steps=120, spikes=places, seed=2)
        for ax, column in zip(explorer.axes, spikes.QUANTITIES, strict=True):
            line = next(line for line in ax.lines if line.get_gid() == name)
            np.testing.assert_allclose(line.get_ydata(), run[column], rtol=1e-4, err_msg=f"{name} {column}")
    marks = [line.get_gid() for line in explorer.axes[0].lines if line.get_gid().startswith("spike ")]
    assert marks == ["spike 60", "spike 90"]


def test_moved_it_shows_what_fresh_axes_show(explorer):
    lines = list(explorer.axes[0].lines)
    explorer.controls["theta"].value = 5.0
    explorer.controls["spike_at"].value = 30
    assert [line for line in explorer.axes[0].lines if line in lines] == lines[1:], "all but the mark are moved"
    for old, new in zip(explorer.axes, spike_lab(explorer.values).axes, strict=True):
        assert (old.get_xlim(), old.get_ylim()) == (new.get_xlim(), new.get_ylim())
        for gid in {line.get_gid() for line in new.lines}:
            first, second = (next(line for line in ax.lines if line.get_gid() == gid) for ax in (old, new))
            np.testing.assert_array_equal(first.get_xydata(), second.get_xydata())


def test_a_spike_after_the_end_is_told(explorer):
    explorer.controls["spike_at"].value = 121
    assert explorer.message == "Invalid spike at step 121; allowed: from 1 to 120"
    explorer.controls["spikes"].value = 0
    assert explorer.message == ""
