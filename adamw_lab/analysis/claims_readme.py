"""What this project's own README claims: the same sentences, so that it is held to them as the note is."""

import copy
import json
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from adamw_lab.analysis.claims import PROFILE, REFUTED, SUPPORTED, Claim, Finding, by_tests, measured
from adamw_lab.analysis.claims_machine import RESNETS, beats_fused, fused_ahead, starts_sooner
from adamw_lab.analysis.recorded import Records
from adamw_lab.analysis.stats import Effect
from adamw_lab.models import build_model
from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM, textbook

CONSTANT = {"total_steps": 1000, "min_lr": 1e-3, "kernel": "eager"}
PUBLISHED = 0.949
"""Test accuracy of a ResNet-18 on Fashion-MNIST, an unverified submission to the data set's list."""


def textbook_agrees(records: Records) -> Finding:
    """Each rule beside its printed form, over 300 steps with a spike of a hundred times the gradient."""
    rules: dict[str, tuple[Callable, Callable]] = {
        "AdamWAdv": (lambda p: AdamWAdv([p], **CONSTANT),
                     lambda p, g, state: textbook.adamw_adv(p, g, state, total_steps=1000, min_lr=1e-3)),
        "AdamWSPAM": (lambda p: AdamWSPAM([p], **CONSTANT),
                      lambda p, g, state: textbook.adamw_spam(p, g, state, total_steps=1000, min_lr=1e-3)),
        "AdamWSPAM.published": (lambda p: AdamWSPAM.published([p], lr=1e-3, reset_interval=100, warmup_steps=30,
                                                              kernel="eager"),
                                lambda p, g, state: textbook.spam_published(p, g, state, reset_interval=100,
                                                                            warmup_steps=30)),
        "AdamWPrune": (lambda p: AdamWPrune([p], target_sparsity=0.0, **CONSTANT),
                       lambda p, g, state: textbook.adamw(p, g, state))}
    apart = {name: _apart(*pair) for name, pair in rules.items()}
    return Finding(SUPPORTED if max(apart.values()) < 1e-12 else REFUTED, "largest difference of the weights: "
                   + ", ".join(f"{name} {value:.0e}" for name, value in apart.items())
                   + "; pruning itself: tests/optim/test_oracle.py")


def _apart(make: Callable[[nn.Parameter], Optimizer], rule: Callable) -> float:
    generator = torch.Generator().manual_seed(0)
    p = nn.Parameter(torch.randn(50, dtype=torch.float64, generator=generator))
    printed, state, optimizer = p.detach().clone(), {}, make(p)
    for step in range(300):
        gradient = torch.randn(50, dtype=torch.float64, generator=generator) * (100.0 if step == 150 else 1.0)
        printed = rule(printed, gradient, state)
        p.grad = gradient
        optimizer.step()
    return float((printed - p.detach()).abs().max())


def checkpoints(records: Records) -> Finding:
    """Ten steps by one, ten more by both from its state: torch's AdamW and each of ours, either way."""
    ours = {"AdamWAdv": lambda p: AdamWAdv([p], amsgrad=False, clip_norm=None, **CONSTANT),
            "AdamWSPAM": lambda p: AdamWSPAM([p], theta=None, spike_sigma=None, **CONSTANT),
            "AdamWPrune": lambda p: AdamWPrune([p], target_sparsity=0.0, **CONSTANT)}
    apart = {}
    for name, make in ours.items():
        apart[f"torch to {name}"] = _handed_over(lambda p: torch.optim.AdamW([p]), make)
        apart[f"{name} to torch"] = _handed_over(make, lambda p: torch.optim.AdamW([p]))
    return Finding(SUPPORTED if max(apart.values()) < 1e-12 else REFUTED, "largest difference of the weights: "
                   + ", ".join(f"{way} {value:.0e}" for way, value in apart.items()))


def _handed_over(before: Callable[[nn.Parameter], Optimizer], after: Callable[[nn.Parameter], Optimizer]) -> float:
    torch.manual_seed(0)
    first = nn.Parameter(torch.randn(20, dtype=torch.float64))
    gradients = torch.randn(20, 20, dtype=torch.float64)
    old = before(first)
    for gradient in gradients[:10]:
        first.grad = gradient.clone()
        old.step()
    second = nn.Parameter(first.detach().clone())
    new = after(second)
    new.load_state_dict(copy.deepcopy(old.state_dict()))  # else both would step one state
    for gradient in gradients[10:]:
        for p, rule in ((first, old), (second, new)):
            p.grad = gradient.clone()
            rule.step()
    return float((first - second).detach().abs().max())


def exact(records: Records) -> Finding:
    """Every pruned run of LeNet-5 at the share asked for, to the weight."""
    runs = records.runs("pruning-lenet5")
    where = f"figures/data/pruning-lenet5-{PROFILE}.csv"
    if runs is None:
        return measured(None, where)
    pruned = runs[runs["optimizer"] == "adamwprune"]
    targets = pruned["optimizer_options"].map(lambda text: json.loads(text)["target_sparsity"])
    missed = float((pruned["sparsity"] - targets).abs().max())
    lenet = build_model("lenet5", channels=1, classes=10, image_size=8)
    weights = sum(p.numel() for p in lenet.parameters() if p.ndim > 1)  # biases are not pruned
    holds = missed <= 0.5 / weights + 1e-7  # the targets are recorded to seven digits
    return Finding(SUPPORTED if holds else REFUTED, f"{where}: {len(pruned)} runs, largest miss {missed:.1e}")


def calibrated(records: Records) -> Finding:
    runs = records.runs("calibration")
    where = f"figures/data/calibration-{PROFILE}.csv"
    if runs is None:
        return measured(None, where)
    reached = runs.set_index("optimizer")["test_accuracy"]
    short = float(reached.max()) - PUBLISHED
    each = ", ".join(f"{name} {value:.1%}" for name, value in reached.items())
    return measured(Effect(short, short, short, 1), f"{where}: {each}; {PUBLISHED:.1%} is published")


README_CLAIMS = (
    Claim("The optimizers do what their papers print", "README", "a calculation", textbook_agrees,
          words="each tested against the rule as its paper prints it"),
    Claim("They load checkpoints of torch.optim.AdamW, and it loads theirs", "README", "a calculation", checkpoints,
          words="They load checkpoints of `torch.optim.AdamW`, and it loads theirs."),
    Claim("On ResNets a step of AdamW's rule is faster than torch's fused one", "README",
          "1 less the ratio of the times of a step, on the one of two ResNets where that is least",
          beats_fused("terms_off", "torch_fused", RESNETS),
          words="on ResNets its fused CPU steps take longer than these do for the same rule"),
    Claim("A step of AdamWSPAM as published is faster than torch's fused AdamW", "README",
          "1 less the ratio of the times of a step, on the one of three models where that is least",
          beats_fused("adamwspam_published", "torch_fused"), words="SPAM as published"),
    Claim("A step of AdamWAdv is faster than torch's fused AMSGrad with clipping", "README",
          "1 less the ratio of the times of a step, on the one of three models where that is least",
          beats_fused("adamwadv", "torch_fused_amsgrad_clip"), words="of torch's fused AMSGrad with clipping"),
    Claim("On an H100 torch's fused step is ahead", "README",
          "the ratio of the times of a step less 1, on the one of three models where that is least", fused_ahead,
          words="On an H100 the host decides how long a step of a small model takes, and torch's fused step is ahead"),
    Claim("A notebook starts ten times sooner from a warm kernel than under papermill", "README",
          "papermill's seconds divided by ours, for a notebook that only imports torch, torchvision, pandas and "
          "seaborn", starts_sooner, words="plain papermill takes"),
    Claim("AdamWPrune's counts are exact", "README", "the largest miss of a target sparsity, to half a weight", exact,
          words="with exact counts and a mask that takes no memory"),
    Claim("SGD and AdamW reach what is published for Fashion-MNIST", "README",
          "the better of the two less what is published; accuracy as a fraction", calibrated,
          words="trained ResNet-18 on the whole of Fashion-MNIST for four epochs"),
    by_tests("A killed run goes on and ends with the same bits",
             "tests/training/test_resume.py::test_killed_at_ten_random_moments, "
             "tests/training/test_resume.py::test_a_stopped_run_goes_on_to_the_bit",
             "A run that is killed at any moment goes on from its last checkpoint and ends with the same bits."),
    by_tests("Nothing runs twice in a batch",
             "tests/experiments/test_killed_batch.py, "
             "tests/experiments/test_batch.py::test_one_failure_stops_no_other_and_done_points_are_skipped",
             "Nothing runs twice."),
    by_tests("Batches share their points",
             "tests/experiments/test_batch.py::test_four_batches_share_the_points",
             "each takes the next point that is neither done nor running elsewhere"),
    by_tests("Figures are redrawn byte for byte",
             "tests/figures/test_registry.py::test_all_committed_figures_are_redrawn_to_the_byte",
             "redraws every figure from the numbers in `figures/data/`, byte for byte"),
)
