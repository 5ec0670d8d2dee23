"""Ctrl-C, a closed terminal and a request to end are one thing to a command: it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130  # of a shell's command that was interrupted
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether one came; libraries turn the exception into others of their own."""

    came = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Raise in the main thread, so that all that was started is ended on the way out."""
        self.came = True
        raise KeyboardInterrupt


@contextmanager
def watch_interrupts() -> Iterator[Interrupts]:
    """Watch for signals while a command runs; in a thread other than the main one, for none."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.on_signal) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
