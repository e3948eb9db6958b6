"""The claims that publications settle, or a calculation that takes no training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from adamw_lab.analysis.claims import REFUTED, SUPPORTED, UNTESTED, Claim, Find, Finding, measured, reference
from adamw_lab.analysis.recorded import Records
from adamw_lab.analysis.stats import Effect
from adamw_lab.decay import Make, effective_decay
from adamw_lab.moments import sparse_travel
from adamw_lab.optim import AdamWSPAM, textbook
from adamw_lab.rare_gradients import descend
from adamw_lab.training.gradients import gradient_by_time
from adamw_lab.vanishing import recurrent_networks, some_sequences

ADAM = "note, Adam's Innovation"
PROBLEM = "note, The Problem Adam Solved"
DECAY = "note, The Weight Decay Problem"
SPAM = "note, AdamWSPAM"
CONTEXT = "note, The Gradient Problem Context"
CODE = "the code of github.com/mcgrof/AdamWPrune"
CONSTANT = {"total_steps": 1000, "min_lr": 1e-3, "kernel": "eager"}


def _exactly(holds: bool, evidence: str) -> Finding:
    """What a calculation settles with yes or no, so that there is no effect to show."""
    return Finding(SUPPORTED if holds else REFUTED, evidence)


def clipped_share(theta: float, steps: int = 300) -> float:
    """The share of elements of plain Gaussian gradients that AdamWSPAM clips."""
    generator = torch.Generator().manual_seed(0)
    p = nn.Parameter(torch.zeros(1000, dtype=torch.float64))
    rule = AdamWSPAM([p], theta=theta, spike_sigma=None, **CONSTANT)
    for _ in range(steps):
        p.grad = torch.randn(1000, generator=generator, dtype=torch.float64)
        rule.step()
    return float(rule.telemetry()["elements_clipped"]) / (1000 * steps)


def theta_direction(records: Records) -> Finding:
    more = clipped_share(50.0) - clipped_share(10.0)
    return measured(Effect(more, more, more, 1), "300 steps of Gaussian gradients, computed when the ledger is")


def uncentred(records: Records) -> Finding:
    state: dict = {}
    for _ in range(10):
        textbook.adam(torch.zeros(1, dtype=torch.float64), torch.full((1,), 3.0, dtype=torch.float64), state)
    v = float(state["exp_avg_sq"]) / (1 - 0.999**10)
    return _exactly(v == 0, f"gradients that are 3 at every step have variance 0; Adam's v of them is {v:.3g}")


def conservative(rule: str) -> Find:
    def find(records: Records) -> Finding:
        p, state, lengths = torch.zeros(1, dtype=torch.float64), {}, []
        for _ in range(10_000):
            moved = getattr(textbook, rule)(p, torch.ones_like(p), state)
            lengths.append(float((moved - p).abs()))
            p = moved
        shrunk = 1 - lengths[-1] / lengths[999]
        return Finding(SUPPORTED if shrunk > 0.01 else REFUTED, f"under constant gradients: {shrunk:.1%}",
                       Effect(shrunk, shrunk, shrunk, 1))
    return find


def same_rule(records: Records) -> Finding:
    torch.manual_seed(0)
    a = nn.Parameter(torch.randn(50, dtype=torch.float64))
    b = nn.Parameter(a.detach().clone())
    rules = {a: torch.optim.Adam([a]), b: torch.optim.AdamW([b], weight_decay=0.0)}
    for _ in range(100):
        gradient = torch.randn(50, dtype=torch.float64)
        for p, rule in rules.items():
            p.grad = gradient.clone()
            rule.step()
    apart = float((a - b).detach().abs().max())
    return _exactly(apart == 0, f"100 steps of random gradients: largest difference of the weights {apart:.0e}")


def both_in_one(records: Records) -> Finding:
    """Adam without momentum against RMSprop, whose step it is but for the correction of the bias."""
    torch.manual_seed(0)
    start = torch.randn(20, dtype=torch.float64)
    ours, theirs, apart = {}, {}, 0.0
    for t in range(1, 101):
        gradient = torch.randn(20, dtype=torch.float64)
        step = textbook.adam(start, gradient, ours, betas=(0.0, 0.99), eps=0.0, lr=1.0) - start
        rms = textbook.rmsprop(start, gradient, theirs, alpha=0.99, eps=0.0, lr=1.0) - start
        apart = max(apart, float((step - rms * (1 - 0.99**t) ** 0.5).abs().max()))
    return _exactly(apart < 1e-12, "100 steps with beta1 = 0, where the rule is RMSprop's but for the bias of v; "
                                   f"largest difference {apart:.0e}")


def averages(records: Records) -> Finding:
    gradients, state = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), {}
    for gradient in gradients:
        textbook.adam(torch.zeros((), dtype=torch.float64), gradient, state)
    weights = 0.1 * 0.9 ** torch.arange(49, -1, -1, dtype=torch.float64)
    apart = float((state["exp_avg"] - (weights * gradients).sum()).abs())
    return _exactly(apart < 1e-12, f"m against the weighted mean of 50 gradients: largest difference {apart:.0e}; the "
                                   "mean of squares is no variance, see below")


def sparse(records: Records) -> Finding:
    """How much further than SGD Adam takes a weight whose gradient comes in one step of ten, by constant gradients."""
    travel = sparse_travel(["adam", "sgd"], [0.1]).set_index("optimizer")["travel"]
    more = float(travel["adam"] - travel["sgd"])
    return measured(Effect(more, more, more, 1), f"Adam {travel['adam']:.2f}, SGD {travel['sgd']:.2f} of the way")


def uneven(records: Records) -> Finding:
    """The decay that Adam's L2 term comes to for a gradient of deviation 1 by that of deviation 10, less AdamW's."""
    def decays(make: Make) -> list[float]:
        return effective_decay(make, [1.0, 10.0], weight_decay=0.1)["effective_decay"].tolist()

    coupled = decays(lambda params, decay: torch.optim.Adam(params, lr=1e-2, weight_decay=decay))
    decoupled = decays(lambda params, decay: torch.optim.AdamW(params, lr=1e-2, weight_decay=decay))
    less = coupled[0] / coupled[1] - decoupled[0] / decoupled[1]
    return measured(Effect(less, less, less, 1), f"Adam's decay {coupled[0]:.2g} and {coupled[1]:.2g}, AdamW's "
                                                 f"{decoupled[0]:.2g} and {decoupled[1]:.2g}")


def converges(records: Records) -> Finding:
    """Where Adam and AMSGrad end on the counterexample of arXiv 1904.09237, whose minimum is at -1."""
    ends = {name: float(descend(amsgrad=name == "AMSGrad")["x"].iloc[-1]) for name in ("Adam", "AMSGrad")}
    closer = (ends["Adam"] - ends["AMSGrad"]) / 2
    return measured(Effect(closer, closer, closer, 1),
                    f"Adam ends at {ends['Adam']:+.2f}, AMSGrad at {ends['AMSGrad']:+.2f}; the first proof had a gap, "
                    "which arXiv 1904.03590 mends")


def vanishes(records: Records) -> Finding:
    """The gradient that reaches the first of 100 states of a plain recurrent network by that of the last."""
    network = recurrent_networks()["RNN"]
    norms = gradient_by_time(network, *some_sequences(100))
    lost = 1 - float(norms[0] / norms[-1])
    return Finding(SUPPORTED if lost > 0.99 else REFUTED, f"{1 - lost:.0e} of it is left", Effect(lost, lost, lost, 1))


def scale_free(records: Records) -> Finding:
    """How far 100 steps go with gradients a million times smaller, or larger, by how far they go as they are."""
    gradients = torch.randn(100, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def travel(rule: Callable[..., Tensor], scale: float) -> float:
        p, state = torch.zeros(20, dtype=torch.float64), {}
        for gradient in gradients * scale:
            p = rule(p, gradient, state)
        return float(p.norm())

    kept = {rule.__name__: [travel(rule, scale) / travel(rule, 1.0) for scale in (1e-6, 1e6)]
            for rule in (textbook.adam, textbook.sgd)}
    holds = all(abs(share - 1) < 0.05 for share in kept["adam"])
    return _exactly(holds, ", ".join(f"{name} {small:.3g} and {large:.3g} of the way" for name, (small, large)
                                     in kept.items()) + ", with gradients a million times smaller and larger")


FACTS = (
    Claim("Adam combines momentum with RMSprop's adaptive rates", ADAM, "a calculation", both_in_one, "19-21, 154",
          "combined the best of both worlds: Momentum (from SGD) ... Adaptive learning rates (from RMSprop)"),
    Claim("Adam's first moment is an average of recent gradients", ADAM, "a calculation", averages, "26",
          "First moment (mean/momentum): Average of recent gradients"),
    Claim("The second moment is a variance", ADAM, "a calculation", uncentred, "27",
          "Second moment (variance): Average of squared gradients"),
    Claim("Adam handles sparse gradients well", "note, The Adam Optimizer",
          "distance gone with a gradient in one step of ten, by that with one in every step: Adam less SGD", sparse,
          "34", "Works well when only some parameters update frequently"),
    Claim("AdaGrad becomes too conservative over time", PROBLEM, "by how much step 10,000 is shorter than step 1,000",
          conservative("adagrad"), "15", "Adapts step sizes per parameter, but can become too conservative over time."),
    Claim("RMSprop becomes too conservative over time", PROBLEM, "by how much step 10,000 is shorter than step 1,000",
          conservative("rmsprop"), "15", "Adapts step sizes per parameter, but can become too conservative over time."),
    Claim("Coupled decay is less effective for some parameters", DECAY,
          "decay of a weight with little gradient noise by that of one with ten times as much: Adam less AdamW", uneven,
          "42", "making it less effective for some parameters"),
    Claim("AMSGrad fixes that Adam might not converge", "note, AdamWAdv",
          "how much nearer the minimum it ends on the counterexample, as a share of the interval", converges, "66",
          "Fixes a theoretical issue where Adam might not converge by keeping track of maximum historical variance"),
    Claim("Where no decay is wanted Adam will do: it is AdamW without decay", "note, Choosing an Optimizer",
          "a calculation", same_rule, "107", "Consider Adam if you don't need weight decay"),
    Claim("A higher theta clips more", "note, Key Hyperparameters",
          "share of spike-free elements clipped at theta 50 less that at 10", theta_direction, "137",
          "Higher values (50-100) for aggressive spike handling"),
    Claim("Gradients become too weak to update early layers", CONTEXT,
          "a plain recurrent network, how much of the gradient is lost over 100 steps", vanishes, "146",
          "Vanishing Gradients: Signals become too weak to update early layers"),
    Claim("Adam's scaling takes vanishing and exploding out of the size of a step", CONTEXT, "a calculation",
          scale_free, "149", "Adam and its variants help manage these issues through adaptive scaling and momentum"),
    reference("Adam became the default optimizer", "note, The Adam Optimizer", SUPPORTED,
              "arXiv 2007.01547 counts mentions of optimizers on arXiv: Adam's lead by far", "31",
              "Adam quickly became the default optimizer"),
    reference("SPAM is by Nguyen et al., arXiv 2409.07321", SPAM, REFUTED,
              "SPAM is by Huang, Zhu, Jin, Liu, Wang and Liu, ICLR 2025, arXiv 2501.06842; 2409.07321 is about "
              "adversarial training for autonomous driving", "74", "Based on Nguyen et al., 2024"),
    reference("SPAM stands for Spike-Aware Pruning Adaptive Momentum", SPAM, REFUTED,
              "Spike-Aware Adam with Momentum Reset (arXiv 2501.06842); it does not prune", "72",
              "AdamWSPAM (Spike-Aware Pruning Adaptive Momentum)"),
    reference("SPAM detects spikes above 2 standard deviations", SPAM, REFUTED,
              "the paper clips by element where g² > theta v and resets periodically (arXiv 2501.06842); the z-score "
              f"of the norm is from {CODE}", "81", "detect unusual spikes (>2 standard deviations)"),
    reference("SPAM resets momentum when a spike occurs", SPAM, REFUTED,
              "the paper resets every 500 steps, spike or not (arXiv 2501.06842)", "82",
              "Resets momentum when spikes occur"),
    reference("Theta is a temperature by which SPAM adapts", SPAM, REFUTED,
              "theta is the threshold on g² / v, 5000 in the paper (arXiv 2501.06842)", "83",
              "Adapts dynamically based on a temperature parameter θ (theta)"),
    reference("Our tests confirm: AdamWSPAM beats AdamW on ResNet-50 but not on ResNet-18", SPAM, REFUTED,
              f"{CODE}: its ResNet scripts unpack SPAM's settings and never use them; AdamW was compared with and "
              "without AMSGrad", "88", "Our tests confirm"),
    reference("AdamWAdv clips gradients, in the runs behind the note", "note, AdamWAdv", REFUTED,
              f"{CODE}: no ResNet run clipped, and on ResNet-18 every optimizer had cosine annealing", "65-68",
              "Our enhanced version that adds three improvements"),
    reference("AdamWPrune there has minimal memory overhead", "note, AdamWPrune", REFUTED,
              f"{CODE}: 1475 to 1503 MB, against 1475 for movement, 1400 for magnitude, 1307 without pruning; its "
              "masks cost a byte a weight", "95", "Achieves pruning with minimal memory overhead"),
    reference("AdamW is of 2019", "note, The Evolution", SUPPORTED,
              "published at ICLR 2019; as arXiv 1711.05101 it is of November 2017", "36, 155", "AdamW (2019)"),
    reference("AdamW is the default optimizer of PyTorch for transformers", "note, AdamW's Solution", REFUTED,
              "PyTorch has no default optimizer; Hugging Face's Trainer defaults to fused AdamW", "52",
              "It's now the default optimizer in PyTorch for transformers."),
    reference("AdamW became the standard for language models", "note, AdamW's Solution", SUPPORTED,
              "Chinchilla (arXiv 2203.15556) and LLaMA (arXiv 2302.13971) were trained with it", "52, 155",
              "AdamW became the new standard, particularly for language models."),
    reference("Adam is of 2014, by Kingma and Ba", "note, The Adam Optimizer", SUPPORTED,
              "arXiv 1412.6980, December 2014; published at ICLR 2015", "9, 19, 154", "Kingma & Ba, 2014"),
    reference("Adam stands for adaptive moment estimation", ADAM, SUPPORTED, "arXiv 1412.6980", "25",
              "Adaptive Moment estimation"),
    reference("Adam couples weight decay with the adaptive rate, AdamW does not", DECAY,
              SUPPORTED, "arXiv 1711.05101; both rules are printed in optim/textbook.py", "42, 46-47",
              "Weight decay is applied directly to weights, not mixed with gradients"),
    reference("The prefix AdamW tells that a variant is ready for production", "note, Modern Variants", UNTESTED,
              "a name is no test; what is tested here is in the rows of the README", "58-61",
              "It signals they're production-ready (AdamW is battle-tested)"),
)
