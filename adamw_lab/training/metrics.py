"""Loss and accuracy, gathered on the device and read once."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from adamw_lab.training.config import TrainConfig
from adamw_lab.training.distributed import own_part, rank, total
from adamw_lab.training.tasks import Task


class Meter:
    """Mean loss and accuracy over batches; adding a batch never waits for the device, `read` does, once."""

    def __init__(self, task: Task, device: str) -> None:
        self.task = task
        self.totals = torch.zeros(2, device=device)
        self.count = 0

    @torch.no_grad()
    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor, copies: int = 1) -> None:
        """A batch: its mean loss (0-d), the model's outputs and what they should have been.

        `copies`: how many processes add the same batch, which together count it once.
        """
        count = self.task.count(targets)
        added = torch.stack([loss.detach() * count, self.task.right(outputs, targets).to(loss.dtype)])
        self.totals += added if copies == 1 else added / copies
        self.count += count if copies == 1 else count / copies

    def state_dict(self) -> dict[str, Tensor | int]:
        """The totals of all processes."""
        count = total(torch.tensor(float(self.count), device=self.totals.device))
        return {"totals": total(self.totals), "count": round(float(count))}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Go on from the totals of all, which the first process keeps."""
        first = rank() == 0
        self.totals = state["totals"] if first else torch.zeros_like(self.totals)
        self.count = state["count"] if first else 0

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy) so far, of all processes together."""
        count = torch.tensor([self.count], dtype=self.totals.dtype, device=self.totals.device)
        loss, right, count = total(torch.cat([self.totals, count])).tolist()
        return loss / count, right / count


def forward(model: nn.Module, inputs: Tensor, config: TrainConfig) -> Tensor:
    """Outputs in float32, computed in the precision of the (resolved) config."""
    kind = torch.device(config.device).type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
        outputs = model(inputs)
    return outputs.float()


@torch.inference_mode()
def evaluate(model: nn.Module, batches, task: Task, config: TrainConfig,
             between: Callable[[], None]) -> tuple[float, float]:
    """(mean loss without label smoothing, accuracy) on a split, in evaluation mode; `between` comes after a batch."""
    model.eval()
    meter = Meter(task, config.device)
    for batch in batches.epoch(0):
        inputs, targets, _, copies = own_part(*batch)
        outputs = forward(model, inputs, config)
        meter.add(task.loss(outputs, targets, 0.0), outputs, targets, copies)
        between()
    return meter.read()
