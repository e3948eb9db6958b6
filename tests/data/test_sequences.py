"""The adding problem and the manual's text: what they hold, how they are split, and that epochs repeat."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.data import load_data, make_batches


@given(length=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_targets_are_the_sum_of_the_two_marked_numbers(length, seed):
    data = load_data("adding_problem", train_size=50, split_seed=seed, length=length)
    numbers, marks = data.train.inputs.unbind(2)
    assert data.train.inputs.shape == (50, length, 2) and data.task == "regression"
    assert (marks.sum(1) == 2).all() and ((marks == 0) | (marks == 1)).all()
    assert (marks[:, : length // 2].sum(1) == 1).all()
    assert ((0 <= numbers) & (numbers < 1)).all()
    torch.testing.assert_close(data.train.targets[:, 0], (numbers * marks).sum(1))


def test_answering_one_costs_a_sixth():
    targets = load_data("adding_problem").train.targets
    assert len(targets) == 10_000
    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, rel=0.03)


def test_splits_are_apart_and_the_held_out_ones_the_same_for_any_train_size():
    small, large = load_data("adding_problem", train_size=10), load_data("adding_problem", train_size=500)
    assert torch.equal(small.validation.inputs, large.validation.inputs)
    assert torch.equal(small.test.targets, large.test.targets)
    assert not torch.equal(small.validation.inputs, small.test.inputs)
    other = load_data("adding_problem", split_seed=1)
    assert not torch.equal(other.test.inputs, small.test.inputs)


@pytest.fixture(scope="module")
def text():
    return load_data("pydoc_text", context=16)


def test_the_text_is_the_manuals(text):
    from pydoc_data.topics import topics

    whole = "".join(text.vocabulary[i] for part in (text.train, text.validation, text.test) for i in part.tokens)
    assert whole == "\n".join(f"{name}\n{topics[name]}" for name in sorted(topics))
    assert text.digest == hashlib.sha256(whole.encode()).hexdigest()
    assert len(text.train) / len(whole) == pytest.approx(0.9, abs=1e-4) and len(text.validation) == len(text.test)
    assert text.model_arguments() == {"vocabulary": len(set(whole)), "context": 16} and text.task == "language"


@pytest.mark.parametrize(("dataset", "options"), [("adding_problem", {"length": 9}), ("pydoc_text", {"context": 16})])
def test_an_epoch_is_a_function_of_seed_and_number(dataset, options):
    data = load_data(dataset, train_size=1000, **options)
    batches, again, other = (make_batches(data, "train", 8, device="cpu", seed=seed) for seed in (3, 3, 4))
    one, two = list(batches.epoch(5)), list(again.epoch(5))
    assert len(one) == len(batches) == len(two)
    for i, ((inputs, targets), (inputs2, targets2)) in enumerate(zip(one, two, strict=True)):
        assert torch.equal(inputs, inputs2) and torch.equal(targets, targets2)
        resumed = next(batches.epoch(5, start=i))
        assert torch.equal(resumed[0], inputs) and torch.equal(resumed[1], targets)
    assert not torch.equal(one[0][0], next(batches.epoch(6))[0])
    assert not torch.equal(one[0][0], next(other.epoch(5))[0])


def test_every_sequence_is_met_once_an_epoch():
    data = load_data("adding_problem", train_size=21, length=4)
    met = torch.cat([targets for _, targets in make_batches(data, "train", 4, device="cpu").epoch(0)])
    assert torch.equal(met.sort(0).values, data.train.targets.sort(0).values)


def test_the_targets_of_a_window_are_one_character_on(text):
    inputs, targets = next(make_batches(text, "train", 32, device="cpu", seed=1).epoch(0))
    assert inputs.shape == targets.shape == (32, 16)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    joined = "".join(text.vocabulary[i] for i in text.train.tokens)
    window = "".join(text.vocabulary[i] for i in [*inputs[0], targets[0, -1]])
    assert window in joined


def test_validation_covers_the_text_in_order(text):
    batches = make_batches(text, "validation", 7, device="cpu")
    parts = list(batches.epoch(0))
    assert len(parts) == len(batches)
    inputs = torch.cat([inputs.flatten() for inputs, _ in parts])
    assert torch.equal(inputs, text.validation.tokens[: len(inputs)])
    assert len(text.validation) - len(inputs) <= 16 + 1


@pytest.mark.parametrize(("name", "given", "message"), [
    ("adding_problem", {"length": 1}, "Invalid length value: 1; allowed: a whole number of at least 2"),
    ("adding_problem", {"lenght": 9}, r"unknown option 'lenght' of dataset 'adding_problem'; allowed: length. Did you "
                                      r"mean 'length'\?"),
    ("digits", {"length": 9}, "unknown option 'length' of dataset 'digits'; allowed: none"),
    ("pydoc_text", {"context": 0}, "Invalid context value: 0; allowed: a whole number of at least 1"),
    ("pydoc_text", {"context": 10**7}, "Invalid context value: 10000000; allowed: from 1 to"),
    ("pydoc_text", {"train_size": 10**7}, "Invalid train_size value: 10000000; allowed: from 129 to"),
    ("pydoc_text", {"image_size": 8}, "Invalid image_size value: 8; allowed: None, since 'pydoc_text' has no images")])
def test_bad_settings(name, given, message):
    with pytest.raises(ValueError, match=message):
        load_data(name, **given)
