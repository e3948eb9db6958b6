"""One update rule, three kernels of one signature: `update(tensors, terms)` does a whole step in place.

Beside it each has `norm(tensors)`, of the gradients, and `advance(steps, moved)`, which counts the step. The `cpu`
kernel can take the norm along with the update (`Terms.norm_follows`), and has `damp(tensors, keep_m)` for when that
shows a spike.

    g <- c * g                              c: gradient factor (norm clipping, loss scale, maximize)
    m <- keep_m * m ;  v, vmax <- keep_v * (v, vmax)
    g <- clamp(g, ±sqrt(clip_scale * v))    where v > 0
    m <- b1 m + (1 - b1) g ;  v <- b2 v + (1 - b2) g² ;  vmax <- max(vmax, v)
    p <- decay * p - step_size * m / (sqrt(v or vmax) / bias2_sqrt + eps)
    p, m, vmax <- 0 and v <- -0.0           where v was -0.0 (pruned)
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Scalar = float | Tensor
"""A number of this step: a float where the step counter is in host memory, else a 0-d tensor on the device."""


def value(x: Tensor) -> Scalar:
    """A counter as a number of this step: a float from host memory, the tensor itself from a device."""
    return x.item() if x.device.type == "cpu" else x


@dataclass(slots=True)
class Tensors:
    """Parallel lists, an entry a parameter: real, local (no DTensor), of one dtype and device.

    `max_exp_avg_sqs` may be empty. `table` is where a kernel may keep what its norm and its update both need; `norm`
    where it leaves the norm that it took along with the update, and `followed` what `damp` needs of that update.
    """

    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    exp_avgs: list[Tensor] = field(default_factory=list)
    exp_avg_sqs: list[Tensor] = field(default_factory=list)
    max_exp_avg_sqs: list[Tensor] = field(default_factory=list)
    table: Any = None
    norm: Tensor | None = None
    followed: Any = None

    def columns(self) -> list[list[Tensor]]:
        """The lists that are not empty."""
        lists = [self.params, self.grads, self.exp_avgs, self.exp_avg_sqs, self.max_exp_avg_sqs]
        return [column for column in lists if column]


@dataclass(slots=True)
class Terms:
    """The scalars of the rule at this step. The three lists have an entry a parameter."""

    beta1: float
    beta2: float
    eps: float
    grad_factor: Scalar
    keep_m: Scalar
    keep_v: Scalar
    decay: Scalar
    step_size: list[Scalar]
    bias2_sqrt: list[Scalar]
    clip_scale: list[Scalar] | None
    """theta / (1 - b2^(k-1)); infinite where nothing is to be clipped; None: the term is off."""
    clip_where_zero: bool
    """Also clip where v = 0, to 0 (published SPAM)."""
    prune: bool
    norm_follows: bool = False
    """Take the norm of the gradients along with the update; nothing in the update depends on it."""
    found_inf: Tensor | None = None
    """1 where the gradients overflowed and nothing may change; read by the device kernel alone."""
