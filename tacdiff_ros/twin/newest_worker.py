"""A worker thread that processes only the newest items, because older ones are out of date."""

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
    """Calls a task with the newest of the offered items, one after the other, until it is closed.

    The thread continues after any exception of the task; an unexpected exception leaves its
    traceback in the log.

    Attributes:
        done: number of completed items.
        dropped: number of items that were replaced by newer ones.
    """

    def __init__(
        self, task: Callable[[Item], None], on_error: Callable[[str], None], capacity: int = 1
    ) -> None:
        """Start the thread.

        Args:
            task: function that processes an item in the thread.
            on_error: callback for the one-line message of an error of the task.
            capacity: maximum number of waiting items; beyond it the oldest item is dropped.
        """
        self.done = self.dropped = 0
        self._task, self._on_error = task, on_error
        self._waiting: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Queue an item; if the queue is full, it replaces the oldest one."""
        with self._changed:
            if len(self._waiting) == self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify()

    def close(self, wait_s: float = 5.0) -> bool:
        """Stop the thread after the current item.

        Args:
            wait_s: maximum time to wait for the end of the current item, s.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._process(item)
            except BaseException as error:  # raised by `on_error`, for example at a shutdown
                log_exception(LOGGER, "an error could not be reported", error)

    def _process(self, item: Item) -> None:
        try:
            self._task(item)
            self.done += 1
        except InputError as error:
            self._on_error(str(error))
        except BaseException as error:  # also SystemExit and panics: the thread must continue
            self._on_error(log_exception(LOGGER, "unexpected error", error))

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            return None if self._closed else self._waiting.popleft()
