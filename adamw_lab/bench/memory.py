"""What each way to train and to prune keeps in memory, and what it takes for a moment, by component."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.optim import Optimizer

from adamw_lab.bench.byte_masks import ByteMasks
from adamw_lab.bench.transients import transient_bytes
from adamw_lab.models import build_model
from adamw_lab.optim import OPTIMIZERS, build_optimizer, parameter_groups
from adamw_lab.optim.own import own_names
from adamw_lab.pruning import MagnitudePruner, MovementPruner, RandomPruner
from adamw_lab.suggest import did_you_mean

COMPONENTS = ("weights", "gradients", "moments", "masks", "scores", "copies", "other")
"""What stays between steps. `copies`: further values of the weights, such as the masked ones that might return;
`other`: step counters, norm histories, batch-norm statistics."""

STEPS = 4
"""Steps of a measurement, each with a mask update; the last one's transients are counted."""


@dataclass
class Setup:
    """One method at work on a model."""

    model: nn.Module
    optimizer: Optimizer
    pruner: Any = None
    after_step: Callable[[int], None] = lambda step: None

    def backward(self, inputs: Tensor) -> None:
        """Gradients of the mean square of the outputs, which is a loss as good as any here."""
        self.optimizer.zero_grad()
        self.model(inputs).square().mean().backward()

    def step(self, number: int) -> None:
        """What comes after the gradients, the mask update included."""
        self.optimizer.step()
        self.after_step(number)


def bench_memory(model: nn.Module | None = None, inputs: Tensor | None = None,
                 methods: Sequence[str] | None = None) -> pd.DataFrame:
    """Train copies of a model for a few steps, 70 % pruned where a method prunes, and count the bytes.

    Args:
        model: any module; inputs -> tensor. None (default): ResNet-18 for CIFAR-10.
        inputs: a batch; its size changes nothing that is counted. None (default): two small images for that ResNet-18.
        methods: keys of `METHODS`, or names that `optim.register` added (default: all).

    Returns:
        A row for each method: `parameters` (their number) and `prunable`; bytes of each of `COMPONENTS` after the last
        step; `transients`, by which a step together with its mask update raised that, at most; `persistent`, the sum
        of the components; `peak`, with the transients; `sparsity` reached; and `pruning_bytes_per_weight`, masks,
        scores and copies by the number of prunable weights. Activations are the model's, so they are not counted.

    Raises:
        ValueError: an unknown method; a model without inputs.
    """
    known = [*METHODS, *own_names()]
    methods = known if methods is None else list(methods)
    for name in methods:
        if name not in known:
            raise ValueError(f"unknown method {name!r}; allowed: {', '.join(known)}.{did_you_mean(name, known)}")
    if model is None:
        model = build_model("resnet18", channels=3, classes=10, image_size=32, seed=0)
        inputs = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    elif inputs is None:
        raise ValueError("inputs are missing: a model is measured on a batch of its own")
    return pd.DataFrame([_row(name, model, inputs) for name in methods])


def _row(name: str, model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    made: list[Setup] = []

    def all_but_the_last_step() -> None:
        setup = (METHODS.get(name) or _own(name))(deepcopy(model))
        made.append(setup)
        for number in range(1, STEPS):
            setup.backward(inputs)
            setup.step(number)
        setup.backward(inputs)

    device = next(model.parameters()).device.type
    transients = transient_bytes(lambda: made[0].step(STEPS), all_but_the_last_step, device)
    made[0].model(inputs)  # torch.nn.utils.prune makes the masked weights here
    sizes = component_bytes(made[0])
    persistent = sum(sizes.values())
    weights = effective_weights(made[0].model)
    count = sum(w.numel() for w in weights)
    return {"method": name, "parameters": sum(p.numel() for p in model.parameters()), "prunable": count, **sizes,
            "transients": transients, "persistent": persistent, "peak": persistent + transients,
            "sparsity": sum(int((w == 0).sum()) for w in weights) / count,
            "pruning_bytes_per_weight": (sizes["masks"] + sizes["scores"] + sizes["copies"]) / count}


def component_bytes(setup: Setup) -> dict[str, int]:
    """Bytes of every tensor that a training setup holds, each counted once, by component."""
    sizes = dict.fromkeys(COMPONENTS, 0)
    seen: set[int] = set()
    for component, tensor in _tensors(setup):
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            sizes[component] += tensor.nbytes
    return sizes


def _tensors(setup: Setup) -> Iterator[tuple[str, Tensor]]:
    for p in setup.model.parameters():
        yield "weights", p
        if p.grad is not None:
            yield "gradients", p.grad
    for name, buffer in setup.model.named_buffers():
        yield "masks" if name.endswith("_mask") else "other", buffer
    for module in setup.model.modules():  # torch.nn.utils.prune keeps the masked weight as a plain attribute
        yield from (("copies", value) for value in vars(module).values() if isinstance(value, Tensor))
    for p, state in setup.optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                yield "moments" if "exp_avg" in name or value.shape == p.shape else "other", value
    for group in setup.optimizer.param_groups:
        yield from (("other", value) for value in group.values() if isinstance(value, Tensor))
    if setup.pruner is not None:
        kinds = {"mask": "masks", "score": "scores", "masked_values": "copies"}
        for state in setup.pruner.state_dict()["state"].values():
            yield from ((kinds[name], value) for name, value in state.items())


def prunable_weights(model: nn.Module) -> list[Tensor]:
    """The weights that every method prunes: those of the prunable group of `parameter_groups`."""
    return [p for group in parameter_groups(model) if group["prunable"] for _, p in group["params"]]


def effective_weights(model: nn.Module) -> list[Tensor]:
    """The prunable weights as the forward pass sees them."""
    ids = {id(p) for p in prunable_weights(model)}
    return [getattr(module, name.removesuffix("_orig")) for module in model.modules()
            for name, p in module.named_parameters(recurse=False) if id(p) in ids]


def _plain(name: str, **options: Any) -> Callable[[nn.Module], Setup]:
    return lambda model: Setup(model, build_optimizer(name, model, **options))


def _own(name: str) -> Callable[[nn.Module], Setup]:
    return _plain(name, **({"total_steps": STEPS} if OPTIMIZERS[name].lab else {}))


def _pruned(**options: Any) -> Callable[[nn.Module], Setup]:
    return _plain("adamwprune", begin_step=1, end_step=STEPS, update_every=1, **options)


def _with_pruner(pruner: Callable[..., Any]) -> Callable[[nn.Module], Setup]:
    def build(model: nn.Module) -> Setup:
        optimizer = build_optimizer("adamw", model)
        return Setup(model, optimizer, pruner(optimizer, begin_step=1, end_step=STEPS, update_every=1))

    return build


def _byte_masks(model: nn.Module) -> Setup:
    optimizer = build_optimizer("adamw", model)
    pruner = ByteMasks(optimizer, prunable_weights(model))
    return Setup(model, optimizer, pruner, lambda step: pruner.update(0.7 * step / STEPS))


def _torch_prune(model: nn.Module) -> Setup:
    ids = {id(p) for p in prunable_weights(model)}
    layers = [(module, name) for module in model.modules() for name, p in module.named_parameters(recurse=False)
              if id(p) in ids]
    for module, name in layers:
        prune.identity(module, name)

    def update(step: int) -> None:  # `amount` is of what is left
        left = 1 - 0.7 * (step - 1) / STEPS
        prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=0.7 / STEPS / left)

    return Setup(model, build_optimizer("adamw", model), after_step=update)


METHODS: dict[str, Callable[[nn.Module], Setup]] = {
    "adamw": _plain("adamw"),
    "adamwadv": _plain("adamwadv", total_steps=STEPS),
    "adamwspam": _plain("adamwspam"),
    "adamwspam_published": _plain("adamwspam_published"),
    "adamwprune": _pruned(),
    "adamwprune_on_adamwadv": _pruned(base="adamwadv"),
    "adamwprune_on_adamwspam": _pruned(base="adamwspam"),
    "byte_masks": _byte_masks,
    "magnitude_pruner": _with_pruner(MagnitudePruner),
    "random_pruner": _with_pruner(RandomPruner),
    "movement_pruner": _with_pruner(MovementPruner),
    "torch_prune": _torch_prune,
}
"""name -> what sets it up on a model. The last five prune beside torch's fused AdamW."""
