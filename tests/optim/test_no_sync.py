"""No step waits for an accelerator: tensors on the meta device have no values, so that reading one raises.

Where there is a GPU, torch's own watch for synchronizations looks on too, at the GPU's kernel and with loss scaling.
"""

import pytest
import torch

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM, policy

EVERYTHING = dict(reset_interval=5, warmup_steps=3, grace_steps=2, spike_decay=(0.0, 0.0), amsgrad=True, clip_norm=1.0,
                  total_steps=50)
MAKERS = {
    "adv": lambda params: AdamWAdv(params, total_steps=100),
    "spam": AdamWSPAM,
    "spam with every term": lambda params: AdamWSPAM(params, **EVERYTHING),
    "published": AdamWSPAM.published,
    "prune": lambda params: AdamWPrune(params, begin_step=50, end_step=60),
}


def parameters(device):
    return [torch.nn.Parameter(torch.zeros(shape, device=device)) for shape in [(4, 4), (3,)]]


def take_steps(optimizer, params, steps=range(4)):
    for step in steps:
        for p in params:
            p.grad = torch.ones_like(p)
        if step == 3:
            params[0].grad = None
        optimizer.step()


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_reads_nothing_back(name):
    params = parameters("meta")
    optimizer = MAKERS[name](params)
    take_steps(optimizer, params)
    clock = optimizer.param_groups[0]["group_step"]
    assert clock.device.type == "meta" if policy.resets_at_spikes(optimizer.param_groups[0]) else float(clock) == 4
    seen = {name: number.device.type for name, number in optimizer.telemetry().items() if name != "resets"}
    assert set(seen.values()) <= {"meta"} and (seen or name == "prune")


def test_reading_a_tensor_without_values_does_raise():
    with pytest.raises(RuntimeError, match="meta"):
        torch.empty((), device="meta").item()
    with pytest.raises(NotImplementedError, match="meta"):
        torch.empty((), device="meta").cpu()


if torch.cuda.is_available():
    @pytest.fixture
    def watched():
        yield lambda: torch.cuda.set_sync_debug_mode("error")
        torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.parametrize("scaled", [False, True])
    @pytest.mark.parametrize("name", MAKERS)
    def test_a_step_does_not_wait_for_the_gpu(name, scaled, watched):
        params = parameters("cuda")
        optimizer = MAKERS[name](params)
        if scaled:
            optimizer.grad_scale, optimizer.found_inf = (torch.full((), x, device="cuda") for x in (8.0, 0.0))
        take_steps(optimizer, params, range(2))  # compiles, brings the clock to the device and reads it once
        watched()
        take_steps(optimizer, params, range(2, 5))

    def test_the_watch_raises(watched):
        watched()
        with pytest.raises(RuntimeError, match="synchronizing"):
            torch.ones((), device="cuda").item()
