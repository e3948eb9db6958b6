"""Set-up that must come before any test module is imported."""

import os
import signal

import pytest
import torch

# Triton decides at import whether to interpret its kernels: without a GPU that is how ours is tested.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
# A script's job in the background ignores Ctrl-C, and so would the programs that tests start, to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Lion(torch.optim.Optimizer):
    """A reader's optimizer: arXiv 2302.06675."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (b1, b2), decay = group["lr"], group["betas"], group["weight_decay"]
            for p in (p for p in group["params"] if p.grad is not None):
                if p not in self.state:
                    self.state[p]["exp_avg"] = torch.zeros_like(p)
                m = self.state[p]["exp_avg"]
                p.mul_(1 - lr * decay).sub_(lr * (b1 * m + (1 - b1) * p.grad).sign())
                m.lerp_(p.grad, 1 - b2)


@pytest.fixture
def fresh_names():
    """Whatever a test registers is gone after it."""
    from adamw_lab.optim import OPTIMIZERS

    before = set(OPTIMIZERS)
    yield
    for name in set(OPTIMIZERS) - before:
        del OPTIMIZERS[name]


@pytest.fixture
def lion(fresh_names):
    """The class, registered as "lion"."""
    from adamw_lab.optim import register

    register("lion", Lion)
    return Lion
