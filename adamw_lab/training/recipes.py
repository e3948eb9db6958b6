"""Full-size runs whose results are known, as configs: what a GPU is for."""

from typing import Any

from adamw_lab.suggest import did_you_mean
from adamw_lab.training.config import TrainConfig

SGD = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4, "batch_size": 128, "epochs": 200}
ADAMW = {"optimizer": "adamw", "lr": 1e-2, "weight_decay": 0.1, "batch_size": 128, "epochs": 50}

RECIPES: dict[str, dict[str, Any]] = {
    "cifar10_resnet18_sgd": {"model": "resnet18", "dataset": "cifar10", **SGD},
    "cifar10_resnet18_adamw": {"model": "resnet18", "dataset": "cifar10", **ADAMW},
    "cifar100_resnet50_sgd": {"model": "resnet50", "dataset": "cifar100", **SGD},
    "cifar100_resnet50_adamw": {"model": "resnet50", "dataset": "cifar100", **ADAMW},
}
"""name -> fields of TrainConfig. Goals, in % on the test images, and where they are from:

CIFAR-10, ResNet-18: 95.28 with SGD over 200 epochs (arXiv 1708.04552, its code, five runs, step decay); here the decay
is a cosine. CIFAR-100, ResNet-50: 77.39 with SGD over 200 epochs (github.com/weiaicunzai/pytorch-cifar100, step decay).
AdamW's rate and decay over 50 epochs are those by which a ResNet-18 was reported to reach 77.9 on CIFAR-100, there
with TrivialAugment; here the augmentation is the pad-and-crop and mirroring of all runs.
"""


def recipe(name: str, **fields: Any) -> TrainConfig:
    """The config of a recipe, with some fields changed.

    Raises:
        ValueError: no recipe has that name, or a field is wrong.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; allowed: {', '.join(RECIPES)}.{did_you_mean(name, RECIPES)}")
    return TrainConfig(**{**RECIPES[name], **fields})
