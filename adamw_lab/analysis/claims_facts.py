"""The claims that publications settle, or a calculation that takes no training."""

import copy

import torch
from torch import nn

from adamw_lab.analysis.claims import Claim, Find, Finding, reference
from adamw_lab.analysis.recorded import Records
from adamw_lab.analysis.stats import VERDICTS, Effect
from adamw_lab.optim import AdamWAdv, AdamWSPAM, textbook

SUPPORTED, REFUTED, _, UNTESTED = VERDICTS
CODE = "the code of github.com/mcgrof/AdamWPrune"
CONSTANT = {"total_steps": 1000, "min_lr": 1e-3, "kernel": "eager"}


def _exactly(value: float, holds: bool, evidence: str) -> Finding:
    return Finding(SUPPORTED if holds else REFUTED, evidence, Effect(value, value, value, 1))


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
    return _exactly(more, more > 0, "300 steps of Gaussian gradients, computed when the ledger is")


def uncentred(records: Records) -> Finding:
    state: dict = {}
    for _ in range(10):
        textbook.adam(torch.zeros(1, dtype=torch.float64), torch.full((1,), 3.0, dtype=torch.float64), state)
    v = float(state["exp_avg_sq"]) / (1 - 0.999**10)
    return _exactly(-v, v == 0, "gradients that are 3 at every step have variance 0; Adam's v of them is 9")


def conservative(rule: str) -> Find:
    def find(records: Records) -> Finding:
        p, state, lengths = torch.zeros(1, dtype=torch.float64), {}, []
        for _ in range(10_000):
            moved = getattr(textbook, rule)(p, torch.ones_like(p), state)
            lengths.append(float((moved - p).abs()))
            p = moved
        shrunk = 1 - lengths[-1] / lengths[100]
        return _exactly(shrunk, shrunk > 0.5, "constant gradients: how much shorter step 10,000 is than step 100")
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
    return _exactly(-apart, apart == 0, "100 steps of random gradients, computed when the ledger is")


def textbook_agrees(records: Records) -> Finding:
    torch.manual_seed(0)
    p = nn.Parameter(torch.randn(50, dtype=torch.float64))
    printed, state = p.detach().clone(), {}
    rule = AdamWSPAM([p], theta=50.0, **CONSTANT)
    for step in range(200):
        gradient = torch.randn(50, dtype=torch.float64) * (100.0 if step == 150 else 1.0)
        printed = textbook.adamw_spam(printed, gradient, state)
        p.grad = gradient
        rule.step()
    apart = float((printed - p.detach()).abs().max())
    return _exactly(-apart, apart < 1e-12, "AdamWSPAM over 200 steps with a spike, against optim/textbook.py")


def checkpoints(records: Records) -> Finding:
    torch.manual_seed(0)
    start = torch.randn(20, dtype=torch.float64)
    theirs, ours = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    torchs = torch.optim.AdamW([theirs])
    lab = AdamWAdv([ours], amsgrad=False, clip_norm=None, **CONSTANT)
    gradients = torch.randn(20, 20, dtype=torch.float64)
    for gradient in gradients[:10]:
        theirs.grad = gradient.clone()
        torchs.step()
    ours.data.copy_(theirs.data)
    lab.load_state_dict(copy.deepcopy(torchs.state_dict()))  # else both would step one state
    for gradient in gradients[10:]:
        for p, rule in ((theirs, torchs), (ours, lab)):
            p.grad = gradient.clone()
            rule.step()
    apart = float((ours - theirs).detach().abs().max())
    return _exactly(-apart, apart < 1e-12, "ten steps by torch's AdamW, ten more by both from its state")


FACTS = (
    Claim("A higher theta handles spikes more aggressively", "note, Key Hyperparameters",
          "share of spike-free elements clipped at theta 50 less that at 10", theta_direction),
    Claim("The second moment is a variance", "note, Adam's Innovation", "v of a constant gradient, negative",
          uncentred),
    Claim("AdaGrad becomes too conservative over time", "note, The Problem Adam Solved",
          "by how much a step shrinks under constant gradients", conservative("adagrad")),
    Claim("RMSprop becomes too conservative over time", "note, The Problem Adam Solved",
          "by how much a step shrinks under constant gradients", conservative("rmsprop")),
    Claim("Where no decay is wanted Adam will do: it is AdamW without decay", "note, Choosing an Optimizer",
          "largest difference of the weights, negative", same_rule),
    Claim("The optimizers do what their papers print", "README", "largest difference of the weights, negative",
          textbook_agrees),
    Claim("They load checkpoints of torch.optim.AdamW", "README", "largest difference of the weights, negative",
          checkpoints),
    reference("SPAM is by Nguyen et al., arXiv 2409.07321", "note, AdamWSPAM", REFUTED,
              "SPAM is by Huang, Zhu, Jin, Liu, Wang and Liu, ICLR 2025, arXiv 2501.06842; 2409.07321 is about "
              "adversarial training for autonomous driving"),
    reference("SPAM stands for Spike-Aware Pruning Adaptive Momentum", "note, AdamWSPAM", REFUTED,
              "Spike-Aware Adam with Momentum Reset (arXiv 2501.06842); it does not prune"),
    reference("SPAM detects spikes above 2 standard deviations", "note, AdamWSPAM", REFUTED,
              "the paper clips by element where g² > theta v and resets periodically (arXiv 2501.06842); the z-score "
              f"of the norm is from {CODE}"),
    reference("SPAM resets momentum when a spike occurs", "note, AdamWSPAM", REFUTED,
              "the paper resets every 500 steps, spike or not (arXiv 2501.06842)"),
    reference("Theta is a temperature by which SPAM adapts", "note, AdamWSPAM", REFUTED,
              "theta is the threshold on g² / v, 5000 in the paper (arXiv 2501.06842)"),
    reference("Our tests confirm: AdamWSPAM beats AdamW on ResNet-50 but not on ResNet-18", "note, AdamWSPAM", REFUTED,
              f"{CODE}: its ResNet scripts unpack SPAM's settings and never use them; AdamW was compared with and "
              "without AMSGrad"),
    reference("AdamWAdv clips gradients, in the runs behind the note", "note, AdamWAdv", REFUTED,
              f"{CODE}: no run clipped, and on ResNet-18 every optimizer had cosine annealing"),
    reference("AdamWPrune there has minimal memory overhead", "note, AdamWPrune", REFUTED,
              f"{CODE}: 1475 to 1503 MB, against 1475 for movement, 1400 for magnitude, 1307 without pruning; its "
              "masks cost a byte a weight"),
    reference("AMSGrad fixes that Adam might not converge", "note, AdamWAdv", REFUTED,
              "AMSGrad's own proof has an error (arXiv 1904.03590); the fix is another rule"),
    reference("AdamW is of 2019", "note, The Evolution", REFUTED, "arXiv 1711.05101, November 2017; ICLR 2019"),
    reference("AdamW is the default optimizer of PyTorch for transformers", "note, AdamW's Solution", REFUTED,
              "PyTorch has no default optimizer; Hugging Face's Trainer defaults to fused AdamW"),
    reference("Adam is of 2014, by Kingma and Ba", "note, The Adam Optimizer", SUPPORTED,
              "arXiv 1412.6980, December 2014; ICLR 2015"),
    reference("Adam stands for adaptive moment estimation", "note, Adam's Innovation", SUPPORTED, "arXiv 1412.6980"),
    reference("Adam couples weight decay with the adaptive rate, AdamW does not", "note, The Weight Decay Problem",
              SUPPORTED, "arXiv 1711.05101; both rules are printed in optim/textbook.py"),
    reference("Adam handles sparse gradients well", "note, The Adam Optimizer", UNTESTED,
              "no task here has sparse gradients"),
    reference("Cosine annealing improves training", "note, AdamWAdv", UNTESTED,
              "every recorded run is annealed; adamw-lab fit schedule=constant is the other"),
)
