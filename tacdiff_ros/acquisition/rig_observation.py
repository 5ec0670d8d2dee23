"""Observation of the rig before a run: streams, topic graph, controllers and poses.

Times are integers in nanoseconds on the clock of the observing node, which may be simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose


@dataclass(frozen=True)
class StreamObservation:
    """Messages of one topic within the observed time, oldest first.

    Attributes:
        topic: full name of the topic.
        arrival_ns: (N,) int64 times of reception, ns.
        stamp_ns: (N,) int64 stamps of the messages, ns.
        now_ns: end of the observed time, ns.
        waited_s: time since the observation was requested, s.
    """

    topic: str
    arrival_ns: NDArray[np.int64]
    stamp_ns: NDArray[np.int64]
    now_ns: int
    waited_s: float

    @property
    def rate_hz(self) -> float:
        """Mean rate of the messages, Hz; 0 for fewer than two messages."""
        if len(self.arrival_ns) < 2:
            return 0.0
        span_s = 1e-9 * float(self.arrival_ns[-1] - self.arrival_ns[0])
        return (len(self.arrival_ns) - 1) / max(span_s, 1e-9)

    @property
    def gap_s(self) -> float:
        """Longest silence, that since the last message included, s; infinite without messages."""
        if not len(self.arrival_ns):
            return float("inf")
        return 1e-9 * float(np.diff(np.append(self.arrival_ns, self.now_ns)).max())

    @property
    def delay_s(self) -> float:
        """Minimum time from stamp to reception, s: the clock offset plus the shortest delay."""
        return 1e-9 * float((self.arrival_ns - self.stamp_ns).min())


@dataclass(frozen=True)
class Controller:
    """A controller that the controller manager has loaded.

    Attributes:
        name: name of the controller.
        state: "active", "inactive" or another state of its life cycle.
        subscribes: whether it subscribes to the targets.
    """

    name: str
    state: str
    subscribes: bool


@dataclass(frozen=True)
class SteeredFrames:
    """Frames that a subscriber of the targets has as parameters.

    Attributes:
        node: full name of the node.
        end_effector: value of `end_effector_frame`: the link that the controller steers.
        base: value of `base_frame`; empty if it has none.
    """

    node: str
    end_effector: str
    base: str = ""


@dataclass(frozen=True)
class RigObservation:
    """Everything that the checks before a run need to know about the rig.

    Attributes:
        target_topic: full name of the topic of the targets.
        other_publishers: full names of the other nodes that publish targets.
        subscribers: full names of the nodes that subscribe to the targets.
        controllers: controllers of the controller manager; None if it cannot be asked.
        steered_frames: frames of those subscribers that have them as parameters.
        controlled_pose: pose of the end effector in the base as the controller computes it; None
            if nobody publishes it.
        states: stream of the robot states.
        robot_states: some robot states of the observed time, oldest first.
        state_frames: frames that the robot states are stamped with.
        images: stream of the images.
        image_sizes: sizes "320x240 rgb8" of the images.
        repeated_images: number of images whose pixels equal those of the image before.
        errors: messages that could not be decoded, one line each.
    """

    target_topic: str
    other_publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    controllers: tuple[Controller, ...] | None
    steered_frames: tuple[SteeredFrames, ...]
    controlled_pose: Pose | None
    states: StreamObservation
    robot_states: tuple[RobotState, ...]
    state_frames: tuple[str, ...]
    images: StreamObservation
    image_sizes: tuple[str, ...]
    repeated_images: int
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class RigExpectation:
    """What the parameters of the acquisition say about the rig.

    Attributes:
        base_frame: frame of the robot base, in which targets are sent.
        end_effector_frame: link whose pose the robot state reports as `O_T_EE`.
        end_effector_to_gel: pose of the frame `gel` in the end effector.
        limits: safety limits of the run.
        tolerated: names of checks whose bad findings are only warnings.
    """

    base_frame: str
    end_effector_frame: str
    end_effector_to_gel: Pose
    limits: SafetyLimits
    tolerated: tuple[str, ...] = ()
