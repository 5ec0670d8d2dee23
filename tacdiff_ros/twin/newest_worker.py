"""A thread that works on the newest items only: what came long before is out of date."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception

LOGGER = logging.getLogger(__name__)
Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Calls a task with the newest items offered, one after the other, until it is closed.

    The thread outlives whatever a task raises; an unexpected exception leaves its traceback in the
    log.
    """

    def __init__(
        self, task: Callable[[Item], None], complain: Callable[[str], None], most: int = 1
    ) -> None:
        """Start the thread.

        Args:
            task: does the work, in that thread.
            complain: told in one line of what a task could not do.
            most: items that may wait; then the oldest is dropped.
        """
        self.done = self.dropped = 0
        self._task, self._complain = task, complain
        self._waiting: deque[Item] = deque()
        self._most = most
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Let an item wait, in place of the oldest where there are too many."""
        with self._changed:
            if len(self._waiting) == self._most:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify()

    def close(self, wait_s: float = 5.0) -> bool:
        """Work no more; whether the task that ran has ended in time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._do(item)
            except BaseException as error:  # of `complain`, at a shutdown for example
                log_exception(LOGGER, "an error could not be reported", error)

    def _do(self, item: Item) -> None:
        try:
            self._task(item)
            self.done += 1
        except InputError as error:
            self._complain(str(error))
        except BaseException as error:  # also SystemExit and panics: the thread must live on
            self._complain(log_exception(LOGGER, "unexpected error", error))

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            return None if self._closed else self._waiting.popleft()
