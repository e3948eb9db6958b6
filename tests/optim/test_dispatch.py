"""Which kernel serves which tensors."""

import os
import subprocess
import sys

import pytest
import torch

from adamw_lab.optim import AdamWAdv
from adamw_lab.optim.kernels import dispatch

COMPILES = pytest.mark.timeout(400)
"""Half a minute of work, which on a busy machine takes longer than other tests may."""


def row(dtype=torch.float32, shape=(4, 3)):
    return [torch.zeros(shape, dtype=dtype) for _ in range(4)]


@pytest.mark.parametrize(("dtype", "kernel"), [
    (torch.float32, "cpu"), (torch.float64, "cpu"), (torch.bfloat16, "eager"), (torch.float16, "eager")])
def test_dtype_decides(dtype, kernel):
    assert dispatch.choose_kernel(row(dtype)) == kernel


def test_layouts_without_gaps_that_agree_go_to_the_flat_kernel():
    plain = row(shape=(2, 3, 4, 4))
    channels_last = [t.to(memory_format=torch.channels_last) for t in plain]
    assert dispatch.choose_kernel(channels_last) == "cpu"
    assert dispatch.choose_kernel([channels_last[0], *plain[1:]]) == "eager"
    assert dispatch.choose_kernel([t[:, ::2] for t in plain]) == "eager"
    assert dispatch.choose_kernel([t.t() for t in row()]) == "cpu"


def test_a_list_is_served_as_its_rows_are():
    """Whole columns are looked at first; a list that is not of one kind goes row by row."""
    plain = row(shape=(2, 3, 4, 4))
    odd = {"another dtype": row(torch.float64), "half": row(torch.float16), "gaps": [t[:, ::2] for t in row()],
           "gradient of another layout": [plain[0], plain[1].to(memory_format=torch.channels_last), *plain[2:]],
           "transposed": [t.t() for t in row()]}
    for last in odd.values():
        rows = [row(), plain, last]
        served = dispatch.choose_kernels([list(column) for column in zip(*rows, strict=True)])
        assert served == [(dispatch.choose_kernel(r), r[0].dtype, r[0].device) for r in rows]


@pytest.mark.parametrize("forced", [None, "eager", "cpu"])
def test_no_kernel_serves_state_of_another_shape(forced):
    other = [*row()[:3], torch.zeros(5, 3)]
    with pytest.raises(RuntimeError, match=r"shape \(4, 3\): parameter, gradient and state differ in shape"):
        dispatch.choose_kernels([list(column) for column in zip(row(), other, strict=True)], forced)


@pytest.mark.parametrize(("shape", "strides", "dense"), [
    ((), (), True), ((4, 3), (3, 1), True), ((4, 3), (1, 4), True), ((2, 1, 3), (3, 99, 1), True),
    ((0, 3), (3, 1), True), ((4, 3), (6, 2), False), ((4, 3), (0, 1), False), ((4, 3), (3, 3), False),
    ((2, 3, 2, 2), (12, 1, 6, 3), True), ((4, 3), (4, 1), False)])
def test_dense_is_without_gaps_and_overlaps(shape, strides, dense):
    tensor = torch.zeros(200).as_strided(shape, strides)
    assert dispatch.choose_kernel([tensor] * 4) == ("cpu" if dense else "eager")


def test_a_forced_kernel_serves_or_says_why():
    assert dispatch.choose_kernel(row(), forced="eager") == "eager"
    with pytest.raises(RuntimeError, match="kernel 'cpu' cannot serve .*: it does not serve torch.bfloat16 on cpu"):
        dispatch.choose_kernel(row(torch.bfloat16), forced="cpu")
    with pytest.raises(RuntimeError, match="not dense with the same strides"):
        dispatch.choose_kernel([t[:, ::2] for t in row()], forced="cpu")
    with pytest.raises(RuntimeError, match="differ in dtype or device"):
        dispatch.choose_kernel([row()[0], *row(torch.float64)[1:]], forced="cpu")


def test_without_numba_the_eager_kernel_serves(monkeypatch):
    monkeypatch.setattr(dispatch, "installed", lambda kernel: kernel != "cpu")
    assert dispatch.choose_kernel(row()) == "eager"
    with pytest.raises(RuntimeError, match="numba is not installed"):
        dispatch.choose_kernel(row(), forced="cpu")


def test_the_variable_and_the_argument_force_a_kernel(monkeypatch):
    monkeypatch.delenv("ADAMW_LAB_KERNEL", raising=False)
    assert dispatch.forced_kernel(None) is None
    monkeypatch.setenv("ADAMW_LAB_KERNEL", "eager")
    assert dispatch.forced_kernel(None) == "eager"
    assert dispatch.forced_kernel("cpu") == "cpu"
    monkeypatch.setenv("ADAMW_LAB_KERNEL", "fast")
    with pytest.raises(ValueError, match="Invalid kernel: 'fast'; allowed: eager, cpu, cuda"):
        AdamWAdv([torch.nn.Parameter(torch.zeros(1))])


def test_the_flat_kernel_needs_no_numba_until_it_runs():
    code = ("import sys, adamw_lab.optim as o, torch; p = torch.nn.Parameter(torch.zeros(2)); o.AdamWSPAM([p]); "
            "assert 'numba' not in sys.modules; p.grad = torch.ones(2); o.AdamWSPAM([p]).step(); "
            "assert 'numba' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@COMPILES
def test_code_is_compiled_where_it_cannot_be_kept():
    """As in a read-only container without a home: Numba then finds no folder and refuses to keep its code."""
    code = ("from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []; "
            "import adamw_lab.optim as o, torch; p = torch.nn.Parameter(torch.zeros(4, 4)); p.grad = torch.ones(4, 4); "
            "o.AdamWPrune([p], begin_step=1, end_step=1, target_sparsity=0.5, kernel='cpu').step(); "
            "assert (p == 0).sum() == 8")
    subprocess.run([sys.executable, "-c", code], check=True)


@COMPILES
def test_each_variant_of_a_loop_is_kept_in_files_of_its_own(tmp_path):
    """One index for several, written by processes that compile at once, could lead to the code of another."""
    code = ("import adamw_lab.optim as o, torch; p = torch.nn.Parameter(torch.zeros(4)); p.grad = torch.ones(4); "
            "o.AdamWSPAM.published([p]).step(); o.AdamWAdv([p], total_steps=9).step(); "
            "o.AdamWSPAM([p], theta=None, spike_sigma=None).step()")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)})
    indices = list(tmp_path.rglob("cpu._kernel*.nbi"))
    assert len(indices) == 3  # SPAM's first step runs as with its terms off, and makes the loop of the later ones
    for index in indices:
        assert [int(data.name.split(".")[-2]) for data in tmp_path.rglob(f"{index.stem}.*.nbc")] == [1]


@COMPILES
def test_no_step_after_the_first_compiles():
    code = ("import adamw_lab.optim as o, torch; from adamw_lab.optim.kernels import cpu; "
            "p = torch.nn.Parameter(torch.zeros(4)); s = o.AdamWSPAM.published([p], grace_steps=3); "
            "p.grad = torch.ones(4); s.step(); made = cpu._kernel.cache_info().misses; "
            "[s.step() for _ in range(5)]; assert made == cpu._kernel.cache_info().misses == 2; "
            "assert all(cpu._kernel(cpu.np.float32, False, spam, False, False).signatures for spam in (False, True))")
    subprocess.run([sys.executable, "-c", code], check=True)


@COMPILES
def test_no_spike_compiles():
    code = ("import adamw_lab.optim as o, torch; from adamw_lab.optim.kernels import cpu; "
            "p = torch.nn.Parameter(torch.zeros(4)); s = o.AdamWSPAM([p]); p.grad = torch.ones(4); s.step(); "
            "made = [x.cache_info().misses for x in (cpu._kernel, cpu._damping_kernel, cpu._norm_kernel)]; "
            "assert made == [1, 1, 0] and cpu._damping_kernel(cpu.np.float32, False).signatures; "
            "[(p.grad.fill_(1.0 + i % 3 + 99 * (i == 14)), s.step()) for i in range(15)]; "
            "assert s.telemetry()['spikes'] > 0 and s.telemetry()['elements_clipped'] > 0; "
            "now = [x.cache_info().misses for x in (cpu._kernel, cpu._damping_kernel, cpu._norm_kernel)]; "
            "assert made == now")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_step_leaves_torch_its_number_of_threads():
    """Numba's first launch tells the OpenMP runtime, which it shares with torch, to use every core."""
    code = ("import adamw_lab.optim as o, torch; torch.set_num_threads(1); p = torch.nn.Parameter(torch.zeros(2)); "
            "p.grad = torch.ones(2); s = o.AdamWSPAM([p]); s.step(); s.step(); import numba; "
            "assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_follow_torch_and_the_result_does_not_depend_on_them():
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(70_000, generator=generator)
    g = torch.randn(70_000, generator=generator)
    results, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        q = torch.nn.Parameter(p.clone())
        q.grad = g
        optimizer = AdamWAdv([q], total_steps=5)
        optimizer.step()
        results.append(q.detach())
    torch.set_num_threads(before)
    assert torch.equal(*results)


def test_every_kernel_can_be_imported_without_what_it_is_compiled_by():
    """All but `cpu`, which Numba, a dependency, compiles."""
    code = ("import sys; sys.modules['triton'] = None\n"
            "from adamw_lab.optim import AdamWSPAM\n"
            "from adamw_lab.optim.kernels import cuda, dispatch, eager\n"
            "import torch; p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3)\n"
            "AdamWSPAM([p]).step()\n"
            "try: AdamWSPAM([p], kernel='cuda').step()\n"
            "except RuntimeError as error: print(error)\n")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert "triton is not installed" in run.stdout


@pytest.mark.parametrize("kernel", ["eager", "cpu"])
def test_a_gradient_of_zeros_that_lie_nowhere_is_served_as_any(kernel):
    p = torch.nn.Parameter(torch.full((4,), 2.0))
    optimizer = AdamWAdv([p], lr=0.1, weight_decay=0.5, total_steps=9, kernel=kernel)
    p.grad = torch._efficientzerotensor((4,))
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((4,), 1.9))


@pytest.mark.parametrize("kernel", ["eager", "cpu", None])
def test_a_parameter_with_a_lazy_sign_is_refused(kernel):
    p = torch.nn.Parameter(torch._neg_view(torch.ones(4)))
    p.grad = torch.ones(4)
    with pytest.raises(RuntimeError, match=r"shape \(4,\) whose sign is not yet in its memory.*resolve_neg"):
        AdamWAdv([p], total_steps=9, kernel=kernel).step()
    assert torch.equal(p.detach(), -torch.ones(4))


def test_a_fork_of_a_process_that_has_stepped_is_told_what_to_do():
    """OpenMP would end it. On one thread, since with more of them torch's own loops hang in such a fork."""
    code = ("import multiprocessing, torch\n"
            "from adamw_lab.optim import AdamWSPAM\n"
            "def step(kernel=None):\n"
            "    p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3)\n"
            "    AdamWSPAM([p], kernel=kernel).step()\n"
            "step()\n"
            "for kernel in ('cpu', 'eager'):\n"
            "    fork = multiprocessing.get_context('fork').Process(target=step, args=(kernel,))\n"
            "    fork.start(); fork.join(); print(kernel, fork.exitcode, flush=True)\n")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200,
                         env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.stdout.split() == ["cpu", "1", "eager", "0"], run.stderr
    assert "RuntimeError: this process was forked" in run.stderr and "or step with kernel='eager'" in run.stderr
