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

from adamw_lab.optim.work import local

STEPS = ("step", "epoch", "loss", "lr", "grad_norm", "clip_coefficient", "elements_clipped", "clip_fraction", "spikes",
         "resets", "target_sparsity", "mask_changes", "revived", "sparsity", "update_to_weight", "injected")
"""Columns of telemetry.parquet, a row a step. `grad_norm` is that before any clipping; `clip_coefficient` what the
gradient was scaled by; `elements_clipped`, `spikes` and `resets` count from the start, `clip_fraction` is
the part of all elements that this step clipped; `mask_changes` and `revived` are
weights of this step's mask update, `sparsity` is the pruned fraction after it; `update_to_weight` is
|change of the weights| / |weights|, estimated from `SAMPLED` weights of each layer; `injected` is 1 where the config's
`spikes` spoilt the step. What a run does not have is NaN."""
SAMPLED = 1024
"""Weights of a layer, evenly spaced, that tell the length of an update at every step: all of them would cost a pass."""
LAYERS = ("step", "layer", "weight_norm", "grad_norm", "first_moment_norm", "second_moment_norm", "dead_units")
"""Columns of layers.parquet: a row for each parameter, 2-norms; and for each call of a ReLU, `dead_units`: the fraction
of its channels that are 0 for the whole batch."""
COUNTED = {"clip_norm": "clip_coefficient", "theta": "elements_clipped", "spike_sigma": "spikes",
           "reset_interval": "resets", "warmup_steps": "resets", "regrow": "revived"}
"""Option of an optimizer -> the column that shows it at work."""


class Telemetry:
    """The events of a run.

    Args:
        model, optimizer: what is watched.
        pruner: a baseline pruner whose mask updates are watched; None: none.
        every: steps between looks at the layers; 0: never.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, pruner: Any, every: int) -> None:
        self.model, self.optimizer, self.every = model, optimizer, every
        self._sources = [source for source in (optimizer, pruner) if hasattr(source, "telemetry")]
        self._names = [name for name, _ in model.named_parameters()]
        self._params = list(model.parameters())
        self._sample, self._scale = _sample([p for p in self._params if p.ndim >= 2])
        self._elements = sum(local(p).numel() for p in self._params)
        self._prunable = sum(p.numel() for group in optimizer.param_groups if group.get("prunable", True)
                             for p in group["params"] if p.ndim >= 2)
        self._pending: list[dict[str, float | Tensor]] = []
        self._pending_layers: list[tuple[int, str, str, Tensor]] = []
        self.steps = {name: torch.empty(0, dtype=torch.float64) for name in STEPS}
        self.layers: list[list[Any]] = []

    @contextmanager
    def step(self, step: int, epoch: int) -> Iterator[dict[str, float | Tensor]]:
        """Around the optimizer's step, once the gradients are there; the caller adds `loss` and `lr` to the row."""
        row: dict[str, float | Tensor] = {"step": step, "epoch": epoch}
        before = torch.cat(self._sample)
        grads = [p.grad for p in self._params if p.grad is not None]
        if not hasattr(self.optimizer, "telemetry") or "grad_norm" not in self.optimizer.telemetry():
            row["grad_norm"] = _norm(grads)
        if self.looks(step):
            self._look(step)
        yield row
        for source in self._sources:
            row |= source.telemetry()
        newly, revived = row.pop("newly_pruned", 0), row.get("revived", 0)
        row["mask_changes"], row["revived"] = newly + revived, revived
        after = torch.cat(self._sample) * self._scale
        change, length = (torch.linalg.vector_norm(t) for t in (after - before * self._scale, after))
        row["update_to_weight"] = change / length
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
        clipped = steps["elements_clipped"]
        steps["clip_fraction"] = clipped.diff().fillna(clipped) / self._elements
        steps["sparsity"] = (steps["mask_changes"] - 2 * steps["revived"]).cumsum() / self._prunable
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
        unknown = torch.full_like(state["steps"]["step"], math.nan, device="cpu")  # to a version before this one
        self.steps = {name: state["steps"].get(name, unknown).cpu() for name in STEPS}
        self.layers = state["layers"]

    def never_fired(self) -> list[str]:
        """The options of the optimizer that were on and did nothing in the whole run."""
        self.flush()
        group = self.optimizer.param_groups[0]
        return [option for option, column in COUNTED.items()
                if group.get(option) and not self._fired(column)]

    def divergence(self) -> dict[str, int | float | None]:
        """`diverged_at`, the first step whose loss is not finite, or the last, after which the weights were not; and
        `last_loss`, that of the step before.
        """
        self.flush()
        bad = (~self.steps["loss"].isfinite()).nonzero().flatten().tolist()
        last = bad[0] if bad else len(self.steps["loss"]) - 1
        before = self.steps["loss"][: last if bad else last + 1].tolist()
        return {"diverged_at": int(self.steps["step"][last]), "last_loss": before[-1] if before else None}

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


def _sample(weights: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Views of up to `SAMPLED` elements of each weight, and for each element how many its square stands for, rooted."""
    views, scales = [], []
    for weight in map(local, weights):
        n = weight.numel()
        kept = min(n, SAMPLED)
        if n:
            views.append(weight.detach().as_strided((kept,), (n // kept,)))
            scales.append(torch.full((kept,), math.sqrt(n / kept), device=weight.device, dtype=weight.dtype))
    return views, torch.cat(scales)


def _norm(tensors: list[Tensor]) -> Tensor:
    norm = get_total_norm(tensors)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _read(column: list[float | Tensor]) -> Tensor:
    """Numbers and 0-d tensors in one float64 tensor on the host, with one transfer for each device."""
    values = torch.tensor([math.nan if isinstance(x, Tensor) else x for x in column], dtype=torch.float64)
    for device in {x.device for x in column if isinstance(x, Tensor)}:
        places = [i for i, x in enumerate(column) if isinstance(x, Tensor) and x.device == device]
        values[places] = torch.stack([column[i].detach().double() for i in places]).cpu()
    return values
