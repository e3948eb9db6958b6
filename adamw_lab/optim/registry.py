"""Optimizers by name: torch's own classical ones and the lab's."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adamw_lab.optim.adv import AdamWAdv
from adamw_lab.optim.checks import are_numbers, is_number
from adamw_lab.optim.groups import parameter_groups
from adamw_lab.optim.prune import BASES, AdamWPrune, base_settings
from adamw_lab.optim.spam import AdamWSPAM
from adamw_lab.suggest import did_you_mean


@dataclass(frozen=True)
class Spec:
    """How a named optimizer is made: its class, a maker of it, and the settings that differ from the class's own.

    `own`: whether it came by `optim.register`.
    """

    make: Callable[..., Optimizer]
    cls: type[Optimizer]
    preset: dict[str, Any] = field(default_factory=dict)
    own: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults, without `params`, `lr` and `total_steps`, which `build_optimizer` names."""
        defaults = {name: p.default for name, p in inspect.signature(self.cls).parameters.items()
                    if p.kind is not p.VAR_KEYWORD and name not in ("params", "lr", "total_steps")}
        return {**defaults, **{name: value for name, value in self.preset.items() if name != "lr"}}

    @property
    def lr(self) -> float:
        """The default learning rate."""
        return self.preset.get("lr", inspect.signature(self.cls).parameters["lr"].default)

    @property
    def lab(self) -> bool:
        """Whether it anneals by itself when `total_steps` is given, as the lab's do."""
        return "total_steps" in inspect.signature(self.cls).parameters


OPTIMIZERS: dict[str, Spec] = {
    "sgd": Spec(torch.optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "adagrad": Spec(torch.optim.Adagrad, torch.optim.Adagrad),
    "rmsprop": Spec(torch.optim.RMSprop, torch.optim.RMSprop, {"lr": 1e-3}),
    "adam": Spec(torch.optim.Adam, torch.optim.Adam),
    "adamw": Spec(torch.optim.AdamW, torch.optim.AdamW),
    "adamw_clip": Spec(AdamWAdv, AdamWAdv, {"amsgrad": False}),
    "adamwadv": Spec(AdamWAdv, AdamWAdv),
    "adamwspam": Spec(AdamWSPAM, AdamWSPAM),
    "adamwspam_published": Spec(AdamWSPAM.published, AdamWSPAM, dict(AdamWSPAM.PUBLISHED)),
    "adamwprune": Spec(AdamWPrune, AdamWPrune),
}
"""name -> `Spec`. The classical ones are torch's own; `adamw_clip` is AdamW with clipping by the global norm alone."""


def build_optimizer(name: str, model_or_params: nn.Module | Iterable, *, lr: float | None = None,
                    total_steps: int | None = None, **options: Any) -> Optimizer:
    """Make the optimizer of that name.

    torch's own take their fused step where they have one; before it, gradients and state whose strides are not their
    parameter's are laid out anew (torch's would silently go wrong), but not by a copy of the optimizer.

    Args:
        name: a key of `OPTIMIZERS`.
        model_or_params: a module, which is grouped by `parameter_groups` (no decay and no pruning of biases, norms
            and embeddings), or whatever a torch optimizer takes, which is used as it is.
        lr: learning rate; None (default): the optimizer's own.
        total_steps: length of the run in steps, over which the lab's optimizers anneal from lr to `min_lr` (default
            0; `min_lr=lr` keeps it constant). torch's own take a torch scheduler instead and ignore it.
        options: any other argument of the optimizer's class.

    Raises:
        ValueError: an unknown name or option, or a value out of range.
    """
    check_options(name, options)
    spec = OPTIMIZERS[name]
    settings = {**spec.preset, **options}
    if lr is not None:
        _check_kind("lr", lr, spec.lr)
        settings["lr"] = lr
    if spec.lab:
        settings["total_steps"] = total_steps
    is_model = isinstance(model_or_params, nn.Module)
    params = parameter_groups(model_or_params, settings.get("weight_decay")) if is_model else _listed(model_or_params)
    if not spec.lab and not {"fused", "foreach", "differentiable"} & options.keys() and _can_fuse(spec.cls, params):
        settings["fused"] = True
    optimizer = spec.make(params, **settings)
    if settings.get("fused"):
        optimizer.register_step_pre_hook(_align_layouts)
    return optimizer


def check_name(name: str) -> None:
    """Refuse an optimizer that is not in `OPTIMIZERS`: ValueError, which says how one's own gets there."""
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; allowed: {', '.join(OPTIMIZERS)}."
                         f"{did_you_mean(name, OPTIMIZERS)} One of your own is named by "
                         f"adamw_lab.optim.register({name!r}, its class), in every process that uses it; a kernel or a "
                         "session that starts anew does not know it")


def check_options(name: str, options: dict[str, Any]) -> None:
    """Refuse an unknown optimizer or option, and for torch's own classes a value of another kind than the default.

    Raises:
        ValueError: names it, what is allowed, and the nearest name.
    """
    check_name(name)
    allowed = dict(OPTIMIZERS[name].options)
    if OPTIMIZERS[name].cls is AdamWPrune and options.get("base", "adamw") in BASES:
        allowed |= base_settings(options.get("base", "adamw"))
    for option, value in options.items():
        if option not in allowed:
            raise ValueError(f"unknown option {option!r} of optimizer {name!r}; allowed: {', '.join(allowed)}."
                             f"{did_you_mean(option, allowed)}")
        if not OPTIMIZERS[name].lab:
            _check_kind(option, value, allowed[option])


def _check_kind(option: str, value: Any, default: Any) -> None:
    """torch stumbles over a text where a number belongs, and takes any text for True; the lab's classes check all."""
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "True or False"
    elif isinstance(default, tuple):
        fits, kind = are_numbers(value, len(default)), f"{len(default)} numbers"
    elif is_number(default):
        fits, kind = is_number(value), "a number"
    else:
        return
    if not fits:
        raise ValueError(f"Invalid {option} value: {value!r}; allowed: {kind}")


def _listed(params: Any) -> Any:
    """`params` with every iterator made a list, to be looked at before the optimizer's class takes it.

    What torch refuses, such as a lone tensor or the set of a group, stays as it is and is refused there.
    """
    if isinstance(params, Tensor):
        return params
    return [{**entry, "params": _entries(entry["params"])} if isinstance(entry, dict) and "params" in entry else entry
            for entry in params]


def _entries(params: Any) -> Any:
    if isinstance(params, set):
        return params
    return [params] if isinstance(params, Tensor) else list(params)


@torch.no_grad()
def _align_layouts(optimizer: Optimizer, *_: Any) -> None:
    """Give gradients and state the strides of their parameter; where they differ torch's fused steps silently go wrong.

    So they may in a gradient that was assigned, and after loading the state of a model of another memory format.
    """
    for p in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
        if not _same_layout(p.grad, p):
            p.grad = torch.empty_like(p).copy_(p.grad)
        for name, moment in optimizer.state.get(p, {}).items():
            if isinstance(moment, Tensor) and moment.shape == p.shape and not _same_layout(moment, p):
                optimizer.state[p][name] = torch.empty_like(p, dtype=moment.dtype).copy_(moment)


def _same_layout(t: Tensor, p: Tensor) -> bool:
    """Whether elements lie in the same order: the stride of a dimension of size 1 leads nowhere."""
    return t.stride() == p.stride() or all(
        a == b for a, b, n in zip(t.stride(), p.stride(), p.shape, strict=True) if n != 1)


def _can_fuse(cls: type[Optimizer], params: Iterable) -> bool:
    """Whether torch has a fused step of `cls` for all of these parameters."""
    if "fused" not in inspect.signature(cls).parameters:
        return False
    entries = [p for group in params for p in (group.get("params", ()) if isinstance(group, dict) else [group])]
    tensors = [p[1] if isinstance(p, tuple) else p for p in entries]
    devices = {"cpu"} if cls is torch.optim.Adagrad else {"cpu", "cuda"}
    return all(isinstance(p, Tensor) and p.is_floating_point() and p.device.type in devices for p in tensors)
