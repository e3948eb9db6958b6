"""The norm of the gradients taken along with the update, in one pass over memory, where only a rare spike needs it.

The parameters then move as if there were no spike, before the norm is known. Where it is one after all, a second pass
makes of the momentum and of the parameters what the rule says.
"""

from typing import Any

from torch import Tensor

from adamw_lab.optim import policy
from adamw_lab.optim.kernels.dispatch import load_kernel
from adamw_lab.optim.work import Bucket


def norm_may_follow(groups: list[dict[str, Any]], gathered: list[list[Bucket]]) -> bool:
    """Whether the norm is wanted, but no sooner than after the update, and every kernel can take it along."""
    buckets = [bucket for its_buckets in gathered for bucket in its_buckets]
    return (any(group["spike_sigma"] is not None for group in groups) and all(map(_can_wait, groups))
            and all(bucket.kernel == "cpu" and not bucket.sharded for bucket in buckets))


def _can_wait(group: dict[str, Any]) -> bool:
    """Whether a spike does no more to this group than shrink its first moment, in host memory.

    The second moment must stay: what is clipped depends on it. And it must bound the first, which takes beta1² < beta2
    (then |m| <= (1 - beta1) / sqrt((1 - beta2)(1 - beta1² / beta2)) sqrt(v), by Cauchy and Schwarz): a step without
    bound, taken and taken back, would leave nothing of the weight but its rounding.
    """
    beta1, beta2 = group["betas"]
    if group["clip_norm"] is not None or not group["norms"].is_cpu or beta1 * beta1 >= beta2:
        return False
    return group["spike_sigma"] is None or group["spike_decay"][1] == 1.0 and not group["published"]


def look_back(groups: list[dict[str, Any]], gathered: list[list[Bucket]], norm: Tensor) -> None:
    """Judge the norm of the step that has just been taken, and shrink the momentum where it is a spike."""
    for group, buckets in zip(groups, gathered, strict=True):
        if group["spike_sigma"] is None:
            continue
        policy.fit_history(group)
        if policy.detect_spike(group, norm, 1.0):  # after a reset there is no momentum, and nothing changes
            for bucket in buckets:
                load_kernel(bucket.kernel).damp(bucket.tensors, group["spike_decay"][0])
