"""The contract of torch.optim, written once for all optimizers of the lab."""

from collections.abc import Callable, Iterable
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from adamw_lab.optim import kernels, late, policy
from adamw_lab.optim.checks import check_group, check_min_lr
from adamw_lab.optim.kernels.dispatch import forced_kernel, load_kernel
from adamw_lab.optim.kernels.eager import is_pruned, keep_moments, multiply
from adamw_lab.optim.warn import warn
from adamw_lab.optim.work import STATE, Bucket, gather, local, sharded_norms


class LabOptimizer(Optimizer):
    """AdamW with any terms of the lab's one update rule; its subclasses say which.

    Settings live in `param_groups` and can be changed there between steps; `lr` and `p.grad` are never written. What
    was applied at the last step is `group["scheduled_lr"]`. Per parameter the state is torch AdamW's (`step`,
    `exp_avg`, `exp_avg_sq`, and `max_exp_avg_sq` with AMSGrad), so checkpoints load both ways; what a group counts
    (`policy.TRACKERS`) lies in `param_groups` as tensors and is saved with it. Step counters lie in host memory, as
    those of torch's AdamW do; from the first step on whose overflow flag a device holds, on that device.

    Norms and masks are those of the whole model under DDP and, of DTensors, under FSDP2 and tensor parallelism. What
    shows an optimizer a part of the weights as if it were all, as ZeroRedundancyOptimizer and FSDP1 do, gives each
    rank a norm, spikes and a mask of its own: do not use these with `clip_norm`, `spike_sigma` or pruning.

    Annealing, resets and mask updates go by the optimizer's clock, `group["group_step"]`: every step that moves a
    parameter advances it in all groups, also in those without a gradient, and a group that is added begins at it.
    The bias correction goes by each parameter's own `step`, which a full reset sets back with the moments (unless
    `restart_bias_correction=False`), also where the parameter has no gradient at that step.

    Args:
        params: parameters, (name, parameter) pairs or dicts of groups, as in every torch optimizer.
        defaults: settings; what is missing of `policy.TERMS_OFF` is off.

    Raises:
        ValueError: a setting out of range, named with its value.
        RuntimeError: at a step, sparse gradients, or a forced kernel that cannot serve a parameter.
    """

    _step_supports_amp_scaling = True
    _prunes = False
    """Whether -0.0 in `exp_avg_sq` marks a pruned weight, in every group: kernels then keep marks that are there."""

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        self._last: dict[str, kernels.Scalar] = {}
        self._checked: dict[int, list[Any]] = {}
        self._warned_of_scheduler = False
        defaults = {**policy.TERMS_OFF, **defaults}
        self._check_group({"params": [], **defaults})
        check_min_lr(defaults)
        super().__init__(params, defaults)

    @torch._disable_dynamo  # as torch's own: a compiled training step breaks its graph here
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        # a copy: the groups of another optimizer, given to a new one, keep trackers of their own
        super().add_param_group(dict(param_group) if isinstance(param_group, dict) else param_group)
        group = self.param_groups[-1]
        group.update({name: _plain(group[name]) for name in self.defaults})
        try:
            self._check_changes(len(self.param_groups) - 1, group)
            check_min_lr(group)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise
        group.update(policy.new_trackers(group, _home(group)))
        group["group_step"].copy_(self.param_groups[0]["group_step"])
        for other in self.param_groups[:-1]:  # the norm is of all groups, and so is its history
            if len(other["norms"]) == len(group["norms"]):
                group["norms"].copy_(other["norms"])
                group["norms_seen"].copy_(other["norms_seen"])

    def _check_group(self, group: dict[str, Any]) -> None:
        """Refuse settings of a group; a subclass adds the checks of its own."""
        check_group(group)

    def _check_changes(self, i: int, group: dict[str, Any]) -> None:
        """Check the i-th group where a setting of it is not what it was, before a step writes anything."""
        known = self._checked.get(i)
        if known is None or not all(map(is_, known, map(group.__getitem__, self.defaults))):
            self._checked.pop(i, None)
            self._check_group(group)
            self._checked[i] = [group[name] for name in self.defaults]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over loaded or unpickled state.

        A setting that a checkpoint lacks stays the group's own, and so does `kernel`, a matter of the machine.
        """
        for moments in state["state"].values():
            if isinstance(moments, dict) and "exp_avg" in moments and "step" not in moments:
                raise ValueError("Invalid state: it lacks 'step', by which the bias of its moments is corrected; "
                                 f"it has: {', '.join(map(str, moments))}")
        before = self.__dict__.get("param_groups", [])
        super().__setstate__(state)
        self.__dict__.setdefault("_last", {})
        self._checked = {}
        self.__dict__.setdefault("_warned_of_scheduler", False)
        for i, group in enumerate(self.param_groups):
            own = before[i] if before else {}
            if "kernel" in own:
                group["kernel"] = own["kernel"]
            for name, setting in self.defaults.items():
                group.setdefault(name, own.get(name, setting))
            self._restore_group(group)
        self._align_clocks()
        if switched := dict(item for pair in zip(before, self.param_groups, strict=False)
                            for item in policy.switched_terms(*pair).items()):
            warn(f"{type(self).__name__}: the loaded state switches terms of the rule: "
                 f"{', '.join(f'{name} {now!r} (was {own!r})' for name, (own, now) in switched.items())}. "
                 "Set them in param_groups if they are to stay.")

    def _align_clocks(self) -> None:
        """Set the clocks of all groups to the latest: in older checkpoints those without gradients stood still."""
        latest = max(float(group["group_step"]) for group in self.param_groups)
        for group in self.param_groups:
            group["reset_step"].add_(latest - float(group["group_step"]))
            group["group_step"].fill_(latest)

    def _restore_group(self, group: dict[str, Any]) -> None:
        """Bring loaded state to the form that kernels rely on: devices, strides, tensor steps, every tracker."""
        home = _home(group)
        clock = policy.clock_home(group, home)
        latest = 0.0
        for p in group["params"]:
            state = self.state.get(p, {})
            if "step" not in state:
                continue
            state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=clock)
            latest = max(latest, float(state["step"]))
            for name in STATE:
                if name in state:
                    state[name] = _like(state[name], p)
        had_clock = "group_step" in group
        for name, tracker in policy.new_trackers(group, home).items():
            saved = group.get(name)
            fits = isinstance(saved, Tensor) and saved.shape == tracker.shape
            group[name] = saved.to(tracker) if fits else tracker
        if not had_clock:  # a checkpoint of torch's AdamW
            group["group_step"].fill_(latest)

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step. A closure, if given, is evaluated with gradients enabled and its loss returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._warn_of_scheduler()
        found_inf, loss_scale = getattr(self, "found_inf", None), getattr(self, "grad_scale", None)
        for i, group in enumerate(self.param_groups):
            self._check_changes(i, group)
            if found_inf is not None or policy.resets_at_spikes(group):
                self._move_clock(group)
        gathered = [self._gather(group) for group in self.param_groups]
        self._last = {}
        follows = late.norm_may_follow(self.param_groups, gathered)
        norm = None if follows else self._norm(gathered, loss_scale)
        if any(gathered):
            moved = [self._step_group(group, buckets, norm, follows, found_inf, loss_scale)
                     for group, buckets in zip(self.param_groups, gathered, strict=True)]
            if any(moved):
                if follows:
                    self._last["grad_norm"] = norm = self._norm(gathered, loss_scale)
                    late.look_back(self.param_groups, gathered, norm)
                self._finish_step()
        return loss

    def _finish_step(self) -> None:
        """What a subclass does once the groups have moved; not called where none has."""

    def telemetry(self) -> dict[str, Tensor | float]:
        """What the last step did and what all steps did together, without a synchronization: numbers or 0-d tensors.

        Of the terms that are on: `grad_norm` and `clip_coefficient` of the last step, and the counts so far of
        `spikes`, `resets` (the largest of any group) and `elements_clipped` (on this rank, where weights are sharded).
        """
        counted = {"spikes": [g["spikes"] for g in self.param_groups if g["spike_sigma"] is not None],
                   "resets": [g["resets"] for g in self.param_groups if policy.can_reset(g)],
                   "elements_clipped": [g["elements_clipped"] for g in self.param_groups if g["theta"] is not None]}
        report: dict[str, Tensor | float] = dict(self._last)
        for name, counts in counted.items():
            if counts:
                stacked = torch.stack([count.to(counts[0].device) for count in counts])
                report[name] = stacked.sum() if name == "elements_clipped" else stacked.amax()
        return report

    def __repr__(self) -> str:
        """Like every optimizer's, without the trackers and the terms that are off."""
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if self._shown(name, group[name])]
        return "\n".join([*lines, ")"])

    @staticmethod
    def _shown(name: str, setting: Any) -> bool:
        off = name in policy.TERMS_OFF and not isinstance(setting, Tensor) and setting == policy.TERMS_OFF[name]
        return name not in ("params", "param_names", *policy.TRACKERS) and not off

    def _warn_of_scheduler(self) -> None:
        scheduled = hasattr(self.step, "_wrapped_by_lr_sched")
        if scheduled and not self._warned_of_scheduler and any(g["total_steps"] for g in self.param_groups):
            self._warned_of_scheduler = True
            warn(f"{type(self).__name__} anneals by itself (total_steps is set) and a torch scheduler is attached: "
                 "both scale the learning rate. Give one of them up.")

    def _gather(self, group: dict[str, Any]) -> list[Bucket]:
        """The group's parameters that have a gradient, sorted by the kernel that serves them."""
        params = [p for p in group["params"] if p.grad is not None]
        grads = [p.grad for p in params]
        if not {torch.strided}.issuperset(map(Tensor.layout.__get__, grads)):
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        if any(map(Tensor.is_neg, grads)):  # a lazy sign, which kernels that go by addresses would not see
            grads = [grad.resolve_neg() for grad in grads]
        if any(map(Tensor._is_zerotensor, grads)):  # zeros that lie nowhere
            grads = [torch.zeros_like(p) if grad._is_zerotensor() else grad
                     for p, grad in zip(params, grads, strict=True)]
        last = "max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"
        states = [state if last in (state := self.state[p]) else self._init_state(group, p) for p in params]
        return gather(params, grads, states, group["amsgrad"], forced_kernel(group["kernel"]))

    def _init_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Tensor]:
        """The parameter's state, made on first use."""
        state = self.state[p]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=group["group_step"].device)
        for name in STATE if group["amsgrad"] else STATE[:2]:
            if name not in state:
                state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return state

    def _norm(self, gathered: list[list[Bucket]], loss_scale: Tensor | None) -> Tensor | None:
        """The norm of all gradients as one vector, 0-d, on the device of the first; None where no group uses it."""
        if all(g["clip_norm"] is None and g["spike_sigma"] is None for g in self.param_groups):
            return None
        norms = [bucket.norm() for buckets in gathered for bucket in buckets if not bucket.sharded]
        norms += sharded_norms(gathered)
        if not norms:
            return None
        norm = norms[0]
        if len(norms) > 1:
            widest = max((n.dtype for n in norms), key=lambda dtype: dtype.itemsize)
            norm = torch.linalg.vector_norm(torch.stack([n.to(norm.device, widest) for n in norms]))
        return norm if loss_scale is None else norm / loss_scale.to(norm)

    def _step_group(self, group: dict[str, Any], buckets: list[Bucket], norm: Tensor | None, norm_follows: bool,
                    found_inf: Tensor | None, loss_scale: Tensor | None) -> bool:
        """Advance the clock of one group and move its parameters that have a gradient, if any.

        Returns False where the host knows of an overflow and nothing moved.
        """
        home = group["norms"].device
        if found_inf is not None and (home.type == "cpu" or any(bucket.kernel == "eager" for bucket in buckets)):
            if found_inf.item():
                return False
            found_inf = None
        clock = group["group_step"]
        moved = 1.0 if found_inf is None else policy.without_overflow(found_inf)
        clock.add_(moved)
        step = kernels.value(clock)
        norm = None if norm is None else norm.to(home)
        grad_factor = self._grad_factor(group, norm, loss_scale)
        spike: kernels.Scalar = False
        if group["spike_sigma"] is not None and not norm_follows:
            policy.fit_history(group)
            spike = policy.detect_spike(group, norm, moved)
        *keep, full = policy.moments_kept(group, step, spike, moved)
        if full is not False and group["restart_bias_correction"]:
            self._set_back(group, buckets, full)
        self._settle_idle(group)
        steps = [load_kernel(bucket.kernel).advance(bucket.steps, moved) for bucket in buckets]
        group["scheduled_lr"] = policy.learning_rate(group, step)
        for bucket, its_steps in zip(buckets, steps, strict=True):
            terms = policy.terms_at(group, step, its_steps, grad_factor, keep, self._prunes)
            terms.found_inf, terms.norm_follows = found_inf, norm_follows
            clipped = load_kernel(bucket.kernel).update(bucket.tensors, terms)
            if clipped is not None:
                group["elements_clipped"].add_(clipped.to(home))
        return True

    def _move_clock(self, group: dict[str, Any]) -> None:
        """Let the device that decides which steps count, or where a reset falls, do all the counting from now on."""
        home = group["norms"].device
        if group["group_step"].device != home:
            policy.move_clock(group, home)
            for state in (self.state[p] for p in group["params"] if "step" in self.state.get(p, ())):
                state["step"] = state["step"].to(home)

    def _set_back(self, group: dict[str, Any], buckets: list[Bucket], full: bool | Tensor) -> None:
        """Begin the moments anew: the counters of them, and the moments that no kernel visits at this step."""
        left = 1.0 - full.to(torch.float32) if isinstance(full, Tensor) else 0.0
        counters = [step for bucket in buckets for step in bucket.steps]
        for state in self._idle(group).values():
            counters.append(state["step"])
            pruned = is_pruned(local(state["exp_avg_sq"]))
            keep_moments([local(state[name]) for name in STATE if name in state], left)
            local(state["exp_avg_sq"]).masked_fill_(pruned, -0.0)
        multiply(counters, left)

    def _idle(self, group: dict[str, Any]) -> dict[Tensor, dict[str, Tensor]]:
        """Parameters without a gradient at this step that have moved before, and their state."""
        return {p: self.state[p] for p in group["params"] if p.grad is None and "exp_avg_sq" in self.state.get(p, ())}

    def _settle_idle(self, group: dict[str, Any]) -> None:
        """What a subclass does with parameters that have no gradient at this step."""

    def _grad_factor(self, group: dict[str, Any], norm: Tensor | None, loss_scale: Tensor | None) -> kernels.Scalar:
        factor: kernels.Scalar = -1.0 if group["maximize"] else 1.0
        if norm is not None:
            self._last["grad_norm"] = norm
        if group["clip_norm"] is not None:
            coefficient = policy.clip_coefficient(kernels.value(norm), group["clip_norm"])
            self._last["clip_coefficient"] = coefficient
            factor = factor * coefficient
        if loss_scale is not None:
            factor = factor / kernels.value(loss_scale.to(group["norms"]).reshape(()))
        return factor


def _plain(setting: Any) -> Any:
    """A setting as Python's own, to be saved as such, and not to be changed in place, which no check would see."""
    return setting.item() if isinstance(setting, np.generic) else tuple(setting) if type(setting) is list else setting


def _home(group: dict[str, Any]) -> torch.device:
    """Where a group's counters live: on its parameters' device, in host memory if they have several."""
    devices = {p.device for p in group["params"]}
    return devices.pop() if len(devices) == 1 else torch.device("cpu")


def _like(loaded: Tensor, p: Tensor) -> Tensor:
    """`loaded` with the strides of `p`, which kernels go by; torch's fused AdamW computes garbage without."""
    if loaded.stride() == p.stride() or loaded.shape != p.shape:
        return loaded
    return torch.empty_like(p, dtype=loaded.dtype).copy_(loaded)
