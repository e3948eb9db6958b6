import numpy as np
import pytest
import torch
from PIL import Image

from adamw_lab.data import folder, load_data, make_batches

SIZES = {"train": 6, "val": 3, "test": 2}
"""Images a class."""


@pytest.fixture
def root(tmp_path):
    """Two classes of noise, in files of 40x30 pixels."""
    random = np.random.default_rng(0)
    for split, n in SIZES.items():
        for label in ("cat", "dog"):
            place = tmp_path / split / label
            place.mkdir(parents=True)
            for i in range(n):
                pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return tmp_path


@pytest.fixture(autouse=True)
def no_workers(monkeypatch):
    monkeypatch.setattr(folder, "WORKERS", 0)


def epoch(data, split="train", number=0, start=0, seed=0):
    return list(make_batches(data, split, 5, device="cpu", seed=seed).epoch(number, start))


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True))


def test_a_folder_has_the_attributes_of_every_data_set(root):
    data = load_data("imagefolder", root=root, image_size=16)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [12, 6, 4]
    assert data.classes == ("cat", "dog") and (data.channels, data.image_size) == (3, 16)
    assert data.train.labels.tolist() == [0] * 6 + [1] * 6
    assert load_data("imagefolder", root=root).image_size == 224


def test_batches_are_images_of_the_size_asked_for(root):
    data = load_data("imagefolder", root=root, image_size=16)
    for split, counts in (("train", [5, 5, 2]), ("validation", [5, 1]), ("test", [4])):
        batches = make_batches(data, split, 5, device="cpu")
        found = list(batches.epoch(0))
        assert [len(labels) for _, labels in found] == counts and len(batches) == len(counts)
        assert all(images.shape[1:] == (3, 16, 16) and images.dtype == torch.float32 for images, _ in found)
        labels = torch.cat([labels for _, labels in found])
        assert sorted(labels.tolist()) == getattr(data, split).labels.tolist()


def test_an_epoch_is_a_pure_function_of_seed_and_number(root):
    data = load_data("imagefolder", root=root, image_size=8)
    torch.manual_seed(0)
    first = epoch(data, number=2)
    torch.manual_seed(1)
    assert same(first, epoch(data, number=2))
    assert same(first[1:], epoch(data, number=2, start=1))
    assert not same(first, epoch(data, number=3)) and not same(first, epoch(data, number=2, seed=1))


def test_worker_processes_change_nothing(root, monkeypatch):
    data = load_data("imagefolder", root=root, image_size=8)
    alone = epoch(data)
    monkeypatch.setattr(folder, "WORKERS", 2)
    assert same(alone, epoch(data))


def test_train_size_chooses_from_every_class(root):
    data = load_data("imagefolder", root=root, image_size=8, train_size=4)
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert sorted(int(label) for _, labels in epoch(data) for label in labels) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="train_size value: 13; allowed: at most 12"):
        load_data("imagefolder", root=root, train_size=13)


def test_a_lone_last_image_is_left_out_of_training_alone(root):
    data = load_data("imagefolder", root=root, image_size=8, train_size=11)
    assert [len(labels) for _, labels in epoch(data)] == [5, 5]
    assert [len(labels) for _, labels in epoch(data, "validation")] == [5, 1]


def test_what_is_missing_is_named(root):
    (root / "val").rename(root / "validation")
    with pytest.raises(FileNotFoundError, match=f"no folder {root / 'val'}; name the folder .* data_root=FOLDER"):
        load_data("imagefolder", root=root)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"garbage", lambda b: b""],
                         ids=["torn", "garbage", "empty"])
def test_a_file_that_is_no_image_is_named(root, monkeypatch, workers, spoil):
    monkeypatch.setattr(folder, "WORKERS", workers)
    bad = root / "train" / "dog" / "3.png"
    bad.write_bytes(spoil(bad.read_bytes()))
    data = load_data("imagefolder", root=root, image_size=8)
    with pytest.raises(ValueError, match=f"^data set 'imagefolder': {bad} is no image that can be read") as error:
        epoch(data)
    assert "\n" not in str(error.value) and str(error.value).endswith("replace or remove it")


def test_an_epoch_leaves_the_global_generator_alone(root):
    before = torch.random.get_rng_state()
    epoch(load_data("imagefolder", root=root, image_size=8))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_class_without_images_is_named(root):
    (root / "train" / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="no valid file for the classes bird"):
        load_data("imagefolder", root=root)


def test_splits_with_other_classes_are_refused(root):
    (root / "val" / "dog").rename(root / "val" / "horse")
    with pytest.raises(ValueError, match=r"val and \S+train must have the same sub-folders, .* has dog, horse"):
        load_data("imagefolder", root=root)


def test_a_batch_size_of_zero_is_refused(root):
    with pytest.raises(ValueError, match="batch_size value: 0"):
        make_batches(load_data("imagefolder", root=root), "train", 0, device="cpu")
