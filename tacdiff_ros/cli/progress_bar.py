"""Progress of a command on the standard error stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_PERIOD_S = 10.0
Item = TypeVar("Item")


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """A bar on a terminal, which disappears at the end; elsewhere a line every ten seconds."""

    def __init__(self, stage: str, total: float | None = None) -> None:
        """Create the bar; it is shown inside a `with` block.

        Args:
            stage: name of the work.
            total: number of steps; 1.0 for a fraction, None if unknown.
        """
        self._stage, self._total = stage, total
        self._completed = 0.0
        self._line_s = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        amount = TextColumn("{task.percentage:>3.0f} %") if total == 1.0 else MofNCompleteColumn()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            amount,
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self._bar = Progress(
            *columns, console=console, disable=not self._is_terminal, transient=True
        )
        self._task = self._bar.add_task(stage, total=total, note="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self._bar.stop()

    def update(
        self,
        completed: float,
        total: float | None = None,
        stage: str | None = None,
        note: str = "",
    ) -> None:
        """Show how much is done.

        Args:
            completed: steps done, in the unit of the total.
            total: number of steps, if it has become known.
            stage: name of the present work, if it has changed.
            note: text beside the bar.
        """
        self._completed = completed
        self._total = self._total if total is None else total
        self._stage = self._stage if stage is None else stage
        self._bar.update(
            self._task,
            description=self._stage,
            completed=completed,
            total=self._total,
            note=note,
        )
        if not self._is_terminal and time.monotonic() - self._line_s > LINE_PERIOD_S:
            self._line_s = time.monotonic()
            print(f"{self._line()}{note and f', {note}'}", file=sys.stderr, flush=True)

    def advance(self) -> None:
        """Count one more step."""
        self.update(self._completed + 1)

    def track(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items and count each of them when the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def _line(self) -> str:
        """The state as a line of text."""
        if self._total is None:
            return f"{self._stage}: {self._completed:g}"
        if self._total == 1.0:
            return f"{self._stage}: {100 * self._completed:.0f} %"
        return f"{self._stage}: {self._completed:g} of {self._total:g}"
