"""Generic tests of stepping, after those that torch runs over its own optimizers."""


import pytest
import torch
from torch.nn import Parameter
from torch.optim import lr_scheduler

from adamw_lab.optim import AdamWPrune
from tests.optim.torch_suite_inputs import (
    CASES,
    OptimizerErrorEnum,
    TensorTracker,
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

pytestmark = pytest.mark.filterwarnings("ignore:AdamWAdv without total_steps", "ignore:.*anneals by itself")

COMPLEX = [case for case in CASES if case.supports_complex]
PRUNE_CASE = next(case for case in CASES if case.optim_cls is AdamWPrune)
SCHEDULERS = [
    lambda opt: lr_scheduler.StepLR(opt, gamma=0.9, step_size=2),
    lambda opt: lr_scheduler.MultiStepLR(opt, milestones=[3, 6], gamma=0.5),
    lambda opt: lr_scheduler.ExponentialLR(opt, gamma=0.9),
    lambda opt: lr_scheduler.LinearLR(opt, start_factor=0.4, total_iters=4),
    lambda opt: lr_scheduler.ConstantLR(opt, factor=0.4, total_iters=4),
    lambda opt: lr_scheduler.PolynomialLR(opt, power=0.9, total_iters=12),
    lambda opt: lr_scheduler.CosineAnnealingLR(opt, T_max=10),
    lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=4),
    lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 0.95**epoch),
    lambda opt: lr_scheduler.OneCycleLR(opt, max_lr=0.02, total_steps=40, cycle_momentum=False),
    lambda opt: lr_scheduler.CyclicLR(opt, base_lr=1e-4, max_lr=1e-2, step_size_up=3, cycle_momentum=False),
    lambda opt: lr_scheduler.ReduceLROnPlateau(opt, patience=1),
    lambda opt: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(opt, 4), lr_scheduler.ConstantLR(opt, 0.5)]),
    lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.LinearLR(opt, total_iters=3), lr_scheduler.ExponentialLR(opt, 0.9)], milestones=[3]),
]


def advance(scheduler, metric):
    """One step of a scheduler, whatever it wants."""
    scheduler.step(metric) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()


class TestTorchSuite(TestCase):
    @optims(CASES)
    @each_input(with_kernels=True)
    def test_goes_in_the_right_direction(self, device, dtype, optim_info, row):
        options = dict(target_sparsity=0.1) if "target_sparsity" in row.kwargs else {}
        weight = Parameter(torch.randn(10, 5, device=device, dtype=dtype))
        bias = Parameter(torch.randn(10, device=device, dtype=dtype))
        x = torch.randn(5, device=device, dtype=dtype)
        optimizer = make(optim_info, [weight, bias], row, lr=0.01, **options)

        def closure():
            optimizer.zero_grad()
            loss = (weight.mv(x) + bias).square().sum()
            loss.backward()
            return loss

        first = closure().item()
        for _ in range(20):
            optimizer.step(closure)
        last = closure().item()
        if optimizer.param_groups[0]["maximize"]:
            self.assertGreater(last, first)
        else:
            self.assertLess(last, first)

    @optims(CASES, dtypes=[torch.float32, torch.float64])
    @each_input()
    def test_kernels_agree(self, device, dtype, optim_info, row):
        close = dict(rtol=1e-12, atol=1e-14) if dtype is torch.float64 else dict(rtol=2e-5, atol=1e-6)
        runs = []
        for kernel in kernels(device):
            params = weights(device, dtype)
            optimizer = make(optim_info, params, row, kernel=kernel)
            train(optimizer, params, 3 if dtype is torch.float32 else 12)
            runs.append((params, [optimizer.state[p] for p in params]))
        (params, state), (other_params, other_state) = runs
        self.assert_same(other_params, params, **close)
        self.assertEqual(other_state, state, **close)

    @optims(CASES, dtypes=[torch.float32])
    @each_input(with_kernels=True)
    def test_tensor_lr(self, device, dtype, optim_info, row):
        lr = row.kwargs.pop("lr", 1e-3)
        params = weights(device, dtype)
        train(make(optim_info, params, row, lr=lr), params, 8)
        for tensor in (torch.tensor(lr), torch.tensor([lr]), torch.tensor([[lr]])):
            others = weights(device, dtype)
            optimizer = make(optim_info, others, row, lr=tensor)
            train(optimizer, others, 8)
            self.assert_same(others, params, rtol=1e-5, atol=1e-7)
            self.assertIs(optimizer.param_groups[0]["lr"], tensor)
            self.assertEqual(tensor, torch.full_like(tensor, lr), rtol=0, atol=0)

    @optims(CASES, dtypes=[torch.float64])
    @each_input()
    def test_tensor_lr_with_schedulers(self, device, dtype, optim_info, row):
        if row.desc not in ("default", "full resets"):
            return
        lr = row.kwargs.pop("lr", 1e-3)
        for schedule in SCHEDULERS:
            runs = []
            for given in (lr, torch.tensor(lr, dtype=torch.float64)):
                params = weights(device, dtype)
                optimizer = make(optim_info, params, row, lr=given)
                scheduler = schedule(optimizer)
                for i in range(5):
                    applied = float(optimizer.param_groups[0]["lr"])
                    train(optimizer, params, 1, seed=i)
                    self.assertEqual(float(optimizer.param_groups[0]["scheduled_lr"]), applied)
                    advance(scheduler, metric=1.0)
                runs.append((params, float(optimizer.param_groups[0]["lr"])))
            (params, end), (others, other_end) = runs
            self.assert_same(others, params, rtol=1e-9, atol=1e-12)
            self.assertEqual(other_end, end, rtol=1e-9, atol=1e-12)

    @optims(COMPLEX, dtypes=[torch.complex64, torch.complex128])
    @each_input(with_kernels=True)
    def test_complex_equals_its_real_view(self, device, dtype, optim_info, row):
        params = [Parameter(torch.randn(n, 3, device=device, dtype=dtype)) for n in (5, 2)]
        real = [Parameter(torch.view_as_real(p.detach()).clone()) for p in params]
        optimizer, real_optimizer = make(optim_info, params, row), make(optim_info, real, row)
        tracker = TensorTracker(dict(rtol=1e-5, atol=1e-7))
        for i in range(4):
            train(optimizer, params, 1, seed=i)
            for p, r in zip(params, real, strict=True):
                r.grad = torch.view_as_real(p.grad)
                tracker.add(torch.view_as_real(p.detach()))
                tracker.add(torch.view_as_real(optimizer.state[p]["exp_avg"]))
            real_optimizer.step()
            for r in real:
                tracker.pop_check_set(r, self)
                tracker.pop_check_set(real_optimizer.state[r]["exp_avg"], self)
        self.assertTrue(tracker.all_popped())

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_step_is_noop_without_gradients(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        before = copy_of(params)
        optimizer = make(optim_info, params, row)
        for _ in range(4):
            optimizer.step()
        self.assert_same(params, before)
        self.assertEqual(len(optimizer.state), 0)

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_step_is_noop_for_zero_gradients(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        before = copy_of(params)
        optimizer = make(optim_info, params, row, weight_decay=0.0)
        for p in params:
            p.grad = torch.zeros_like(p)
        optimizer.step()
        self.assert_same(params, before)

    @optims(CASES)
    @each_input()
    def test_frozen_and_late_parameters(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        params[1].requires_grad_(False)
        frozen = params[1].detach().clone()
        optimizer = make(optim_info, params, row)
        train(optimizer, [params[0]], 3)
        train(optimizer, [params[0], params[2]], 2)
        self.assertEqual(params[1].detach(), frozen, rtol=0, atol=0)
        self.assertEqual([float(optimizer.state[params[i]]["step"]) for i in (0, 2)],
                         [gathered(optimizer, 5), 2.0])
        self.assertNotIn(params[1], {p for p, state in optimizer.state.items() if "step" in state})

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_gradients_are_never_written(self, device, dtype, optim_info, row):
        params = weights(device, dtype)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 9)
        for p in params:
            p.grad = torch.randn_like(p) * 50
        grads, versions = [p.grad.clone() for p in params], [p.grad._version for p in params]
        optimizer.step()
        self.assert_same([p.grad for p in params], grads)
        self.assertEqual([p.grad._version for p in params], versions)

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_a_step_bumps_versions(self, device, dtype, optim_info, row):
        """Autograd must notice that a weight, saved for a backward pass, was changed meanwhile."""
        w = Parameter(torch.randn(3, 3, device=device, dtype=dtype))
        optimizer = make(optim_info, [w], row)
        loss = (w * w).sum()
        w.grad = torch.ones_like(w)
        optimizer.step()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            loss.backward()

    @optims(CASES)
    @each_input()
    def test_closure(self, device, dtype, optim_info, row):
        w = Parameter(torch.randn(4, 3, device=device, dtype=dtype))
        optimizer = make(optim_info, [w], row)
        seen = []

        def closure():
            seen.append(torch.is_grad_enabled())
            optimizer.zero_grad()
            loss = w.square().sum()
            loss.backward()
            return loss

        with torch.no_grad():
            loss = optimizer.step(closure)
        self.assertEqual(seen, [True])
        self.assertTrue(loss.requires_grad)
        self.assertIsNone(optimizer.step())

    @optims(CASES, dtypes=[torch.float32, torch.float64])
    @each_input()
    def test_layouts(self, device, dtype, optim_info, row):
        """Transposed, sliced, expanded-from and channels_last weights move as contiguous ones do."""
        base = [torch.randn(shape, device=device, dtype=dtype) for shape in ((4, 6), (8, 6), (4, 3, 2, 2))]
        odd = [Parameter(t) for t in (base[0].t(), base[1][::2, 1:4], base[2].to(memory_format=torch.channels_last))]
        plain = [Parameter(p.detach().contiguous().clone(memory_format=torch.contiguous_format)) for p in odd]
        rest = base[1].clone()
        strides = [p.stride() for p in odd]
        train(make(optim_info, odd, row), odd, 5)
        train(make(optim_info, plain, row), plain, 5)
        rtol, atol = (1e-5, 1e-6) if dtype is torch.float32 else (1e-12, 1e-14)
        self.assert_same(odd, plain, rtol=rtol, atol=atol)
        self.assertEqual([p.stride() for p in odd], strides)
        self.assertEqual(base[1][1::2], rest[1::2], rtol=0, atol=0)

    @optims(CASES)
    @each_input()
    def test_gradients_of_another_layout(self, device, dtype, optim_info, row):
        w = Parameter(torch.randn(4, 3, 2, 2, device=device, dtype=dtype))
        other = Parameter(w.detach().clone())
        optimizers = make(optim_info, [w], row), make(optim_info, [other], row)
        for _ in range(5):
            w.grad = torch.randn_like(w)
            other.grad = w.grad.to(memory_format=torch.channels_last)
            for optimizer in optimizers:
                optimizer.step()
        self.assertEqual(other, w, rtol=1e-5, atol=1e-6)

    @optims(CASES)
    @each_input()
    def test_mixed_dtypes(self, device, dtype, optim_info, row):
        """One list of float64, float32, bfloat16, float16 weights: all of them move, in their own precision."""
        dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
        params = [Parameter(torch.randn(6, 4).to(device, t)) for t in dtypes]
        before = copy_of(params)
        optimizer = make(optim_info, params, row, eps=1e-3)  # a smaller one is 0 in float16
        train(optimizer, params, 5)
        for p, old in zip(params, before, strict=True):
            self.assertEqual(p.dtype, old.dtype)
            self.assertTrue(p.isfinite().all())
            self.assertNotEqual(p, old)
            self.assertEqual(optimizer.state[p]["exp_avg"].dtype, p.dtype)
            self.assertEqual(optimizer.state[p]["step"].dtype, torch.float32)

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_maximize_is_descent_of_the_negated_gradient(self, device, dtype, optim_info, row):
        up, down = weights(device, dtype), weights(device, dtype)
        ascent, descent = (make(optim_info, p, row, maximize=m) for p, m in ((up, True), (down, False)))
        for i in range(8):
            train(ascent, up, 1, seed=i)
            for p, q in zip(up, down, strict=True):
                q.grad = -p.grad
            descent.step()
            self.assert_same(up, down)

    @optims(CASES)
    @each_input()
    def test_param_groups_keep_their_settings(self, device, dtype, optim_info, row):
        late = dict(begin_step=99, end_step=99) if "begin_step" in row.kwargs else {}
        still, moving = weights(device, dtype), weights(device, dtype)
        before = copy_of(still)
        optimizer = make(optim_info, [dict(params=still, lr=0.0, min_lr=0.0), dict(params=moving)], row, **late)
        train(optimizer, still + moving, 3)
        self.assert_same(still, before)
        self.assertNotEqual(moving[0], before[0])

    @optims(CASES)
    @each_input(with_kernels=True)
    def test_add_param_group_mid_training(self, device, dtype, optim_info, row):
        params, late = weights(device, dtype), weights(device, dtype, seed=1)
        before = copy_of(late)
        optimizer = make(optim_info, params, row)
        train(optimizer, params, 3)
        optimizer.add_param_group(dict(params=late, lr=0.05))
        train(optimizer, params + late, 2)
        self.assertEqual(steps(optimizer), [gathered(optimizer, 5)] * len(params) + [2.0] * len(late))
        self.assertNotEqual(late[0], before[0])

    @optims(CASES)
    def test_errors(self, device, dtype, optim_info):
        for error in optim_info.optim_error_inputs_func(device=device, dtype=dtype):
            row = error.optimizer_error_input
            with self.subTest(row.desc):
                self.assertEqual(error.error_on, OptimizerErrorEnum.CONSTRUCTION_ERROR)
                params = [Parameter(torch.randn(2, 3, device=device))] if row.params is None else row.params
                if issubclass(error.error_type, Warning):
                    with self.assertWarnsRegex(error.error_type, error.error_regex):
                        make(optim_info, params, row)
                else:
                    with self.assertRaisesRegex(error.error_type, error.error_regex):
                        make(optim_info, params, row)

    @optims([PRUNE_CASE], dtypes=[torch.complex64])
    def test_complex_weights_move_and_are_never_pruned(self, device, dtype, optim_info):
        row = optim_info.optim_inputs_func(device=device)[0]
        w = Parameter(torch.randn(6, 4, device=device, dtype=dtype))
        real = Parameter(torch.randn(6, 4, device=device))
        before = w.detach().clone()
        optimizer = make(optim_info, [w, real], row)
        train(optimizer, [w, real], 7)
        self.assertTrue((w != before).all())
        self.assertEqual(int((w == 0).sum()), 0)
        self.assertEqual(int((real == 0).sum()), 12)


class TestSeveralDevices(TestCase):
    """Instantiated where there is an accelerator beside the CPU."""

    @optims(CASES)
    @each_input()
    def test_parameters_on_several_devices(self, device, dtype, optim_info, row):
        here, plain = weights(device, dtype), weights("cpu", dtype)
        mixed = [p if i % 2 else q for i, (p, q) in enumerate(zip(here, weights("cpu", dtype), strict=True))]
        train(make(optim_info, mixed, row), mixed, 4)
        train(make(optim_info, plain, row), plain, 4)
        self.assertEqual([p.cpu() for p in mixed], plain, rtol=1e-4, atol=1e-5)


instantiate_device_type_tests(TestTorchSuite, globals(), only_for=("cpu", "cuda"))
instantiate_device_type_tests(TestSeveralDevices, globals(), only_for=("cuda",))
