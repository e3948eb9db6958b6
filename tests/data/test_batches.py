import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.data import Augmentation, Batches, Split

RAW = {"mean": (0.0,), "std": (1 / 255,), "device": "cpu"}
"""Statistics under which a batch holds the pixels themselves."""


def split_of(n, size=4):
    """n images of random pixels, each labelled with its own index."""
    images = torch.randint(1, 256, (n, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
    return Split(images, torch.arange(n))


def seen(batches, number, start=0):
    """The indices that an epoch shows, in order."""
    return [int(label) for _, labels in batches.epoch(number, start) for label in labels]


sizes = st.tuples(st.integers(1, 60), st.integers(1, 20))


@given(sizes, st.integers(0, 2**40), st.integers(0, 1000), st.booleans())
def test_an_epoch_shows_every_image_once(size, seed, number, shuffle):
    n, batch_size = size
    batches = Batches(split_of(n), batch_size, seed=seed, shuffle=shuffle, **RAW)
    indices = seen(batches, number)
    lone = shuffle and n > batch_size > 1 and n % batch_size == 1  # a last batch of one image is left out
    assert len(indices) == len(set(indices)) == n - lone
    assert shuffle or indices == list(range(n))


@given(sizes, st.booleans())
def test_len_is_the_number_of_batches_and_all_but_the_last_are_full(size, shuffle):
    n, batch_size = size
    batches = Batches(split_of(n), batch_size, shuffle=shuffle, **RAW)
    lengths = [len(labels) for _, labels in batches.epoch(0)]
    assert len(lengths) == len(batches)
    assert all(length == batch_size for length in lengths[:-1])


@settings(max_examples=40)
@given(sizes, st.integers(0, 100), st.integers(0, 30), st.booleans())
def test_an_epoch_begun_late_is_the_tail_of_the_whole(size, number, start, shuffle):
    n, batch_size = size
    batches = Batches(split_of(n), batch_size, seed=3, shuffle=shuffle, augmentation=Augmentation(1, True), **RAW)
    whole, tail = list(batches.epoch(number)), list(batches.epoch(number, start=start))
    assert len(tail) == max(0, len(whole) - start)
    for (images, labels), (tail_images, tail_labels) in zip(whole[start:], tail, strict=True):
        assert torch.equal(images, tail_images) and torch.equal(labels, tail_labels)


@given(st.integers(0, 2**40), st.integers(0, 100))
def test_an_epoch_is_replayed_alone(seed, number):
    def images(earlier):
        batches = Batches(split_of(30), 7, seed=seed, shuffle=True, augmentation=Augmentation(1, True), **RAW)
        for epoch in range(earlier):
            list(batches.epoch(epoch))
        return torch.cat([images for images, _ in batches.epoch(number)])

    torch.manual_seed(0)
    first = images(earlier=0)
    torch.manual_seed(1)
    assert torch.equal(first, images(earlier=2))


@given(st.tuples(st.integers(0, 50), st.integers(0, 50)), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_other_seeds_and_other_epochs_have_other_orders(one, other):
    orders = [seen(Batches(split_of(64), 64, seed=seed, shuffle=True, **RAW), number) for seed, number in (one, other)]
    assert (orders[0] == orders[1]) == (one == other)


def test_the_order_does_not_depend_on_augmentation_or_batch_size():
    plain = Batches(split_of(60), 10, seed=2, shuffle=True, **RAW)
    other = Batches(split_of(60), 15, seed=2, shuffle=True, augmentation=Augmentation(2, True), **RAW)
    assert seen(plain, 4) == seen(other, 4)


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    list(Batches(split_of(20), 5, shuffle=True, augmentation=Augmentation(1, True), **RAW).epoch(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_images_are_normalized_by_channel():
    images = torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    batches = Batches(Split(images, torch.zeros(6, dtype=torch.long)), 6, mean=mean, std=std, device="cpu")
    (batch, _), = batches.epoch(0)
    expected = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch, expected)


def candidates(image, pad):
    """All crops of an image padded with zeros, each with its mirror image: {(row, column, mirrored): pixels}."""
    size = image.shape[-1]
    padded = torch.zeros(1, size + 2 * pad, size + 2 * pad)
    padded[:, pad : pad + size, pad : pad + size] = image
    crops = {}
    for row in range(2 * pad + 1):
        for column in range(2 * pad + 1):
            crop = padded[:, row : row + size, column : column + size]
            crops[row, column, False], crops[row, column, True] = crop, crop.flip(-1)
    return crops


def test_augmented_images_are_crops_and_mirror_images_and_all_of_them_come():
    split, pad = split_of(600), 1
    batches = Batches(split, 50, augmentation=Augmentation(pad, True), **RAW)
    came = []
    for images, labels in batches.epoch(0):
        for image, label in zip(images, labels, strict=True):
            crops = candidates(split.images[label].float(), pad)
            came += [key for key, crop in crops.items() if torch.allclose(image, crop, atol=1e-3)]
    assert len(came) == len(split)  # exactly one candidate fits each image
    counts = torch.tensor([came.count(key) for key in crops])
    assert counts.min() > 600 / 18 / 3 and counts.max() < 600 / 18 * 3
    assert 0.4 < sum(mirrored for *_, mirrored in came) / 600 < 0.6


def test_without_augmentation_images_stay_as_they_are():
    split = split_of(10)
    (images, _), = Batches(split, 10, **RAW).epoch(0)
    torch.testing.assert_close(images, split.images.float())


def test_the_memory_format_is_kept():
    split = Split(torch.zeros(4, 3, 5, 5, dtype=torch.uint8), torch.zeros(4, dtype=torch.long))
    batches = Batches(split, 2, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu", memory_format=torch.channels_last,
                      augmentation=Augmentation(1, True))
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in batches.epoch(0))


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(ValueError, match=f"batch_size value: {batch_size}; allowed: a whole number of at least 1"):
        Batches(split_of(3), batch_size, **RAW)


def test_a_split_without_images_is_refused():
    with pytest.raises(ValueError, match="no images"):
        Batches(split_of(0), 2, **RAW)
