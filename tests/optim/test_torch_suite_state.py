"""Generic tests of state, copies, hooks and the tools around an optimizer, after those that torch runs over its own."""

import inspect
import io
import pickle
from copy import deepcopy

import pytest
import torch
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tests.optim.torch_suite_inputs import (
    CASES,
    TestCase,
    copy_of,
    each_input,
    gathered,
    instantiate_device_type_tests,
    kernels,
    make,
    optims,
    steps,
    train,
    weights,
)

pytestmark = pytest.mark.filterwarnings("ignore:AdamWAdv without total_steps")

LAB = [case for case in CASES if inspect.isclass(case.optim_cls)]
OFF = {"AdamWAdv": dict(clip_norm=None), "AdamWSPAM": dict(theta=None, spike_sigma=None),
       "AdamWPrune": dict(begin_step=99, end_step=99)}
"""What leaves nothing of each but AdamW."""


def saved_and_loaded(checkpoint):
    """The checkpoint after a round trip through a file, read without unpickling code."""
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def contents(optimizer):
    """Its state_dict, without names and what torch adds on loading."""
    checkpoint = optimizer.state_dict()
    for group in checkpoint["param_groups"]:
        for name in ("differentiable", "param_names"):
            group.pop(name, None)
    return checkpoint


def snapshot(optimizer):
    """Everything that a step may change, by value."""
    return deepcopy(contents(optimizer)), copy_of([p for g in optimizer.param_groups for p in g["params"]])


class TestTorchSuiteState(TestCase):
    def assert_bit_equal(self, actual, expected):
        self.assertEqual(actual, expected, rtol=0, atol=0)

    def assert_continue_alike(self, optimizer, params, other, others, count=8):
        for p in others:
            self.assertNotIn(p.data_ptr(), {q.data_ptr() for q in params if q.numel()})
        for one, its in ((optimizer, params), (other, others)):
            train(one, its, count, seed=7)
        self.assert_bit_equal(others, params)
        self.assert_bit_equal(contents(other), contents(optimizer))
        for p, q in zip(params, others, strict=True):
            if "exp_avg_sq" in optimizer.state[p]:  # -0.0 equals 0.0, but marks what is pruned
                self.assertTrue(torch.equal(*(torch.signbit(s["exp_avg_sq"]) for s in
                                              (optimizer.state[p], other.state[q]))))

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_state_dict_round_trip(self, device, dtype, optim_info, row):
        for pass_on in (deepcopy, saved_and_loaded):
            params = weights(device, dtype)
            optimizer = make(optim_info, params, row)
            train(optimizer, params, 7)
            others = copy_of(params)
            other = make(optim_info, others, row)
            other.load_state_dict(pass_on(optimizer.state_dict()))
            self.assert_bit_equal(contents(other), contents(optimizer))
            self.assert_continue_alike(optimizer, params, other, others)

    @optims(CASES)
    @each_input()
    def test_deepcopy_and_pickle(self, device, dtype, optim_info, row):
        for copy in (deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
            params = weights(device, dtype)
            optimizer = make(optim_info, params, row)
            train(optimizer, params, 7)
            other, others = copy((optimizer, params))
            public = [{name for name in vars(o) if not name.startswith("_")} for o in (other, optimizer)]
            self.assertEqual(*public)
            self.assert_continue_alike(optimizer, params, other, others)

    @optims(CASES)
    @each_input()
    def test_what_state_holds(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 3)
        self.assertEqual(set(optimizer.state), set(params))
        self.assertEqual(set(optimizer.state_dict()), {"state", "param_groups"})
        amsgrad = optimizer.param_groups[0]["amsgrad"]
        keys = {"step", "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if amsgrad else set())
        for p in params:
            self.assertEqual(set(optimizer.state[p]), keys)
            for name, tensor in optimizer.state[p].items():
                self.assertIsInstance(tensor, torch.Tensor)
                if name != "step":
                    self.assertEqual((tensor.dtype, tensor.shape, tensor.stride()), (p.dtype, p.shape, p.stride()))

    @optims(CASES)
    @each_input()
    def test_can_load_older_state_dict(self, device, dtype, optim_info, row):
        """Every setting and tracker that a checkpoint lacks comes from the constructor; step may be a number."""
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 4)
        old = saved_and_loaded(optimizer.state_dict())
        for group in old["param_groups"]:
            for name in set(group) - {"params", "lr", "betas", "eps", "weight_decay"}:
                del group[name]
        for state in old["state"].values():
            state["step"] = int(state["step"])
        others = copy_of(params)
        other = make(optim_info, others, row)
        other.load_state_dict(old)
        self.assertEqual(steps(other), steps(optimizer))
        self.assertTrue(all(isinstance(state["step"], torch.Tensor) for state in other.state.values()))
        for name, setting in optimizer.param_groups[0].items():
            if name in optimizer.defaults:
                self.assertEqual(other.param_groups[0][name], setting)
        self.assertEqual(float(other.param_groups[0]["group_step"]), gathered(optimizer, 4))
        train(other, others, 2)
        self.assertEqual(steps(other), [gathered(optimizer, 4) + 2.0] * len(others))

    @optims(CASES)
    def test_state_dict_hooks(self, device, dtype, optim_info):
        row, calls = optim_info.optim_inputs_func(device=device)[0], []
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 2)
        optimizer.register_state_dict_pre_hook(lambda opt: calls.append("pre"))

        def add(opt, checkpoint):
            calls.append("post")
            return {**checkpoint, "extra": 1}

        def strip(opt, checkpoint):
            calls.append("load pre")
            return {name: part for name, part in checkpoint.items() if name != "extra"}

        optimizer.register_state_dict_post_hook(add)
        optimizer.register_load_state_dict_pre_hook(strip)
        optimizer.register_load_state_dict_post_hook(lambda opt: calls.append("load post"))
        checkpoint = optimizer.state_dict()
        self.assertEqual(checkpoint["extra"], 1)
        optimizer.load_state_dict(checkpoint)
        self.assertEqual(calls, ["pre", "post", "load pre", "load post"])
        self.assertEqual(steps(optimizer), [2.0] * len(params))

    @optims(CASES)
    @each_input()
    def test_foreign_values_in_state_survive(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 2)
        optimizer.state[params[0]]["note"] = {"a": [1, 2.5]}
        others = copy_of(params)
        other = make(optim_info, others, row)
        other.load_state_dict(optimizer.state_dict())
        self.assertEqual(other.state[others[0]]["note"], {"a": [1, 2.5]})
        train(other, others, 2)

    @optims(CASES)
    @each_input()
    def test_step_hooks_run_once(self, device, dtype, optim_info, row):
        calls, params = [], weights(device, dtype)
        optimizer = make(optim_info, params, row)
        hooks = [register_optimizer_step_pre_hook(lambda *_: calls.append("all pre")),
                 register_optimizer_step_post_hook(lambda *_: calls.append("all post")),
                 optimizer.register_step_pre_hook(lambda *_: calls.append("pre")),
                 optimizer.register_step_post_hook(lambda *_: calls.append("post"))]
        train(optimizer, params, 1)
        self.assertEqual(calls, ["all pre", "pre", "post", "all post"])
        for hook in hooks:
            hook.remove()
        train(optimizer, params, 1)
        self.assertEqual(len(calls), 4)

    @optims(CASES)
    @each_input()
    def test_named_parameters(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, [(f"layer.{i}", p) for i, p in enumerate(params)], row)
        train(optimizer, params, 3)
        names = [f"layer.{i}" for i in range(len(params))]
        self.assertEqual(optimizer.state_dict()["param_groups"][0]["param_names"], names)
        others = copy_of(params)
        plain = make(optim_info, others, row)
        plain.load_state_dict(deepcopy(optimizer.state_dict()))
        back = make(optim_info, [(n, p) for n, p in zip(names, copy_of(others), strict=True)], row)
        back.load_state_dict(deepcopy(plain.state_dict()))
        self.assertEqual(back.param_groups[0]["param_names"], names)
        self.assert_continue_alike(back, back.param_groups[0]["params"], plain, others)

    @optims(CASES, dtypes=[torch.float32])
    @each_input()
    def test_loads_into_another_layout_and_dtype(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 4)
        others = [Parameter(p.detach().to(torch.bfloat16).contiguous()) for p in params]
        other = make(optim_info, others, row)
        other.load_state_dict(optimizer.state_dict())
        for p, q in zip(params, others, strict=True):
            for name, tensor in other.state[q].items():
                self.assertEqual(tensor, optimizer.state[p][name].to(tensor.dtype))
                if name != "step":
                    self.assertEqual((tensor.dtype, tensor.stride()), (torch.bfloat16, q.stride()))
            self.assertTrue(torch.equal(*(torch.signbit(s["exp_avg_sq"]) for s in
                                          (optimizer.state[p], other.state[q]))))
        train(other, others, 2)

    @optims(LAB, dtypes=[torch.float64])
    def test_checkpoints_of_torch_adamw(self, device, dtype, optim_info):
        """Torch's AdamW trains on from our checkpoint and we from its, alike."""
        settings = dict(lr=0.01, betas=(0.8, 0.95), eps=1e-7, weight_decay=0.05)
        for flags in (dict(), dict(amsgrad=True), dict(fused=True), dict(fused=True, amsgrad=True), dict(foreach=True)):
            for kernel in kernels(device):
                row = optim_info.optim_inputs_func(device=device)[0]
                amsgrad = flags.get("amsgrad", False)
                ours = dict(amsgrad=amsgrad, kernel=kernel, **settings, **OFF[optim_info.name])
                p, q, r = (weights(device, dtype) for _ in range(3))
                theirs = torch.optim.AdamW(p, **settings, **flags)
                train(theirs, p, 4)
                for source, target in zip((p, p), (q, r), strict=True):
                    for a, b in zip(source, target, strict=True):
                        b.data.copy_(a.data)
                first = make(optim_info, q, row, **ours)
                first.load_state_dict(saved_and_loaded(theirs.state_dict()))
                second = torch.optim.AdamW(r, **settings, **flags)
                second.load_state_dict(saved_and_loaded(first.state_dict()))
                for optimizer, params in ((theirs, p), (first, q), (second, r)):
                    train(optimizer, params, 4, seed=3)
                self.assertEqual(q, p, rtol=1e-12, atol=1e-14)
                self.assertEqual(r, p, rtol=1e-12, atol=1e-14)
                self.assertEqual(steps(first), [8.0] * len(q))

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_grad_scaler(self, device, dtype, optim_info, row):
        """Scaled gradients give the same steps; with an overflow nothing moves."""
        params, others = weights(device, dtype)[:3], weights(device, dtype)[:3]
        plain, scaled = make(optim_info, params, row), make(optim_info, others, row)
        scaler = torch.amp.GradScaler(torch.device(device).type, init_scale=256.0)
        for i in range(8):
            train(plain, params, 1, seed=i)
            for overflow in (True, False):
                scaled.zero_grad()
                loss = sum((q * p.grad).sum() for p, q in zip(params, others, strict=True))
                scaler.scale(loss * torch.inf if overflow else loss).backward()
                before = snapshot(scaled)
                if i % 2:
                    scaler.unscale_(scaled)
                scaler.step(scaled)
                scaler.update()
                if overflow and i == 0:  # only now is there state
                    self.assert_bit_equal(snapshot(scaled)[1], before[1])
                    self.assertEqual(steps(scaled), [0.0] * len(others))
                elif overflow:
                    self.assert_bit_equal(snapshot(scaled), before)
            self.assertEqual(others, params, rtol=1e-6, atol=1e-7)

    @optims(CASES)
    def test_compiled_training_step(self, device, dtype, optim_info):
        runs = []
        for compiler in (lambda f: f, torch.compile(backend="eager"), torch.compile(backend="aot_eager")):
            row = optim_info.optim_inputs_func(device=device)[0]
            torch.manual_seed(0)
            model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).to(device)
            optimizer = make(optim_info, model.parameters(), row)
            x = torch.randn(16, 4, device=device)

            @compiler
            def step(model=model, optimizer=optimizer, x=x):
                optimizer.zero_grad()
                loss = model(x).square().mean()
                loss.backward()
                optimizer.step()
                return loss.detach()

            losses = [step() for _ in range(5)]
            runs.append((losses, [p.detach().clone() for p in model.parameters()], steps(optimizer)))
            torch._dynamo.reset()
        self.assertEqual(runs[1], runs[0], rtol=1e-5, atol=1e-7)
        self.assertEqual(runs[2], runs[0], rtol=1e-5, atol=1e-7)

    @optims(CASES)
    @each_input()
    def test_sparse_gradients_are_refused(self, device, dtype, optim_info, row):
        w = Parameter(torch.randn(4, 3, device=device, dtype=dtype))
        w.grad = torch.ones_like(w).to_sparse()
        with self.assertRaisesRegex(RuntimeError, "does not support sparse gradients"):
            make(optim_info, [w], row).step()

    @optims(LAB)
    def test_defaults_are_those_of_the_signature(self, device, dtype, optim_info):
        required = optim_info.optim_inputs_func(device=device)[0]
        optimizer = make(optim_info, weights(device, dtype), required)
        for name, parameter in inspect.signature(optim_info.optim_cls).parameters.items():
            if name not in ("params", "base_options"):
                self.assertEqual(optimizer.defaults[name], required.kwargs.get(name, parameter.default), msg=name)

    @optims(CASES)
    @each_input()
    def test_repr_and_zero_grad(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 2)
        text = repr(optimizer)
        self.assertTrue(text.startswith(f"{type(optimizer).__name__} (\nParameter Group 0\n"))
        self.assertIn(f"    lr: {optimizer.param_groups[0]['lr']}\n", text)
        optimizer.zero_grad(set_to_none=False)
        self.assertTrue(all(not p.grad.any() for p in params))
        optimizer.zero_grad()
        self.assertTrue(all(p.grad is None for p in params))


instantiate_device_type_tests(TestTorchSuiteState, globals(), only_for=("cpu", "cuda"))
