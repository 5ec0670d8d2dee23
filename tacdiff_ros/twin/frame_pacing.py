"""Times at which the twin renders: at every camera image or, without a camera, at a fixed rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.geometry.pose import Pose

BUFFERED_STATES = 1000
SILENCE_NS = 2_000_000_000  # time without a usable image after which no camera is assumed
MAX_WAITING = 8  # images that wait for robot states


@dataclass(frozen=True)
class DueFrame:
    """A time at which the twin has to render.

    Attributes:
        stamp_ns: stamp of the frame, ns.
        end_effector: pose of the end effector in the robot base at that time.
    """

    stamp_ns: int
    end_effector: Pose


class FramePacing:
    """Determines the frames to render from robot states and image stamps in order of arrival."""

    def __init__(self, period_ns: int) -> None:
        """Start without states and images.

        Args:
            period_ns: minimum time between frames without a camera, on the robot's clock, ns.
        """
        self._period_ns = period_ns
        self._states = StateBuffer(BUFFERED_STATES)
        self._waiting: deque[int] = deque(maxlen=MAX_WAITING)
        self._last_image_ns: int | None = None
        self._next_ns = 0

    def add_image(self, stamp_ns: int) -> list[DueFrame]:
        """Add the stamp of a camera image, ns, and return the frames that are due."""
        self._waiting.append(stamp_ns)
        return self._covered_frames()

    def add_state(self, state: RobotState) -> list[DueFrame]:
        """Add a robot state, and return the frames that are due."""
        newest = self._states.newest
        if newest is not None and state.stamp_ns < newest.stamp_ns - SILENCE_NS:
            self._states.clear()  # the clock jumped back, for example at the restart of a recording
            self._waiting.clear()
            self._last_image_ns, self._next_ns = None, 0
        self._states.add(state)
        due = self._covered_frames()
        image_ns = self._last_image_ns
        has_camera = image_ns is not None and state.stamp_ns - image_ns <= SILENCE_NS
        if has_camera or state.stamp_ns < self._next_ns:
            return due
        self._next_ns = state.stamp_ns + self._period_ns
        pose = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return [*due, DueFrame(state.stamp_ns, pose)]

    def _covered_frames(self) -> list[DueFrame]:
        """Return the frames of waiting images within the buffered states, and drop older images."""
        due, newest = [], self._states.newest
        while self._waiting and newest is not None and self._waiting[0] <= newest.stamp_ns:
            stamp_ns = self._waiting.popleft()
            if self._states.covers(stamp_ns):
                self._last_image_ns = stamp_ns
                due.append(DueFrame(stamp_ns, self._states.at(stamp_ns).end_effector))
        return due
