"""Figures of runs: what is drawn is what the table says, and the table stays as it was."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from adamw_lab.figures import fig_comparison, fig_curves, fig_images, fig_training, new_figure, study_figure
from adamw_lab.figures.style import NAMES

matplotlib.use("agg")


@pytest.fixture
def epochs():
    rows = [(name, seed, epoch, 0.1 * epoch + 0.01 * seed, 1 / epoch) for name in ("sgd", "adamw") for seed in (0, 1)
            for epoch in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["optimizer", "seed", "epoch", "validation_accuracy", "train_loss"])


@pytest.fixture
def runs():
    return pd.DataFrame({"optimizer": ["sgd", "sgd", "adamwprune", "adamwprune"], "seed": [0, 1, 0, 1],
                         "validation_accuracy": [0.90, 0.92, 0.96, 0.98], "sparsity": [0.0, 0.0, 0.7, 0.7]})


@pytest.fixture
def ax():
    return new_figure()[1][0]


def test_curves_show_each_seed_and_the_mean(ax, epochs):
    before = epochs.copy()
    fig_curves(ax, epochs)
    pd.testing.assert_frame_equal(epochs, before)
    assert len(ax.lines) == 2 * (2 + 1)
    means = {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}
    assert set(means) == {NAMES["sgd"], NAMES["adamw"]}
    np.testing.assert_allclose(means["SGD + momentum"], [10.5, 20.5, 30.5])
    assert ax.get_ylabel() == "validation accuracy (%)" and ax.get_xlabel() == "epoch"


def test_one_seed_is_one_line(ax, epochs):
    fig_curves(ax, epochs[epochs["seed"] == 0], "train_loss")
    assert len(ax.lines) == 2 and ax.get_ylabel() == "training loss (nats)"


def test_a_run_shows_training_and_validation(ax):
    history = pd.DataFrame({"epoch": [1, 2], "train_accuracy": [0.5, 0.6], "validation_accuracy": [0.4, 0.7]})
    fig_training(ax, history, "accuracy", "adam")
    assert [line.get_label() for line in ax.lines] == ["training", "validation"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [40, 70])


def test_the_best_mean_is_on_top_and_sparsity_is_named(ax, runs):
    before = runs.copy()
    fig_comparison(ax, runs)
    pd.testing.assert_frame_equal(runs, before)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["SGD + momentum", "AdamWPrune\n70 % of weights pruned"]
    dots = [line.get_xdata() for line in ax.lines[1::2]]
    np.testing.assert_allclose(dots, [[90, 92], [96, 98]])


def test_images_become_one_picture(ax):
    images = torch.arange(3 * 4 * 4).reshape(3, 1, 4, 4)
    fig_images(ax, images, ["a", "b", "c"], columns=2)
    canvas = np.asarray(ax.images[0].get_array())
    assert canvas[0, 0] == 0 and [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    np.testing.assert_allclose(canvas[:4, 5:9], images[1, 0] / 47)
    fig_images(ax, torch.rand(2, 3, 4, 4), ["a", "b"])
    assert np.asarray(ax.images[1].get_array()).shape[-1] == 3


def test_a_study_has_two_panels(runs, epochs):
    assert len(study_figure(runs, epochs).axes) == 2
