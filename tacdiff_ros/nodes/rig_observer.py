"""Observes the rig for the checks before a run: streams, topic graph, controllers, parameters."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image

from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.preflight import check_rig, refusal_reason
from tacdiff_ros.acquisition.rig_observation import (
    RigExpectation,
    RigObservation,
    StreamObservation,
)
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.controller_queries import ControllerQueries
from tacdiff_ros.nodes.conversion.geometry import from_pose
from tacdiff_ros.nodes.conversion.images import from_image, stamp_ns_of
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.guarded_node import GuardedNode, decode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.qos import FRANKA_CONVENIENCE
from tacdiff_ros.nodes.topics import ROBOT_STATE

WINDOW_S = 1.0  # observed time
MIN_WINDOW_S = 0.5  # of every stream, before it is checked
PATIENCE_S = 2.0  # for a rig with a bad finding, which may pass: an arm that still settles
CHECK_PERIOD_S = 0.1
STANDSTILL_S = 20.0  # of the virtual clock during a check; then the rig is checked as it is
MAX_STATES, MAX_IMAGES = 1200, 150  # of the window: 1 kHz and 120 Hz, with a margin
MAX_REQUESTS = 64
DECODED_STATES = 100  # of the window
COMPARED_BYTES = 65536  # at the end of an image; a camera's noise makes any part different
OnFindings = Callable[[tuple[Finding, ...]], None]


class RigObserver:
    """Keeps the messages of the last second and checks the rig on request, without a motion.

    A request is answered at once if everything is good, and otherwise after a bounded time with
    the findings at its end.
    """

    def __init__(
        self,
        node: GuardedNode,
        lock_step: LockStep,
        expected: RigExpectation,
        wait_for_streams_s: float,
    ) -> None:
        """Start without messages.

        Args:
            node: node that publishes the targets and passes its messages to this object.
            lock_step: clock of the node.
            expected: rig according to the parameters.
            wait_for_streams_s: maximum waiting time for the first state and image, s.
        """
        self._node, self._lock_step, self._expected = node, lock_step, expected
        self._wait_for_streams_s = wait_for_streams_s
        self._states: deque[tuple[float, bytes]] = deque(maxlen=MAX_STATES)
        self._images: deque[_ReceivedImage] = deque(maxlen=MAX_IMAGES)
        self._last_image = b""
        self._target_topic = node.resolve_topic_name("target_pose")  # graph queries do not remap
        self._requests: list[_Request] = []
        self._queries: ControllerQueries | None = None
        self._pose_subscription: Any = None
        self._controlled_pose: Pose | None = None
        self._checked_s = -math.inf

    def on_state(self, data: bytes) -> None:
        """Remember a serialised robot state."""
        self._states.append((self._lock_step.monotonic_s(), data))

    def on_image(self, data: bytes) -> None:
        """Remember a serialised image."""
        repeats = data[-COMPARED_BYTES:] == self._last_image[-COMPARED_BYTES:]
        self._last_image = data
        received_s = self._lock_step.monotonic_s()
        self._images.append(_ReceivedImage(received_s, _stamp_ns(data), len(data), repeats))

    def check(self, on_findings: OnFindings) -> None:
        """Check the rig; `poll` calls the function with the findings.

        Args:
            on_findings: function that receives the findings.

        Raises:
            InputError: too many requests wait for their findings.
        """
        if len(self._requests) >= MAX_REQUESTS:
            raise InputError(f"{MAX_REQUESTS} checks of the rig are pending: wait for their end")
        self._requests.append(
            _Request(self._lock_step.monotonic_s(), time.monotonic(), on_findings)
        )
        if self._queries is None:
            self._queries = ControllerQueries(self._node, self._subscribers())
            self._subscribe_to_pose()

    def poll(self) -> None:
        """Finish requests; called at every tick, and while the virtual clock stands still."""
        if self._queries is None or not self._queries.are_done():
            return
        now_s = self._lock_step.monotonic_s()
        standstill_s = min(self._lock_step.stalled_for_s(), self._requests[0].wall_waited_s())
        stands_still = standstill_s > STANDSTILL_S
        if now_s - self._checked_s < CHECK_PERIOD_S and not stands_still:
            return
        self._checked_s = now_s
        waited_s = self._requests[0].waited_s(now_s)
        try:
            is_complete, findings = self._check(now_s, waited_s)
        except Exception as error:
            line = self._node.report_unexpected("the check of the rig failed", error)
            self._finish((Finding("rig", "bad", line),))
            return
        patience_s = PATIENCE_S if is_complete else self._wait_for_streams_s
        is_ready = is_complete and not refusal_reason(findings)
        if is_ready or waited_s > patience_s or stands_still:
            self._finish(findings)

    def _finish(self, findings: tuple[Finding, ...]) -> None:
        requests, self._requests = self._requests, []
        self._close()
        for request in requests:
            request.on_findings(findings)

    def _close(self) -> None:
        if self._queries is not None:
            self._queries.close()
        if self._pose_subscription is not None:
            self._node.destroy_subscription(self._pose_subscription)
        self._queries, self._pose_subscription, self._controlled_pose = None, None, None
        self._checked_s = -math.inf

    def _subscribe_to_pose(self) -> None:
        """Subscribe to the pose of the controller's own model, during the check only."""
        topic = self._node.resolve_topic_name("current_pose")
        if self._node.count_publishers(topic):
            self._pose_subscription = self._node.create_subscription(
                PoseStamped, "current_pose", self._on_pose, FRANKA_CONVENIENCE
            )

    def _on_pose(self, message: PoseStamped) -> None:
        self._controlled_pose = from_pose(message.pose)

    def _subscribers(self) -> tuple[str, ...]:
        infos = self._node.get_subscriptions_info_by_topic(self._target_topic)
        return _names(infos)

    def _other_publishers(self) -> tuple[str, ...]:
        """Return the publishers besides this node's own one; another of its name counts."""
        infos = self._node.get_publishers_info_by_topic(self._target_topic)
        names = [_full_name(info) for info in infos]
        if (own := self._node.get_fully_qualified_name()) in names:
            names.remove(own)
        return tuple(sorted(names))

    def _check(self, now_s: float, waited_s: float) -> tuple[bool, tuple[Finding, ...]]:
        """Return whether everything was observed that can be, and the findings."""
        states = [state for state in self._states if now_s - state[0] <= WINDOW_S]
        images = [image for image in self._images if now_s - image.received_s <= WINDOW_S]
        observation = self._observe(states, images, now_s, waited_s)
        waits_for_pose = self._pose_subscription is not None and self._controlled_pose is None
        is_complete = not waits_for_pose and all(
            times and now_s - times[0] >= MIN_WINDOW_S
            for times in ([time_s for time_s, _ in states], [each.received_s for each in images])
        )
        return is_complete, check_rig(observation, self._expected)

    def _observe(
        self,
        states: list[tuple[float, bytes]],
        images: list[_ReceivedImage],
        now_s: float,
        waited_s: float,
    ) -> RigObservation:
        """Build the observation from the messages of the observed time."""
        assert self._queries is not None  # noqa: S101
        errors: list[str] = []
        state_topic = self._node.resolve_topic_name(ROBOT_STATE)
        image_topic = self._node.resolve_topic_name("image_raw")
        robot_states, frames = _decode_states([data for _, data in states], state_topic, errors)
        now_ns = self._lock_step.now_ns()

        def stream(topic: str, times_s: list[float], stamps_ns: list[int]) -> StreamObservation:
            ages_ns = 1e9 * (now_s - np.array(times_s, np.float64))
            return StreamObservation(
                topic=topic,
                arrival_ns=now_ns - ages_ns.astype(np.int64),
                stamp_ns=np.array(stamps_ns, np.int64),
                now_ns=now_ns,
                waited_s=max(waited_s, WINDOW_S),
            )

        return RigObservation(
            target_topic=self._target_topic,
            other_publishers=self._other_publishers(),
            subscribers=self._subscribers(),
            controllers=self._queries.controllers(),
            steered_frames=self._queries.steered_frames(),
            controlled_pose=self._controlled_pose,
            states=stream(
                state_topic,
                [received_s for received_s, _ in states],
                [_stamp_ns(data) for _, data in states],
            ),
            robot_states=robot_states,
            state_frames=frames,
            images=stream(
                image_topic,
                [image.received_s for image in images],
                [image.stamp_ns for image in images],
            ),
            image_sizes=_image_sizes(images, self._last_image, image_topic, errors),
            repeated_images=sum(image.repeats for image in images),
            errors=tuple(errors),
        )


@dataclass(frozen=True)
class _ReceivedImage:
    """Properties of one received image: time of reception, stamp, length of the message."""

    received_s: float
    stamp_ns: int
    size: int
    repeats: bool


class _Request:
    """A request for the findings, on the clock of the node and on the wall clock."""

    def __init__(self, begin_s: float, wall_s: float, on_findings: OnFindings) -> None:
        self._begin_s, self._wall_s = begin_s, wall_s
        self.on_findings = on_findings

    def waited_s(self, now_s: float) -> float:
        """Return the shorter of both times since the request, s: a virtual clock may run fast."""
        return min(now_s - self._begin_s, self.wall_waited_s())

    def wall_waited_s(self) -> float:
        """Return the time since the request on the wall clock, s."""
        return time.monotonic() - self._wall_s


def _full_name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _names(infos: Sequence[Any]) -> tuple[str, ...]:
    return tuple(sorted({_full_name(info) for info in infos}))


def _stamp_ns(data: bytes) -> int:
    try:
        return stamp_ns_of(data)
    except InputError:
        return 0


def _decode_states(
    states: list[bytes], topic: str, errors: list[str]
) -> tuple[tuple[RobotState, ...], tuple[str, ...]]:
    """Return some of the robot states, and their frames."""
    chosen = states[:: max(1, len(states) // DECODED_STATES)] + states[-1:]
    decoder = RobotStateDecoder()
    try:
        decoded = tuple(decoder.decode(data) for data in chosen)
    except InputError as error:
        errors.append(f"a message on {topic} cannot be read: {error}")
        return (), ()
    return decoded, tuple(dict.fromkeys(state.frame_id for state in decoded))


def _image_sizes(
    images: list[_ReceivedImage], newest: bytes, topic: str, errors: list[str]
) -> tuple[str, ...]:
    """Return the size of the newest image, and the length of messages of another length."""
    if not images:
        return ()
    try:
        message = decode(Image, newest)
        from_image(message)
    except InputError as error:
        errors.append(f"a message on {topic} cannot be read: {error}")
        return ()
    others = sorted({image.size for image in images} - {len(newest)})
    size = f"{message.width}x{message.height} {message.encoding}"
    return (size, *(f"another of {size} bytes" for size in others))
