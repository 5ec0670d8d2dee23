"""The way of an indenter between frames: friction remembers it, so a frame must not skip it."""

from __future__ import annotations

import math
import threading
from collections import deque

from tacdiff_ros.geometry.indenter_pose import IndenterPose

LEVER_MM = 5.0  # at which a turn counts as travel
WAY_MM, FARTHEST_MM = 0.5, 6.0


class PosePath:
    """Poses that lie apart, kept by one thread and taken by another."""

    def __init__(self, spacing_mm: float = 0.5, most: int = 500) -> None:
        """Keep poses that are farther than so much from the one before, the last so many."""
        self._spacing_mm = spacing_mm
        self._kept: deque[tuple[int, IndenterPose]] = deque(maxlen=most)
        self._last: IndenterPose | None = None
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, pose: IndenterPose) -> None:
        """The indenter is here; stamps rise."""
        with self._lock:
            if self._last is not None and _travel_mm(self._last, pose) < self._spacing_mm:
                return
            if self._kept and stamp_ns < self._kept[-1][0]:
                self._kept.clear()  # the clock jumped back
            self._last = pose
            self._kept.append((stamp_ns, pose))

    def take(self, until_ns: int, goal: IndenterPose) -> list[IndenterPose]:
        """Poses on the way to where the indenter is at a time, in order; they are kept no more.

        Those at the end that lie near the goal are left out: the way from there is straight enough.
        """
        taken = []
        with self._lock:
            while self._kept and self._kept[0][0] <= until_ns:
                taken.append(self._kept.popleft()[1])
        while taken and _travel_mm(taken[-1], goal) < self._spacing_mm:
            taken.pop()
        return taken


def _travel_mm(start: IndenterPose, goal: IndenterPose) -> float:
    moved = math.dist(
        (start.x_mm, start.y_mm, start.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
    )
    return moved + LEVER_MM * abs(goal.yaw_rad - start.yaw_rad)


def straight_way(start: IndenterPose | None, goal: IndenterPose) -> list[IndenterPose]:
    """Poses between two that lie apart, as where frames were lost: contact did not end meanwhile.

    Empty where the indenter does not touch at both ends, or where these are too far apart for that.
    """
    if start is None or min(start.depth_mm, goal.depth_mm) <= 0.0:
        return []
    distance = _travel_mm(start, goal)
    if distance > FARTHEST_MM:
        return []
    parts = math.ceil(distance / WAY_MM)
    return [start.toward(goal, part / parts) for part in range(1, parts)]
