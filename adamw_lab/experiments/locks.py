"""Who runs a point: a lock on its directory, held by the runner and by the kernel, gone when both are."""

import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LOCK = ".lock"


class Claim:
    """The lock of a point's directory, taken; to be used in a `with`.

    The lock is the system's (`flock`), so none is ever stale: it goes with the last process that has it open, on any
    machine of a file system that passes locks on, as NFS and most cluster file systems do.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._said: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
        self.say()

    def say(self, **facts: Any) -> None:
        """Write into the lock file who holds it and where it is, for others to read."""
        self._said |= facts
        text = json.dumps(self._said).encode()
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self.descriptor)


def claim(run_dir: Path) -> Claim | None:
    """Take the lock of a point's directory, which is made if need be; None if somebody has it.

    Raises:
        OSError: the directory cannot be made or written.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return Claim(descriptor)


def holder(run_dir: Path) -> dict[str, Any] | None:
    """What the holder of a directory's lock says; None where nobody holds it."""
    try:
        descriptor = os.open(run_dir / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 4096, 0)
        return json.loads(text) if text.endswith(b"}") else {}
    finally:
        os.close(descriptor)
    return None
