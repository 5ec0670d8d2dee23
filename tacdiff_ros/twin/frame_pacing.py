"""When the twin is drawn: at each image of the camera, or, without one, at a rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.geometry.pose import Pose

KEPT_STATES = 1000
SILENCE_NS = 2_000_000_000  # without an image that the states cover: there is no camera
MAX_WAITING = 8


@dataclass(frozen=True)
class DueFrame:
    """A moment to be drawn.

    Attributes:
        stamp_ns: of it.
        end_effector: pose in the robot base then.
    """

    stamp_ns: int
    end_effector: Pose


class FramePacing:
    """Takes robot states and image stamps as they come and says what is due."""

    def __init__(self, period_ns: int) -> None:
        """Without a camera, at most one frame in so many nanoseconds of the robot's time."""
        self._period_ns = period_ns
        self._states = StateBuffer(KEPT_STATES)
        self._waiting: deque[int] = deque(maxlen=MAX_WAITING)
        self._seen_ns: int | None = None
        self._next_ns = 0

    def add_image(self, stamp_ns: int) -> list[DueFrame]:
        """The camera took an image; what is due now."""
        self._waiting.append(stamp_ns)
        return self._covered()

    def add_state(self, state: RobotState) -> list[DueFrame]:
        """The robot told its state; what is due now."""
        newest = self._states.newest
        if newest is not None and state.stamp_ns < newest.stamp_ns - SILENCE_NS:
            self._states.clear()  # the clock jumped back, as where a recording begins again
            self._waiting.clear()
            self._seen_ns, self._next_ns = None, 0
        self._states.add(state)
        due = self._covered()
        camera = self._seen_ns is not None and state.stamp_ns - self._seen_ns <= SILENCE_NS
        if camera or state.stamp_ns < self._next_ns:
            return due
        self._next_ns = state.stamp_ns + self._period_ns
        pose = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return [*due, DueFrame(state.stamp_ns, pose)]

    def _covered(self) -> list[DueFrame]:
        """Frames of the images between two known states; those too old for that are given up."""
        due, newest = [], self._states.newest
        while self._waiting and newest is not None and self._waiting[0] <= newest.stamp_ns:
            stamp_ns = self._waiting.popleft()
            if self._states.covers(stamp_ns):
                self._seen_ns = stamp_ns
                due.append(DueFrame(stamp_ns, self._states.at(stamp_ns).end_effector))
        return due
