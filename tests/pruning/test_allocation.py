from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.pruning import allocate, nm_mask, parse_pattern

SHAPES = st.lists(st.lists(st.integers(0, 12), min_size=2, max_size=4), min_size=1, max_size=6)
SPARSITY = st.floats(0, 1, exclude_max=True)


@given(SHAPES, SPARSITY)
def test_erk_is_exact_in_total_and_fits_every_layer(shapes, sparsity):
    counts = allocate(shapes, sparsity, "erk")
    assert sum(counts) == round(sparsity * sum(map(prod, shapes)))
    assert all(0 <= count <= prod(shape) for count, shape in zip(counts, shapes, strict=True))


def test_erk_by_hand():
    # Density 15/36 of scale e for the first, 20/100 for the second: e · (12 + 20) = 68 kept would be 25.5 and 42.5.
    assert allocate([(6, 6), (10, 10)], 0.5, "erk") == [36 - 26, 100 - 42]
    # At a fifth the small layer would need a density above 1: it stays dense, the other gives up all.
    assert allocate([(2, 2), (10, 10)], 0.2, "erk") == [0, 21]
    # All four dimensions of a kernel count.
    shapes = [(8, 4, 3, 3), (16, 8, 1, 1)]
    kept = [prod(s) - c for s, c in zip(shapes, allocate(shapes, 0.9, "erk"), strict=True)]
    assert kept == [17, 25] and sum(kept) == 416 - round(0.9 * 416)


def test_layer_and_global():
    assert allocate([(3, 5), (10, 10), (1, 1)], 0.7, "layer") == [round(10.5), 70, 1]
    assert allocate([(3, 5), (10, 10), (1, 1)], 0.7, "global") == round(0.7 * 116)


def test_refuses():
    with pytest.raises(ValueError, match="unknown scope 'layers'; allowed: global, layer, erk.*Did you mean 'layer'"):
        allocate([(2, 2)], 0.5, "layers")
    with pytest.raises(ValueError, match="Invalid sparsity: 1.0"):
        allocate([(2, 2)], 1.0, "layer")


@pytest.mark.parametrize("pattern", ["4:2", "2:2", "0:4", "2-4", "2:4:8", " 2:4", None, (2, 4)])
def test_wrong_patterns(pattern):
    with pytest.raises(ValueError, match="Invalid pattern"):
        parse_pattern(pattern)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (3, 5)])
@pytest.mark.parametrize("kernel", [(), (3,), (2, 3)])
def test_nm_keeps_n_of_every_m_along_the_inputs(n, m, kernel):
    assert parse_pattern(f"{n}:{m}") == (n, m)
    torch.manual_seed(0)
    score = torch.randn(3, 2 * m, *kernel)
    mask = nm_mask(score, n, m)
    assert mask.shape == score.shape
    for group_score, group_mask in zip(score.split(m, 1), mask.split(m, 1), strict=True):
        assert (group_mask.sum(1) == m - n).all()
        highest_pruned = group_score.masked_fill(~group_mask, -torch.inf).amax(1)
        assert (highest_pruned < group_score.masked_fill(group_mask, torch.inf).amin(1)).all()


def test_nm_ties_prune_the_first():
    assert nm_mask(torch.tensor([[0.0, -0.0, 0.0, 1.0]]), 2, 4).tolist() == [[True, True, False, False]]


def test_nm_refuses():
    with pytest.raises(ValueError, match=r"2:4 does not fit conv1.weight of shape \(64, 3, 7, 7\): 4 must divide"):
        nm_mask(torch.zeros(64, 3, 7, 7), 2, 4, name="conv1.weight")
    with pytest.raises(ValueError, match="does not fit weight of shape"):
        nm_mask(torch.zeros(4), 2, 4)
    with pytest.raises(ValueError, match="NaN cannot be ranked: 1 in tensor fc"):
        nm_mask(torch.tensor([[1.0, torch.nan]]), 1, 2, name="fc")


@given(SHAPES, SPARSITY, st.data())
def test_what_is_pruned_stays_so_and_the_total_is_exact_if_it_can(shapes, sparsity, data):
    sizes = list(map(prod, shapes))
    pruned = [data.draw(st.integers(0, size)) for size in sizes]
    counts = allocate(shapes, sparsity, "erk", pruned)
    assert sum(counts) == max(round(sparsity * sum(sizes)), sum(pruned)) == allocate(shapes, sparsity, "global", pruned)
    assert all(low <= count <= size for low, count, size in zip(pruned, counts, sizes, strict=True))
    assert allocate(shapes, sparsity, "layer", pruned) == [
        max(low, round(sparsity * size)) for low, size in zip(pruned, sizes, strict=True)]


def test_a_raised_layer_takes_from_the_others_in_proportion():
    shapes = [(10, 10)] * 3
    assert allocate(shapes, 0.3, "erk") == [30, 30, 30]
    assert allocate(shapes, 0.3, "erk", [50, 0, 20]) == [50, 30 - 15, 30 - 5]
