"""Samples and mistakes of every kind of data."""

import pytest
import torch

from adamw_lab.data import load_data
from adamw_lab.figures import new_figure
from adamw_lab.figures.samples import fig_mistakes, fig_samples, guess_rate
from adamw_lab.models import build_model

KINDS = {"digits": ("lenet5", {}), "pydoc_text": ("gpt", {"train_size": 2000, "context": 32}),
         "adding_problem": ("lstm", {"train_size": 100, "length": 6})}


@pytest.fixture(params=KINDS)
def case(request):
    model, options = KINDS[request.param]
    data = load_data(request.param, **options)
    return data, build_model(model, seed=0, **data.model_arguments()).eval()


def test_the_best_constant_answer(case):
    data, _ = case
    rate, words = guess_rate(data)
    truth = {"classification": lambda: (data.validation.labels == data.validation.labels.mode().values),
             "language": lambda: (data.validation.tokens == data.validation.tokens.mode().values),
             "regression": lambda: (data.validation.targets - 1).abs() < 0.04}[data.task]()
    assert rate == pytest.approx(truth.float().mean().item(), abs=1e-3) and words.startswith("always")


def test_samples_are_drawn(case):
    data, _ = case
    _, (ax,) = new_figure()
    fig_samples(ax, data)
    drawn, title = " ".join(text.get_text() for text in ax.texts), ax.get_title(loc="left")
    if data.task == "language":
        assert title == "Beginning of the validation part of pydoc_text"
        assert drawn.startswith("".join(data.vocabulary[t] for t in data.validation.tokens[:20]).replace("\n", "¶"))
    elif data.task == "regression":
        assert f"{data.validation.targets[0].item():.2f}" in title and len(ax.patches) == 6
    else:
        assert title == "First images of the validation part of digits"
        assert drawn.split()[:2] == [data.classes[label] for label in data.validation.labels[:2]]


def test_mistakes_are_counted(case):
    data, model = case
    _, (ax,) = new_figure()
    fig_mistakes(ax, model, data, "cpu")
    wrong, _, total = ax.get_title(loc="left").split()[:3]
    assert 0 < int(wrong) <= int(total)
    if data.task == "classification":
        assert int(total) == len(data.validation) and "→" in ax.texts[0].get_text()


def test_a_network_without_mistakes_has_an_empty_picture():
    data = load_data("digits")

    class Perfect(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.one_hot(labels.pop(0), 10).float()

    labels = list(data.validation.labels.split(256))
    _, (ax,) = new_figure()
    fig_mistakes(ax, Perfect(), data, "cpu")
    assert ax.get_title(loc="left").startswith("0 of 270") and not ax.texts
