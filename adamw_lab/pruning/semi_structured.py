"""Export to torch's 2:4 semi-structured sparsity, which GPUs can multiply by, and what it takes here."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SemiStructured:
    """An exported model beside what it was made of.

    Attributes:
        model: a copy in evaluation mode, with the weights of converted layers compressed by torch.
        layers: a row a linear layer: `layer`, `shape`, `converted`, and `reason` why not ("" where it was).
        dense_seconds, sparse_seconds: median time of a forward pass of the dense and of the exported model, measured
            in turn on the given inputs; which is faster depends on the device and on every size.
        difference: largest absolute difference of their outputs.
    """

    model: nn.Module
    layers: "pd.DataFrame"
    dense_seconds: float
    sparse_seconds: float
    difference: float


def export_semi_structured(model: nn.Module, inputs: Tensor, repeats: int = 21) -> SemiStructured:
    """Compress the linear layers that are 2:4 sparse, and measure what that does to a forward pass.

    A layer is 2:4 sparse if no four consecutive inputs of an output have more than two non-zero weights, which is what
    AdamWPrune(pattern="2:4") leaves. torch decides which of those it can compress: as of 2.14 those on CUDA devices,
    of certain dtypes and shapes. Other layers, convolutions and subclasses of nn.Linear among them, stay dense.

    Args:
        model: on the device and in the dtype to export for; inputs -> tensor. Left as it is, but for a moment in
            evaluation mode.
        inputs: a batch like those it will see; the latency is measured on it.
        repeats: forward passes of each that are timed, after three that are not.

    Raises:
        ValueError: `repeats` is below 1.
        RuntimeError: no layer can be compressed; says why for each.
    """
    import pandas as pd

    if repeats < 1:
        raise ValueError(f"Invalid repeats: {repeats!r}; allowed: a whole number of at least 1")
    exported = deepcopy(model).eval()
    rows = []
    for name, layer in exported.named_modules():
        if type(layer) is nn.Linear:  # others may read a subclass's weight, as attention does
            reason = _compress(layer)
            rows.append({"layer": name, "shape": tuple(layer.weight.shape), "converted": not reason, "reason": reason})
    layers = pd.DataFrame(rows, columns=["layer", "shape", "converted", "reason"])
    if not layers["converted"].any():
        why = "; ".join(f"{row.layer or 'the model'}: {row.reason}" for row in layers.itertuples())
        raise RuntimeError(f"no layer can be made 2:4 semi-structured. {why or 'The model has no linear layer'}")
    training = model.training
    try:
        model.eval()
        return SemiStructured(exported, layers, *_compare(model, exported, inputs, repeats))
    finally:
        model.train(training)


def _compress(layer: nn.Linear) -> str:
    """Compress the layer's weight in place; returns why it cannot be, "" if it was."""
    weight = layer.weight.detach()
    if weight.shape[1] % 4:
        return f"4 does not divide its {weight.shape[1]} inputs"
    if int((weight != 0).unflatten(1, (-1, 4)).sum(2).max()) > 2:
        return "it is not 2:4 sparse"
    try:
        compressed = to_sparse_semi_structured(weight)
    except RuntimeError as error:  # what torch supports differs between versions and devices
        return str(error)
    layer.weight = nn.Parameter(compressed, requires_grad=False)
    return ""


@torch.no_grad()
def _compare(dense: nn.Module, sparse: nn.Module, inputs: Tensor, repeats: int) -> tuple[float, float, float]:
    """Median seconds of either's forward pass, in turn, and the largest difference of their outputs."""
    difference = float((dense(inputs) - sparse(inputs)).abs().max())
    seconds: list[tuple[float, float]] = [
        (_seconds(dense, inputs), _seconds(sparse, inputs)) for _ in range(repeats + 3)]
    of_dense, of_sparse = zip(*seconds[3:], strict=True)
    return median(of_dense), median(of_sparse), difference


def _seconds(model: Callable[[Tensor], Tensor], inputs: Tensor) -> float:
    wait = torch.cuda.synchronize if inputs.is_cuda else lambda: None
    wait()
    start = perf_counter()
    model(inputs)
    wait()
    return perf_counter() - start
