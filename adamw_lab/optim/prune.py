"""AdamWPrune: pruning during training, decided by Adam's own states; its mask costs no memory."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from adamw_lab.optim.adv import AdamWAdv
from adamw_lab.optim.base import LabOptimizer
from adamw_lab.optim.kernels.eager import is_pruned
from adamw_lab.optim.masks import Pool, pools
from adamw_lab.optim.pieces import pruned_counts
from adamw_lab.optim.prune_checks import check_pruning
from adamw_lab.optim.spam import AdamWSPAM
from adamw_lab.optim.warn import warn
from adamw_lab.optim.work import local
from adamw_lab.suggest import did_you_mean

BASES: dict[str, type[LabOptimizer] | None] = {"adamw": None, "adamwadv": AdamWAdv, "adamwspam": AdamWSPAM}
UPDATE = {"target_sparsity": max, "newly_pruned": int.__add__, "revived": int.__add__}
"""What a mask update tells in `telemetry()`, and how those of several pools make one."""
_COMMON = ("params", "lr", "betas", "eps", "weight_decay", "total_steps", "min_lr", "maximize", "kernel")


def base_settings(base: str) -> dict[str, Any]:
    """The options that a base adds to AdamWPrune, with their defaults."""
    if base not in BASES:
        raise ValueError(f"unknown base {base!r}; allowed: {', '.join(BASES)}.{did_you_mean(base, BASES)}")
    if BASES[base] is None:
        return {"amsgrad": False}
    parameters = inspect.signature(BASES[base]).parameters
    return {name: p.default for name, p in parameters.items() if name not in _COMMON}


class AdamWPrune(LabOptimizer):
    r"""Prunes weights while it trains them, by what Adam already stores (after github.com/mcgrof/AdamWPrune).

    Every `update_every` steps of the optimizer from `begin_step` on, and last at `end_step`, the round(s * n) weights
    of lowest importance are pruned, s growing to `target_sparsity` by `schedule`. A pruned weight is exactly 0 after
    every step and stays pruned, whatever its gradient, decay or momentum; a live weight that happens to be 0 stays
    trainable.

    The mask has no memory of its own: a weight is pruned where its `exp_avg_sq` is -0.0 (v >= 0, so the sign is
    free). It is saved, loaded, copied and cast with the state. A v of NaN is not a mark: a diverged run shows as one.

    Prunable are weights with two or more dimensions whose group does not say `prunable=False` (`parameter_groups`
    says so of norms, biases and embeddings); complex ones are not. A group may override every setting; groups that
    agree in all of them share one threshold. A weight that has no state yet scores by its magnitude. What was pruned
    stays so where a group is made `prunable=False` later: no more of it is pruned.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate (default 1e-3), a float or a tensor of one element; never written.
        betas: decay rates of the first and second moment (default (0.9, 0.999)).
        eps: added to the denominator, after the bias correction (default 1e-8).
        weight_decay: decoupled decay, scaled by the learning rate (default 1e-2).
        base: the rule that moves what is left: "adamw" (default), "adamwadv" or "adamwspam".
        target_sparsity: fraction of the prunable weights to remove, in [0, 1); None (default): 0.7, or what `pattern`
            fixes.
        begin_step: first step with a mask update; None (default): a tenth of `total_steps`.
        end_step: step at which the target is reached; None (default): three quarters of `total_steps`.
        update_every: steps between mask updates (default 50).
        schedule: sparsity over time, a key of `SCHEDULES` (default "cubic", arXiv 1710.01878).
        importance: what is kept: a key of `IMPORTANCE` (default "hybrid", |w m| |w| / (sqrt(v) + eps)) or a function
            (w, m_hat, v_hat) -> score of the same shape, lowest pruned first. The function sees a layer at a time (of
            a sharded one, this rank's part) in float32 or float64, must not write to it, and is not saved; for a moment
            that takes three times the largest layer, and what the function takes. The keys of `IMPORTANCE` take less
            than the layer.
        scope: "global" (default): one threshold for all; "layer": the same fraction of every layer; "erk": fractions
            by the Erdős-Rényi kernel (arXiv 1911.11134).
        pattern: "N:M" leaves at most N non-zero in any M consecutive input channels, so its sparsity is 1 - N/M, or
            more where more zeros were adopted; None (default): unstructured.
        regrow: fraction of the live weights that each mask update before `end_step` exchanges for pruned ones of
            largest gradient (RigL, arXiv 1911.11134); default 0: none.
        total_steps, min_lr: length of the run, over which the learning rate is annealed to `min_lr` on a cosine
            (default None: no annealing; then `begin_step` and `end_step` must be given).
        maximize: ascend instead of descend (default False).
        kernel: force "eager", "cpu" (Numba) or "cuda" (Triton); None (default): the best that can serve.
        base_options: further options of the base's class, with its defaults.

    Raises:
        ValueError: a setting out of range, named with its value; a pattern that does not divide a layer's input
            dimension; at a mask update, scores or weights that are NaN (nothing is pruned then, in any layer).
        TypeError: an option that the base does not have.
    """

    _prunes = True

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, *, base: str = "adamw",
                 target_sparsity: float | None = None, begin_step: int | None = None, end_step: int | None = None,
                 update_every: int = 50, schedule: str = "cubic", importance: str | Callable = "hybrid",
                 scope: str = "global", pattern: str | None = None, regrow: float = 0.0,
                 total_steps: int | None = None, min_lr: float = 0.0, maximize: bool = False,
                 kernel: str | None = None, **base_options: Any) -> None:
        known = base_settings(base)
        for name in base_options:
            if name not in known:
                raise TypeError(f"unexpected option {name!r} for base {base!r}; allowed: {', '.join(known)}."
                                f"{did_you_mean(name, known)}")
        self._calls_to_update: dict[int, tuple[dict[str, Any], int]] = {}
        self._updated: dict[int, int] = {}
        super().__init__(params, {
            **known, **base_options, **dict(
                lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, total_steps=total_steps, min_lr=min_lr,
                maximize=maximize, kernel=kernel, base=base, target_sparsity=target_sparsity, begin_step=begin_step,
                end_step=end_step, update_every=update_every, schedule=schedule, importance=importance, scope=scope,
                pattern=pattern, regrow=regrow, prunable=True)})

    def sparsity(self) -> float:
        """The pruned fraction of all prunable weights (of all ranks); 0 if there are none."""
        found = pools(self)
        total = sum(entry.p.numel() for pool in found for entry in pool.entries)
        return sum(sum(pruned_counts(pool.entries)) for pool in found) / total if total else 0.0

    def masks(self) -> dict[str | int, Tensor]:
        """Bool tensors, True where pruned, of every prunable parameter: by name, or by index where none was given."""
        return {entry.key: entry.whole_mask() for pool in pools(self) for entry in pool.entries}

    @torch.no_grad()
    def adopt_zeros(self) -> None:
        """Make the mask of the weights that are exactly 0 now: to fine-tune a model that is sparse already.

        Every zero of a prunable weight counts, so a layer that was initialized with zeros would never train.
        """
        for pool in pools(self):
            for entry in pool.entries:
                for piece in entry.pieces():
                    piece.prune(piece.w == 0)

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_pruning(group)

    def _settle_idle(self, group: dict[str, Any]) -> None:
        """Zero what is pruned and was written to meanwhile."""
        for p, state in self._idle(group).items():
            p, v = local(p), local(state["exp_avg_sq"])
            p.masked_fill_(is_pruned(v), 0.0)

    def _finish_step(self) -> None:
        updates = []
        for i, pool in enumerate(pools(self)):
            known, wait = self._calls_to_update.get(i, (None, 0))
            wait = wait - 1 if known == pool.settings else 0  # another schedule: look at the clock
            if wait <= 0 or _on_host(pool):  # elsewhere reading the step would wait for the device
                wait, update = pool.update_if_due(self._updated.get(i))
                updates += [update] if update else []
                self._updated[i] = pool.step()
            self._calls_to_update[i] = pool.settings, wait
        for update in updates:
            for name, number in update.apply().items():
                self._last[name] = UPDATE[name](self._last.get(name, 0), number)

    def state_dict(self) -> dict[str, Any]:
        """As every optimizer's. An importance that is a function is left out: the optimizer that loads has its own."""
        saved = super().state_dict()
        for group in saved["param_groups"]:
            if callable(group["importance"]):
                group["importance"] = None
        return saved

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._calls_to_update, self._updated = {}, {}
        for group in state["param_groups"]:
            if group.get("importance", "") is None:  # a function that was not saved: the group's own stays
                del group["importance"]
        dense = [i for i, group in enumerate(state["param_groups"]) if "end_step" not in group]
        super().__setstate__(state)
        late = [group for i, group in enumerate(self.param_groups) if i in dense and group["prunable"]
                and group["target_sparsity"] and float(group["group_step"]) >= group["end_step"]]
        if late:
            warn(f"AdamWPrune prunes nothing: the loaded run is at step {int(late[0]['group_step'])}, and end_step is "
                 f"{late[0]['end_step']}. Give a begin_step and end_step after it.")


def _on_host(pool: Pool) -> bool:
    return all(group["group_step"].device.type == "cpu" for group in pool.groups)
