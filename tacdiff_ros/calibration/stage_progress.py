"""Progress and computation time of a calibration's stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]

STAGES = ("pose", "pose_with_glass", "lighting", "texture")


class StageProgress:
    """Reports the progress of the stages and records how long they take.

    Attributes:
        seconds: computation time of each completed stage, s.
    """

    def __init__(self, progress: Progress | None) -> None:
        """Start without completed stages.

        Args:
            progress: callback on the stage and the completed fraction of the calibration.
        """
        self._progress = progress
        self.seconds: dict[str, float] = {}

    def report(self, stage: str, fraction: float) -> None:
        """Report the completed fraction of the calibration during a stage."""
        if self._progress is not None:
            self._progress(stage, fraction)

    @contextmanager
    def stage(self, stage: str, fraction: float) -> Iterator[None]:
        """Report the start of a stage, and record its duration when the block ends.

        Args:
            stage: one of `STAGES`.
            fraction: completed fraction of the calibration at the start.

        Returns:
            Context manager of the stage's computation.
        """
        self.report(stage, fraction)
        started = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - started, 2)

    def within(self, stage: str, low: float, high: float) -> Callable[[float], None]:
        """Return a callback that maps the fraction of a fit to the range from low to high."""
        return lambda fraction: self.report(stage, low + fraction * (high - low))
