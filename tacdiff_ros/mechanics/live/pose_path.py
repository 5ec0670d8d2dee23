"""Path of the indenter between frames, which must not be skipped because friction depends on it."""

from __future__ import annotations

import math
import threading
from collections import deque

from tacdiff_ros.geometry.indenter_pose import IndenterPose

LEVER_MM = 5.0  # lever arm that converts a rotation to travel
INTERPOLATION_STEP_MM, MAX_INTERPOLATED_MM = 0.5, 6.0


class PosePath:
    """Buffer of poses with a minimum spacing, filled by one thread and read by another."""

    def __init__(self, spacing_mm: float = 0.5, max_poses: int = 500) -> None:
        """Create an empty buffer.

        Args:
            spacing_mm: minimum travel between buffered poses, mm.
            max_poses: capacity; the oldest poses are dropped.
        """
        self._spacing_mm = spacing_mm
        self._buffer: deque[tuple[int, IndenterPose]] = deque(maxlen=max_poses)
        self._last: IndenterPose | None = None
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, pose: IndenterPose) -> None:
        """Add a pose if it is far enough from the last one.

        Args:
            stamp_ns: time stamp, ns; a smaller stamp than before (the clock was reset) clears the
                buffer.
            pose: indenter pose in frame `gel`.
        """
        with self._lock:
            if self._buffer and stamp_ns < self._buffer[-1][0]:
                self._buffer.clear()  # the clock was reset
                self._last = None
            if self._last is not None and _travel_mm(self._last, pose) < self._spacing_mm:
                return
            self._last = pose
            self._buffer.append((stamp_ns, pose))

    def take(self, until_ns: int, goal: IndenterPose) -> list[IndenterPose]:
        """Remove and return the poses up to a time, in order.

        Trailing poses that are closer to the goal than the spacing are dropped: the path from there
        to the goal is straight enough.

        Args:
            until_ns: time stamp of the goal, ns.
            goal: indenter pose at that time, in frame `gel`.
        """
        taken = []
        with self._lock:
            while self._buffer and self._buffer[0][0] <= until_ns:
                taken.append(self._buffer.popleft()[1])
        while taken and _travel_mm(taken[-1], goal) < self._spacing_mm:
            taken.pop()
        return taken


def _travel_mm(start: IndenterPose, goal: IndenterPose) -> float:
    """Travel between two poses in mm, with rotation counted at `LEVER_MM`."""
    moved = math.dist(
        (start.x_mm, start.y_mm, start.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
    )
    return moved + LEVER_MM * abs(goal.yaw_rad - start.yaw_rad)


def interpolate_poses(start: IndenterPose | None, goal: IndenterPose) -> list[IndenterPose]:
    """Interpolate poses between two that are far apart, as after lost frames.

    Assumes that contact was not interrupted in between.

    Args:
        start: indenter pose before the gap in frame `gel`; None if unknown.
        goal: indenter pose after the gap in frame `gel`.

    Returns:
        Intermediate poses without the ends; empty if the indenter does not touch the gel at both
        ends, or if these are more than `MAX_INTERPOLATED_MM` apart.
    """
    if start is None or min(start.depth_mm, goal.depth_mm) <= 0.0:
        return []
    distance = _travel_mm(start, goal)
    if distance > MAX_INTERPOLATED_MM:
        return []
    steps = math.ceil(distance / INTERPOLATION_STEP_MM)
    return [start.toward(goal, step / steps) for step in range(1, steps)]
