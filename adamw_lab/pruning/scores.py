"""Importance scores: what a weight w is worth, by Adam's moments of its gradient. The lowest are pruned first.

Every score is `score(w, m, v, *, seed=0) -> Tensor` of w's shape, in float32 (float64 for float64 weights),
where m and v are the bias-corrected first and second moment, v >= 0. Only `random` reads the seed. None
reads a mask: whoever keeps pruned weights pruned sets their scores to -inf.
"""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor

from adamw_lab.suggest import did_you_mean

EPS = 1e-8
"""Added to a denominator, as Adam does."""

Score = Callable[..., Tensor]


def hybrid(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w·m|·|w| / (√v + ε), the score of AdamWPrune.

    Assumes that a large weight with a steady gradient (high momentum, low second moment) matters. It grows where
    `fisher` shrinks: the two disagree by design.
    """
    w, m, v = _wide(w, m, v)
    return (w * m).abs_().mul_(w.abs()).div_(v.sqrt().add_(EPS))


def magnitude(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w| (Han et al., arXiv 1506.02626). Assumes that small weights change the output least: inputs of like scale."""
    return _wide(w)[0].abs()


def gradient_magnitude(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w|·√|m|, of AdamWPrune's project. Assumes that a weight still being pushed, either way, is needed."""
    w, m = _wide(w, m)
    return m.abs().sqrt_().mul_(w.abs())


def movement_to_zero(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """0.1·|w| − sign(w)·m / (√v + ε), of AdamWPrune's project, after movement pruning (arXiv 2005.07683).

    Adam's next step is −m / (√v + ε): where it points towards zero the score is lowest. May be negative.
    Assumes that the direction of the moment goes on, and weights of a scale to which a tenth is a fair
    counterweight of a unit step.
    """
    w, m, v = _wide(w, m, v)
    return w.sign().mul_(m).div_(v.sqrt().add_(EPS)).neg_().add_(w.abs(), alpha=0.1)


def coherence(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w|·√|m|·√(m² / (v + ε)), of AdamWPrune's project. Assumes that gradients of one sign mark a useful weight."""
    w, m, v = _wide(w, m, v)
    return (m / (v + EPS).sqrt_()).abs_().mul_(m.abs().sqrt_()).mul_(w.abs())


def variance(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w|·v^¼, of AdamWPrune's project. v is the uncentred second moment, not a variance.

    Assumes as `fisher` does, but trusts v less: it orders weights as w²·√v would.
    """
    w, v = _wide(w, v)
    return v.sqrt().sqrt_().mul_(w.abs())


def fisher(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """w²·v: twice what removing w costs by a diagonal second-order model (optimal brain damage; LeCun et al., 1989).

    Known from JaxPruner's adam_fisher (arXiv 2304.14082). Assumes a converged model, v as the diagonal of
    the Fisher matrix and that as the Hessian's; gradients of batches rather than of examples make v smaller
    than that.
    """
    w, v = _wide(w, v)
    return w.square().mul_(v)


def saliency(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """|w·m|: the first-order change of the loss when w goes (Molchanov et al., arXiv 1611.06440; SNIP, 1810.02340).

    Assumes that m is the mean gradient; it vanishes at convergence, where m is mostly noise.
    """
    w, m = _wide(w, m)
    return (w * m).abs_()


def random(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
    """Uniform in [0, 1), the control: a hash of the seed and of the element's row-major index.

    The same on every device and rank, and no generator is read or moved. Give each tensor, each shard and
    each draw a seed of its own. It has 2^24 values, so in larger tensors some elements tie.
    """
    mixed_seed = int.from_bytes(blake2b(str(seed).encode(), digest_size=4).digest(), "little", signed=True)
    x = torch.arange(w.numel(), dtype=torch.int32, device=w.device)
    x = _mix(_mix(x).add_(mixed_seed))
    dtype = torch.float64 if w.dtype is torch.float64 else torch.float32
    return (x >> 8).bitwise_and_(0xFFFFFF).to(dtype).mul_(2.0**-24).view(w.shape)


def _mix(x: Tensor) -> Tensor:
    """MurmurHash3's finalizer, in place on int32, whose products wrap: each bit of x sways each of the result."""
    for shift, factor in ((16, -0x7A143595), (13, -0x3D4D51CB), (16, 1)):
        x ^= (x >> shift).bitwise_and_((1 << (32 - shift)) - 1)
        x *= factor
    return x


def _wide(*tensors: Tensor) -> list[Tensor]:
    """The tensors in float32, or in float64 if that is what they are: squares and roots need the range."""
    return [t if t.dtype is torch.float64 else t.float() for t in tensors]


IMPORTANCE: dict[str, Score] = {
    f.__name__: f
    for f in (
        hybrid,
        magnitude,
        gradient_magnitude,
        movement_to_zero,
        coherence,
        variance,
        fisher,
        saliency,
        random,
    )
}
"""Name -> score."""


def resolve_importance(importance: str | Callable[[Tensor, Tensor, Tensor], Tensor]) -> Score:
    """The score of that name; or a function f(w, m, v) of one's own as a score, which then ignores the seed.

    Raises:
        ValueError: no score has that name; lists those there are. When it is called, a function of one's own that does
            not return a tensor of w's shape.
    """
    if callable(importance):
        return importance if importance in IMPORTANCE.values() else _checked(importance)
    if importance not in IMPORTANCE:
        hint = did_you_mean(str(importance), IMPORTANCE)
        allowed = f"{', '.join(IMPORTANCE)}, or a function of w, m and v"
        raise ValueError(f"unknown importance {importance!r}; allowed: {allowed}.{hint}")
    return IMPORTANCE[importance]


def _checked(importance: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Score:
    def score(w: Tensor, m: Tensor, v: Tensor, *, seed: int = 0) -> Tensor:
        found = importance(w, m, v)
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != tuple(w.shape):
            name = getattr(importance, "__name__", repr(importance))
            raise ValueError(f"importance {name!r} gave {shape} for weights of shape {tuple(w.shape)}; allowed: a "
                             "tensor of that shape")
        return found

    return score
