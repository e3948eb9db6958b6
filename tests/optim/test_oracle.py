"""Every kernel against the textbook: one flat float64 tensor stepped beside the parameters that it stands for.

In float64 the whole trajectory agrees to 1e-12. In float32 one step is taken from identical state, since rounding may
tip a later one over a clip boundary; elements on such a boundary are set aside.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM, kernels, policy, textbook
from adamw_lab.optim.kernels import cpu, cuda, eager
from adamw_lab.pruning import IMPORTANCE

SHAPES = [(6, 4, 3, 3), (1,), (17, 5), (), (1500,)]  # the last takes two of the GPU's chunks, one of them whole
RULES = ("adamw", "adamwadv", "adamwspam", "adamwspam_published", "adamwprune")
LAYOUTS = ("contiguous", "channels_last", "expanded_gradient")


# Without a GPU Triton's kernel runs on CPU tensors, by its interpreter.
ON_GPU = torch.cuda.is_available()
KERNELS = [("eager", "cpu"), ("cpu", "cpu"), ("cuda", "cuda" if ON_GPU else "cpu"), *[("eager", "cuda")] * ON_GPU]
# A flat kernel refuses the expanded gradient when forced: there the dispatch chooses, "cpu" for the other gradients.
CASES = [(layout, *kernel) for layout in LAYOUTS for kernel in KERNELS
         if layout != "expanded_gradient" or kernel[0] != "cuda" or ON_GPU]


def hyperparameters(rule):
    rates = st.floats(0.0, 0.95) | st.just(0.999)
    common = {
        "lr": st.floats(1e-4, 0.3), "betas": st.tuples(rates, rates), "eps": st.sampled_from([1e-8, 1e-6, 1e-3]),
        "weight_decay": st.sampled_from([0.0, 0.1]),
    }
    steps = {"total_steps": st.sampled_from([None, 9, 40]), "min_lr": st.just(1e-5)}
    clip = {"amsgrad": st.booleans(), "clip_norm": st.sampled_from([None, 0.5, 30.0])}
    spam = {
        "theta": st.sampled_from([None, 1.5, 50.0]), "spike_sigma": st.sampled_from([None, 0.5]),
        "history": st.just(10), "spike_decay": st.sampled_from([(0.0, 1.0), (0.5, 0.9), (0.0, 0.0)]),
        "reset_interval": st.sampled_from([0, 5]), "warmup_steps": st.sampled_from([0, 4]),
        "grace_steps": st.sampled_from([0, 2]), "restart_bias_correction": st.booleans(),
    }
    published = {"theta": st.sampled_from([1.5, 50.0]), "reset_interval": st.sampled_from([0, 7]),
                 "warmup_steps": st.just(3), "grace_steps": st.sampled_from([0, 2])}
    extra = {"adamw": {}, "adamwprune": {"amsgrad": clip["amsgrad"]}, "adamwadv": {**steps, **clip},
             "adamwspam": {**steps, **clip, **spam}, "adamwspam_published": published}
    return st.fixed_dictionaries({**common, **extra[rule]})


def build(rule, params, options, kernel):
    match rule:
        case "adamw":
            return AdamWAdv(params, amsgrad=False, clip_norm=None, total_steps=10**9, min_lr=options["lr"],
                            kernel=kernel, **options)
        case "adamwadv":
            return AdamWAdv(params, kernel=kernel, **{"total_steps": None, **options})
        case "adamwspam":
            return AdamWSPAM(params, kernel=kernel, **options)
        case "adamwspam_published":
            return AdamWSPAM.published(params, kernel=kernel, **options)
        case "adamwprune":
            return AdamWPrune(params, kernel=kernel, begin_step=2, end_step=8, update_every=3, target_sparsity=0.6,
                              schedule="linear", importance="magnitude", **options)


def oracle(rule, p, g, state, options):
    functions = {"adamw": textbook.adamw, "adamwadv": textbook.adamw_adv, "adamwspam": textbook.adamw_spam,
                 "adamwspam_published": textbook.spam_published}
    if rule != "adamwprune":
        return functions[rule](p, g, state, **options)
    t = state.get("step", 0) + 1
    prunable = torch.cat([torch.full((math.prod(s),), len(s) >= 2) for s in SHAPES])
    sparsity = 0.6 * (t - 2) / 6 if t in (2, 5, 8) else None
    if sparsity is not None:  # of the prunable weights; the others score too high to be touched
        sparsity = round(sparsity * int(prunable.sum())) / len(p)

    def importance(w, m, v):
        return torch.where(prunable, IMPORTANCE["magnitude"](w, m, v), math.inf)

    return textbook.adamw_prune(p, g, state, sparsity=sparsity, importance=importance, **options)


def make_parameters(dtype, layout, device, generator):
    params = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES]
    if layout == "channels_last":
        params[0] = params[0].contiguous(memory_format=torch.channels_last)
    return [torch.nn.Parameter(p.to(device)) for p in params]


def make_gradients(params, layout, generator, step):
    scale = 40.0 if step in (6, 11) else 1.0  # a spike, and one after the history is long enough to judge
    flat = torch.randn(sum(p.numel() for p in params), generator=generator, dtype=torch.float64) * scale
    flat[::7] = 0.0  # elements that never see a gradient: v stays 0
    parts = []
    for p, part in zip(params, flat.split([p.numel() for p in params]), strict=True):
        g = part.view(p.shape).to(p)
        if layout == "expanded_gradient" and p.ndim == 2:
            g = g[:, :1].expand(p.shape)  # strides of 0: a layout that flat kernels must leave to eager
        parts.append(torch.empty_like(p).copy_(g) if layout == "channels_last" else g)
    return parts


def flatten(tensors):
    return torch.cat([t.detach().double().reshape(-1).cpu() for t in tensors])


def states(optimizer, params, name):
    return flatten([optimizer.state[p][name] for p in params])


def compare(optimizer, params, state, expected, tolerance, aside, largest):
    """`largest`: of m before the step and the gradient, the one larger in size."""
    kept = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"} & state.keys()
    assert all(optimizer.state[p].keys() == kept | {"step"} for p in params)
    for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"):
        if name in kept:
            got = states(optimizer, params, name)
            wrong = (got - state[name]).abs() > tolerance * state[name].abs().clamp(min=1)
            assert not wrong[~aside].any(), name
    got = flatten(params)
    group = optimizer.param_groups[0]
    # Where the two nearly cancel, or the one is weighted by next to nothing, m is rounded as the larger is.
    rounded = 4 * torch.finfo(params[0].dtype).eps * largest
    step_size, root = group["lr"] / (1 - group["betas"][0]), state.get("max_exp_avg_sq", state["exp_avg_sq"]).sqrt()
    allowed = tolerance * expected.abs().clamp(min=group["lr"]) + step_size * rounded / (root + group["eps"])
    wrong = (got - expected).abs() > allowed
    assert not wrong[~aside].any(), "parameters"
    if "mask" in state:
        v = states(optimizer, params, "exp_avg_sq")
        assert torch.equal(torch.signbit(v) & (v == 0), state["mask"])
        assert (got[state["mask"]] == 0).all()


def forced(kernel, layout):
    return None if layout == "expanded_gradient" and kernel != "eager" else kernel


def larger(grads, state):
    return torch.maximum(grads.abs(), torch.as_tensor(state.get("exp_avg", 0.0)).abs())


def examples(kernel):
    """Few where Triton interprets."""
    return settings(max_examples=3 if kernel == "cuda" and not ON_GPU else 12, deadline=None)


@pytest.mark.parametrize(("layout", "kernel", "device"), CASES)
@pytest.mark.parametrize("rule", RULES)
def test_float64_trajectory(rule, layout, kernel, device):
    @examples(kernel)
    @given(options=hyperparameters(rule), seed=st.integers(0, 2**31))
    def check(options, seed):
        follow_trajectory(rule, layout, kernel, device, options, seed)

    check()


@pytest.mark.parametrize(("kernel", "device"), [case[1:] for case in CASES if case[:2] in (
    ("contiguous", "eager"), ("contiguous", "cuda"))])
@pytest.mark.parametrize("rule", RULES)
def test_float64_trajectory_of_scalars_that_stay_tensors(rule, kernel, device):
    """As on an accelerator where a device does the counting."""
    @examples(kernel)
    @given(options=hyperparameters(rule), seed=st.integers(0, 2**31))
    def check(options, seed):
        with pytest.MonkeyPatch.context() as patch:
            for module in (kernels, eager, policy):
                patch.setattr(module, "value", lambda x: x)
            patch.setattr(cuda, "advance", eager.advance)
            patch.setattr(policy, "clock_home", lambda group, home: home)
            follow_trajectory(rule, "contiguous", kernel, device, options, seed)

    check()


def follow_trajectory(rule, layout, kernel, device, options, seed):
    generator = torch.Generator().manual_seed(seed)
    params = make_parameters(torch.float64, layout, device, generator)
    optimizer = build(rule, params, options, forced(kernel, layout))
    expected, state = flatten(params), {}
    for step in range(1, 14):
        grads = make_gradients(params, layout, generator, step)
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        kept = [g.clone() for g in grads]
        largest = larger(flatten(grads), state)
        optimizer.step()
        assert all(torch.equal(p.grad, k) for p, k in zip(params, kept, strict=True)), "p.grad was written"
        expected = oracle(rule, expected, flatten(grads), state, options)
        compare(optimizer, params, state, expected, 1e-12, torch.zeros_like(expected, dtype=torch.bool), largest)


@pytest.mark.parametrize(("layout", "kernel", "device"), CASES)
@pytest.mark.parametrize("rule", RULES)
def test_float32_step_from_identical_state(rule, layout, kernel, device):
    @examples(kernel)
    @given(options=hyperparameters(rule), seed=st.integers(0, 2**31))
    def check(options, seed):
        take_single_steps(rule, layout, kernel, device, options, seed)

    check()


def take_single_steps(rule, layout, kernel, device, options, seed, steps=9):
    generator = torch.Generator().manual_seed(seed)
    params = make_parameters(torch.float32, layout, device, generator)
    optimizer = build(rule, params, options, forced(kernel, layout))
    expected, state = flatten(params), {}
    for step in range(1, steps + 1):
        for p, g in zip(params, make_gradients(params, layout, generator, step), strict=True):
            p.grad = g
        grads = flatten([p.grad for p in params])
        aside, largest = near_clip_boundary(grads, state, options, rule), larger(grads, state)
        optimizer.step()
        expected = oracle(rule, expected, grads, state, options)
        if "mask" in state:  # scores that tie in one precision only may part: the count is what must agree
            v = states(optimizer, params, "exp_avg_sq")
            pruned = torch.signbit(v) & (v == 0)
            assert pruned.sum() == state["mask"].sum()
            aside |= pruned != state["mask"]
            state = {**state, "mask": pruned}
        compare(optimizer, params, state, expected, 2e-5, aside, largest)
        expected = flatten(params)
        for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"):
            if name in state:
                state[name] = states(optimizer, params, name)


NORM_FOLLOWS = st.fixed_dictionaries({
    "lr": st.floats(1e-4, 0.3),
    "betas": st.tuples(st.floats(0.0, 0.95), st.floats(0.0, 0.95) | st.just(0.999)).filter(
        lambda betas: betas[0] * betas[0] < betas[1]),
    "weight_decay": st.sampled_from([0.0, 0.1]), "amsgrad": st.booleans(), "theta": st.sampled_from([None, 1.5, 50.0]),
    "spike_sigma": st.sampled_from([0.1, 0.5]), "history": st.just(10),
    "spike_decay": st.sampled_from([(0.0, 1.0), (0.3, 1.0)]), "reset_interval": st.sampled_from([0, 11]),
    "grace_steps": st.sampled_from([0, 2]),
})
"""Settings whose steps take the norm along: a spike, which is known only then, is made good afterwards."""


@pytest.mark.parametrize("layout", LAYOUTS[:2])
@pytest.mark.parametrize(("follow", "steps"), [(follow_trajectory, {}), (take_single_steps, {"steps": 13})])
def test_momentum_that_a_spike_shrinks_after_the_update(follow, steps, layout):
    spikes = []

    @settings(max_examples=15, deadline=None)
    @given(options=NORM_FOLLOWS, seed=st.integers(0, 2**31))
    def check(options, seed):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu, "norm", None)
            patch.setattr(cpu, "damp", lambda *args, damp=cpu.damp: spikes.append(damp(*args)))
            follow("adamwspam", layout, "cpu", "cpu", options, seed, **steps)

    check()
    assert len(spikes) > 10


def near_clip_boundary(grads, state, options, rule):
    """Elements that rounding may put on either side of the clip threshold, whatever its correction."""
    theta = options.get("theta")
    if theta is None or "exp_avg_sq" not in state:
        return torch.zeros_like(grads, dtype=torch.bool)
    beta2, v = options["betas"][1], state["exp_avg_sq"]
    near = torch.zeros_like(grads, dtype=torch.bool)
    for k in range(1, 14):
        limit = (theta * v / (1.0 if rule == "adamwspam_published" else 1 - beta2**k)).sqrt()
        near |= (grads.abs() - limit).abs() < 1e-4 * limit
    return near


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("kernel", "device", "roundings"), [
    # Triton's interpreter cuts bfloat16 off, by up to a whole step where the nearest is half of one away
    (kernel, device, (1 if ON_GPU else 2) if kernel == "cuda" else 8) for kernel, device in KERNELS if kernel != "cpu"])
def test_half_precision_is_rounded_as_often_as_it_is_stored(kernel, device, roundings, dtype):
    """Triton's kernel computes in float32 and rounds once, to the nearest; torch's operations round each result."""
    generator = torch.Generator().manual_seed(3)
    p, g, m, v = (torch.randn(1500, generator=generator).to(dtype) for _ in range(4))
    v = v.square() + 0.01
    parameter = torch.nn.Parameter(p.clone().to(device))
    options = dict(lr=0.1, betas=(0.9, 0.95), weight_decay=0.1, amsgrad=True, clip_norm=None)
    optimizer = AdamWAdv([parameter], total_steps=10**9, kernel=kernel, **options)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = optimizer.state[parameter]
    for name, moment in (("exp_avg", m), ("exp_avg_sq", v), ("max_exp_avg_sq", v)):
        state[name].copy_(moment)
    parameter.data.copy_(p)
    parameter.grad = g.to(device)
    optimizer.step()
    flat = {"step": 1, "exp_avg": m.double(), "exp_avg_sq": v.double(), "max_exp_avg_sq": v.double()}
    expected = textbook.adamw_adv(p.double(), g.double(), flat, total_steps=None, **options)
    half_a_step = torch.finfo(dtype).eps / 2 * roundings
    for got, wanted in ((parameter, expected), *((state[name], flat[name]) for name in flat if name != "step")):
        error = (got.detach().double().cpu() - wanted).abs()
        largest = torch.maximum(wanted.abs(), p.double().abs()) if got is parameter and roundings > 1 else wanted.abs()
        assert (error <= half_a_step * largest.clamp(min=0.01) * 1.01).all()
