"""One computation in a separate thread, so that the executor is never blocked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception

LOGGER = logging.getLogger(__name__)
Progress = Callable[[str, float], None]  # name of the stage, completed fraction


class CancelledError(Exception):
    """The computation was cancelled."""


class Worker:
    """A computation that can be observed and cancelled.

    An exception of the task ends the computation with one line in `failure`; an unexpected
    exception also leaves its traceback in the log.

    Attributes:
        stage: name of the current stage.
        fraction: completed fraction of the computation, 0 to 1.
        result: return value of the task; None before the end and after a failure.
        failure: reason of the failure; empty if there is none.
    """

    def __init__(self, task: Callable[[Progress], Any], name: str) -> None:
        """Start the thread.

        Args:
            task: computation; it reports its stage and completed fraction to the callback that it
                receives, which raises an exception after a cancellation.
            name: name of the task in messages.
        """
        self.stage, self.fraction = "", 0.0
        self.result: Any = None
        self.failure = ""
        self._name = name
        self._cancelled = threading.Event()
        self._cancel_reason = "cancelled: nothing was written"
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._work, args=(task,), daemon=True)
        self._thread.start()

    def cancel(self, reason: str = "") -> None:
        """End the computation when it next reports its progress; `reason` becomes its failure."""
        self._cancel_reason = reason or self._cancel_reason
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether a cancellation was requested."""
        return self._cancelled.is_set()

    @property
    def is_done(self) -> bool:
        """Whether the computation has ended, successfully or not."""
        return not self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Time since the start, s."""
        return time.monotonic() - self._started

    def _work(self, task: Callable[[Progress], Any]) -> None:
        try:
            self.result = task(self._on_progress)
        except CancelledError:
            self.failure = self._cancel_reason
        except InputError as error:
            self.failure = str(error)
        except BaseException as error:  # also SystemExit and panics: the caller must be informed
            self.failure = log_exception(LOGGER, f"{self._name} failed", error)

    def _on_progress(self, stage: str, fraction: float) -> None:
        if self._cancelled.is_set():
            raise CancelledError
        self.stage, self.fraction = stage, fraction
