"""Parameter groups of a model, and the bytes of an optimizer's state."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def parameter_groups(model: nn.Module, weight_decay: float | None = None) -> list[dict[str, Any]]:
    """Two groups of named parameters: the weights, and what is neither decayed nor pruned.

    Exempt are biases and all else with fewer than two dimensions, every parameter of a normalization layer, and
    embeddings (also where a classifier shares them). All other weights are decayed and prunable, the first and the
    last layer included.

    Args:
        model: any module; a parameter that two layers share is listed once.
        weight_decay: of the first group; None (default): the optimizer's own default.

    Returns:
        Groups for any torch optimizer, with the keys `params` (name, parameter), `prunable` and `weight_decay`;
        an empty group is left out.

    Raises:
        ValueError: the model has no parameters.
    """
    exempt = {id(p) for layer in model.modules() if isinstance(layer, NORMS + EMBEDDINGS)
              for p in layer.parameters(recurse=False)}
    named = list(model.named_parameters())
    if not named:
        raise ValueError(f"model has no parameters: {type(model).__name__}")
    weights = [(name, p) for name, p in named if p.ndim >= 2 and id(p) not in exempt]
    others = [(name, p) for name, p in named if p.ndim < 2 or id(p) in exempt]
    decayed: dict[str, Any] = {"params": weights, "prunable": True}
    if weight_decay is not None:
        decayed["weight_decay"] = weight_decay
    groups = [decayed, {"params": others, "prunable": False, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def state_bytes(optimizer: Optimizer) -> dict[str, float]:
    """Bytes that an optimizer keeps between steps, on this rank.

    Returns:
        {name of the state: bytes, …, "total": bytes, "per_parameter": total by the number of elements}. The names
        are those of the state (`exp_avg`, …, `step`); "group" stands for tensors that lie in `param_groups`.
    """
    sizes: dict[str, float] = {}
    for state in optimizer.state.values():
        for name, value in state.items():
            _add_bytes(sizes, name, value)
    for group in optimizer.param_groups:
        for name, value in group.items():
            if name not in ("params", "lr"):
                _add_bytes(sizes, "group", value)
    elements = sum(_local(p).numel() for group in optimizer.param_groups for p in group["params"])
    total = sum(sizes.values())
    return {**sizes, "total": total, "per_parameter": total / elements if elements else 0.0}


def _add_bytes(sizes: dict[str, float], name: str, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        sizes[name] = sizes.get(name, 0) + _local(value).nbytes


def _local(t: torch.Tensor) -> torch.Tensor:
    return t.to_local() if hasattr(t, "to_local") else t
