"""What happened at every step, and in every layer every so many steps, written down without waiting for the device."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

STEPS = ("step", "epoch", "loss", "lr", "grad_norm", "clip_coefficient", "elements_clipped", "spikes", "resets",
         "target_sparsity", "mask_changes", "revived", "update_to_weight")
"""Columns of telemetry.parquet, a row a step. `grad_norm` is that before any clipping; `clip_coefficient` what the
gradient was scaled by; `elements_clipped`, `spikes` and `resets` count from the start; `mask_changes` and `revived` are
weights of this step's mask update; `update_to_weight` is |change of the weights| / |weights|, where it was taken. What
an optimizer does not have is NaN."""
LAYERS = ("step", "layer", "weight_norm", "grad_norm", "first_moment_norm", "second_moment_norm", "dead_units")
"""Columns of layers.parquet: a row for each parameter, 2-norms; and for each call of a ReLU, `dead_units`: the fraction
of its channels that are 0 for the whole batch."""
COUNTED = {"clip_norm": "clip_coefficient", "theta": "elements_clipped", "spike_sigma": "spikes",
           "reset_interval": "resets"}
"""Option of an optimizer -> the column that shows it at work."""


class Telemetry:
    """The events of a run.

    Args:
        model, optimizer: what is watched.
        pruner: a baseline pruner whose mask updates are watched; None: none.
        every: steps between looks at the layers, and at the length of the update; 0: never.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, pruner: Any, every: int) -> None:
        self.model, self.optimizer, self.every = model, optimizer, every
        self._sources = [source for source in (optimizer, pruner) if hasattr(source, "telemetry")]
        self._names = [name for name, _ in model.named_parameters()]
        self._params = list(model.parameters())
        self._weights = [p for p in self._params if p.ndim >= 2]
        self._pending: list[dict[str, float | Tensor]] = []
        self._pending_layers: list[tuple[int, str, str, Tensor]] = []
        self.steps = {name: torch.empty(0, dtype=torch.float64) for name in STEPS}
        self.layers: list[list[Any]] = []

    @contextmanager
    def step(self, step: int, epoch: int) -> Iterator[dict[str, float | Tensor]]:
        """Around the optimizer's step, once the gradients are there; the caller adds `loss` and `lr` to the row."""
        row: dict[str, float | Tensor] = {"step": step, "epoch": epoch}
        looked = self.looks(step)
        before = [p.detach().clone() for p in self._weights] if looked else []
        grads = [p.grad for p in self._params if p.grad is not None]
        if not hasattr(self.optimizer, "telemetry") or "grad_norm" not in self.optimizer.telemetry():
            row["grad_norm"] = _norm(grads)
        if looked:
            self._look(step)
        yield row
        for source in self._sources:
            row |= source.telemetry()
        newly, revived = row.pop("newly_pruned", 0), row.get("revived", 0)
        row["mask_changes"], row["revived"] = newly + revived, revived
        if looked:
            weights = [p.detach() for p in self._weights]
            row["update_to_weight"] = _norm(torch._foreach_sub(weights, before)) / _norm(weights)
        self._pending.append(row)

    def looks(self, step: int) -> bool:
        """Whether the layers are looked at in this step."""
        return self.every > 0 and step % self.every == 0

    @contextmanager
    def watching_units(self, step: int) -> Iterator[None]:
        """Around the forward pass: looks for dead units if this is a step to look at."""
        hooks = []
        self._calls = Counter()
        if self.looks(step):
            for name, module in self.model.named_modules():
                if isinstance(module, nn.ReLU):
                    hooks.append(module.register_forward_hook(
                        lambda module, inputs, output, name=name: self._dead(step, name, output)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def flush(self) -> None:
        """Read what is pending, which waits for the device."""
        if self._pending:
            for name in STEPS:
                column = [row.get(name, math.nan) for row in self._pending]
                self.steps[name] = torch.cat([self.steps[name], _read(column)])
        kept = torch.stack([value.double() for *_, value in self._pending_layers]).tolist() if (
            self._pending_layers) else []
        self.layers += [[step, layer, name, value]
                        for (step, layer, name, _), value in zip(self._pending_layers, kept, strict=True)]
        self._pending, self._pending_layers = [], []

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tables with the columns `STEPS` and `LAYERS`."""
        self.flush()
        steps = pd.DataFrame({name: values.numpy() for name, values in self.steps.items()})
        steps = steps.astype({"step": "int64", "epoch": "int64"})
        tall = pd.DataFrame(self.layers, columns=["step", "layer", "what", "value"])
        tall = tall.astype({"step": "int64", "layer": "str", "what": "str", "value": "float64"})
        wide = tall.pivot(index=["step", "layer"], columns="what", values="value").reset_index()
        return steps, wide.reindex(columns=list(LAYERS)).rename_axis(columns=None)

    def total(self, name: str, epoch: int) -> int:
        """The sum of a column over an epoch."""
        self.flush()
        return int(self.steps[name][self.steps["epoch"] == epoch].nansum())

    def state_dict(self) -> dict[str, Any]:
        self.flush()
        return {"steps": self.steps, "layers": self.layers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = {name: values.cpu() for name, values in state["steps"].items()}
        self.layers = state["layers"]

    def never_fired(self) -> list[str]:
        """The options of the optimizer that were on and did nothing in the whole run."""
        self.flush()
        group = self.optimizer.param_groups[0]
        return [option for option, column in COUNTED.items()
                if group.get(option) and not self._fired(column)]

    def _fired(self, column: str) -> bool:
        values = self.steps[column]
        return bool((values < 1).any() if column == "clip_coefficient" else (values > 0).any())

    def _look(self, step: int) -> None:
        for name, p in zip(self._names, self._params, strict=True):
            state = self.optimizer.state.get(p, {})
            for what, tensor in (("weight_norm", p), ("grad_norm", p.grad), ("first_moment_norm", state.get("exp_avg")),
                                 ("second_moment_norm", state.get("exp_avg_sq"))):
                if tensor is not None:
                    self._pending_layers.append((step, name, what, _norm([tensor.detach()])))

    def _dead(self, step: int, name: str, output: Tensor) -> None:
        self._calls[name] += 1  # torchvision's blocks call one ReLU twice
        alive = output.detach().movedim(1, 0).flatten(1).amax(1) > 0
        self._pending_layers.append((step, f"{name}:{self._calls[name]}", "dead_units", 1 - alive.float().mean()))


def _norm(tensors: list[Tensor]) -> Tensor:
    norm = get_total_norm(tensors)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _read(column: list[float | Tensor]) -> Tensor:
    """Numbers and 0-d tensors in one float64 tensor on the host, with one transfer for each device."""
    values = torch.tensor([math.nan if isinstance(x, Tensor) else x for x in column], dtype=torch.float64)
    places = [i for i, x in enumerate(column) if isinstance(x, Tensor)]
    if places:
        values[places] = torch.stack([column[i].detach().double() for i in places]).cpu()
    return values
