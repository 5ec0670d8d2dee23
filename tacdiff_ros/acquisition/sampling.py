"""Samples: images paired with the robot state and the command at their stamp."""

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

STATE_WAIT_S = 0.1  # maximum time that an image waits for a robot state after its stamp
STATE_GAP_LIMIT_S = 0.05  # maximum distance in time between an image and a robot state


@dataclass(frozen=True)
class Activity:
    """Activity of a run at the reception of an image.

    Attributes:
        trial: number of the trial, from 0.
        phase: phase of the protocol.
        step: name of the step.
        motion: "moving", "settling", "dwelling" or "stopped".
        in_contact: whether contact was detected in this trial.
        commanded_gel: commanded pose of the frame `gel` in the robot base.
        indenter: pose of the indenter in the robot base; after contact detection, shifted such
            that the depth at contact is 0.
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
    """The stamp of one image with the robot state and the command at that time.

    Attributes:
        index: number of the sample within the run, from 0.
        stamp_ns: stamp of the image, ns.
        activity: activity of the run at the reception of the image.
        commanded: commanded pose `gel_T_indenter`.
        measured: pose `gel_T_indenter` from the robot states around the stamp.
        gel: pose of the frame `gel` in the robot base, from the same states.
        force_n: (3,) external force in the robot base, bias removed, N.
        torque_n_m: (3,) external torque in the robot base, bias removed, N m.
        gap_s: distance in time to the farther of the two states, s.
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
        """Measured indentation after contact detection, mm; 0 before it."""
        return max(0.0, -float(self.measured.position_mm[2])) if self.activity.in_contact else 0.0


RemoveBias = Callable[
    [NDArray[np.float64], NDArray[np.float64]],
    tuple[NDArray[np.float64], NDArray[np.float64]],
]


class Sampler:
    """Pairs images with robot states; an image waits until a state after its stamp has arrived.

    Attributes:
        states: buffer of the last robot states.
        samples: number of samples so far.
        images_without_state: number of images that could not be paired.
        gap_max_s: maximum `Sample.gap_s` so far, s.
    """

    def __init__(
        self,
        end_effector_to_gel: Pose,
        remove_bias: RemoveBias,
        on_sample: Callable[[Sample], None],
    ) -> None:
        """Start without states and images.

        Args:
            end_effector_to_gel: pose of the frame `gel` in the end effector.
            remove_bias: function that subtracts the bias from force (3,) N and torque (3,) N m.
            on_sample: callback for every finished sample, in the order of the images.
        """
        self.states = StateBuffer()
        self.samples = 0
        self.images_without_state = 0
        self.gap_max_s = 0.0
        self._mount = end_effector_to_gel
        self._remove_bias = remove_bias
        self._on_sample = on_sample
        self._pending: deque[tuple[int, float, Activity]] = deque()

    def add_state(self, state: RobotState, now_s: float) -> None:
        """Add a robot state, received at the monotonic time `now_s`."""
        self.states.add(state)
        if self._pending:
            self._release(now_s)

    def add_image(self, stamp_ns: int, activity: Activity, now_s: float) -> None:
        """Add an image by its stamp, received at the monotonic time `now_s` during an activity."""
        self._pending.append((stamp_ns, now_s, activity))
        self._release(now_s)

    def flush(self, now_s: float) -> None:
        """Count images that have waited longer than `STATE_WAIT_S` as images without a state."""
        self._release(now_s)

    def newest_gel(self) -> Pose:
        """Return the pose of the frame `gel` in the robot base, from the newest robot state.

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
            self._pending.popleft()  # before `_emit`: a sample that raises is not repeated
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
