"""No step waits for an accelerator: on fake CUDA tensors, which have no values, reading one raises."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM
from adamw_lab.optim.masks import pools

EVERYTHING = dict(reset_interval=5, warmup_steps=3, grace_steps=2, spike_decay=(0.0, 0.0), amsgrad=True, clip_norm=1.0,
                  total_steps=50)
MAKERS = {
    "adv": lambda params: AdamWAdv(params, total_steps=100, kernel="eager"),
    "spam": lambda params: AdamWSPAM(params, kernel="eager", **EVERYTHING),
    "published": lambda params: AdamWSPAM.published(params, kernel="eager"),
    "prune": lambda params: AdamWPrune(params, kernel="eager", begin_step=50, end_step=60),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_reads_nothing_back(name):
    with FakeTensorMode():
        params = [torch.nn.Parameter(torch.empty(shape, device="cuda")) for shape in [(4, 4), (3,)]]
        optimizer = MAKERS[name](params)
        if name == "prune":  # as after its first step, which reads the clock once
            optimizer._calls_to_update = {0: (pools(optimizer)[0].settings, 49)}
        for step in range(4):
            for p in params:
                p.grad = torch.empty_like(p)
            if step == 3:
                params[0].grad = None
            optimizer.step()
        assert all(value.device.type == "cuda" for value in optimizer.telemetry().values())


def test_reading_a_fake_value_does_raise():
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        torch.empty((), device="cuda").item()
