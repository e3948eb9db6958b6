"""What training keeps in memory, told from a few numbers; `bench.memory` counts it on a model."""

from dataclasses import dataclass

from adamw_lab.optim.prune import BASES
from adamw_lab.suggest import did_you_mean

DTYPES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}
"""dtype of the weights -> bytes of a number. Gradients, moments, scores and copies have the same."""
MOMENTS = {"sgd": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2, "adamw_clip": 2, "adamwadv": 3, "adamwspam": 2,
           "adamwspam_published": 2, "adamwprune": 2}
"""optimizer, with the defaults of `OPTIMIZERS` -> numbers that it keeps for each parameter."""


@dataclass(frozen=True)
class Kept:
    """What pruning keeps for each prunable weight: bytes of a mask (None: a number), and numbers."""

    mask: int | None = 0
    scores: int = 0
    copies: int = 0


PRUNING = {
    "adamwprune": Kept(),
    "magnitude": Kept(mask=1),
    "random": Kept(mask=1),
    "byte_masks": Kept(mask=1),
    "movement": Kept(mask=1, scores=1, copies=1),
    "torch_prune": Kept(mask=None, copies=1),
}
"""way to prune -> what it keeps. "adamwprune" is AdamWPrune on the optimizer as its base, which marks what is pruned by
the sign of zeros that it keeps anyway; "byte_masks" multiplies by a mask of bytes, "torch_prune" is
torch.nn.utils.prune; the others are the pruners of `adamw_lab.pruning`."""


def memory_estimate(parameters: int, prunable: int, optimizer: str = "adamw", dtype: str = "float32",
                    pruning: str | None = None) -> dict[str, int]:
    """Bytes that training keeps between steps, by component.

        weights, gradients: parameters · n      moments: k · parameters · n      n bytes a number, k of `MOMENTS`
        masks, scores, copies: as `PRUNING` says, for each of the prunable weights

    Activations depend on the batch and are not in it, nor are step counters and norm histories of some kilobytes.

    Args:
        parameters: how many.
        prunable: how many of them pruning is about; without pruning it does not matter.
        optimizer: a key of `MOMENTS`.
        dtype: a key of `DTYPES`, of the weights; under autocast they stay float32.
        pruning: a key of `PRUNING`; None (default): none. The optimizer "adamwprune" prunes by itself.

    Returns:
        {"weights", "gradients", "moments", "masks", "scores", "copies", "total"}: bytes.

    Raises:
        ValueError: an unknown name, a number out of range, or ways to prune that exclude each other.
    """
    ways = {} if pruning is None else PRUNING
    for what, name, known in (("optimizer", optimizer, MOMENTS), ("dtype", dtype, DTYPES), ("pruning", pruning, ways)):
        if known and name not in known:
            raise ValueError(f"unknown {what} {name!r}; allowed: {', '.join(known)}.{did_you_mean(str(name), known)}")
    for what, value, low, high in (("parameters", parameters, 1, None), ("prunable", prunable, 0, parameters)):
        if not isinstance(value, int) or isinstance(value, bool) or value < low or high is not None and value > high:
            allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
            raise ValueError(f"Invalid {what} value: {value!r}; allowed: a whole number {allowed}")
    _check_together(optimizer, pruning)
    number = DTYPES[dtype]
    kept = PRUNING[pruning] if pruning else Kept()
    sizes = {"weights": parameters * number, "gradients": parameters * number,
             "moments": MOMENTS[optimizer] * parameters * number,
             "masks": prunable * (number if kept.mask is None else kept.mask),
             "scores": prunable * kept.scores * number, "copies": prunable * kept.copies * number}
    return sizes | {"total": sum(sizes.values())}


def _check_together(optimizer: str, pruning: str | None) -> None:
    if optimizer == "adamwprune" and pruning not in (None, "adamwprune"):
        raise ValueError(f"pruning {pruning!r} contradicts optimizer 'adamwprune', which prunes by itself; "
                         "allowed: another optimizer, or None")
    if pruning == "adamwprune" and optimizer not in (*BASES, "adamwprune"):
        raise ValueError(f"pruning 'adamwprune' has no base {optimizer!r}; allowed as optimizer: {', '.join(BASES)}")
