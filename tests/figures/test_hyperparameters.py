"""Figures of hyperparameters show what each setting does, paired by seed, and mark what validation chose."""

import pandas as pd
import pytest

from adamw_lab.figures.hyperparameters import PROBLEMS, betas_curves_figure, rates_map_figure, theta_figure
from adamw_lab.figures.style import MARKERS, SPARE_MARKERS


def means(ax):
    return [bars.lines[0].get_ydata().tolist() for bars in ax.containers]


def test_the_map_is_what_each_rate_lacks_and_marks_the_choice_of_validation():
    rows = [(size, lr, seed, loss + 0.1 * seed, -lr) for size, losses in ((10, (1.0, 2.0)), (20, (3.0, 2.5)))
            for lr, loss in zip((0.1, 0.2), losses, strict=True) for seed in (0, 1)]
    ax, _ = rates_map_figure(pd.DataFrame(rows, columns=["parameters", "lr", "seed", "test_loss",
                                                         "validation_loss"])).axes
    assert ax.images[0].get_array().tolist() == [pytest.approx([0.0, 1.0]), pytest.approx([0.5, 0.0])]
    assert [text.get_text() for text in ax.texts] == ["0.00", "1.00", "0.50", "0.00"]
    assert ax.lines[0].get_xdata().tolist() == [1, 1] and ax.get_yticklabels()[0].get_text() == "10"


def table(losses):
    """Two seeds an arm; the second's loss is twice the first's."""
    return pd.DataFrame([{"arm": arm, "optimizer": "adamw", "seed": seed, "status": "finished",
                          "test_loss": loss * (1 + seed)} for arm, loss in losses.items() for seed in (0, 1)])


def test_betas_are_curves_beside_the_default():
    pairs = {"0.8_0.999": 0.9, "0.9_0.999": 1.0, "0.95_0.999": 1.1, "0.9_0.99": 1.2, "0.9_0.9999": 1.0}
    lenet = table({f"b{batch}_{pair}": loss for batch in (8, 64) for pair, loss in pairs.items()})
    left, right = betas_curves_figure(lenet, table(pairs)).axes
    for curve in means(left):
        assert curve == pytest.approx([-10.0, 0.0, 10.0])
    assert means(right)[2] == pytest.approx([20.0, 0.0, 0.0]) and right.get_xticklabels()[2].get_text() == "0.9999"
    assert not {marker for *_, marker in PROBLEMS.values()} & {*MARKERS.values(), *SPARE_MARKERS}


def test_theta_is_shown_by_what_it_saves_of_spikes_and_without_them():
    losses = {"adamw": 1.0, "theta_5": 1.1, "element": 1.0, "theta_500": 1.0, "theta_5000": 1.0}
    costs = {"adamw": 1.0, "theta_5": 0.2, "element": 0.5, "theta_500": 0.9, "theta_5000": 1.0}
    runs = table(losses | {f"{arm}+spikes": loss + costs[arm] for arm, loss in losses.items()})
    (ax,) = theta_figure(("gpt",), (runs,)).axes
    spikes, none = means(ax)
    assert spikes == pytest.approx([1.5 * saved for saved in (0.8, 0.5, 0.1, 0.0)])
    assert none == pytest.approx([-0.15, 0.0, 0.0, 0.0]) and ax.get_xscale() == "log"
