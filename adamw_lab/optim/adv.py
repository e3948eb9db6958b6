"""AdamWAdv: AdamW with AMSGrad, clipping by the global norm and cosine annealing."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from adamw_lab.optim.base import LabOptimizer
from adamw_lab.optim.warn import warn


class AdamWAdv(LabOptimizer):
    r"""AdamW (arXiv 1711.05101) with AMSGrad (1904.09237), norm clipping (1211.5063) and cosine annealing (1608.03983).

        g <- min(1, clip_norm / (|g| + 1e-6)) * g                     |g|: norm of all gradients together
        m <- b1 m + (1 - b1) g ;  v <- b2 v + (1 - b2) g² ;  vmax <- max(vmax, v)
        p <- (1 - eta wd) p - eta * m_hat / (sqrt(vmax_hat) + eps)    eta: lr annealed to min_lr over total_steps

    Equal, step for step, to torch's AdamW(amsgrad=True) + clip_grad_norm_ + CosineAnnealingLR(T_max=total_steps), in
    one pass over memory. Best for stable training when there is time for tuning.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate (default 1e-3), a float or a tensor of one element; never written.
        betas: decay rates of the first and second moment (default (0.9, 0.999)).
        eps: added to the denominator, after the bias correction (default 1e-8).
        weight_decay: decoupled decay, scaled by the learning rate (default 1e-2).
        amsgrad: divide by the largest v so far (default True).
        clip_norm: largest global gradient norm that passes whole (default 1.0); None: no clipping.
        total_steps: length of the cosine in steps of the optimizer, which all groups follow, whether they have
            gradients or not and whenever they are added; None (default): no annealing, with one warning unless a torch
            scheduler is attached.
        min_lr: where the cosine ends (default 0).
        maximize: ascend instead of descend (default False).
        kernel: force "eager", "cpu" (Numba) or "cuda" (Triton); None (default): the best that can serve.

    Raises:
        ValueError: a setting out of range, named with its value.
    """

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, *, amsgrad: bool = True,
                 clip_norm: float | None = 1.0, total_steps: int | None = None, min_lr: float = 0.0,
                 maximize: bool = False, kernel: str | None = None) -> None:
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, clip_norm=clip_norm,
            total_steps=total_steps, min_lr=min_lr, maximize=maximize, kernel=kernel))

    def _warn_of_scheduler(self) -> None:
        super()._warn_of_scheduler()
        scheduled: Callable[..., Any] | bool = hasattr(self.step, "_wrapped_by_lr_sched")
        if not (self._warned_of_scheduler or scheduled or any(g["total_steps"] for g in self.param_groups)):
            self._warned_of_scheduler = True
            warn("AdamWAdv without total_steps does not anneal the learning rate: give total_steps, or "
                 "attach a torch scheduler.")
