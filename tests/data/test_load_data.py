from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.nn.functional import one_hot

import adamw_lab.data
from adamw_lab.data import DATASETS, Augmentation, Split, load_data, make_batches

SPLITS = ("train", "validation", "test")


def keys(split):
    return [bytes(image.numpy()) for image in split.images]


def shares(split):
    return one_hot(split.labels, 10).double().mean(0)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.fixture
def stub(monkeypatch):
    """Puts chosen images in the place of those read from disk."""

    def put(train, test):
        images = [Split(x, torch.arange(len(x)) % 10) for x in (train, test)]
        monkeypatch.setattr(adamw_lab.data, "_read", lambda name, root: (*images, tuple("abcdefghij")))

    return put


def test_digits_are_split_into_all_of_scikit_learn_s(digits):
    images = torch.from_numpy(load_digits().images * (255 / 16)).round().to(torch.uint8)
    parts = [digits.train, digits.validation, digits.test]
    assert [len(part) for part in parts] == [1257, 270, 270]
    assert Counter(key for part in parts for key in keys(part)) == Counter(bytes(image.numpy()) for image in images)
    assert digits.train.images.shape == (1257, 1, 8, 8) and digits.train.labels.dtype == torch.int64
    assert digits.classes == tuple("0123456789") and (digits.channels, digits.image_size) == (1, 8)


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_is_stratified(digits, split):
    every = shares(Split(torch.empty(1797, 0), torch.from_numpy(load_digits().target).long()))
    part = getattr(digits, split)
    assert ((shares(part) - every).abs() * len(part)).max() <= 1.5  # images a class


def test_the_split_of_a_seed_never_changes(digits):
    assert [int(getattr(digits, split).images.long().sum()) for split in SPLITS] == [6259424, 1354779, 1339598]


def test_another_split_seed_splits_otherwise(digits):
    assert keys(load_data("digits", split_seed=1).test) != keys(digits.test)
    assert keys(load_data("digits", split_seed=0).test) == keys(digits.test)


def test_loading_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    load_data("digits", train_size=50)
    assert torch.equal(torch.random.get_rng_state(), before)


@settings(max_examples=15)
@given(st.integers(10, 1257), st.integers(10, 1257), st.integers(0, 5))
def test_train_size_is_stratified_and_nested_and_leaves_the_rest(one, other, seed):
    whole = load_data("digits", split_seed=seed)
    small, large = (load_data("digits", train_size=n, split_seed=seed) for n in sorted((one, other)))
    assert [len(small.train), len(large.train)] == sorted((one, other))
    assert Counter(keys(small.train)) <= Counter(keys(large.train)) <= Counter(keys(whole.train))
    assert ((shares(small.train) - shares(whole.train)).abs() * len(small.train)).max() <= 1.5
    for split in ("validation", "test"):
        assert torch.equal(getattr(small, split).images, getattr(whole, split).images)


def test_validation_is_a_tenth_of_the_training_images_and_apart(stub):
    train = torch.arange(300, dtype=torch.int32).view(torch.uint8).view(300, 1, 2, 2)  # no two alike
    stub(train, train[:20])
    data = load_data("cifar10")
    assert len(data.validation) == 30 and Counter(data.validation.labels.tolist()) == {i: 3 for i in range(10)}
    assert sorted(keys(data.train) + keys(data.validation)) == sorted(bytes(image.numpy()) for image in train)
    assert torch.equal(data.test.images, train[:20])


def test_mean_and_deviation_are_those_of_the_training_images(stub):
    random = torch.Generator().manual_seed(0)
    train = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8, generator=random)
    train[:, 2] = 51
    stub(train, torch.zeros(20, 3, 4, 4, dtype=torch.uint8))
    data = load_data("cifar10", train_size=60)
    pixels = data.train.images.double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert data.std[:2] == pytest.approx(pixels[:, :2].std((0, 2, 3), correction=0).tolist())
    assert data.mean[2] == pytest.approx(0.2) and data.std[2] > 0.5  # a constant channel is not blown up
    images = torch.cat([images for images, _ in make_batches(data, "validation", 7, device="cpu").epoch(0)])
    assert images.isfinite().all()


@pytest.mark.parametrize("size", [4, 16, 28])
def test_images_are_resized(size):
    data = load_data("digits", image_size=size, train_size=100)
    assert data.image_size == size
    for split in SPLITS:
        assert getattr(data, split).images.shape[1:] == (1, size, size)
    assert data.mean == pytest.approx(load_data("digits", train_size=100).mean, abs=0.02)


def test_shrinking_averages_over_what_it_drops(stub):
    stripes = torch.tensor([255, 0, 0, 255] * 4, dtype=torch.uint8).expand(100, 1, 16, 16)
    stub(stripes, stripes[:20])
    small = load_data("cifar10", image_size=4).test.images[:, :, :, 1:-1].float()
    assert (small - 127.5).abs().max() < 2  # the two pixels next to each centre alone would give 0


@pytest.mark.parametrize(("name", "augmentation"), [
    ("digits", Augmentation(pad=0, flip=False)), ("fashion_mnist", Augmentation(pad=2, flip=True)),
    ("cifar10", Augmentation(pad=4, flip=True)), ("cifar100", Augmentation(pad=4, flip=True))])
def test_augmentation_goes_by_data_set(stub, monkeypatch, digits, name, augmentation):
    if name != "digits":
        stub(torch.zeros(100, 1, 8, 8, dtype=torch.uint8), torch.zeros(20, 1, 8, 8, dtype=torch.uint8))
    assert load_data(name).augmentation == augmentation


def test_only_training_batches_are_shuffled_and_augmented(stub):
    train = torch.randint(1, 256, (200, 1, 8, 8), dtype=torch.uint8)
    stub(train, train[:20])
    data = load_data("cifar10")
    for split in ("validation", "test"):
        part = getattr(data, split)
        (images, labels), = make_batches(data, split, 20, device="cpu", seed=1).epoch(3)
        assert torch.equal(labels, part.labels)
        torch.testing.assert_close(images * data.std[0] + data.mean[0], part.images / 255)
    batches = make_batches(data, "train", 180, device="cpu", seed=1)
    assert batches.augmentation == data.augmentation and batches.shuffle
    (images, labels), = batches.epoch(3)
    assert not torch.equal(labels, data.train.labels)
    assert Counter(labels.tolist()) == Counter(data.train.labels.tolist())


@pytest.mark.parametrize(("arguments", "parts"), [
    ({"name": "digit"}, ["unknown dataset 'digit'", ", ".join(DATASETS), "Did you mean 'digits'?"]),
    ({"train_size": 1258}, ["train_size value: 1258", "at most 1257", "'digits'"]),
    ({"train_size": 0}, ["train_size value: 0", "at least 1"]),
    ({"image_size": 0}, ["image_size value: 0", "at least 1"]),
    ({"image_size": -8}, ["image_size value: -8", "at least 1"]),
    ({"train_size": 99.5}, ["train_size value: 99.5", "whole number"]),
    ({"train_size": "100"}, ["train_size value: '100'", "whole number"]),
    ({"train_size": True}, ["train_size value: True", "whole number"]),
    ({"split_seed": -1}, ["split_seed value: -1", "at least 0"]),
    ({"split_seed": None}, ["split_seed value: None", "at least 0"]),
])
def test_bad_input_is_named(arguments, parts):
    with pytest.raises(ValueError) as error:
        load_data(**{"name": "digits", **arguments})
    assert all(part in str(error.value) for part in parts), str(error.value)


@pytest.mark.parametrize("name", ["digits", "adding_problem", "pydoc_text"])
@pytest.mark.parametrize("size", [0, -4, 2.5, True, "8", None])
def test_a_batch_size_that_is_no_number_of_images_is_named(name, size):
    with pytest.raises(ValueError, match=f"batch_size value: {size!r}; allowed: a whole number of at least 1"):
        make_batches(load_data(name, train_size=200), "train", size, device="cpu")


def test_numbers_of_numpy_will_do():
    data = load_data("digits", train_size=np.int64(50))
    assert len(make_batches(data, "train", np.int32(10), device="cpu")) == 5


def test_an_unknown_split_is_told_the_nearest(digits):
    with pytest.raises(ValueError, match="unknown split 'valid'; allowed: train, validation, test. Did you mean 'val"):
        make_batches(digits, "valid", 8, device="cpu")
