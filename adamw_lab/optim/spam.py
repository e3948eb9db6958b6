"""AdamWSPAM: AdamW that notices gradient spikes, clips them and forgets what they left in its momentum."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from adamw_lab.optim.base import LabOptimizer


class AdamWSPAM(LabOptimizer):
    r"""AdamW with spike-aware clipping and momentum reset, after SPAM (Huang et al., ICLR 2025, arXiv 2501.06842).

    Two detectors and two cures, each its own switch:

    * *norm detector*: the global gradient norm lies more than `spike_sigma` deviations above the mean of the last
      `history` norms. Then (m, v) <- spike_decay * (m, v) before the step. A norm enters the history winsorized at
      the limit, so that a lasting shift is learnt and one spike is not; slowly, where norms hardly vary: with 1 %
      of noise, a norm that has doubled is a spike for some 300 steps; with 10 %, for some 40. On Gaussian norms
      sigma = 2 still fires on about 3 % of the steps: with the default `spike_decay` it then costs the momentum of
      one step's past.
    * *element detector*: g² > theta * v_hat, with v_hat the bias-corrected v of the steps before. Such an element is
      clipped to sign(g) * sqrt(theta * v_hat). A higher theta clips less; theta = 50 allows 7.1 * sqrt(v_hat).
    * *periodic reset* every `reset_interval` steps: m = v = vmax = 0, then a cosine warm-up of the update over
      `warmup_steps` and no element clipping for `grace_steps`.

    The bias correction restarts with a full reset; without that the first updates after it are 3 to 6 times too long.
    What it did is in `telemetry()`: spikes, resets, elements clipped.

    Numba's kernel takes the norm along with the update where a spike only shrinks the first moment, and shrinks it
    afterwards: a step at a spike then takes longer, and is rounded once more.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate (default 1e-3), a float or a tensor of one element; never written.
        betas: decay rates of the first and second moment (default (0.9, 0.999)).
        eps: added to the denominator, after the bias correction (default 1e-8).
        weight_decay: decoupled decay, scaled by the learning rate (default 1e-2).
        theta: threshold on g² / v_hat (default 50); None: no element clipping.
        spike_sigma: threshold of the norm detector in deviations (default 2); None: no norm detector.
        history: number of norms remembered (default 100).
        spike_decay: factors on m and on v (and vmax) at a spike (default (0, 1): forget the first moment;
            (0.5, 0.9): damp both; (0, 0): a full reset).
        reset_interval: steps of the optimizer between full resets, which all groups share (default 0: never).
        warmup_steps: steps of warm-up after a full reset (default 0).
        grace_steps: steps without element clipping after a full reset (default 0).
        restart_bias_correction: count the bias correction from the last full reset (default True): it sets the
            `step` of every parameter back.
        amsgrad: divide by the largest v so far (default False).
        clip_norm: clip by the global norm as well (default None: no).
        total_steps, min_lr: cosine annealing, as in `AdamWAdv` (default none).
        maximize: ascend instead of descend (default False).
        kernel: force "eager", "cpu" (Numba) or "cuda" (Triton); None (default): the best that can serve.

    Raises:
        ValueError: a setting out of range, named with its value.
    """

    PUBLISHED = dict(theta=5000.0, reset_interval=500, warmup_steps=150, grace_steps=20, eps=1e-6, weight_decay=0.0,
                     spike_sigma=None, restart_bias_correction=False)

    def __init__(self, params: Iterable, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, *, theta: float | None = 50.0,
                 spike_sigma: float | None = 2.0, history: int = 100, spike_decay: tuple[float, float] = (0.0, 1.0),
                 reset_interval: int = 0, warmup_steps: int = 0, grace_steps: int = 0,
                 restart_bias_correction: bool = True, amsgrad: bool = False, clip_norm: float | None = None,
                 total_steps: int | None = None, min_lr: float = 0.0, maximize: bool = False,
                 kernel: str | None = None) -> None:
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, theta=theta, spike_sigma=spike_sigma,
            history=history, spike_decay=spike_decay, reset_interval=reset_interval, warmup_steps=warmup_steps,
            grace_steps=grace_steps, restart_bias_correction=restart_bias_correction, amsgrad=amsgrad,
            clip_norm=clip_norm, total_steps=total_steps, min_lr=min_lr, maximize=maximize, kernel=kernel))

    @classmethod
    def published(cls, params: Iterable, lr: float | Tensor = 1e-3, **overrides: Any) -> "AdamWSPAM":
        """SPAM as its authors' code does it, step for step (see `textbook.spam_published`).

        Differs from the class's own rule: the threshold is on the raw v, also where v = 0 (the gradient becomes 0);
        bias correction never restarts; eps stands outside the correction; no norm detector. Defaults: theta 5000,
        reset_interval 500, warmup_steps 150, grace_steps 20, eps 1e-6, weight_decay 0; `overrides` change them.
        """
        optimizer = cls(params, lr, **{**cls.PUBLISHED, **overrides})
        for group in (optimizer.defaults, *optimizer.param_groups):
            group["published"] = True
        return optimizer
