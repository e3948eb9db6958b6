"""Kernels for points: forked from a server that has imported what the notebook will, over sockets of their own.

A cold kernel that imports torch and pandas spends seconds on that alone. Here Python's own forkserver imports them once
and each kernel is a fork of it: a process of its own, with nothing of another point in it. The server starts no threads
and touches no GPU. A kernel dies with its runner, however that dies, and holds the point's lock as long as it lives.
"""

import asyncio
import atexit
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection, forkserver, reduction
from pathlib import Path
from types import ModuleType
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets.config import Config

from adamw_lab.provenance import cores

# Libraries that size their thread pools when they are imported, before the notebook could say anything.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# What a kernel imports whatever its notebook does; first of all what keeps the server without threads.
ALWAYS = ("adamw_lab.quiet", "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger",
          "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.oinspect",
          "IPython.extensions.storemagic", "threadpoolctl", __name__)
_PR_SET_PDEATHSIG = 1
# multiprocessing polls all children whenever it starts one, which is not made for several threads.
_PROCESSES = threading.Lock()


@dataclass(frozen=True)
class KernelSettings:
    """How a point's kernel starts.

    Attributes:
        preload: modules that the server imports; None: a kernel from nothing, as Jupyter starts it.
        env: environment variables of the kernel.
        threads: for torch, Numba, BLAS and OpenMP; None: what they take by themselves.
        log: file that takes what the kernel prints outside its notebook.
        lock: descriptor of the point's lock, which the kernel then holds too.
    """

    preload: tuple[str, ...] | None
    env: Mapping[str, str]
    threads: int | None
    log: Path
    lock: int


@dataclass
class Kernels:
    """The kernels started for one point: to interrupt or kill them, and to say how the last one ended."""

    settings: KernelSettings
    processes: list[Any] = field(default_factory=list)
    stopped: bool = False

    @contextmanager
    def manager(self) -> Iterator[dict[str, Any]]:
        """Arguments for `papermill.execute_notebook`. Kernels that start side by side over TCP race for ports; a
        socket directory of its own, short since a socket's path ends at 107 characters, has no rival."""
        with tempfile.TemporaryDirectory(prefix="nb-", dir=_short_folder()) as sockets:
            yield {"kernel_manager_class": type("PointManager", (_Manager,), {"kernels": self}),
                   "config": Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}})}

    def started(self, process: Any) -> None:
        """Add a kernel; one that comes when all are stopped is killed."""
        self.processes.append(process)
        if self.stopped:
            self.stop(signal.SIGKILL)

    def stop(self, number: int) -> None:
        """Send a signal to the kernels that live, and to what they started; no further kernel starts."""
        self.stopped = True
        for process in self.processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def end(self) -> str:
        """How the last kernel ended, in words; "" where it ended as it should or still lives."""
        code = self.processes[-1].poll() if self.processes else None
        if not code:
            return ""
        if code > 0:
            return f"its kernel ended with exit code {code}"
        return f"its kernel was ended by {signal.Signals(-code).name}"


def _short_folder() -> str | None:
    return "/tmp" if len(tempfile.gettempdir()) > 60 and os.path.isdir("/tmp") else None


class _Manager(AsyncKernelManager):
    """jupyter_client's manager, with kernels of ours."""

    kernels: Kernels

    async def _async_pre_start_kernel(self, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        self.kernel_id = self.kernel_id or str(uuid.uuid4())
        if self.provisioner is None:
            self.provisioner = _Provisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**kwargs)

    async def _async_finish_shutdown(self, waittime: float | None = None, pollinterval: float = 0.01,
                                     restart: bool = False) -> None:
        """As jupyter_client's, looking more often than its ten times a second."""
        await super()._async_finish_shutdown(waittime, pollinterval, restart)


class _Provisioner(LocalProvisioner):
    """Forks the kernel where it is this Python's, and starts it as Jupyter does where it is not."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        kernels: Kernels = self.parent.kernels
        settings = kernels.settings
        env = {**os.environ, **kwargs.get("env", {}), **settings.env}
        if settings.threads:
            env.update(dict.fromkeys(THREAD_VARIABLES, str(settings.threads)))
        env["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else the debugger speaks of frozen modules in every log
        env.pop("JPY_PARENT_PID", None)  # the runner's, where that is a kernel itself
        arguments = None if settings.preload is None else _kernel_arguments(cmd)
        if arguments is None:
            with open(settings.log, "ab") as log:
                cold = {**kwargs, "env": env, "stdout": log, "stderr": log, "pass_fds": (settings.lock,)}
                info = await super().launch_kernel(cmd, **cold)
        else:
            start = partial(_start, settings, arguments, kwargs.get("cwd"), env)
            self.process = await asyncio.get_running_loop().run_in_executor(None, start)
            self.pid = self.pgid = self.process.pid
            info = self.connection_info
        kernels.started(self.process)
        return info


def _kernel_arguments(cmd: list[str]) -> list[str] | None:
    """What follows in a command that starts IPython's kernel with this very interpreter; None for any other."""
    if os.path.abspath(cmd[0]) != os.path.abspath(sys.executable) or "ipykernel_launcher" not in cmd:
        return None
    place = cmd.index("ipykernel_launcher")
    return cmd[place + 1 :] if cmd[1:place] in (["-m"], ["-Xfrozen_modules=off", "-m"]) else None


class _Forked:
    """What jupyter_client asks of a `Popen`, of a process of `multiprocessing`."""

    stdin = stdout = stderr = None

    def __init__(self, process: multiprocessing.Process) -> None:
        self.process, self.pid = process, process.pid

    def poll(self) -> int | None:
        with _PROCESSES:
            return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start(settings: KernelSettings, arguments: list[str], cwd: str | None, env: dict[str, str]) -> _Forked:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*ALWAYS, *settings.preload])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, daemon=False, args=(
        arguments, cwd or os.getcwd(), env, settings.threads, str(settings.log), _Descriptor(settings.lock), sender))
    with _PROCESSES, _apart():
        process.start()
    sender.close()
    try:
        receiver.recv()  # from here on it is the leader of a group of its own, and may be signalled as one
    except EOFError:
        process.join()
        raise RuntimeError(f"the kernel ended before it began, with exit code {process.exitcode}; "
                           f"see {settings.log}") from None
    return _Forked(process)


@contextmanager
def _apart() -> Iterator[None]:
    """Within it the server and its forks start without the runner's own `__main__`, which a fork would run again.
    Ctrl-C, which a terminal sends to all, does not reach them either: it is the runner that stops a kernel. The
    runner's environment is left alone, since other threads copy it meanwhile."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sys.modules["__main__"] = main


class _Descriptor:
    """A file descriptor that is handed to the process which it is sent to."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(duplicate: Any) -> int:
    number = duplicate.detach()
    os.set_inheritable(number, False)
    return number


def _serve(arguments: list[str], cwd: str, env: dict[str, str], threads: int | None, log: str, lock: int,
           ready: connection.Connection) -> None:
    """Be an IPython kernel, in a fork of the server. `lock` stays open as long as this process lives."""
    os.setsid()
    _leave_to_the_server()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _die_with_the_runner()
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    ready.send(None)
    ready.close()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    _as_if_new(threads)
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", *arguments]
    try:
        IPKernelApp.launch_instance(arguments)
    finally:
        atexit._run_exitfuncs()  # as a Python that ends would; multiprocessing's children do not


def _leave_to_the_server() -> None:
    """What the server imported is not this process's to search for garbage, which would copy all of its pages, nor to
    finalize. Both happen when IPython ends, and would take longer than many a notebook."""
    gc.freeze()
    for finalizer in list(weakref.finalize._registry):
        finalizer.atexit = False


def _die_with_the_runner() -> None:
    """On Linux the system ends this process when the server does, and the server ends when its last client does, so
    this process must not be a client. Elsewhere, and where the server is already gone, a thread waits for the runner.
    """
    os.close(forkserver._forkserver._forkserver_alive_fd)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    runner = multiprocessing.parent_process().sentinel

    def wait() -> None:
        connection.wait([runner])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="end with the runner", daemon=True).start()


def _as_if_new(threads: int | None) -> None:
    """What a library did for itself when the server imported it, done again for this process."""
    modules = sys.modules
    if "numpy" in modules:
        import threadpoolctl

        modules["numpy"].random.seed()  # else all kernels would draw the same numbers
        threadpoolctl.threadpool_limits(threads or cores())
    if "matplotlib" in modules and "MPLBACKEND" not in os.environ:
        modules["matplotlib"].rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    if threads and "numba" in modules:
        numba, most = modules["numba"], modules["numba"].config.NUMBA_NUM_THREADS
        os.environ["NUMBA_NUM_THREADS"] = str(most)  # Numba allows no other value any more, only to use fewer
        numba.set_num_threads(min(threads, most))
    if "torch" in modules:
        modules["torch"].seed()
    if threads and "torch" in modules:  # after Numba, whose OpenMP layer sets OpenMP's threads, which are torch's
        modules["torch"].set_num_threads(threads)
