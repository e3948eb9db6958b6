"""A folder of images, one sub-folder a class, streamed from disk: <root>/train/<class>/..., <root>/val, <root>/test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adamw_lab.data.batches import _mixed, check_batch_size

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics, which all models for such images expect."""
WORKERS = 2


@dataclass(frozen=True)
class FolderSplit:
    """Image files, as torchvision's ImageFolder lists them, and their labels int64 [N]."""

    dataset: Any
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read_folder(root: Path) -> tuple[dict[str, FolderSplit], tuple[str, ...]]:
    """The splits train, val and test (val again where there is no test folder) and the class names.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the splits do not have the same classes.
    """
    from torchvision.datasets import ImageFolder

    splits, classes = {}, None
    for split, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        path = root / folder
        if split == "test" and not path.is_dir():
            path = root / "val"
        if not path.is_dir():
            raise FileNotFoundError(f"data set 'imagefolder': no folder {path}; name the folder that holds train and "
                                    "val: adamw-lab fit dataset=imagefolder data_root=FOLDER")
        dataset = ImageFolder(str(path), loader=_image)
        if classes is not None and tuple(dataset.classes) != classes:
            odd = ", ".join(sorted({*dataset.classes} ^ {*classes}))
            raise ValueError(f"data set 'imagefolder': {path} and {root / 'train'} must have the same sub-folders, one "
                             f"a class; only one of them has {odd}")
        classes = tuple(dataset.classes)
        splits[split] = FolderSplit(dataset, torch.tensor(dataset.targets))
    return splits, classes


class StreamedBatches:
    """As `Batches`, for files: decoded, augmented and normalized by torchvision in worker processes."""

    def __init__(self, split: FolderSplit, indices: Tensor, batch_size: int, *, image_size: int,
                 device: torch.device | str, seed: int = 0, shuffle: bool = False,
                 memory_format: torch.memory_format = torch.contiguous_format) -> None:
        check_batch_size(batch_size)
        self.dataset = _Transformed(split.dataset, _transform(image_size, shuffle))
        self.indices, self.batch_size, self.device = indices, batch_size, device
        self.seed, self.shuffle, self.memory_format = seed, shuffle, memory_format

    def __len__(self) -> int:
        full, rest = divmod(len(self.indices), self.batch_size)
        return full + (rest > 1 or rest == 1 and (not self.shuffle or full == 0))

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (images, labels) of epoch `number`, from batch `start` on."""
        generator = torch.Generator().manual_seed(_mixed(self.seed, number))
        order = self.indices
        if self.shuffle:
            order = order[torch.randperm(len(order), generator=generator)]
        seeds = torch.randint(2**62, (len(order),), generator=generator)  # an image's augmentation, whoever decodes it
        pairs = list(zip(order.tolist(), seeds.tolist(), strict=True))
        batches = [pairs[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, len(self))]
        loader = torch.utils.data.DataLoader(self.dataset, batch_sampler=batches, num_workers=WORKERS,
                                             collate_fn=_together, generator=generator)
        for batch in loader:
            if isinstance(batch, ValueError):
                raise batch
            images, labels = batch
            yield images.to(self.device, memory_format=self.memory_format), labels.to(self.device)


class _Transformed:
    """A dataset indexed by (image, seed): the seed alone decides the image's augmentation."""

    def __init__(self, dataset: Any, transform: Any) -> None:
        self.dataset, self.transform = dataset, transform

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | ValueError:
        index, seed = key
        try:
            image, label = self.dataset[index]
        except ValueError as error:
            return error
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(image), label


def _image(path: str) -> Any:
    from torchvision.datasets.folder import default_loader

    try:
        return default_loader(path)
    except Exception as e:  # what Pillow raises depends on the format
        raise ValueError(f"data set 'imagefolder': {path} is no image that can be read ({type(e).__name__}: {e}); "
                         "replace or remove it") from e


def _together(items: list[tuple[Tensor, int] | ValueError]) -> tuple[Tensor, Tensor] | ValueError:
    """A batch; or the first error, which a worker hands over since one that it raises comes as a traceback."""
    for item in items:
        if isinstance(item, ValueError):
            return item
    images, labels = zip(*items, strict=True)
    return torch.stack(images), torch.tensor(labels)


def _transform(size: int, training: bool) -> Any:
    from torchvision.transforms import v2

    place = [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()] if training else [
        v2.Resize(round(size / 0.875)), v2.CenterCrop(size)]
    return v2.Compose([*place, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
