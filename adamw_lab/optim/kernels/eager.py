"""The update rule in torch operations: any device, dtype, layout. The form to read; the other kernels do the same."""

import torch
from torch import Tensor

from adamw_lab.optim.kernels import Scalar, Tensors, Terms, value

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def update(tensors: Tensors, terms: Terms) -> Tensor | None:
    """One step of every parameter, in place. Returns the number of elements clipped, None if the term is off."""
    counts = []
    for i, p in enumerate(tensors.params):
        vmax = tensors.max_exp_avg_sqs[i] if tensors.max_exp_avg_sqs else None
        g, m, v = tensors.grads[i], tensors.exp_avgs[i], tensors.exp_avg_sqs[i]
        pruned = is_pruned(v) if terms.prune else None
        keep_moment(m, terms.keep_m)
        keep_moment(v, terms.keep_v)
        if vmax is not None:
            keep_moment(vmax, terms.keep_v)
        if not (isinstance(terms.grad_factor, float) and terms.grad_factor == 1.0):
            g = g * terms.grad_factor
        if terms.clip_scale is not None:
            g, count = _clip(g, v, terms.clip_scale[i], terms.clip_where_zero)
            counts.append(count)
        _adam(p, g, m, v, vmax, terms, i)
        if pruned is not None:
            fill_pruned(pruned, p, m, v, vmax)
    return torch.stack([c.to(counts[0].device) for c in counts]).sum() if counts else None


def norm(tensors: Tensors) -> Tensor:
    """The 2-norm of all gradients, 0-d; in float32 where they are narrower.

    In half precision it would overflow beyond 65504, and clipping by it would silently stop all training. Where it
    overflows float32 too it is taken in float64, if that can be seen without waiting for a device.
    """
    wide = torch.promote_types(tensors.grads[0].dtype, torch.float32)
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors.grads, 2, wide)))
    if total.is_cpu and total.isinf() and wide is torch.float32:
        norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in tensors.grads]
        total = torch.linalg.vector_norm(torch.stack(norms))
    return total


def advance(steps: list[Tensor], moved: Tensor) -> list[Scalar]:
    """Add `moved`, 0 or 1, to each parameter's step counter; returns what they are then."""
    torch._foreach_add_(steps, moved)
    return [value(s) for s in steps]


def is_pruned(v: Tensor) -> Tensor:
    """Where `v` is -0.0, by its bits: one pass, and the sign alone would also mark the NaNs of a diverged run."""
    bits = _BITS[v.element_size()]
    return v.view(bits) == torch.iinfo(bits).min


def fill_pruned(pruned: Tensor, p: Tensor, m: Tensor, v: Tensor, vmax: Tensor | None) -> None:
    """Zero what is pruned and set the mark in `v`."""
    p.masked_fill_(pruned, 0.0)
    m.masked_fill_(pruned, 0.0)
    v.masked_fill_(pruned, -0.0)
    if vmax is not None:
        vmax.masked_fill_(pruned, 0.0)


def keep_moment(x: Tensor, factor: Scalar) -> None:
    """Multiply a moment by what is kept of it."""
    if isinstance(factor, Tensor):  # a factor of 0 also clears inf and NaN, which a product would not
        x.copy_(torch.where(factor == 0, 0.0, x * factor))
    elif factor == 0.0:
        x.zero_()
    elif factor != 1.0:
        x.mul_(factor)


def _clip(g: Tensor, v: Tensor, scale: Scalar, where_zero: bool) -> tuple[Tensor, Tensor]:
    limit = (v * scale).sqrt()  # an infinite scale gives inf or NaN, and neither clips
    over = g.abs() > limit
    if not where_zero:
        over &= v > 0
    return torch.where(over, limit.copysign(g), g), over.sum()


def _adam(p: Tensor, g: Tensor, m: Tensor, v: Tensor, vmax: Tensor | None, terms: Terms, i: int) -> None:
    # The order of operations is torch.optim.AdamW's, so that with every term off the bits are its bits.
    p.mul_(terms.decay)
    m.lerp_(g, 1 - terms.beta1)
    v.mul_(terms.beta2).addcmul_(g, g, value=1 - terms.beta2)
    if vmax is not None:
        torch.maximum(vmax, v, out=vmax)
        v = vmax
    denominator = (v.sqrt() / terms.bias2_sqrt[i]).add_(terms.eps)
    step_size = terms.step_size[i]
    if isinstance(step_size, Tensor):  # addcdiv_ takes its factor from the host alone
        p.addcdiv_(m * -step_size, denominator)
    else:
        p.addcdiv_(m, denominator, value=-step_size)
