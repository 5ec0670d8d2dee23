"""Base class of objects that own native memory, which the garbage collector does not track."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

Self = TypeVar("Self", bound="Closing")  # typing.Self is available from Python 3.11 on


class Closing(ABC):
    """Context manager whose `close` is called at the end of the `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources; further calls have no effect."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()
