"""Image classifiers by name."""

from collections.abc import Callable

import torch
import torchvision
from torch import nn

from adamw_lab.suggest import did_you_mean

SMALL = 64
"""Up to this image size a ResNet has the stem for small images: 3x3, stride 1, no pooling."""


def build_model(name: str, *, channels: int, classes: int, image_size: int, seed: int | None = None) -> nn.Module:
    """Make a classifier: images [N, channels, image_size, image_size] to logits [N, classes].

    Args:
        name: a key of `MODELS`.
        channels: 1 for grey images, 3 for colour.
        classes: number of classes.
        image_size: height and width in pixels, from 8 on.
        seed: the initial weights depend on it alone, and torch's global generators are left as they were; None
            (default): the weights are drawn from the global generator.

    Raises:
        ValueError: an unknown name, or a size out of range.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; allowed: {', '.join(MODELS)}.{did_you_mean(name, MODELS)}")
    for field, value, low in (("channels", channels, 1), ("classes", classes, 1), ("image_size", image_size, 8)):
        if value < low:
            raise ValueError(f"Invalid {field} value: {value!r}; allowed: a whole number of at least {low}")
    if seed is None:
        return MODELS[name](channels, classes, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the devices' generators too
        return MODELS[name](channels, classes, image_size)


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())


def _mlp(channels: int, classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 256), nn.ReLU(), nn.Linear(256, 256),
                         nn.ReLU(), nn.Linear(256, classes))


def _lenet5(channels: int, classes: int, image_size: int) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling; it was made for 32 pixels.

    Smaller images are enlarged to 28 and padded as MNIST is; larger ones are averaged down before the dense layers.
    """
    enlarge = nn.Upsample(size=28, mode="bilinear") if image_size < 28 else nn.Identity()
    return nn.Sequential(
        enlarge, nn.Conv2d(channels, 6, 5, padding=2 if image_size < 32 else 0), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(5), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes))


def _resnet(make: Callable[..., nn.Module]) -> Callable[[int, int, int], nn.Module]:
    """torchvision's ResNet (arXiv 1512.03385), its stem fitted to the images."""

    def build(channels: int, classes: int, image_size: int) -> nn.Module:
        model = make(weights=None, num_classes=classes)
        small = image_size <= SMALL
        if small or channels != 3:
            size, stride, padding = (3, 1, 1) if small else (7, 2, 3)
            model.conv1 = nn.Conv2d(channels, 64, size, stride, padding, bias=False)
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        if small:
            model.maxpool = nn.Identity()
        return model

    return build


MODELS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "lenet5": _lenet5,
    "mlp": _mlp,
    "resnet18": _resnet(torchvision.models.resnet18),
    "resnet50": _resnet(torchvision.models.resnet50),
}
"""name -> builder (channels, classes, image_size); `mlp` has two hidden layers of 256."""
