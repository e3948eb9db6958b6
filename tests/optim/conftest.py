"""Every test draws the same numbers each time, in whatever order they run."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
