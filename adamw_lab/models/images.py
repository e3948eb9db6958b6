"""Image classifiers: images [N, channels, image_size, image_size] to logits [N, classes]."""

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torchvision.models import ResNet

SMALL = 64
"""Up to this image size a ResNet has the stem for small images: 3x3, stride 1, no pooling."""


def mlp(channels: int, classes: int, image_size: int, hidden: int = 256) -> nn.Module:
    """Two hidden layers with ReLU."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(),
                         nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def lenet5(channels: int, classes: int, image_size: int) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling; it was made for 32 pixels.

    Smaller images are enlarged to 28 and padded as MNIST is; larger ones are averaged down before the dense layers.
    """
    enlarge = nn.Upsample(size=28, mode="bilinear") if image_size < 28 else nn.Identity()
    return nn.Sequential(
        enlarge, nn.Conv2d(channels, 6, 5, padding=2 if image_size < 32 else 0), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(5), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes))


def resnet18(channels: int, classes: int, image_size: int, width: float = 1.0) -> nn.Module:
    """torchvision's ResNet-18 (arXiv 1512.03385), its stem fitted to the images; `width` is a factor on channels."""
    from torchvision.models import resnet  # here, since it takes as long to import as torch

    if width != 1:
        return _scaled(resnet.BasicBlock, [2, 2, 2, 2], width, channels, classes, image_size)
    return _fitted(resnet.resnet18(weights=None, num_classes=classes), channels, image_size)


def resnet50(channels: int, classes: int, image_size: int, width: float = 1.0) -> nn.Module:
    """torchvision's ResNet-50 (arXiv 1512.03385), its stem fitted to the images; `width` is a factor on channels."""
    from torchvision.models import resnet  # here, since it takes as long to import as torch

    if width != 1:
        return _scaled(resnet.Bottleneck, [3, 4, 6, 3], width, channels, classes, image_size)
    return _fitted(resnet.resnet50(weights=None, num_classes=classes), channels, image_size)


def _fitted(model: "ResNet", channels: int, image_size: int, stem: int = 64) -> "ResNet":
    small = image_size <= SMALL
    if small or channels != 3 or stem != 64:
        size, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        model.conv1 = nn.Conv2d(channels, stem, size, stride, padding, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        model.maxpool = nn.Identity()
    return model


def _scaled(block: type, layers: list[int], width: float, channels: int, classes: int, image_size: int) -> "ResNet":
    from torchvision.models import ResNet

    def planes(number: int) -> int:
        return max(1, round(number * width))

    class Scaled(ResNet):
        def _make_layer(self, block: type, number: int, *arguments: object, **options: object) -> nn.Sequential:
            if number == 64:
                self.inplanes = planes(64)  # the stem, replaced below, is as wide as its first block expects
            return super()._make_layer(block, planes(number), *arguments, **options)

    model = _fitted(Scaled(block, layers, num_classes=classes), channels, image_size, planes(64))
    model.bn1 = nn.BatchNorm2d(planes(64))
    model.fc = nn.Linear(planes(512) * block.expansion, classes)
    return model
