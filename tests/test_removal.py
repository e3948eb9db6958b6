"""What would go is what AdamWPrune removes, and the figure shows just that."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from adamw_lab.figures import new_figure
from adamw_lab.figures.removal import fig_removal
from adamw_lab.optim import AdamWPrune, parameter_groups
from adamw_lab.pruning import IMPORTANCE, SCOPES
from adamw_lab.removal import Candidates, shared, shared_by_chance


def trained(steps=3, last=0, **options):
    """A small network after some steps, by an optimizer that prunes at the last of them if at all."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 3))
    settings = dict(target_sparsity=0.0) | options
    optimizer = AdamWPrune(parameter_groups(network), begin_step=steps + last, end_step=steps + last, **settings)
    inputs = torch.randn(steps + last, 5, 1, 4, 4)
    for x in inputs[:steps]:
        network(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer, network, inputs


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("importance", [name for name in IMPORTANCE if name != "random"])
def test_what_would_go_is_what_adamwprune_removes(importance, scope):
    seen = trained()[0]
    pruner = trained(target_sparsity=0.6, importance=importance, scope=scope)[0]
    masks = Candidates.of(seen).masks(importance, 0.6, scope)
    for mine, theirs in zip(masks, pruner.masks().values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.fixture(scope="module")
def candidates():
    return Candidates.of(trained()[0])


def test_layers_are_called_as_asked():
    optimizer = trained()[0]
    first, *others = [layer.name for layer in Candidates.of(optimizer).layers]
    assert [layer.name for layer in Candidates.of(optimizer, {first: "the first"}).layers] == ["the first", *others]


@given(sparsity=st.floats(0, 0.999), importance=st.sampled_from(list(IMPORTANCE)))
def test_as_many_go_as_asked_for_and_their_sizes_add_up(candidates, sparsity, importance):
    masks = candidates.masks(importance, sparsity)
    total = sum(layer.w.numel() for layer in candidates.layers)
    assert sum(int(mask.sum()) for mask in masks) == round(sparsity * total) == candidates.sizes(masks).sum()
    assert (candidates.sizes(masks) <= candidates.sizes()).all() and candidates.sizes().sum() == total
    assert candidates.report(masks)["zeros"].sum() == round(sparsity * total)


def test_ranks_and_their_correlation_are_scipys(candidates):
    scores = [np.concatenate([s.flatten() for s in candidates.scores(name)]) for name in ("hybrid", "fisher")]
    assert candidates.agreement("hybrid", "fisher") == pytest.approx(spearmanr(*scores).statistic)
    table = candidates.rank_table("hybrid", "magnitude")
    assert table.sum() == len(scores[0]) and np.trace(candidates.rank_table("fisher", "fisher")) == len(scores[0])


def test_training_on_changes_nothing_that_was_kept():
    optimizer, network, inputs = trained()
    candidates = Candidates.of(optimizer)
    before = candidates.masks("hybrid", 0.5)
    network(inputs[0]).sum().backward()
    optimizer.step()
    again = Candidates(candidates.layers).masks("hybrid", 0.5)
    assert all(torch.equal(a, b) for a, b in zip(before, again, strict=True))


def test_what_is_pruned_already_goes_first():
    optimizer = trained(target_sparsity=0.5)[0]
    candidates = Candidates.of(optimizer)
    gone = candidates.masks("random", 0.5)
    assert all(torch.equal(a, b) for a, b in zip(gone, optimizer.masks().values(), strict=True))
    assert shared(gone, candidates.masks("fisher", 0.7)) == 1.0


def test_chance_shares_the_sparsity_of_what_it_chooses_among():
    masks = [torch.arange(200) < 100, torch.arange(800) < 200]
    assert shared_by_chance(masks, "global") == pytest.approx(0.3)
    assert shared_by_chance(masks, "layer") == pytest.approx((100 * 0.5 + 200 * 0.25) / 300)
    generator = torch.Generator().manual_seed(0)
    drawn = [[mask[torch.randperm(len(mask), generator=generator)] for mask in masks] for _ in range(101)]
    found = np.mean([shared(one, other) for one, other in zip(drawn, drawn[1:], strict=False)])
    assert found == pytest.approx(shared_by_chance(masks, "erk"), abs=0.01)
    assert np.isnan(shared_by_chance([torch.zeros(3, dtype=torch.bool)], "global"))


def test_an_optimizer_that_knows_nothing_is_refused():
    with pytest.raises(ValueError, match="taken no step.*after at least one step"):
        Candidates.of(trained(steps=0, last=1)[0])


def test_a_second_call_moves_what_the_first_drew(candidates):
    (_, axes), (_, fresh) = new_figure(3), new_figure(3)
    fig_removal(axes, candidates, "hybrid", "magnitude", 0.2)
    artists = [artist for ax in axes for artist in (*ax.patches, *ax.lines, *ax.images)]
    fig_removal(axes, candidates, "fisher", "random", 0.7, "layer")
    fig_removal(fresh, candidates, "fisher", "random", 0.7, "layer")
    assert artists == [artist for ax in axes for artist in (*ax.patches, *ax.lines, *ax.images)]
    wanted = candidates.report(candidates.masks("fisher", 0.7, "layer"))["sparsity"]
    for by_layer, sizes, ranks in (axes, fresh):
        assert [bar.get_width() for bar in by_layer.patches] == pytest.approx(list(100 * wanted))
        np.testing.assert_array_equal(sizes.patches[1].get_data().values,
                                      candidates.sizes(candidates.masks("fisher", 0.7, "layer")))
        np.testing.assert_allclose(ranks.images[0].get_array() ** 2, candidates.rank_table("fisher", "random"))
        assert f"{candidates.agreement('fisher', 'random'):.2f}" in ranks.get_title("left")
        assert by_layer.get_xlabel() == "weights that go by fisher (%)"
