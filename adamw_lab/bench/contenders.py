"""The optimizers whose step is timed: torch's, the lab's and others', with the memory traffic that each must cause."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from adamw_lab.bench.byte_masks import ByteMasks
from adamw_lab.optim import OPTIMIZERS, AdamWAdv, AdamWPrune, AdamWSPAM, build_optimizer
from adamw_lab.optim.own import own_names

ADAM = 28
"""Bytes a float32 parameter that AdamW must move: it reads p, g, m and v and writes p, m and v."""
AMSGRAD = 8
NORM = 4
MASK = 1
LONG = 10**6
"""Steps of the cosine: so many that the learning rate stays what it is."""


@dataclass
class Running:
    """A contender at work: its step, and what it keeps."""

    step: Callable[[], Any]
    optimizer: Optimizer
    extra_bytes: int = 0

    def state_bytes(self) -> int:
        """Bytes that it keeps between steps; `optim.state_bytes` has no patience with others' string keys."""
        settings = [{k: v for k, v in group.items() if k not in ("params", "lr")}
                    for group in self.optimizer.param_groups]
        kept = _tensors([*self.optimizer.state.values(), *settings])
        return sum(t.nbytes for t in kept) + self.extra_bytes


@dataclass(frozen=True)
class Contender:
    """A way to step.

    Attributes:
        label: its name in tables and figures.
        make: parameters with gradients -> the contender at work.
        traffic: bytes a parameter that its rule must move if every tensor is read and written once.
        package: what must be installed for it; None: nothing more.
        lab: whether it is one of the lab's, which compile when first used.
        ahead: steps before the timed ones that are unlike them: those of grace, in which nothing is clipped.
    """

    label: str
    make: Callable[[list[Tensor]], Running]
    traffic: int = ADAM
    package: str | None = None
    lab: bool = False
    ahead: int = 0

    @property
    def missing(self) -> str:
        """Why it cannot run here, or ""."""
        absent = self.package is not None and find_spec(self.package) is None
        return f"{self.package} is not installed" if absent else ""


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def prune_every(params: list[Tensor], every: int, end_step: int, begin_step: int = 0) -> Running:
    """AdamWPrune with a mask update every so many steps from the first, or from `begin_step`, on; at last 70 %."""
    optimizer = AdamWPrune(params, begin_step=begin_step, end_step=end_step, update_every=every, schedule="linear")
    return Running(optimizer.step, optimizer)


def _of(cls: Callable[..., Optimizer], **options: Any) -> Callable[[list[Tensor]], Running]:
    def make(params: list[Tensor]) -> Running:
        optimizer = cls(params, **options)
        return Running(optimizer.step, optimizer)

    return make


def _clipped(params: list[Tensor]) -> Running:
    optimizer = AdamW(params, amsgrad=True, fused=True)

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()

    return Running(step, optimizer)


def _spiking(params: list[Tensor]) -> Running:
    """AdamWSPAM in whose history each gradient is a spike."""
    optimizer = AdamWSPAM(params)
    history, seen = (optimizer.param_groups[0][name] for name in ("norms", "norms_seen"))

    def step() -> None:
        history.fill_(1e-6)
        seen.fill_(len(history))
        optimizer.step()

    return Running(step, optimizer)


def _masked(**options: Any) -> Callable[[list[Tensor]], Running]:
    def make(params: list[Tensor]) -> Running:
        optimizer = AdamW(params, **options)
        masks = ByteMasks(optimizer, [p for p in params if p.ndim >= 2])
        return Running(optimizer.step, optimizer, sum(mask.nbytes for mask in masks.masks))

    return make


def _foreign(name: str) -> Callable[[list[Tensor]], Running]:
    def make(params: list[Tensor]) -> Running:
        import pytorch_optimizer

        return _of(getattr(pytorch_optimizer, name))(params)

    return make


CONTENDERS: dict[str, Contender] = {
    "torch_loop": Contender("torch for-loop", _of(AdamW, foreach=False)),
    "torch_foreach": Contender("torch foreach", _of(AdamW, foreach=True)),
    "torch_fused": Contender("torch fused", _of(AdamW, fused=True)),
    "torch_fused_amsgrad_clip": Contender("torch fused AMSGrad + clip", _clipped, ADAM + AMSGRAD + NORM),
    "terms_off": Contender("ours, terms off", _of(AdamWSPAM, theta=None, spike_sigma=None), lab=True),
    "adamwadv": Contender("AdamWAdv", _of(AdamWAdv, total_steps=LONG), ADAM + AMSGRAD + NORM, lab=True),
    "adamwspam": Contender("AdamWSPAM", _of(AdamWSPAM), lab=True),
    "adamwspam_spike": Contender("AdamWSPAM, at a spike", _spiking, lab=True),
    "adamwspam_published": Contender("SPAM, published", _of(AdamWSPAM.published), lab=True,
                                     ahead=AdamWSPAM.PUBLISHED["grace_steps"]),
    "pytorch_optimizer_spam": Contender("pytorch_optimizer SPAM", _foreign("SPAM"), package="pytorch_optimizer"),
    "pytorch_optimizer_stablespam": Contender(
        "pytorch_optimizer StableSPAM", _foreign("StableSPAM"), ADAM + NORM, package="pytorch_optimizer"),
    "mask_multiplies": Contender("torch for-loop + masks", _masked(foreach=False), ADAM + MASK),
    "mask_multiplies_fused": Contender("torch fused + masks", _masked(fused=True), ADAM + MASK),
}
"""name -> contender. Those that prune by mask multiplies keep byte masks, as the note's project does, whose AdamW
is the for-loop."""

PRUNE = {"adamwprune_steady": "AdamWPrune, steady", "adamwprune_update": "AdamWPrune, mask update",
         "adamwprune_amortized": "AdamWPrune, update in {every}"}
"""The three rows of AdamWPrune, timed together: steps without and with a mask update, and their mean over both."""


def known_contenders() -> list[str]:
    """What can be timed: `CONTENDERS`, AdamWPrune, and what `optim.register` added."""
    return [*CONTENDERS, "adamwprune", *own_names()]


def find_contender(name: str) -> Contender:
    """That of `CONTENDERS`, or one that `optim.register` added, whose rule must read p, g and each number that it keeps
    for a parameter, and write all but g."""
    if name in CONTENDERS:
        return CONTENDERS[name]
    spec = OPTIMIZERS[name]
    total = {"total_steps": LONG} if spec.lab else {}

    def make(params: list[Tensor]) -> Running:
        optimizer = build_optimizer(name, params, **total)
        return Running(optimizer.step, optimizer)

    p = torch.nn.Parameter(torch.ones(4, 4))
    p.grad = torch.ones_like(p)
    running = make([p])
    running.step()
    kept = sum(t.nbytes for t in _tensors(running.optimizer.state[p]) if t.shape == p.shape)
    return Contender(spec.cls.__name__, make, traffic=4 * len("pgp") + 2 * kept // p.numel())
