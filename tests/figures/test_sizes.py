"""The figure of sizes shows gains and jumps of the norm over the number of parameters."""

import numpy as np
import pandas as pd
import pytest

from adamw_lab.figures.sizes import MODELS, size_figure
from adamw_lab.figures.style import MARKERS, SPARE_MARKERS


def test_size_has_gain_and_spikes_over_parameters():
    rows = [{"optimizer": name, "parameters": size, "seed": seed, "test_loss": loss + 0.1 * seed,
             "spike_rate": size / 1e4, "highest_norm": norm}
            for name, loss in (("adamw", 2.0), ("adamwspam", 1.0)) for size in (100, 1000)
            for seed, norm in enumerate((1.0, 4.0))]
    figure = size_figure(["gpt", "resnet18"], [pd.DataFrame(rows).assign(test_accuracy=0.5)] * 2)
    gain, rate, norm = (ax.containers[0].lines[0].get_ydata() for ax in figure.axes)
    assert gain.tolist() == pytest.approx([100 / 2.05] * 2) and rate.tolist() == pytest.approx([1.0, 10.0])
    assert norm.tolist() == pytest.approx([2.0, 2.0]), "on the logarithmic axis the geometric mean"
    assert figure.axes[0].lines[0].get_xdata().tolist() == [100, 1000]
    assert np.ptp([len(ax.containers) for ax in figure.axes]) == 0


def test_a_model_has_no_optimizers_marker():
    assert not {marker for marker, _ in MODELS} & {*MARKERS.values(), *SPARE_MARKERS}
