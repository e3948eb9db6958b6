"""What the terms of the update rule are at step t: clip coefficient, spikes, resets, annealing, bias correction.

Every function takes a group's settings and trackers and works with floats where the trackers are in host memory and
with 0-d tensors elsewhere, so that on an accelerator nothing waits for the device. There the norms, and what is counted
of them, stay on the device; the clock is the host's, and so is all that follows from it alone, unless a device decides
whether a step counts or a reset falls on it.
"""

import math
from typing import Any

import torch
from torch import Tensor

from adamw_lab.optim.kernels import Scalar, Terms, value
from adamw_lab.optim.kernels.dispatch import installed, load_kernel
from adamw_lab.optim.schedules import cosine_annealing, minimum, reset_warmup, sqrt, where

TERMS_OFF = dict(
    amsgrad=False, clip_norm=None, total_steps=None, min_lr=0.0, theta=None, spike_sigma=None, history=100,
    spike_decay=(0.0, 1.0), reset_interval=0, warmup_steps=0, grace_steps=0, restart_bias_correction=True,
    published=False, maximize=False, kernel=None,
)
"""Every term of the rule switched off: what is left is AdamW."""

CLOCK = ("group_step", "reset_step", "resets")
"""The trackers that go by the count of steps: in host memory, but see `clock_home` and `move_clock`."""
TRACKERS = (*CLOCK, "norms", "norms_seen", "spikes", "elements_clipped")
"""Tensors that a group carries beside its settings: counters and the history of norms."""


def new_trackers(group: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Fresh trackers of a group whose parameters lie on `device`: `reset_step` -inf (no full reset yet), `norms` a ring
    of the last `history` winsorized norms.
    """
    clock = clock_home(group, device)
    size = 0 if group["spike_sigma"] is None else group["history"]
    return {
        "group_step": torch.zeros((), dtype=_real(clock), device=clock),
        "reset_step": torch.full((), -math.inf, dtype=_real(clock), device=clock),
        "resets": torch.zeros((), dtype=torch.int64, device=clock),
        "norms": torch.zeros(size, dtype=_real(device), device=device),
        **{name: torch.zeros((), dtype=torch.int64, device=device)
           for name in ("norms_seen", "spikes", "elements_clipped")},
    }


def switched_terms(own: dict[str, Any], loaded: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The terms that are on in one of two groups and off in the other, with both settings."""
    pairs = {name: (own[name], loaded[name]) for name in TERMS_OFF if name not in ("kernel", "maximize")}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and TERMS_OFF[name] in pair}


def _real(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def clock_home(group: dict[str, Any], device: torch.device) -> torch.device:
    """Where the clock of a group on `device` begins: on the device if a spike, seen there, can reset it."""
    return device if resets_at_spikes(group) else torch.device("cpu")


def move_clock(group: dict[str, Any], device: torch.device) -> None:
    """Bring the trackers of the clock to `device`."""
    for name in CLOCK:
        group[name] = group[name].to(device, _real(device) if group[name].is_floating_point() else torch.int64)


def clip_coefficient(norm: Scalar, clip_norm: float) -> Scalar:
    """min(1, clip_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ has it."""
    return minimum(clip_norm / (norm + 1e-6), 1.0)


def without_overflow(found_inf: Tensor) -> Tensor:
    """1 where GradScaler found no overflow, else 0. With several devices it adds up what it found on each."""
    return (found_inf == 0).to(torch.float32).reshape(())


def fit_history(group: dict[str, Any]) -> None:
    """Begin the history of norms anew where the detector was switched on, or its length changed, between steps."""
    if len(group["norms"]) != group["history"]:
        group["norms"] = group["norms"].new_zeros(group["history"])
        group["norms_seen"].zero_()


def detect_spike(group: dict[str, Any], norm: Tensor, moved: Scalar) -> bool | Tensor:
    """Whether `norm` is a spike; the norm enters the group's history unless the step did not move.

    A spike lies more than `spike_sigma` sample deviations above the mean of the last `history` norms, of which there
    must be nine. The norm enters winsorized at that limit: a raw spike would inflate the baseline, and leaving
    spikes out would make the detector fire for ever after a lasting shift. Zero and NaN do not enter, nor does an
    infinite norm while there is no limit yet: it would stay in the mean for ever.
    """
    if group["norms"].is_cpu:
        return _detect_in_floats(group, norm.item())
    if group["norms"].is_cuda and installed("cuda"):
        return load_kernel("cuda").detect(group, norm, moved)
    return _detect_in_tensors(group, norm, moved)


def _detect_in_floats(group: dict[str, Any], norm: float) -> bool:
    """As `_detect_in_tensors` in a fraction of its time, which is worth it where steps take milliseconds.

    In host memory a step that does not move ends before it comes here.
    """
    norms, seen = group["norms"], group["norms_seen"].item()
    limit = math.inf
    if seen >= 9:
        known = norms.numpy()[:seen]
        limit = float(known.mean()) + group["spike_sigma"] * float(known.std(ddof=1))
    entry = min(norm, limit)
    if not 0 < entry < math.inf:
        return False
    norms[seen % len(norms)] = entry
    group["norms_seen"].fill_(seen + 1)
    if norm > limit:
        group["spikes"].add_(1)
    return norm > limit


def _detect_in_tensors(group: dict[str, Any], norm: Tensor, moved: Scalar) -> Tensor:
    """0-d bool, without a synchronization."""
    norms, seen = group["norms"], group["norms_seen"]
    norm = norm.to(norms)
    count = seen.clamp(max=len(norms))
    known = torch.arange(len(norms), device=norms.device) < count
    mean = norms.sum() / count  # entries not yet seen are 0
    deviation = (torch.where(known, norms - mean, 0.0).square().sum() / (count - 1)).sqrt()
    limit = torch.where(count >= 9, mean + group["spike_sigma"] * deviation, math.inf)
    entry = torch.minimum(norm, limit)
    enters = entry.isfinite() & (entry > 0)
    if isinstance(moved, Tensor):
        enters &= moved != 0
    spike = enters & (norm > limit)
    place = torch.remainder(seen, len(norms)).view(1)
    norms.index_copy_(0, place, torch.where(enters, entry, norms[place]).view(1))
    seen.add_(enters)
    group["spikes"].add_(spike)
    return spike


def moments_kept(group: dict[str, Any], step: Scalar, spike: Scalar,
                 moved: Scalar) -> tuple[Scalar, Scalar, bool | Tensor]:
    """Factors on m and on v before this step, and whether that is a full reset, which is recorded.

    They are 0 at a periodic reset, `spike_decay` at a spike, else 1.
    """
    interval, (decay_m, decay_v) = group["reset_interval"], group["spike_decay"]
    periodic = step % interval == 0 if interval else False
    full = periodic | spike if resets_at_spikes(group) else periodic
    if full is not False:
        full = full & (moved != 0)
        group["reset_step"].copy_(torch.as_tensor(
            where(full, step - 1, value(group["reset_step"])), device=group["reset_step"].device))
        group["resets"].add_(torch.as_tensor(full, device=group["resets"].device))
    keep_m, keep_v = (where(periodic, 0.0, 1.0 if kept == 1.0 else where(spike, kept, 1.0))
                      for kept in (decay_m, decay_v))
    return keep_m, keep_v, full


def can_reset(group: dict[str, Any]) -> bool:
    """Whether the settings know a full reset of the moments: every so often, or at a spike."""
    return resets_at_spikes(group) or group["reset_interval"] > 0


def resets_at_spikes(group: dict[str, Any]) -> bool:
    return group["spike_sigma"] is not None and tuple(group["spike_decay"]) == (0.0, 0.0)


def learning_rate(group: dict[str, Any], step: Scalar) -> Scalar:
    """The learning rate applied at this step: `lr`, or what is left of it on the cosine."""
    lr = group["lr"]
    if isinstance(lr, Tensor):
        lr = value(lr.reshape(()))
    return lr if group["total_steps"] is None else cosine_annealing(step, group["total_steps"], lr, group["min_lr"])


def terms_at(group: dict[str, Any], step: Scalar, steps: list[Scalar], grad_factor: Scalar,
             keep: list[Scalar], prune: bool) -> Terms:
    """All scalars of the rule for one group, at its `scheduled_lr`.

    `steps`: each parameter's own step number, this step included. `prune`: whether marks of pruning are to be kept.
    """
    eta = group["scheduled_lr"]
    beta1, beta2 = group["betas"]
    since_reset = step - 1 - value(group["reset_step"])
    length = eta * reset_warmup(since_reset, group["warmup_steps"]) if group["warmup_steps"] else eta
    decay = 1 - eta * group["weight_decay"]
    if group["published"]:  # the authors decay after the update: (1 - eta wd) (p - u)
        length = length * decay
    step_size, bias2_sqrt, clip_scale = _columns(group, steps, since_reset, step, length)
    return Terms(
        beta1, beta2, group["eps"], grad_factor, *keep, decay, step_size, bias2_sqrt,
        clip_scale=None if group["theta"] is None else clip_scale,
        clip_where_zero=group["published"], prune=prune,
    )


def moment_steps(group: dict[str, Any], t: Scalar) -> Scalar:
    """Steps that the moments of a parameter at its step t have gathered: for the bias correction.

    A full reset sets t back; in checkpoints of before that rule, the steps of the optimizer since then bound it.
    """
    if not group["restart_bias_correction"]:
        return t
    return minimum(t, value(group["group_step"]) - value(group["reset_step"]))


def _columns(group: dict[str, Any], steps: list[Scalar], since_reset: Scalar, step: Scalar, length: Scalar):
    """`_corrections` for every parameter: three lists of floats, or three vectors on the device."""
    if isinstance(steps[0], Tensor):
        vector = torch.stack(steps).to(group["group_step"])
        columns = _corrections(group, vector, since_reset, step, length)
        return [(c if isinstance(c, Tensor) else vector.new_full((), c)).expand_as(vector) for c in columns]
    known = {t: _corrections(group, t, since_reset, step, length) for t in set(steps)}
    if len(known) == 1:
        return [[number] * len(steps) for number in known[steps[0]]]
    return [list(column) for column in zip(*(known[t] for t in steps), strict=True)]


def _corrections(group: dict[str, Any], t: Scalar, since_reset: Scalar, step: Scalar, length: Scalar):
    """(step size, root of v's bias correction, scale of the element threshold) of a parameter at its step t."""
    beta1, beta2 = group["betas"]
    k = moment_steps(group, t)
    bias1, bias2_sqrt = 1 - beta1**k, sqrt(1 - beta2**k)
    theta = group["theta"]
    if group["published"]:  # eps stands outside the correction; the threshold is of the raw v
        grace, interval = group["grace_steps"], group["reset_interval"]
        position = step % interval if interval else step
        scale = where((step >= grace) & (position >= grace), theta, math.inf)
        return length * bias2_sqrt / bias1, 1.0, scale
    if theta is not None:  # v of the k - 1 steps before this one; at k = 1 there is none to compare with
        scale = where((since_reset >= group["grace_steps"]) & (k > 1),
                      theta / (1 - beta2 ** where(k > 1, k - 1, 1.0)), math.inf)
    else:
        scale = math.inf
    return length / bias1, bias2_sqrt, scale
