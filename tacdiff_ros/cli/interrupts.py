"""Converts SIGINT, SIGTERM and SIGHUP to KeyboardInterrupt while a command runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130  # shell convention for an interrupted command
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Signal handler that records interrupts: libraries may convert the exception to another.

    Attributes:
        received: whether a signal was received.
    """

    received = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in the main thread, so that all resources are released."""
        self.received = True
        raise KeyboardInterrupt


@contextmanager
def watch_interrupts() -> Iterator[Interrupts]:
    """Handle signals while a command runs; outside the main thread, no signals are handled."""
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
