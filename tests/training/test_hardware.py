"""The block of reproducibility leaves no trace, and its inside does not depend on what was before."""

import pytest
import torch

from adamw_lab.training.hardware import reproducible, resolve_device


def settings():
    return (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory,
            torch.get_rng_state().tolist())


def test_everything_is_as_before_even_after_an_error():
    before = settings()
    with pytest.raises(KeyError), reproducible(seed=1, device="cpu", threads=1):
        torch.rand(3)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        raise KeyError
    assert settings() == before


def test_random_numbers_inside_depend_on_the_seed_alone():
    draws = []
    for _ in range(2):
        torch.rand(3)
        with reproducible(seed=7, device="cpu", threads=torch.get_num_threads()):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)


@pytest.mark.parametrize(("cuda", "mps", "device"),
                         [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_device(monkeypatch, cuda, mps, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == device


def test_an_index_beyond_the_devices_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(ValueError, match="device 'cuda:2' is not on this machine; allowed: an index below 2"):
        resolve_device("cuda:2")
