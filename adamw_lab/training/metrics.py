"""Loss and accuracy, gathered on the device and read once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adamw_lab.training.config import TrainConfig


class Meter:
    """Mean loss and accuracy over batches; adding a batch never waits for the device, `read` does, once."""

    def __init__(self, device: str) -> None:
        self.totals = torch.zeros(2, device=device)
        self.images = 0

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """A batch: its mean loss (0-d), logits [N, classes] and labels [N]."""
        hits = (logits.argmax(1) == labels).sum()
        self.totals += torch.stack([loss.detach() * len(labels), hits.to(loss.dtype)])
        self.images += len(labels)

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy) so far."""
        loss, hits = (self.totals / self.images).tolist()
        return loss, hits


def forward(model: nn.Module, images: Tensor, config: TrainConfig) -> Tensor:
    """Logits in float32, computed in the precision of the (resolved) config."""
    kind = torch.device(config.device).type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
        logits = model(images)
    return logits.float()


@torch.inference_mode()
def evaluate(model: nn.Module, batches, config: TrainConfig) -> tuple[float, float]:
    """(mean cross-entropy without label smoothing, accuracy) on a split, in evaluation mode."""
    model.eval()
    meter = Meter(config.device)
    for images, labels in batches.epoch(0):
        logits = forward(model, images, config)
        meter.add(F.cross_entropy(logits, labels), logits, labels)
    return meter.read()
