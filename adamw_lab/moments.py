"""Adam's two moments laid open, step by step, and how far optimizers carry a weight that seldom has a gradient."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adamw_lab.descents import respond
from adamw_lab.optim import textbook


def trace_adam(gradients: np.ndarray, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
               ) -> dict[str, np.ndarray]:
    """What Adam (arXiv 1412.6980) keeps and does under given gradients.

    Args:
        gradients: [T], or [T, n] of n weights.
        betas, eps: Adam's own.

    Returns:
        Arrays of the shape of `gradients`: `m`, `v`; `m_hat` = m / (1 - b1^t) and `v_hat` = v / (1 - b2^t), t from 1;
        `change`, that of the weight in learning rates, -m_hat / (√v_hat + eps); and `uncorrected`, what it would be
        without the bias correction, -m / (√v + eps).
    """
    b1, b2 = betas
    p, state = np.zeros(np.shape(gradients)[1:]), {}
    rows = []
    for g in np.asarray(gradients, dtype=float):
        after = textbook.adam(p, g, state, lr=1.0, betas=betas, eps=eps)
        m, v, t = state["exp_avg"], state["exp_avg_sq"], state["step"]
        rows.append((m, v, m / (1 - b1**t), v / (1 - b2**t), after - p, -m / (v**0.5 + eps)))
        p = after
    names = ("m", "v", "m_hat", "v_hat", "change", "uncorrected")
    return dict(zip(names, map(np.stack, zip(*rows, strict=True)), strict=True))


def sparse_travel(optimizers: Sequence[str], shares: Sequence[float], *, steps: int = 2000, repeats: int = 16,
                  seed: int = 0, betas: tuple[float, float] | None = None) -> pd.DataFrame:
    """How far a weight gets whose gradient is 1 at a random share of the steps and 0 at the others.

    Args:
        optimizers: keys of `descents.RULES`, each with its own settings.
        shares: in (0, 1].
        steps, repeats: length of a run, and how many are averaged.
        seed: of the choice of the steps, the same for all optimizers.
        betas: Adam's; None (default): its own.

    Returns:
        A row an optimizer and share: `optimizer`, `share`, `travel`: the mean distance by that of a weight with a
        gradient of 1 at every step.

    Raises:
        ValueError: a share out of range.
    """
    for share in shares:
        if not 0 < share <= 1:
            raise ValueError(f"Invalid share: {share!r}; allowed: in (0, 1]")
    drawn = np.random.default_rng(seed).random((steps, len(shares), repeats)) < np.asarray(shares)[:, None]
    gradients = np.column_stack([drawn.reshape(steps, -1), np.ones(steps)])
    tables = []
    for name in optimizers:
        distances = -respond(name, gradients, betas=betas if name == "adam" else None).sum(axis=0)
        travel = distances[:-1].reshape(len(shares), repeats).mean(axis=1) / distances[-1]
        tables.append(pd.DataFrame({"optimizer": name, "share": shares, "travel": travel}))
    return pd.concat(tables, ignore_index=True)
