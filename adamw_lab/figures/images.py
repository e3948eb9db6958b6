"""Figures of images."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor


def fig_images(ax: Axes, images: Tensor, captions: Sequence[str], columns: int = 10) -> None:
    """Images in rows of `columns`, each with a caption beneath it; too small a last row is left blank.

    `images` is [N, C, H, W] with one or three channels, of any range: the darkest value of all becomes black and the
    brightest white.
    """
    images = images.detach().float().cpu()
    count, channels, height, width = images.shape
    low, high = images.min(), images.max()
    images = (images - low) / (high - low).clamp(min=1e-12)
    gap = max(2, round(0.5 * height))
    rows = -(-count // columns)
    canvas = torch.ones(rows * (height + gap), columns * (width + 1), channels)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
        ax.text(left + width / 2 - 0.5, top + height - 0.2, captions[index], ha="center", va="top", fontsize=6)
    pixels = (canvas.squeeze(2) if channels == 1 else canvas).numpy()
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
