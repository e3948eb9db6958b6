"""What a model is asked for: the loss that trains it, and what counts as right."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Task:
    """How outputs are held against targets.

    Attributes:
        loss: (outputs, targets, label smoothing) -> mean loss, 0-d.
        right: (outputs, targets) -> how many are right, 0-d.
        count: targets -> how many there are.
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]
    count: Callable[[Tensor], int]


def _cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=smoothing)


def _hits(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(-1) == targets).sum()


TOLERANCE = 0.04
"""An answer to the adding problem counts as right if it is closer than this (Hochreiter and Schmidhuber, 1997)."""

CLASSIFICATION = Task(_cross_entropy, _hits, lambda targets: targets.numel())
TASKS = {
    "classification": CLASSIFICATION,
    "language": CLASSIFICATION,
    "regression": Task(
        lambda outputs, targets, smoothing: F.mse_loss(outputs, targets),
        lambda outputs, targets: ((outputs - targets).abs() < TOLERANCE).sum(),
        lambda targets: targets.numel()),
}
"""name -> task. "classification": logits [N, classes], labels [N]; "language": logits [N, T, vocabulary], tokens
[N, T]; both by cross-entropy in nats. "regression": numbers [N, 1], by mean squared error."""
