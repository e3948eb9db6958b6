"""SIGINT and SIGTERM as requests that a run answers between two steps, and a batch between two looks at its points."""

import signal
import threading
from types import FrameType
from typing import Self


class StopTraining(Exception):
    """Raised by a `control` of `fit` to end the run where it is; its directory can be resumed."""


class Interrupts:
    """Inside, SIGINT and SIGTERM wait for `check`; a second one acts at once. Other threads cannot catch signals."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> Self:
        self.received: int | None = None
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as of a job in the background of a script
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.received = number
