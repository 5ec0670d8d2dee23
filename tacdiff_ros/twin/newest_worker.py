"""A thread that works on the newest item only: what came meanwhile is out of date."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from tacdiff_ros.errors import InputError

Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Calls a task with the newest item offered, one after the other, until it is closed."""

    def __init__(self, task: Callable[[Item], None], complain: Callable[[str], None]) -> None:
        """Start the thread.

        Args:
            task: does the work, in that thread.
            complain: told in one line of what a task could not do.
        """
        self.done = self.dropped = 0
        self._task, self._complain = task, complain
        self._waiting: Item | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Put an item in place of the one that waits, if any."""
        with self._changed:
            self.dropped += self._waiting is not None
            self._waiting = item
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
                self._task(item)
                self.done += 1
            except InputError as error:
                self._complain(str(error))
            except Exception as error:  # the thread must live on, and somebody must know
                self._complain(f"{type(error).__name__}: {error}")

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            item, self._waiting = self._waiting, None
            return None if self._closed else item
