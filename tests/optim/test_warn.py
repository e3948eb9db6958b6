"""Warnings that point at the user's line."""

import warnings

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM


def weight():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    return p


def step_without_annealing():
    AdamWAdv([weight()]).step()


def step_annealed_twice():
    optimizer = AdamWSPAM([weight()], total_steps=9)
    StepLR(optimizer, 1)
    optimizer.step()


def load_other_terms():
    AdamWSPAM([weight()], theta=None).load_state_dict(AdamWSPAM([weight()], theta=9.0).state_dict())


def load_after_the_last_mask():
    dense = torch.optim.AdamW([weight()])
    for _ in range(9):
        dense.step()
    AdamWPrune([weight()], target_sparsity=0.5, begin_step=0, end_step=5).load_state_dict(dense.state_dict())


@pytest.mark.parametrize(("act", "message"), [
    (step_without_annealing, "does not anneal"), (step_annealed_twice, "anneals by itself"),
    (load_other_terms, "switches terms"), (load_after_the_last_mask, "prunes nothing")])
def test_a_warning_names_the_line_that_called(act, message):
    with pytest.warns(UserWarning, match=message) as caught:
        act()
    (told,) = [w for w in caught if message in str(w.message)]
    assert told.filename == __file__


def test_a_warning_turned_into_an_error_is_raised_there():
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="does not anneal"):
        warnings.simplefilter("error")
        step_without_annealing()
