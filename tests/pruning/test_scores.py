import math

import pytest
import torch

from adamw_lab.pruning import IMPORTANCE, resolve_importance

E = 1e-8
BY_HAND = {
    "hybrid": lambda w, m, v: abs(w * m) * abs(w) / (math.sqrt(v) + E),
    "magnitude": lambda w, m, v: abs(w),
    "gradient_magnitude": lambda w, m, v: abs(w) * math.sqrt(abs(m)),
    "movement_to_zero": lambda w, m, v: 0.1 * abs(w) - (math.copysign(1, w) if w else 0) * m / (math.sqrt(v) + E),
    "coherence": lambda w, m, v: abs(w) * math.sqrt(abs(m)) * math.sqrt(m * m / (v + E)),
    "variance": lambda w, m, v: abs(w) * v**0.25,
    "fisher": lambda w, m, v: w * w * v,
    "saliency": lambda w, m, v: abs(w * m),
}


def moments(dtype):
    torch.manual_seed(0)
    w, m = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    v = torch.rand(5, 7, dtype=torch.float64)
    w[0, 0], m[0, 1], v[0, 2] = 0.0, 0.0, 0.0
    return [t.to(dtype) for t in (w, m, v)]


def test_every_score_has_a_formula_here():
    assert set(IMPORTANCE) == {*BY_HAND, "random"}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_formula(name, dtype):
    w, m, v = moments(dtype)
    copies = [t.clone() for t in (w, m, v)]
    score = IMPORTANCE[name](w, m, v, seed=1)
    expected = [BY_HAND[name](*x) for x in zip(*(t.flatten().tolist() for t in (w, m, v)), strict=True)]
    expected = torch.tensor(expected, dtype=torch.float64).view(w.shape)
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5
    assert torch.allclose(score.double(), expected, rtol=tolerance, atol=tolerance)
    assert score.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(copies, (w, m, v), strict=True))


def test_movement_to_zero_ranks_what_adam_pushes_to_zero_lowest():
    w, m, v = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.5, -0.5, 0.5, -0.5]), torch.ones(4)
    score = IMPORTANCE["movement_to_zero"](w, m, v)
    assert score[0] == score[3] < score[1] == score[2]


def test_random_is_uniform_and_a_function_of_seed_and_place_alone():
    w = torch.zeros(1000, 100)
    before = torch.get_rng_state()
    score = IMPORTANCE["random"](w, w, w, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(score, IMPORTANCE["random"](w + 1, w, w, seed=5))
    other = IMPORTANCE["random"](w, w, w, seed=6)
    assert score.min() >= 0 and score.max() < 1
    assert torch.histc(score, 10, 0, 1).sub(10_000).abs().max() < 500
    rows = torch.stack([score.flatten()[1:], score.flatten()[:-1], other.flatten()[1:], other.flatten()[:-1]])
    assert rows.corrcoef().sub(torch.eye(4)).abs().max() < 0.02
    assert score.unique().numel() > 99_000


def test_a_function_of_ones_own():
    w, m, v = moments(torch.float32)
    score = resolve_importance(lambda w, m, v: w + 2 * m + 3 * v)
    assert torch.equal(score(w, m, v, seed=9), w + 2 * m + 3 * v)
    assert resolve_importance(IMPORTANCE["random"]) is IMPORTANCE["random"] is resolve_importance("random")


def test_unknown_score():
    with pytest.raises(ValueError, match="unknown importance 'fischer'; allowed: hybrid, .*Did you mean 'fisher'"):
        resolve_importance("fischer")


@pytest.mark.parametrize(("wrong", "message"), [(lambda w, m, v: w.sum(), r"gave \(\) for weights of shape \(5, 7\)"),
                                                (lambda w, m, v: 1.0, "gave float for weights")])
def test_a_function_must_give_a_score_for_every_weight(wrong, message):
    with pytest.raises(ValueError, match=message):
        resolve_importance(wrong)(*moments(torch.float32))
