"""One computation in a thread of its own, so that the executor is never blocked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception

LOGGER = logging.getLogger(__name__)
Progress = Callable[[str, float], None]


class CancelledError(Exception):
    """Somebody asked for the end of a computation."""


class Worker:
    """A computation that can be watched and cancelled.

    Whatever the task raises ends it with one line in `failure`; an unexpected exception leaves its
    traceback in the log.
    """

    def __init__(self, task: Callable[[Progress], Any], name: str) -> None:
        """Start it.

        Args:
            task: is given a function to tell its stage and the share that is done.
            name: of the task, for messages.
        """
        self.stage, self.share = "", 0.0
        self.found: Any = None
        self.failure = ""
        self._name = name
        self._cancelled = threading.Event()
        self._why = "cancelled: nothing was written"
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._work, args=(task,), daemon=True)
        self._thread.start()

    def cancel(self, why: str = "") -> None:
        """End it at its next step."""
        self._why = why or self._why
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether its end was asked for."""
        return self._cancelled.is_set()

    @property
    def is_done(self) -> bool:
        """Whether it ended, in whatever way."""
        return not self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started

    def _work(self, task: Callable[[Progress], Any]) -> None:
        try:
            self.found = task(self._on_progress)
        except CancelledError:
            self.failure = self._why
        except InputError as error:
            self.failure = str(error)
        except BaseException as error:  # also SystemExit and panics: the caller must know
            self.failure = log_exception(LOGGER, f"{self._name} failed", error)

    def _on_progress(self, stage: str, share: float) -> None:
        if self._cancelled.is_set():
            raise CancelledError
        self.stage, self.share = stage, share
