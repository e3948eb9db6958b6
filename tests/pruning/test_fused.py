"""The compiled scores against those of torch, and what is selected by them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.optim import AdamWPrune, masks
from adamw_lab.pruning import IMPORTANCE, kth_smallest, select
from adamw_lab.pruning.fused import SCORES, FusedScores

SHAPES = [(40, 7), (3, 5, 3, 3), (130, 130), (2, 2)]
CORRECTIONS = [(1 - 0.9**k, 1 - 0.999**k) for k in (1, 4, 5, 900)]


def columns(dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w, m, v = ([torch.randn(shape, dtype=dtype, generator=generator) for shape in SHAPES] for _ in range(3))
    v = [t.square().mul_(1e-3) for t in v]
    dead = [torch.rand(shape, generator=generator) < 0.3 for shape in SHAPES]
    for i, mask in enumerate(dead):
        for column, mark in ((w, 0.0), (m, 0.0), (v, -0.0)):
            column[i].masked_fill_(mask, mark)
    return [w, m, v]


def expected(name, rows):
    found = []
    for w, m, v, (by_m, by_v) in zip(*rows, CORRECTIONS, strict=True):
        score = IMPORTANCE[name](w, m / by_m, v / by_v)
        found.append(torch.where((v == 0) & v.signbit(), -math.inf, score))
    return found


ROOTLESS = ("magnitude", "fisher", "saliency")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ROOTLESS)
@given(part=st.floats(0, 1))
def test_thresholds_and_ties_are_exact(name, dtype, part):
    rows = columns(dtype)
    scores = expected(name, rows)
    k = max(1, round(part * sum(s.numel() for s in scores)))
    found, ties, equal = select(FusedScores(name, rows, CORRECTIONS), k)
    threshold = kth_smallest(scores, k)
    assert found.dtype == dtype and found == threshold
    assert equal == sum(int((s == threshold).sum()) for s in scores)
    assert ties == k - sum(int((s < threshold).sum()) for s in scores)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [name for name in SCORES if name not in ROOTLESS])
@given(part=st.floats(0.35, 1))
def test_thresholds_differ_from_torchs_by_the_rounding_of_its_root(name, dtype, part):
    """torch takes roots by a library that may err in the last place; the compiled ones do not."""
    rows = columns(dtype)
    scores = expected(name, rows)
    k = round(part * sum(s.numel() for s in scores))
    found, _, _ = select(FusedScores(name, rows, CORRECTIONS), k)
    torch.testing.assert_close(found, kth_smallest(scores, k), rtol=4 * torch.finfo(dtype).eps, atol=0.0)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_what_scores_at_most_the_limit_is_zeroed_and_marked(amsgrad):
    rows = columns(torch.float32)
    rows += [[v.abs() + 1 for v in rows[2]]] if amsgrad else []
    scores, before = expected("fisher", rows[:3]), [[t.clone() for t in column] for column in rows]
    limit = float(kth_smallest(scores, 12_000))
    version = rows[0][0]._version
    FusedScores("fisher", rows, CORRECTIONS).prune(limit, 1)
    assert rows[0][0]._version > version
    for column, old, mark in zip(rows, before, (0.0, 0.0, -0.0, 0.0), strict=False):
        for now, then, score in zip(column, old, scores, strict=True):
            wanted = torch.where(score <= limit, torch.tensor(mark), then).numpy()
            np.testing.assert_array_equal(now.numpy().view(np.int32), wanted.view(np.int32))


def test_a_nan_is_refused_by_the_parameters_name():
    rows = columns(torch.float32)
    rows[0][2][0, 0] = math.nan
    rows[2][2][0, 0] = 1.0
    with pytest.raises(ValueError, match="NaN cannot be ranked: 1 in tensor third"):
        select(FusedScores("magnitude", rows, CORRECTIONS), 3, names=["first", "second", "third", "fourth"])


@pytest.mark.parametrize("importance", [*SCORES, "movement_to_zero", "random"])
@pytest.mark.parametrize("base", ["adamw", "adamwadv"])
def test_both_kernels_prune_the_same_weights(importance, base):
    found = []
    for kernel in ("eager", "cpu"):
        generator = torch.Generator().manual_seed(1)
        params = [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64)) for s in SHAPES]
        options = {} if base == "adamw" else {"total_steps": 9}
        optimizer = AdamWPrune(params, base=base, importance=importance, kernel=kernel, target_sparsity=0.6,
                               begin_step=2, end_step=6, update_every=2, **options)
        for _ in range(6):
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            optimizer.step()
        found.append(torch.cat([m.flatten() for m in optimizer.masks().values()]))
        assert int(found[-1].sum()) == round(0.6 * sum(p.numel() for p in params))
    assert torch.equal(*found)


@pytest.mark.parametrize("most", [0, 10**6])
@given(values=st.lists(st.integers(-3, 3), min_size=72, max_size=72), part=st.floats(0, 0.99))
def test_ties_go_by_tensor_and_row_major_index(values, part, most):
    """The same weights, with ties in every tensor and layout, by the listing of positions and by whole masks."""
    numbers = torch.tensor(values, dtype=torch.float32)
    shapes = [((4, 2, 3, 2), torch.channels_last), ((8, 3), torch.contiguous_format)]
    params = [torch.nn.Parameter(t.view(shape).clone(memory_format=layout))
              for t, (shape, layout) in zip(numbers.split([48, 24]), shapes, strict=True)]
    optimizer = AdamWPrune(params, lr=0.0, importance="magnitude", target_sparsity=part, begin_step=1, end_step=1,
                           kernel="cpu")
    for p in params:
        p.grad = torch.ones_like(p)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "MOST_TIES", most)
        optimizer.step()
    count = round(part * 72)
    order = numbers.abs().sort(stable=True).indices[:count]
    wanted = torch.zeros(72, dtype=torch.bool)
    wanted[order] = True
    assert torch.equal(torch.cat([m.flatten() for m in optimizer.masks().values()]), wanted)
