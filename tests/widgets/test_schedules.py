"""The schedule designer draws what the optimizers, and torch's schedulers, apply."""

import numpy as np
import pytest
import torch

from adamw_lab.figures.schedules import applied_rates, torch_rates
from adamw_lab.optim import AdamWPrune
from adamw_lab.widgets import Explorer, schedules
from adamw_lab.widgets.controls import values_of


@pytest.fixture
def explorer():
    given = {"total_steps": 100, "end_step": 80, "begin_step": 20, "update_every": 15, "reset_interval": 0}
    made = Explorer(schedules.fig_designed, schedules.CONTROLS, values_of(schedules.CONTROLS, given),
                    {"columns": 2, "width": 7.0, "height": 2.6})
    yield made
    made.close()


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def test_the_rates_are_those_applied(explorer):
    assert set(lines(explorer.axes[0])) == {"of the update"}
    for name, value in {"reset_interval": 30, "warmup_steps": 10, "min_lr": 0.005}.items():
        explorer.controls[name].value = value
    update, decay = applied_rates(100, lr=0.02, min_lr=0.005, reset_interval=30, warmup_steps=10)
    drawn = lines(explorer.axes[0])
    np.testing.assert_allclose(drawn["of the update"][:, 1], update)
    np.testing.assert_allclose(drawn["of the decay"][:, 1], decay)
    assert [text.get_text() for text in explorer.axes[0].get_legend().texts] == ["of the decay", "of the update"]
    explorer.controls["reset_interval"].value = 0
    assert set(lines(explorer.axes[0])) == {"of the update"} and explorer.axes[0].get_legend() is None


def test_an_initial_warm_up_is_torchs_and_says_so(explorer):
    explorer.controls["initial_warmup"].value = 20
    rates = lines(explorer.axes[0])["under torch's LinearLR, then cosine"][:, 1]
    p = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=0.02)  # its step under a gradient of 1 is as long as the rate
    parts = [torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 20, total_iters=20),
             torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)]
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [20])
    for rate in rates:
        before, p.grad = p.item(), torch.ones_like(p)
        optimizer.step()
        scheduler.step()
        assert before - p.item() == pytest.approx(rate, abs=1e-12)
    explorer.controls["anneal"].value = False
    flat = lines(explorer.axes[0])["under torch's LinearLR"][:, 1]
    np.testing.assert_allclose(flat[20:], 0.02)
    np.testing.assert_allclose(flat[:20], np.linspace(0.001, 0.02, 21)[:20])


def test_the_stair_is_what_adamwprune_reaches(explorer):
    explorer.controls["schedules"].value = ("linear",)
    p = torch.nn.Parameter(torch.randn(100, 100, generator=torch.Generator().manual_seed(0)))
    optimizer = AdamWPrune([p], target_sparsity=0.7, begin_step=20, end_step=80, update_every=15, schedule="linear",
                           total_steps=100)
    (x, y), = (line.get_data() for line in explorer.axes[1].lines)
    for step in range(1, 101):
        p.grad = torch.ones_like(p)
        optimizer.step()
        shown = y[np.searchsorted(x, step, side="right") - 1] if step < 100 else y[-1]
        assert 100 * optimizer.sparsity() == pytest.approx(shown, abs=0.01), step


@pytest.mark.parametrize(("name", "value", "message"), [
    ("end_step", 101, "Invalid end_step value: 101; allowed: up to total_steps = 100"),
    ("begin_step", 90, "Invalid begin_step, end_step: 90, 80; allowed: begin <= end"),
    ("schedules", (), "no sparsity schedule is chosen; allowed: one or more of cubic"),
    ("lr", 1e-5, None), ("initial_warmup", 100, "Invalid warmup_steps value: 100; allowed: from 1 to below total")])
def test_wrong_settings_are_told(explorer, name, value, message):
    explorer.controls[name].value = value
    assert explorer.message.startswith(message) if message else explorer.message == ""
    if name == "lr":
        explorer.controls["min_lr"].value = 0.02
        assert explorer.message.startswith("Invalid min_lr value: 0.02; allowed: from 0 to lr = ")


def test_torchs_warm_up_refuses_a_floor_above_the_rate():
    with pytest.raises(ValueError, match="Invalid min_lr value: 0.2"):
        torch_rates(10, lr=0.1, min_lr=0.2, warmup_steps=2)
