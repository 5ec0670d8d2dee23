"""Every image with the robot state and the command at its stamp."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.geometry.pose import Pose

STATE_WAIT_S = 0.1  # an image waits so long for a robot state after its stamp
STATE_GAP_LIMIT_S = 0.05  # a state farther away says nothing about the image


@dataclass(frozen=True)
class Activity:
    """What the run is doing while an image comes in.

    Attributes:
        trial: from 0.
        phase: of the protocol.
        step: name of the step.
        motion: "moving", "settling", "dwelling" or "stopped".
        in_contact: contact was found in this trial.
        commanded_gel: pose of the frame `gel` in the robot base as commanded.
        indenter: pose of the indenter in the robot base, at depth 0 once contact was found.
    """

    trial: int
    phase: Phase
    step: str
    motion: str
    in_contact: bool
    commanded_gel: Pose
    indenter: Pose


@dataclass(frozen=True)
class Sample:
    """One image's stamp with all that was known then.

    Attributes:
        index: from 0 within the run.
        stamp_ns: of the image.
        activity: what the run was doing when the image came in.
        commanded: `gel_T_indenter` as commanded.
        measured: `gel_T_indenter` from the robot states around the stamp.
        gel: pose of the frame `gel` in the robot base from the same states.
        force_n: (3,) in the robot base, bias removed.
        torque_n_m: (3,) in the robot base, bias removed.
        gap_s: distance in time to the farther of the two states.
    """

    index: int
    stamp_ns: int
    activity: Activity
    commanded: Pose
    measured: Pose
    gel: Pose
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]
    gap_s: float

    @property
    def depth_mm(self) -> float:
        """Measured indentation since contact; 0 before contact."""
        return max(0.0, -float(self.measured.position_mm[2])) if self.activity.in_contact else 0.0


RemoveBias = Callable[
    [NDArray[np.float64], NDArray[np.float64]],
    tuple[NDArray[np.float64], NDArray[np.float64]],
]


class Sampler:
    """Pairs images with robot states; an image waits until a state after its stamp is known."""

    def __init__(
        self,
        end_effector_to_gel: Pose,
        remove_bias: RemoveBias,
        on_sample: Callable[[Sample], None],
    ) -> None:
        """Hand every finished sample to `on_sample`, in the order of the images."""
        self.states = StateBuffer()
        self.samples = 0
        self.images_without_state = 0
        self.gap_max_s = 0.0
        self._mount = end_effector_to_gel
        self._remove_bias = remove_bias
        self._on_sample = on_sample
        self._pending: deque[tuple[int, float, Activity]] = deque()

    def add_state(self, state: RobotState, now_s: float) -> None:
        """Take in a robot state received at a monotonic time."""
        self.states.add(state)
        if self._pending:
            self._release(now_s)

    def add_image(self, stamp_ns: int, activity: Activity, now_s: float) -> None:
        """Take in an image's stamp, received at a monotonic time."""
        self._pending.append((stamp_ns, now_s, activity))
        self._release(now_s)

    def flush(self, now_s: float) -> None:
        """Give up on images that have waited too long."""
        self._release(now_s)

    def newest_gel(self) -> Pose:
        """The frame `gel` in the robot base now.

        Raises:
            LookupError: no robot state was received yet.
        """
        state = self.states.newest
        if state is None:
            raise LookupError("no robot state received yet")
        return Pose.from_quaternion(state.position_mm, state.quaternion_xyzw) @ self._mount

    def _release(self, now_s: float) -> None:
        while self._pending:
            stamp_ns, received_s, activity = self._pending[0]
            covered = self.states.covers(stamp_ns)
            if not covered and now_s - received_s <= STATE_WAIT_S:
                return
            self._pending.popleft()  # first: whatever a sample raises is not to come again
            if covered:
                self._emit(stamp_ns, activity)
            else:
                self.images_without_state += 1

    def _emit(self, stamp_ns: int, activity: Activity) -> None:
        state = self.states.at(stamp_ns)
        if state.gap_s > STATE_GAP_LIMIT_S:
            self.images_without_state += 1
            return
        gel = state.end_effector @ self._mount
        force_n, torque_n_m = self._remove_bias(state.force_n, state.torque_n_m)
        sample = Sample(
            index=self.samples,
            stamp_ns=stamp_ns,
            activity=activity,
            commanded=activity.commanded_gel.inverse() @ activity.indenter,
            measured=gel.inverse() @ activity.indenter,
            gel=gel,
            force_n=force_n,
            torque_n_m=torque_n_m,
            gap_s=state.gap_s,
        )
        self.samples += 1
        self.gap_max_s = max(self.gap_max_s, state.gap_s)
        self._on_sample(sample)
