"""What one step works on: a group's tensors that have a gradient, sorted by the kernel that serves them."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

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
        sharded: their gradients as DTensors; empty if they are whole.
    """

    kernel: str
    tensors: kernels.Tensors
    steps: list[Tensor]
    sharded: list[Tensor] = field(default_factory=list)

    def norm(self) -> Tensor:
        """The norm of the gradients, 0-d, of all ranks."""
        if not self.sharded:
            return load_kernel(self.kernel).norm(self.tensors)
        return get_total_norm(self.sharded).full_tensor()  # a DTensor's norm is reduced over its mesh


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
                              [grads[i] for i in rows] if dtensors else []))
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
