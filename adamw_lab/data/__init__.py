"""Images and sequences by name, split for honest comparison, in batches that any machine makes alike."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adamw_lab.data.batches import Augmentation, Batches, Split, channel_statistics, check_batch_size, is_whole
from adamw_lab.data.folder import MEAN, STD, FolderSplit, StreamedBatches, read_folder
from adamw_lab.data.sequences import (
    AddingProblem,
    SequenceBatches,
    TextBatches,
    TextData,
    adding_problem,
    pydoc_text,
)
from adamw_lab.data.sources import (
    data_root,
    fetch,
    missing,
    present,
    read_cifar,
    read_digits,
    read_fashion_mnist,
)
from adamw_lab.suggest import did_you_mean

__all__ = ["DATASETS", "Augmentation", "Batches", "ImageData", "Split", "StreamedBatches", "check_data_options",
           "fetch", "load_data", "make_batches", "present"]

AUGMENTATIONS = {
    "digits": Augmentation(),
    "fashion_mnist": Augmentation(pad=2, flip=True),
    "cifar10": Augmentation(pad=4, flip=True),
    "cifar100": Augmentation(pad=4, flip=True),
}
SEQUENCES = {"adding_problem": adding_problem, "pydoc_text": pydoc_text}
DATASETS = (*AUGMENTATIONS, "imagefolder", *SEQUENCES)
SPLITS = ("train", "validation", "test")
VALIDATION = 5_000
"""Images kept back for validation from the training images of Fashion-MNIST and CIFAR (at most a tenth of them)."""


@dataclass(frozen=True)
class ImageData:
    """A data set, split: tune and select on `validation`, use `test` once.

    `mean` and `std` of the training images, a number a channel, in units of [0, 1]; `augmentation` is what training
    batches get; `image_size` is height and width in pixels.
    """

    name: str
    train: Split | FolderSplit
    validation: Split | FolderSplit
    test: Split | FolderSplit
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    channels: int
    image_size: int
    task: str = "classification"

    def model_arguments(self) -> dict[str, int]:
        """What `build_model` must know of these data."""
        return {"channels": self.channels, "classes": len(self.classes), "image_size": self.image_size}


def load_data(name: str, *, train_size: int | None = None, image_size: int | None = None, split_seed: int = 0,
              root: str | Path | None = None, **options: Any) -> ImageData | AddingProblem | TextData:
    """Load a data set by name and split it.

    Digits are split 70/15/15; the others keep their test images and give up a stratified part of the training images
    for validation. What is missing is downloaded where it can be, and a line on stderr says so first.

    Args:
        name: digits (scikit-learn's 1,797 of 8x8), fashion_mnist, cifar10, cifar100, imagefolder; or the sequences
            adding_problem and pydoc_text.
        train_size: number of training images, a stratified choice, smaller ones within larger; None (default): all.
            Of sequences see `adding_problem` and `pydoc_text`.
        image_size: height and width to resize to in pixels, antialiased; None (default): as they are; imagefolder 224.
        split_seed: decides the splits and the choice of `train_size`, and nothing else.
        root: folder of the data; None (default): the variable ADAMW_LAB_DATA, or `data`. For imagefolder, the folder
            that holds `train` and `val`.
        options: `length` of adding_problem, `context` of pydoc_text.

    Raises:
        ValueError: an unknown name or option, a size out of range, or files that are corrupt.
        FileNotFoundError: the data are not there and cannot be downloaded; says which command mends it.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; allowed: {', '.join(DATASETS)}.{did_you_mean(name, DATASETS)}")
    for field, value, low in (("train_size", train_size, 1), ("image_size", image_size, 1)):
        if value is not None and not is_whole(value, low):
            raise ValueError(f"Invalid {field} value: {value!r}; allowed: None or a whole number of at least {low}")
    if not is_whole(split_seed, 0):
        raise ValueError(f"Invalid split_seed value: {split_seed!r}; allowed: a whole number of at least 0")
    check_data_options(name, options)
    if name in SEQUENCES:
        if image_size is not None:
            raise ValueError(f"Invalid image_size value: {image_size!r}; allowed: None, since {name!r} has no images")
        return SEQUENCES[name](train_size, split_seed, **options)
    if name == "imagefolder":
        return _folder_data(data_root(root), train_size, image_size or 224, split_seed)
    images, test, classes = _read(name, data_root(root))
    generator = torch.Generator().manual_seed(split_seed)
    if test is None:
        images, test = _hold_out(images, round(0.15 * len(images)), generator)
        train, validation = _hold_out(images, len(test), generator)
    else:
        train, validation = _hold_out(images, min(VALIDATION, len(images) // 10), generator)
    train = _select(train, _stratified(train.labels, _checked_size(train_size, len(train), name), generator))
    splits = [_resized(split, image_size) for split in (train, validation, test)]
    mean, std = channel_statistics(splits[0].images)
    _, channels, size, _ = splits[0].images.shape
    return ImageData(name, *splits, classes, mean, std, AUGMENTATIONS[name], channels, size)


def check_data_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a data set does not have, or of the wrong kind.

    Raises:
        ValueError: names the option and what is allowed.
    """
    allowed = list(inspect.signature(SEQUENCES[name]).parameters)[2:] if name in SEQUENCES else []
    for option, value in options.items():
        if option not in allowed:
            raise ValueError(f"unknown option {option!r} of dataset {name!r}; allowed: {', '.join(allowed) or 'none'}."
                             f"{did_you_mean(option, allowed)}")
        if not is_whole(value, 1):
            raise ValueError(f"Invalid {option} value: {value!r}; allowed: a whole number of at least 1")


def make_batches(data: ImageData | AddingProblem | TextData, split: str, batch_size: int, *,
                 device: torch.device | str, seed: int = 0,
                 memory_format: torch.memory_format = torch.contiguous_format,
                 ) -> Batches | StreamedBatches | SequenceBatches | TextBatches:
    """The batches of a split ("train", "validation" or "test"): of train shuffled and augmented, else in order.

    `memory_format` is that of images.

    Raises:
        ValueError: an unknown split, or batch_size below 1.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; allowed: {', '.join(SPLITS)}.{did_you_mean(split, SPLITS)}")
    check_batch_size(batch_size)
    part, training = getattr(data, split), split == "train"
    if isinstance(data, TextData):
        return TextBatches(part, batch_size, context=data.context, device=device, seed=seed, shuffle=training)
    if isinstance(data, AddingProblem):
        return SequenceBatches(part, batch_size, device=device, seed=seed, shuffle=training)
    common = dict(device=device, seed=seed, shuffle=training, memory_format=memory_format)
    if isinstance(part, FolderSplit):
        return StreamedBatches(part, torch.arange(len(part)), batch_size, image_size=data.image_size, **common)
    return Batches(part, batch_size, mean=data.mean, std=data.std,
                   augmentation=data.augmentation if training else None, **common)


def _read(name: str, root: Path) -> tuple[Split, Split | None, tuple[str, ...]]:
    if name == "digits":
        return read_digits()
    try:
        fetch(name, root)
    except OSError as e:
        raise missing(name, root, e) from e
    return read_fashion_mnist(root) if name == "fashion_mnist" else read_cifar(name, root)


def _folder_data(root: Path, train_size: int | None, image_size: int, split_seed: int) -> ImageData:
    splits, classes = read_folder(root)
    train = splits["train"]
    chosen = _stratified(train.labels, _checked_size(train_size, len(train), "imagefolder"),
                         torch.Generator().manual_seed(split_seed))
    subset = torch.utils.data.Subset(train.dataset, chosen.tolist())
    return ImageData("imagefolder", FolderSplit(subset, train.labels[chosen]), splits["validation"], splits["test"],
                     classes, MEAN, STD, Augmentation(), 3, image_size)


def _checked_size(train_size: int | None, available: int, name: str) -> int:
    if train_size is not None and train_size > available:
        raise ValueError(f"Invalid train_size value: {train_size}; allowed: at most {available}, the training images "
                         f"of {name!r}")
    return available if train_size is None else train_size


def _hold_out(split: Split, count: int, generator: torch.Generator) -> tuple[Split, Split]:
    """(the rest, a stratified part of `count` images)."""
    held = _stratified(split.labels, count, generator)
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[held] = False
    return _select(split, rest.nonzero().flatten()), _select(split, held)


def _stratified(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Sorted indices of `count` elements, every class in proportion; a smaller choice lies within a larger one."""
    shuffled = torch.randperm(len(labels), generator=generator)
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        members = shuffled[labels[shuffled] == label]
        place[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return place.argsort(stable=True)[:count].sort().values


def _select(split: Split, indices: Tensor) -> Split:
    return Split(split.images[indices], split.labels[indices])


def _resized(split: Split, size: int | None) -> Split:
    if size is None or split.images.shape[-2:] == (size, size):
        return split
    from torchvision.transforms.v2.functional import resize

    parts = [resize(part, [size, size], antialias=True) for part in split.images.split(4096)]
    return Split(torch.cat(parts), split.labels)
