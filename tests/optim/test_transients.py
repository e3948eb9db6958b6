"""What a step takes for a moment: no more than the largest tensor, in either kernel of the CPU."""

import pytest
import torch

from adamw_lab.bench.transients import transient_bytes
from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM

LARGEST = (1024, 2304)  # that of ResNet-50
SHAPES = [LARGEST, (32, 16, 3, 3), (300,), (), *[(256, 512)] * 20, *[(64,)] * 20]
PYTHON = 200_000
"""Bytes that Python's own objects may take."""
MAKERS = {
    "adv": lambda params, kernel: AdamWAdv(params, total_steps=100, kernel=kernel),
    "spam": lambda params, kernel: AdamWSPAM(params, amsgrad=True, clip_norm=1.0, kernel=kernel),
    "published": lambda params, kernel: AdamWSPAM.published(params, kernel=kernel),
    "prune": lambda params, kernel: AdamWPrune(params, begin_step=50, end_step=60, kernel=kernel),
    "prune, a mask update": lambda params, kernel: AdamWPrune(params, begin_step=2, end_step=60, update_every=1,
                                                              kernel=kernel),
    "prune and regrow": lambda params, kernel: AdamWPrune(params, begin_step=2, end_step=60, update_every=1,
                                                          regrow=0.1, kernel=kernel),
}


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_step_takes_no_more_than_the_largest_tensor(name, kernel):
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer = MAKERS[name](params, kernel)
    for _ in range(3):
        optimizer.step()
    taken = transient_bytes(optimizer.step)
    assert taken <= 4 * LARGEST[0] * LARGEST[1] + PYTHON
