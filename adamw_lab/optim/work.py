"""What one step works on: a group's tensors that have a gradient, sorted by the kernel that serves them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from adamw_lab.optim import kernels
from adamw_lab.optim.kernels.dispatch import choose_kernels, load_kernel

STATE = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
_PLAIN = {Tensor, torch.nn.Parameter}


@dataclass(slots=True)
class Bucket:
    """Parameters that one kernel serves, of one dtype, on one device, and all sharded or none.

    Attributes:
        kernel: which.
        tensors: this rank's part of them.
        steps: their step counters.
        sharded: their gradients as DTensors, by their place in the group; empty if they are whole.
    """

    kernel: str
    tensors: kernels.Tensors
    steps: list[Tensor]
    sharded: dict[int, Tensor] = field(default_factory=dict)

    def norm(self) -> Tensor:
        """The norm of the gradients that lie on this rank, 0-d."""
        taken = self.tensors.norm
        return load_kernel(self.kernel).norm(self.tensors) if taken is None else taken


def sharded_norms(gathered: Iterable[list[Bucket]]) -> list[Tensor]:
    """For each mesh and way of sharding the norm of the whole gradients, 0-d float64.

    The order is that of the parameters, on every rank the same: by buckets it might not be, since the layout of this
    rank's part chooses the kernel, and ranks would wait for each other's sums.
    """
    kinds: dict[Any, list[Tensor]] = {}
    for buckets in gathered:
        grads = {i: grad for bucket in buckets for i, grad in bucket.sharded.items()}
        for _, grad in sorted(grads.items()):
            kinds.setdefault((grad.device_mesh, grad.placements), []).append(local(grad))
    return [_norm_over(*kind, grads) for kind, grads in kinds.items()]


def _norm_over(mesh: Any, placements: tuple, grads: list[Tensor]) -> Tensor:
    """Squares are added in float64: a norm in the gradients' own half precision overflows, and is too coarse to judge
    spikes by.
    """
    square = load_kernel("eager").norm(kernels.Tensors(grads=grads)).double().square()
    for i, placement in enumerate(placements):
        if not placement.is_replicate():
            dist.all_reduce(square, group=mesh.get_group(i))
    return square.sqrt()


def gather(params: list[Tensor], grads: list[Tensor], states: list[dict[str, Tensor]], amsgrad: bool,
           forced: str | None) -> list[Bucket]:
    """Sort the parameters of a group, their gradients and states into buckets."""
    if not params:
        return []
    columns = [params, grads, *([state[name] for state in states] for name in (STATE if amsgrad else STATE[:2]))]
    steps = [state["step"] for state in states]
    sharded = [False] * len(params)
    if not _PLAIN.issuperset(map(type, params)) or any(map(Tensor.is_complex, params)):
        grads = [placed_as(p, g) for p, g in zip(params, grads, strict=True)]
        sharded = [hasattr(g, "full_tensor") for g in grads]
        columns[1] = [g.resolve_conj() for g in grads]
        columns = [[local(t) for t in column] for column in columns]
    served = choose_kernels(columns, forced)
    if served.count(served[0]) == len(served) and not any(sharded):
        return [Bucket(served[0][0], kernels.Tensors(*columns), steps)]
    kinds = list(zip(served, sharded, strict=True))
    buckets = []
    for kind in dict.fromkeys(kinds):
        (kernel, _, _), dtensors = kind
        rows = [i for i, other in enumerate(kinds) if other == kind]
        mine = [[column[i] for i in rows] for column in columns]
        buckets.append(Bucket(kernel, kernels.Tensors(*mine), [steps[i] for i in rows],
                              {i: grads[i] for i in rows} if dtensors else {}))
    return buckets


def placed_as(p: Tensor, grad: Tensor) -> Tensor:
    """The gradient with the placements of its parameter: of another part, or one not yet summed, ranks would part."""
    placements = getattr(p, "placements", None)
    if placements is None or getattr(grad, "placements", placements) == placements:
        return grad
    return grad.redistribute(p.device_mesh, placements)


def local(t: Tensor) -> Tensor:
    """This rank's part of a DTensor, as real numbers where it is complex; a view."""
    t = t.to_local() if hasattr(t, "to_local") else t
    return torch.view_as_real(t) if t.is_complex() else t
