"""Every rule as its paper prints it: one tensor, any dtype, no tricks.

Each function takes the parameter `p`, its gradient `g` and a dict `state` (empty before the first step), updates the
state and returns the new parameter; neither `p` nor `g` is changed. Let one flat tensor stand for a whole model: then
the "global" norm of a rule is that tensor's norm. SGD, AdaGrad, RMSprop, Adam and AdamW without AMSGrad are plain
arithmetic and take NumPy arrays as well. These forms are for reading and for testing; the optimizers to
train with are in `adv.py`, `spam.py` and `prune.py`.

Symbols: p parameter, g gradient, m first moment, v second moment (uncentred), t step number from 1, lr learning rate.
"""

import math

import torch
from torch import Tensor

from adamw_lab.optim.schedules import cosine_annealing, reset_warmup


def sgd(p: Tensor, g: Tensor, state: dict, *, lr=1e-1, momentum=0.9, weight_decay=0.0) -> Tensor:
    """SGD with heavy-ball momentum (Polyak 1964), as torch.optim.SGD with no dampening:

    b <- momentum * b + (g + wd * p) ;  p <- p - lr * b
    """
    g = g + weight_decay * p
    b = state["momentum_buffer"] = momentum * state.get("momentum_buffer", 0.0) + g
    return p - lr * b


def adagrad(p: Tensor, g: Tensor, state: dict, *, lr=1e-2, eps=1e-10, weight_decay=0.0) -> Tensor:
    """AdaGrad (Duchi, Hazan, Singer, JMLR 2011): the sum of squares only grows, so the steps only shrink.

    s <- s + g² ;  p <- p - lr * g / (sqrt(s) + eps)
    """
    g = g + weight_decay * p
    s = state["sum"] = state.get("sum", 0.0) + g * g
    return p - lr * g / (s**0.5 + eps)


def rmsprop(p: Tensor, g: Tensor, state: dict, *, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0) -> Tensor:
    """RMSprop (Tieleman and Hinton, lecture 6.5, 2012): AdaGrad that forgets.

    v <- alpha * v + (1 - alpha) * g² ;  p <- p - lr * g / (sqrt(v) + eps)
    """
    g = g + weight_decay * p
    v = state["square_avg"] = alpha * state.get("square_avg", 0.0) + (1 - alpha) * g * g
    return p - lr * g / (v**0.5 + eps)


def adam(p: Tensor, g: Tensor, state: dict, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0) -> Tensor:
    """Adam (arXiv 1412.6980), its weight decay as L2 regularization: added to the gradient, so rescaled by 1/sqrt(v).

    m <- b1 m + (1 - b1) g ;  v <- b2 v + (1 - b2) g² ;  p <- p - lr * m_hat / (sqrt(v_hat) + eps)
    """
    return adamw(p, g + weight_decay * p, state, lr=lr, betas=betas, eps=eps, weight_decay=0.0)


def adamw(p: Tensor, g: Tensor, state: dict, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2,
          amsgrad=False) -> Tensor:
    """AdamW (arXiv 1711.05101): Adam with the decay taken out of the gradient. m_hat = m / (1 - b1^t), likewise v_hat.

        p <- (1 - lr * wd) * p - lr * m_hat / (sqrt(v_hat) + eps)

    `amsgrad` (arXiv 1904.09237) divides by the largest v so far, as torch does: vmax <- max(vmax, v), then corrected.
    """
    t = state["step"] = state.get("step", 0) + 1
    m, v = _moments(g, state, betas)
    v_hat = _amsgrad(v, state, amsgrad) / (1 - betas[1] ** t)
    m_hat = m / (1 - betas[0] ** t)
    return (1 - lr * weight_decay) * p - lr * m_hat / (v_hat**0.5 + eps)


def clip_coefficient(g: Tensor, clip_norm: float | None) -> Tensor | float:
    """The factor that clipping by the global norm puts on the gradient (arXiv 1211.5063), with torch's 1e-6."""
    return 1.0 if clip_norm is None else min(1.0, clip_norm / (g.norm() + 1e-6))


def adamw_adv(p: Tensor, g: Tensor, state: dict, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2,
              amsgrad=True, clip_norm=1.0, total_steps=None, min_lr=0.0) -> Tensor:
    """AdamWAdv: AdamW with AMSGrad, clipping by the global norm, and cosine annealing of update and decay."""
    eta = annealed(lr, state.get("step", 0) + 1, total_steps, min_lr)
    g = clip_coefficient(g, clip_norm) * g
    return adamw(p, g, state, lr=eta, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


def adamw_spam(p: Tensor, g: Tensor, state: dict, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2,
               theta=50.0, spike_sigma=2.0, history=100, spike_decay=(0.0, 1.0), reset_interval=0, warmup_steps=0,
               grace_steps=0, restart_bias_correction=True, amsgrad=False, clip_norm=None, total_steps=None,
               min_lr=0.0) -> Tensor:
    """AdamWSPAM: AdamW with two detectors of gradient spikes and two cures (after SPAM, arXiv 2501.06842).

    1. a spike of the global norm (`is_spike`), or every `reset_interval` steps: the moments shrink or are reset
    2. elements with g² > theta * v_hat are clipped to sqrt(theta * v_hat), v_hat of the steps before this one
    3. AdamW, its bias correction counted from the last full reset, its update warmed up after a full reset
    """
    t = state["step"] = state.get("step", 0) + 1
    spike = spike_sigma is not None and is_spike(float(g.norm()), state.setdefault("norms", []), spike_sigma, history)
    g = clip_coefficient(g, clip_norm) * g
    if reset_interval and t % reset_interval == 0:
        _reset(state, t, (0.0, 0.0))
    elif spike:
        _reset(state, t, spike_decay)
    since_reset = t - 1 - state.get("reset_step", -math.inf)
    k = min(t, since_reset + 1) if restart_bias_correction else t
    if theta is not None and since_reset >= grace_steps and k > 1 and "exp_avg_sq" in state:
        v = state["exp_avg_sq"]
        limit = (theta * v / (1 - betas[1] ** (k - 1))).sqrt()
        g = torch.where(v > 0, g.clamp(-limit, limit), g)
    m, v = _moments(g, state, betas)
    v_hat = _amsgrad(v, state, amsgrad) / (1 - betas[1] ** k)
    eta = annealed(lr, t, total_steps, min_lr)
    update = reset_warmup(since_reset, warmup_steps) * (m / (1 - betas[0] ** k)) / (v_hat.sqrt() + eps)
    return (1 - eta * weight_decay) * p - eta * update


def spam_published(p: Tensor, g: Tensor, state: dict, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0,
                   theta=5000.0, reset_interval=500, warmup_steps=150, grace_steps=20) -> Tensor:
    """SPAM as its authors' code does it (arXiv 2501.06842), kept apart to be compared with `adamw_spam`.

    What differs: the threshold is theta times the raw v, also where v = 0 (such a gradient becomes 0); the bias
    correction never restarts; eps stands outside the correction; the decay follows the update and is not warmed up.
    """
    t = state["step"] = state.get("step", 0) + 1
    if reset_interval and t % reset_interval == 0:
        _reset(state, t, (0.0, 0.0))
    position = t % reset_interval if reset_interval else t
    if t >= grace_steps and position >= grace_steps:
        limit = (theta * state.get("exp_avg_sq", torch.zeros_like(p))).sqrt()
        g = torch.where(g * g > limit * limit, g.sign() * limit, g)
    m, v = _moments(g, state, betas)
    scale = reset_warmup(t - 1 - state.get("reset_step", -math.inf), warmup_steps)
    step_length = lr * math.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t)
    p = p - scale * step_length * m / (v.sqrt() + eps)
    return p - lr * weight_decay * p


def adamw_prune(p: Tensor, g: Tensor, state: dict, *, sparsity: float | None = None, importance=None, rule=adamw,
                **options) -> Tensor:
    """AdamWPrune: any of the rules above on the weights that are left; a pruned weight and its moments stay 0.

    At a mask update, `sparsity` in [0, 1) says how much of `p` shall be pruned: the round(sparsity * n) elements of
    lowest `importance(p, m_hat, v_hat)` (ties: lowest index first), those already pruned before all others.
    The mask stands here in the open, `state["mask"]`, True where pruned; the optimizer keeps it in v's sign bit.
    """
    mask = state.setdefault("mask", torch.zeros_like(p, dtype=torch.bool))
    p = rule(p, g, state, **options)
    if sparsity is not None:
        betas = options.get("betas", (0.9, 0.999))
        k = min(state["step"], state["step"] - state.get("reset_step", -math.inf))
        score = importance(p, state["exp_avg"] / (1 - betas[0] ** k), state["exp_avg_sq"] / (1 - betas[1] ** k))
        score = score.masked_fill(mask, -math.inf).flatten()
        count = max(round(sparsity * p.numel()), int(mask.sum()))
        mask.view(-1)[score.argsort(stable=True)[:count]] = True
    for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"):
        if name in state:
            state[name] = state[name].masked_fill(mask, 0.0)
    return p.masked_fill(mask, 0.0)


def is_spike(norm: float, norms: list[float], sigma: float, history: int) -> bool:
    """Whether `norm` lies more than `sigma` sample deviations above the mean of the last `history` norms in `norms`.

    The first nine norms are only recorded. A norm enters the history winsorized at mean + sigma * deviation; zero
    and NaN do not enter, nor does an infinite one among the first nine.
    """
    if math.isnan(norm) or norm == 0:
        return False
    recent = norms[-history:]
    spike = False
    if len(recent) >= 9:
        mean = math.fsum(recent) / len(recent)
        deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in recent) / (len(recent) - 1))
        limit = mean + sigma * deviation
        spike, norm = norm > limit, min(norm, limit)
    if math.isfinite(norm):
        norms.append(norm)
    return spike


def annealed(lr: float, t: int, total_steps: int | None, min_lr: float) -> float:
    """The learning rate of step `t`: `lr` itself without `total_steps`, otherwise on a cosine down to `min_lr`."""
    return lr if total_steps is None else cosine_annealing(t, total_steps, lr, min_lr)


def _moments(g: Tensor, state: dict, betas: tuple[float, float]) -> tuple[Tensor, Tensor]:
    b1, b2 = betas
    m = state["exp_avg"] = b1 * state.get("exp_avg", 0.0) + (1 - b1) * g
    v = state["exp_avg_sq"] = b2 * state.get("exp_avg_sq", 0.0) + (1 - b2) * g * g
    return m, v


def _amsgrad(v: Tensor, state: dict, amsgrad: bool) -> Tensor:
    if not amsgrad:
        return v
    state["max_exp_avg_sq"] = torch.maximum(state.get("max_exp_avg_sq", torch.zeros_like(v)), v)
    return state["max_exp_avg_sq"]


def _reset(state: dict, t: int, keep: tuple[float, float]) -> None:
    keep_m, keep_v = keep
    for name, factor in (("exp_avg", keep_m), ("exp_avg_sq", keep_v), ("max_exp_avg_sq", keep_v)):
        if name in state:
            state[name] = factor * state[name] if factor else torch.zeros_like(state[name])
    if keep == (0.0, 0.0):
        state["reset_step"] = t - 1
