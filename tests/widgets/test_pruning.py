"""The pruning explorer: a control is set, and the drawn data are the choice that the package makes."""

import numpy as np
import pytest
import torch

from adamw_lab.pruning import IMPORTANCE, SCOPES
from adamw_lab.removal import Candidates, Layer
from adamw_lab.widgets import pruning as module
from adamw_lab.widgets.explorer import Explorer


@pytest.fixture(scope="module")
def candidates():
    torch.manual_seed(0)
    return Candidates([Layer(name, *(torch.randn(shape) for _ in "wm"), torch.rand(shape), torch.zeros(shape).bool())
                       for name, shape in (("first", (4, 1, 3, 3)), ("second", (20, 16)), ("third", (5, 20)))])


@pytest.fixture
def explorer(monkeypatch, candidates):
    monkeypatch.setattr("adamw_lab.widgets.explorer.cell_id", lambda: "cell of a test")
    shown = module.pruning_explorer(candidates)
    assert isinstance(shown, Explorer)
    yield shown
    shown.close()


@pytest.mark.parametrize("scope", SCOPES)
def test_each_control_changes_what_is_drawn(explorer, candidates, scope):
    for name, value in (("importance", "fisher"), ("other", "hybrid"), ("sparsity", 0.33), ("scope", scope)):
        explorer.controls[name].value = value
    assert explorer.message == ""
    masks = candidates.masks("fisher", 0.33, scope)
    by_layer, sizes, ranks = explorer.axes
    assert [bar.get_width() for bar in by_layer.patches] == pytest.approx(
        list(100 * candidates.report(masks)["sparsity"]))
    np.testing.assert_array_equal(sizes.patches[1].get_data().values, candidates.sizes(masks))
    np.testing.assert_allclose(ranks.images[0].get_array() ** 2, candidates.rank_table("fisher", "hybrid"))
    assert f"correlation {candidates.agreement('fisher', 'hybrid'):.2f}" in ranks.get_title("left")


def test_its_controls_offer_all_that_the_package_has(explorer):
    offered = {name: {value for _, value in explorer.controls[name].options} for name in ("scope", "importance")}
    assert offered == {"scope": set(SCOPES), "importance": set(IMPORTANCE)}


def test_nothing_goes_at_a_sparsity_of_zero(explorer):
    explorer.controls["sparsity"].value = 0.0
    assert explorer.message == "" and "nothing goes" in explorer.axes[2].get_title("left")
    assert not explorer.axes[1].patches[1].get_data().values.any()


def test_its_code_draws_the_same(explorer, candidates):
    explorer.controls["importance"].value = "saliency"
    names = {"candidates": candidates}
    exec(explorer.code(explorer.values), names)
    theirs, ours = ([bar.get_width() for bar in axes[0].patches] for axes in (names["axes"], explorer.axes))
    assert theirs == ours


def test_without_a_front_end_it_is_the_figure(candidates):
    figure = module.pruning_explorer(candidates, {"sparsity": 0.5})
    assert figure.axes[0].texts[0].get_text() == " all weights 50.0 % "
