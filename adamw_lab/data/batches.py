"""Batches that live on the device: no worker processes, every epoch a pure function of (seed, number)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] with their labels int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augmentation:
    """What training batches get: zero padding by `pad` pixels and a random crop back, and mirroring half the time."""

    pad: int = 0
    flip: bool = False


class Batches:
    """Normalized float32 batches of a split that lies whole on the device.

    `len()` is the number of batches an epoch. Order and augmentation come from generators of their own on the CPU, so
    they are the same whatever the device, and nothing else draws from them.

    Args:
        split: the images; copied to the device once.
        batch_size: images a batch.
        mean, std: a number a channel, in units of [0, 1].
        device: where the batches are made.
        augmentation: None (default): none.
        seed: decides every epoch's order and augmentation.
        shuffle: a new order each epoch (default False). A last batch of a single image is then left out, since batch
            normalization cannot train on it.
        memory_format: of the images (default contiguous).

    Raises:
        ValueError: batch_size below 1, or no images.
    """

    def __init__(self, split: Split, batch_size: int, *, mean: tuple[float, ...], std: tuple[float, ...],
                 device: torch.device | str, augmentation: Augmentation | None = None, seed: int = 0,
                 shuffle: bool = False, memory_format: torch.memory_format = torch.contiguous_format) -> None:
        check_batch_size(batch_size)
        if not len(split):
            raise ValueError("the split holds no images")
        self.images, self.labels = split.images.to(device), split.labels.to(device)
        self.batch_size, self.seed, self.shuffle, self.memory_format = batch_size, seed, shuffle, memory_format
        self.augmentation = augmentation or Augmentation()
        scale = torch.tensor(std, device=device).view(1, -1, 1, 1) * 255
        self._scale, self._shift = 1 / scale, -torch.tensor(mean, device=device).view(1, -1, 1, 1) * 255 / scale

    def __len__(self) -> int:
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + (rest > 1 or rest == 1 and (not self.shuffle or full == 0))

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (images, labels) of epoch `number`, from batch `start` on."""
        n = len(self.labels)
        generator = torch.Generator().manual_seed(_mixed(self.seed, number))
        order = torch.randperm(n, generator=generator) if self.shuffle else torch.arange(n)
        crops, flips = self._draw(n, generator)
        order = order.to(self.images.device)
        for i in range(start, len(self)):
            batch = slice(i * self.batch_size, (i + 1) * self.batch_size)
            images = self.images[order[batch]]
            if crops is not None:
                images = _crop(images, crops[batch], self.augmentation.pad)
            if flips is not None:
                images = torch.where(flips[batch].view(-1, 1, 1, 1), images.flip(-1), images)
            images = torch.addcmul(self._shift, images, self._scale)
            yield images.contiguous(memory_format=self.memory_format), self.labels[order[batch]]

    def _draw(self, n: int, generator: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
        """Crop corners [n, 2] and mirrorings [n] of a whole epoch, on the device; None where there are none."""
        device, pad = self.images.device, self.augmentation.pad
        crops = torch.randint(0, 2 * pad + 1, (n, 2), generator=generator).to(device) if pad else None
        flips = (torch.rand(n, generator=generator) < 0.5).to(device) if self.augmentation.flip else None
        return crops, flips


def is_whole(value: object, low: int) -> bool:
    """Whether it is a whole number, NumPy's too, of at least `low`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= low


def check_batch_size(batch_size: int) -> None:
    """Refuse what is not a number of images or sequences."""
    if not is_whole(batch_size, 1):
        raise ValueError(f"Invalid batch_size value: {batch_size!r}; allowed: a whole number of at least 1")


def _crop(images: Tensor, corners: Tensor, pad: int) -> Tensor:
    """Each image padded with zeros by `pad` and cut out at its own corner."""
    n, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    rows = corners[:, :1] + torch.arange(height, device=images.device)
    columns = corners[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    return padded[index, channel, rows.view(n, 1, height, 1), columns.view(n, 1, 1, width)]


def _mixed(seed: int, number: int) -> int:
    """One seed for the pair: Weyl steps of the golden ratio keep neighbouring pairs far apart."""
    return (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03 + 1) % (1 << 63)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 images, in units of [0, 1]."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = float((share * values).sum())
        means.append(mean)
        stds.append(math.sqrt(float((share * (values - mean) ** 2).sum())) or 1.0)  # a constant channel stays 0
    return tuple(means), tuple(stds)
