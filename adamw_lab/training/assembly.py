"""The parts of a run that its config names: the optimizer, what anneals it, what prunes it."""

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from adamw_lab.optim import OPTIMIZERS, AdamWPrune, build_optimizer
from adamw_lab.pruning import PRUNERS, SHARES, default_step
from adamw_lab.pruning.pruners import Pruner
from adamw_lab.suggest import did_you_mean

if TYPE_CHECKING:
    from adamw_lab.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: "TrainConfig", total_steps: int) -> tuple[Optimizer, LRScheduler | None]:
    """The optimizer, and a scheduler for torch's own, which do not anneal by themselves.

    Raises:
        ValueError: an option is out of range, or AdamWPrune finds nothing to prune.
    """
    options = {**config.optimizer_options, "weight_decay": config.weight_decay}
    lab = OPTIMIZERS[config.optimizer].lab
    if lab and config.schedule == "constant":
        options["min_lr"] = config.lr
    try:
        optimizer = build_optimizer(config.optimizer, model, lr=config.lr, total_steps=total_steps, **options)
    except TypeError as error:  # a list where a name is asked for, say
        raise ValueError(f"optimizer_options {config.optimizer_options!r} of {config.optimizer!r} have a value of the "
                         f"wrong type: {error}") from error
    if isinstance(optimizer, AdamWPrune) and not any(group["prunable"] for group in optimizer.param_groups):
        raise ValueError(f"optimizer {config.optimizer!r} finds nothing to prune in {config.model!r}; "
                         "allowed: a model with weights of two or more dimensions outside norms and embeddings")
    scheduled = config.schedule == "cosine" and not lab
    return optimizer, CosineAnnealingLR(optimizer, T_max=total_steps) if scheduled else None


def make_pruner(optimizer: Optimizer, config: "TrainConfig", total_steps: int) -> Pruner | None:
    """The baseline pruner that the config asks for, attached; by default on the schedule of AdamWPrune.

    Raises:
        ValueError: an option is out of range, or there is nothing to prune.
    """
    if config.pruner is None:
        return None
    options = {**{name: default_step(name, total_steps) for name in SHARES}, **config.pruner}
    return PRUNERS[options.pop("name")](optimizer, **options)


def check_pruner(given: dict[str, Any], optimizer: str) -> None:
    """Refuse a pruner that is unknown, has an option that is, or stands beside AdamWPrune.

    Raises:
        ValueError: names what is wrong and what is allowed.
    """
    if optimizer == "adamwprune":
        raise ValueError(f"pruner {given!r} contradicts optimizer 'adamwprune', which prunes by itself; "
                         "allowed: another optimizer, or no pruner")
    name = given.get("name")
    if name not in PRUNERS:
        raise ValueError(f"unknown pruner {name!r}; allowed as pruner['name']: {', '.join(PRUNERS)}."
                         f"{did_you_mean(str(name), PRUNERS)}")
    allowed = [option for cls in (PRUNERS[name], Pruner) for option, p in inspect.signature(cls).parameters.items()
               if p.kind is p.KEYWORD_ONLY]
    for option in given:
        if option not in ("name", *allowed):
            raise ValueError(f"unknown option {option!r} of pruner {name!r}; allowed: {', '.join(allowed)}."
                             f"{did_you_mean(option, allowed)}")


def check_batch_norm(model: nn.Module, config: "TrainConfig", train_images: int) -> None:
    """Refuse batches of one for a model that normalizes over the batch."""
    smallest = min(config.batch_size, train_images)
    if smallest < 2 and any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        raise ValueError(f"batch_size {config.batch_size} with {train_images} training images: model "
                         f"{config.model!r} normalizes over the batch; allowed: at least 2 images a batch")
