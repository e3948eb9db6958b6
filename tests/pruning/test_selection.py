import math
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.pruning import kth_smallest, lowest_masks, selection

SPECIAL = [0.0, -0.0, math.inf, -math.inf, 1e-45, -1e-45, 1e-40, 1.0, -1.0, 3.4e38, -3.4e38]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def floats(width):
    return st.one_of(st.sampled_from(SPECIAL), st.floats(allow_nan=False, width=width), st.integers(-3, 3).map(float))


@st.composite
def cases(draw):
    """Some tensors (ties and empty ones among them), and a k that fits."""
    dtype = draw(st.sampled_from(DTYPES))
    width = 64 if dtype is torch.float64 else 32
    lists = draw(st.lists(st.lists(floats(width), max_size=12), min_size=1, max_size=4).filter(any))
    tensors = [torch.tensor(values, dtype=torch.float64).to(dtype) for values in lists]
    return tensors, draw(st.integers(1, sum(t.numel() for t in tensors)))


@pytest.fixture(params=["compiled", "torch"])
def counter(request, monkeypatch):
    """With the compiled loops, and without Numba."""
    if request.param == "torch":
        monkeypatch.setattr(selection, "_compiled", lambda: None)


@pytest.mark.parametrize("counter", ["compiled", "torch"])
@settings(max_examples=60)
@given(case=cases())
def test_equals_kthvalue_of_the_concatenation(counter, case):
    tensors, k = case
    with pytest.MonkeyPatch.context() as patch:
        if counter == "torch":
            patch.setattr(selection, "_compiled", lambda: None)
        found = kth_smallest(tensors, k)
    assert found == torch.cat(tensors).double().kthvalue(k).values
    assert found.ndim == 0
    assert found.dtype == (torch.float64 if tensors[0].dtype is torch.float64 else torch.float32)


@given(case=cases())
def test_masks_hold_exactly_the_k_smallest_and_the_first_of_equals(case):
    tensors, k = case
    values = torch.cat(tensors).double() + 0.0
    expected = torch.zeros(len(values), dtype=torch.bool)
    expected[values.sort(stable=True).indices[:k]] = True
    assert torch.equal(torch.cat(list(lowest_masks(tensors, k))), expected)


def test_none_and_all():
    tensors = [torch.tensor([1.0, -math.inf, math.inf]), torch.zeros(2, 0)]
    assert [m.tolist() for m in lowest_masks(tensors, 0)] == [[False] * 3, [[], []]]
    assert [m.tolist() for m in lowest_masks(tensors, 3)] == [[True] * 3, [[], []]]


def test_large_tensors_are_shared_among_threads_and_split_in_slices(counter, monkeypatch):
    monkeypatch.setattr(selection, "_SHARED", 1000)
    monkeypatch.setattr(selection, "_SLICE", 3000)
    torch.manual_seed(0)
    tensors = [torch.randn(10_001), torch.randn(999), torch.randn(100, 100).mul(8).round()]
    for k in (1, 7_000, 14_000, 21_000):
        assert kth_smallest(tensors, k) == torch.cat([t.flatten() for t in tensors]).kthvalue(k).values
        assert sum(int(m.sum()) for m in lowest_masks(tensors, k)) == k


def test_ties_are_taken_in_row_major_order_whatever_the_strides():
    ties = torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last)
    (mask,) = lowest_masks([ties], 7)
    assert mask.flatten().tolist() == [True] * 7 + [False] * 17


def test_strided_and_requires_grad():
    base = torch.randn(6, 8, requires_grad=True)
    part = base[::2, 1::3]
    assert kth_smallest([part, base.T], 20) == torch.cat([part.flatten(), base.flatten()]).kthvalue(20).values


def test_float64_after_float32_is_compared_in_float64():
    tensors = [torch.tensor([1.0, 2.0]), torch.tensor([1.0 + 1e-12], dtype=torch.float64)]
    assert kth_smallest(tensors, 2).item() == 1.0 + 1e-12
    assert [m.tolist() for m in lowest_masks(tensors, 2)] == [[True, False], [True]]


def test_scores_are_recomputed_and_never_held_together():
    alive, most = 0, 0

    class Scores:
        def __iter__(self):
            nonlocal alive, most
            for seed in range(5):
                score = torch.randn(50, generator=torch.Generator().manual_seed(seed))
                alive += 1
                most = max(most, alive)
                yield score
                alive -= 1

    assert sum(int(m.sum()) for m in lowest_masks(Scores(), 77)) == 77
    assert most == 1


def test_nan_is_located():
    tensors = [torch.ones(3), torch.tensor([math.nan, 1.0, -math.nan]), torch.full((2,), math.nan)]
    with pytest.raises(ValueError, match="NaN cannot be ranked: 2 in tensor 1, 2 in tensor 2"):
        kth_smallest(tensors, 1)
    with pytest.raises(ValueError, match="2 in tensor conv.weight"):
        lowest_masks(tensors, 0, names=["a", "conv.weight", "b"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_and_infinity_are_told_apart(counter, dtype):
    integer = {torch.float32: torch.int32, torch.float64: torch.int64}[dtype]
    infinity = torch.tensor([math.inf], dtype=dtype)
    assert kth_smallest([infinity, -infinity], 2) == math.inf
    smallest_nan = (infinity.view(integer) + 1).view(dtype)
    with pytest.raises(ValueError, match="2 in tensor 0"):
        kth_smallest([torch.cat([smallest_nan, -smallest_nan])], 1)


@pytest.mark.parametrize("k", [0, 6, -1, 2.0, True])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"Invalid k: {k}; allowed: from 1 to 5"):
        kth_smallest([torch.ones(2), torch.ones(3)], k)


def test_what_cannot_be_ranked():
    with pytest.raises(ValueError, match="no tensors"):
        kth_smallest([], 1)
    with pytest.raises(TypeError, match="tensor 1 is torch.int64"):
        kth_smallest([torch.ones(1), torch.ones(1, dtype=torch.int64)], 1)
    with pytest.raises(TypeError, match="only once"):
        kth_smallest((t for t in [torch.ones(1)]), 1)


def test_numba_is_imported_when_first_needed():
    code = "import sys, adamw_lab.pruning; assert not {'numba', 'pandas', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def whole():
    torch.manual_seed(3)
    return [torch.randn(9, 4), torch.zeros(7, 3), torch.randn(5, 2).round(), torch.tensor([[-0.0], [0.0], [-math.inf]])]


def select_sharded(rank, ranks, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=ranks)
    shards = [t.tensor_split([1 if len(t) == 3 else 3])[rank] for t in whole()]
    total = sum(t.numel() for t in whole())
    flat = torch.cat([t.flatten() for t in whole()])
    group = dist.group.WORLD
    for k in [*range(1, total, 5), total]:
        assert kth_smallest(shards, k, group) == flat.kthvalue(k).values
        expected = [m.tensor_split([1 if len(m) == 3 else 3])[rank] for m in lowest_masks(whole(), k)]
        found = list(lowest_masks(shards, k, group))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    broken = [*shards[:3], shards[3] * (math.nan if rank == 1 else 1)]
    with pytest.raises(ValueError, match="2 in tensor 3"):
        kth_smallest(broken, 1, group)
    with pytest.raises(ValueError, match=f"Invalid k: 0; allowed: from 1 to {total}"):
        kth_smallest(shards, 0, group)
    dist.destroy_process_group()


def test_sharded_over_two_processes_as_in_one(tmp_path):
    mp.start_processes(select_sharded, (2, tmp_path / "store"), nprocs=2, start_method="spawn")


def test_a_negated_view_is_read_as_what_it_stands_for():
    part = torch.randn(50, dtype=torch.complex64).conj().imag
    assert part.is_neg()
    assert kth_smallest([part], 10) == part.resolve_neg().kthvalue(10).values
    assert torch.equal(next(lowest_masks([part], 10)), part <= part.resolve_neg().kthvalue(10).values)
