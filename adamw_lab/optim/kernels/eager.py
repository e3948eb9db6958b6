"""The update rule in torch operations: any device, dtype, layout. The form to read; the other kernels do the same.

Many small tensors share each call of torch's foreach operations, and large ones are cut into slices, so that what a
step takes for a moment is no more than the largest tensor.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from adamw_lab.optim.kernels import Scalar, Tensors, Terms, value

LEAST = 1 << 16
"""Elements that are worth a call of their own."""
MOST = 1 << 20
"""Elements at a time in host memory, where larger temporaries leave the cache."""
PARTS = 4
"""Temporaries of one batch that a step holds at once, at most."""
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def update(tensors: Tensors, terms: Terms) -> Tensor | None:
    """One step of every parameter, in place. Returns the number of elements clipped, None if the term is off."""
    counts = [count for batch in _batches(tensors) for count in _update(*batch, terms)]
    return torch.stack([c.to(counts[0].device) for c in counts]).sum() if terms.clip_scale is not None else None


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


def advance(steps: list[Tensor], moved: Scalar) -> list[Scalar]:
    """Add `moved`, 0 or 1, to each parameter's step counter; returns what they are then."""
    torch._foreach_add_(steps, [moved] * len(steps) if isinstance(moved, Tensor) else moved)
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


def keep_moments(moments: list[Tensor], factor: Scalar) -> None:
    """Multiply moments by what is kept of them; a factor of 0 also clears inf and NaN, which a product would not."""
    if isinstance(factor, Tensor):
        multiply(moments, factor)
        for x in moments:
            x.masked_fill_(factor == 0, 0.0)
    elif factor == 0.0:
        torch._foreach_zero_(moments)
    elif factor != 1.0:
        multiply(moments, factor)


def multiply(tensors: list[Tensor], factor: Scalar) -> None:
    """Multiply in place. A tensor comes as a list, since torch waits for the device to read a single one."""
    torch._foreach_mul_(tensors, [factor] * len(tensors) if isinstance(factor, Tensor) else factor)


def _batches(tensors: Tensors) -> Iterator[tuple[list[int], list[list[Tensor]]]]:
    """Runs of parameters, or slices of one, of at most so many elements that `PARTS` of a run are no more than the
    largest tensor: which parameter each is of, and the columns.
    """
    columns = tensors.columns()
    largest = max(map(Tensor.numel, tensors.params))
    most = max(LEAST, -(-largest // PARTS))
    if tensors.params[0].is_cpu:
        most = min(most, MOST)
    rows, held = [], 0
    for i, row in enumerate(zip(*columns, strict=True)):
        if row[0].ndim == 0:  # a 0-d tensor would take on the wider dtype of a scalar that is one too
            row = tuple(t.view(1) for t in row)
        for part in _slices(row, most):
            held += part[0].numel()
            if rows and held > most:
                yield [index for index, _ in rows], list(map(list, zip(*(r for _, r in rows), strict=True)))
                rows, held = [], part[0].numel()
            rows.append((i, part))
    yield [index for index, _ in rows], list(map(list, zip(*(r for _, r in rows), strict=True)))


def _slices(row: tuple[Tensor, ...], most: int) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of a parameter, cut across the dimension outermost in memory where they have more than `most`
    elements.
    """
    p = row[0]
    parts = -(-p.numel() // most)
    if parts <= 1:
        yield row
        return
    across = max(range(p.ndim), key=lambda d: (p.shape[d] >= parts, p.stride(d), p.shape[d]))
    yield from zip(*(t.split(-(-p.shape[across] // parts), across) for t in row), strict=True)


def _update(rows: list[int], columns: list[list[Tensor]], terms: Terms) -> list[Tensor]:
    """The step of one batch; `rows` says where its entries stand in the lists of `terms`. Returns counts of clipped."""
    ps, gs, ms, vs, *vmaxs = columns
    pruned = list(map(is_pruned, vs)) if terms.prune else []
    keep_moments(ms, terms.keep_m)
    for moments in (vs, *vmaxs):
        keep_moments(moments, terms.keep_v)
    factor = terms.grad_factor
    if isinstance(factor, Tensor) or factor != 1.0:
        gs = list(torch._foreach_mul(gs, [factor] * len(gs) if isinstance(factor, Tensor) else factor))
    counts = []
    if terms.clip_scale is not None:
        gs = list(gs)
        for i, (row, v) in enumerate(zip(rows, vs, strict=True)):
            gs[i], count = _clip(gs[i], v, terms.clip_scale[row], terms.clip_where_zero)
            counts.append(count)
    _adam(ps, gs, ms, vs, vmaxs[0] if vmaxs else [], rows, terms)
    for i, mask in enumerate(pruned):
        fill_pruned(mask, ps[i], ms[i], vs[i], vmaxs[0][i] if vmaxs else None)
    return counts


def _clip(g: Tensor, v: Tensor, scale: Scalar, where_zero: bool) -> tuple[Tensor, Tensor]:
    limit = (v * scale).sqrt_()  # an infinite scale gives inf or NaN, and neither clips
    over = (g > limit).logical_or_(g < limit.neg_())
    if not where_zero:
        over.logical_and_(v > 0)
    count = over.count_nonzero()  # sum would widen the mask to int64 first
    return torch.where(over, limit.copysign_(g), g, out=limit), count


def _adam(ps: list[Tensor], gs: list[Tensor], ms: list[Tensor], vs: list[Tensor], vmaxs: list[Tensor],
          rows: list[int], terms: Terms) -> None:
    # The order of operations is torch.optim.AdamW's, so that with every term off the bits are its bits.
    multiply(ps, terms.decay)
    torch._foreach_lerp_(ms, gs, 1 - terms.beta1)
    torch._foreach_mul_(vs, terms.beta2)
    torch._foreach_addcmul_(vs, gs, gs, 1 - terms.beta2)
    if vmaxs:
        torch._foreach_maximum_(vmaxs, vs)
    denominators = torch._foreach_sqrt(vmaxs or vs)
    torch._foreach_div_(denominators, [terms.bias2_sqrt[row] for row in rows])
    torch._foreach_add_(denominators, terms.eps)
    step_sizes = [-terms.step_size[row] for row in rows]
    if isinstance(step_sizes[0], Tensor):  # addcdiv_ takes its factors from the host alone
        torch._foreach_div_(denominators, step_sizes)
        torch._foreach_addcdiv_(ps, ms, denominators)
    else:
        torch._foreach_addcdiv_(ps, ms, denominators, step_sizes)
