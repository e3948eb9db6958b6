"""The lab's optimizers, registered in torch's own database of optimizers, and the machinery of torch's test-suite.

Importing that machinery switches Hypothesis's profile and forbids setting `torch.backends` flags; both are undone here,
so that the tests of other files in the same process see neither. Import it from here.
"""

import functools
import os
from unittest import mock

import hypothesis
import torch

from adamw_lab.optim import AdamWAdv, AdamWPrune, AdamWSPAM

hypothesis.settings.register_profile("before torch", hypothesis.settings())
with torch.backends.__allow_nonbracketed_mutation():
    from torch.testing._internal import common_utils
    from torch.testing._internal.common_device_type import instantiate_device_type_tests
    from torch.testing._internal.common_optimizers import (
        ErrorOptimizerInput,
        OptimizerErrorEnum,
        OptimizerInfo,
        OptimizerInput,
        TensorTracker,
        get_error_inputs_for_all_optims,
        optims,
    )
hypothesis.settings.load_profile("before torch")

__all__ = ["CASES", "ErrorOptimizerInput", "OptimizerErrorEnum", "OptimizerInfo", "OptimizerInput", "TensorTracker",
           "TestCase", "copy_of", "each_input", "instantiate_device_type_tests", "kernels", "make", "optims", "steps",
           "train", "weights"]

class TestCase(common_utils.TestCase):
    """Torch's, with no kernel forced from outside and on one thread: the tensors are tiny."""

    def setUp(self):
        super().setUp()
        environment = mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("ADAMW_LAB_KERNEL", None)
        self.addCleanup(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)

    def assert_same(self, actual, expected, **kwargs):
        """Pairwise equal: to the bit, unless tolerances are given."""
        for a, b in zip(actual, expected, strict=True):
            self.assertEqual(a, b, **(kwargs or dict(rtol=0, atol=0)))


PRUNE = dict(target_sparsity=0.5, begin_step=2, end_step=6, update_every=2)


def _inputs(table, required=None):
    def inputs(device, dtype=None):
        return [OptimizerInput(params=None, kwargs={**(required or {}), **kwargs}, desc=desc) for desc, kwargs in table]
    return inputs


_COMMON = [
    ("default", {}),
    ("non-default lr", dict(lr=0.01)),
    ("nonzero weight_decay", dict(weight_decay=0.1)),
    ("maximize", dict(weight_decay=0.1, maximize=True)),
    ("annealed", dict(total_steps=30, min_lr=1e-5)),
]
_ADV = [
    *_COMMON,
    ("clipped hard", dict(clip_norm=0.1, weight_decay=0.1)),
    ("not clipped", dict(clip_norm=None)),
    ("no amsgrad", dict(amsgrad=False)),
]
_SPAM = [
    *_COMMON,
    ("amsgrad, clip_norm", dict(weight_decay=0.1, amsgrad=True, clip_norm=0.5)),
    ("no detector", dict(theta=None, spike_sigma=None)),
    ("damped at spikes", dict(theta=1.5, spike_sigma=0.5, spike_decay=(0.5, 0.9))),
    ("full resets", dict(theta=1.5, spike_sigma=0.5, spike_decay=(0.0, 0.0), reset_interval=4, warmup_steps=2,
                         grace_steps=1)),
]
_PUBLISHED = [
    *_COMMON,
    ("short interval", dict(theta=1.5, reset_interval=4, warmup_steps=2, grace_steps=2)),
    ("never reset", dict(theta=2.0, reset_interval=0)),
]
_PRUNE = [
    *_COMMON,
    ("amsgrad", dict(weight_decay=0.1, amsgrad=True)),
    ("base adamwadv", dict(base="adamwadv", total_steps=30)),
    ("base adamwspam", dict(base="adamwspam", theta=1.5, reset_interval=4)),
    ("layer scope, regrow", dict(scope="layer", regrow=0.3, importance="magnitude")),
    ("random importance, one shot", dict(importance="random", schedule="one_shot")),
]

_ERRORS = [
    (dict(lr=-1e-2), "Invalid learning rate: -0.01"),
    (dict(eps=-1e-8), "Invalid epsilon value: -1e-08"),
    (dict(lr=1e-2, betas=(1.0, 0.0)), "Invalid beta parameter at index 0: 1.0"),
    (dict(lr=1e-2, betas=(0.0, 1.0)), "Invalid beta parameter at index 1: 1.0"),
    (dict(lr=1e-2, weight_decay=-1), "Invalid weight_decay value: -1"),
    (dict(lr=float("nan")), "Invalid learning rate: nan"),
    (dict(total_steps=0), "Invalid total_steps value: 0; allowed: None or a whole number of at least 1"),
    (dict(total_steps=10, lr=1e-3, min_lr=1e-2), "Invalid min_lr value: 0.01; allowed: from 0 to lr = 0.001"),
    (dict(kernel="fused"), "Invalid kernel: 'fused'; allowed: eager, cpu, cuda"),
]
_ADV_ERRORS = [(dict(clip_norm=0.0), "Invalid clip_norm value: 0.0"), (dict(amsgrad=1), "Invalid amsgrad value: 1")]
_SPAM_ERRORS = [
    (dict(theta=-1.0), "Invalid theta value: -1.0"),
    (dict(history=9), "Invalid history value: 9; allowed: a whole number of at least 10"),
    (dict(spike_decay=(0.5, 1.5)), "Invalid spike_decay value"),
    (dict(reset_interval=-1), "Invalid reset_interval value: -1"),
]
_PRUNE_ERRORS = [
    (dict(target_sparsity=1.0), "Invalid target_sparsity.*: 1.0"),
    (dict(begin_step=9), "Invalid .*end_step.*: .*6; allowed: .*begin"),
    (dict(schedule="cubik"), "unknown schedule 'cubik'; allowed: .* Did you mean 'cubic'"),
    (dict(regrow=1.0), "Invalid regrow.*: 1.0"),
]


def _errors(table, required=None):
    def errors(device, dtype):
        expected = []
        for error in get_error_inputs_for_all_optims(device, dtype):
            error.optimizer_error_input.kwargs = {**(required or {}), **error.optimizer_error_input.kwargs}
            expected.append(error)
        return expected + [
            ErrorOptimizerInput(OptimizerInput(params=None, kwargs={**(required or {}), **kwargs}, desc=text),
                                error_type=ValueError, error_regex=text) for kwargs, text in [*_ERRORS, *table]]
    return errors


def _info(optim_cls, table, errors, required=None, **options):
    return OptimizerInfo(optim_cls, optim_inputs_func=_inputs(table, required), supported_impls=(),
                         not_og_supported_flags=("maximize",), optim_error_inputs_func=_errors(errors, required),
                         **options)


CASES = [
    _info(AdamWAdv, _ADV, _ADV_ERRORS),
    _info(AdamWSPAM, _SPAM, _SPAM_ERRORS),
    _info(AdamWSPAM.published, _PUBLISHED, _SPAM_ERRORS),  # its __name__ is "published"
    _info(AdamWPrune, _PRUNE, _PRUNE_ERRORS, PRUNE, supports_complex=False),  # complex weights are never pruned
]


def kernels(device):
    """The kernels that serve dense float32 and float64 tensors there."""
    return ["eager", torch.device(device).type]


def each_input(with_kernels=False):
    """Run a test `(self, device, dtype, optim_info, row)` on every row of the database, perhaps with every kernel."""
    def decorate(test):
        @functools.wraps(test)
        def run(self, device, dtype, optim_info):
            for kernel in kernels(device) if with_kernels else [None]:
                for row in optim_info.optim_inputs_func(device=device):
                    with self.subTest(optimizer=row.desc, kernel=kernel):
                        row.kwargs["kernel"] = kernel
                        test(self, device, dtype, optim_info, row)
        del run.__wrapped__  # its signature is not the one that torch is to fill
        return run
    return decorate


def weights(device, dtype, seed=0):
    """A matrix, a vector, a channels_last filter, a scalar and an empty parameter."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(6, 4), (5,), (4, 2, 3, 3), (), (0, 3)]
    drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    drawn[2] = drawn[2].to(memory_format=torch.channels_last)
    return [torch.nn.Parameter(t) for t in drawn]


def make(optim_info, params, optim_input, **overrides):
    """The optimizer of one row of the database."""
    return optim_info.optim_cls(params, **{**optim_input.kwargs, **overrides})


def copy_of(params):
    """The same parameters again, as leaves, with strides kept and without gradients."""
    return [p.detach().clone(memory_format=torch.preserve_format).requires_grad_(p.requires_grad) for p in params]


def train(optimizer, params, count, seed=0):
    """Take `count` steps on Gaussian gradients, the same for equal seeds; each tenth is a spike."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(count):
        for p in params:
            g = torch.randn(p.shape, generator=generator, dtype=torch.complex128 if p.is_complex() else torch.float64)
            p.grad = torch.empty_like(p).copy_(g * (20.0 if i % 10 == 9 else 1.0))
        optimizer.step()


def steps(optimizer):
    """Every parameter's step number."""
    return [float(state["step"]) for state in optimizer.state.values()]


def gathered(optimizer, taken):
    """The step number of a parameter after so many steps of the optimizer: those since the last full reset."""
    group = optimizer.param_groups[0]
    interval = group["reset_interval"] if group["restart_bias_correction"] else 0
    return float(taken if not interval or taken < interval else taken % interval + 1)
