"""Estimates the pose of an object in the hand: action `refine_object_pose`, and tracking."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from tacdiff_ros.action import RefineObjectPose
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.object_pose import (
    fill_result,
    from_pose_message,
    to_markers,
    to_object_pose,
    to_transform_stamped,
)
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import ObjectPoseRefinerSettings
from tacdiff_ros.nodes.object_pose_inputs import ObjectPoseInputs
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.worker import Progress, Worker
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.object_pose.pose_session import PoseSession, describe_symmetries
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.srv import LoadObject

TICK_S = 0.01
MAX_TIMEOUT_S = 600.0
MARKER_PERIOD_S = 0.5
STAGE_STARTS = {"search": 0.0, "coarse": 0.1, "fine": 0.6, "assess": 0.95}
STAGE_PARTS = {"search": 0.1, "coarse": 0.5, "fine": 0.35, "assess": 0.05}


class ObjectPoseRefinerNode(GuardedNode):
    """Puts observations together from topics, estimates in a separate thread, and publishes."""

    def __init__(self) -> None:
        """Read the parameters, load hand and object, and create topics, service and action."""
        super().__init__("object_pose_refiner")
        settings = declare_model(self, "", ObjectPoseRefinerSettings)
        estimate_settings = declare_model(self, "estimate", PoseSettings)
        refuse_unknown(self)
        self._frame, self._object_frame = settings.frame_id, settings.object_frame_id
        self._timeout_s = settings.timeout_s
        hand = load_hand(settings.hand)
        folder = Path(settings.object_folder).expanduser()
        self._session = PoseSession(hand, folder, estimate_settings)
        if settings.object:
            self._session.load(settings.object)
        self._inputs = ObjectPoseInputs(
            self, hand, settings.camera_pose, settings.gravity, settings.max_age_s
        )
        self._worker: Worker | None = None
        self._finish: Callable[[Worker], None] | None = None
        self._is_request = False  # whether the worker serves one; else it tracks
        self._request_timeout_s = 0.0
        self._cost = float("nan")
        self._last_depth: Any = None
        self._markers_at_s = 0.0
        self._stopping = False
        self._poses = self.create_publisher(PoseWithCovarianceStamped, "object_pose", LATCHED)
        self._markers = self.create_publisher(MarkerArray, "object_pose/markers", LATCHED)
        self._transforms = _transform_publisher(self)
        self._load = DeferredService(self, LoadObject, "load_object", self._on_load)
        self.create_service(Trigger, "~/stop_tracking", self._on_stop_tracking)
        self._goal = SingleGoal(
            self, RefineObjectPose, "refine_object_pose", self._begin, self._cancel
        )
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def request_stop(self, _reason: str) -> None:
        """Cancel the computation before the process ends."""
        self._stopping = True
        self._cancel()

    def is_finished(self) -> bool:
        """Return whether no computation is running."""
        return self._worker is None

    def _on_load(self, request: Any, ticket: Ticket) -> None:
        """Load an object in the worker's thread; its distance field may take seconds."""
        self._require_idle()

        def finish(worker: Worker) -> None:
            response = LoadObject.Response()
            with self.refuse_on_error(response):
                item = _result(worker)
                response.size = np.ptp(item.vertices, axis=0)
                response.symmetries = describe_symmetries(item)
                response.message = f"{item.name}: {len(item.faces)} triangles"
                response.success = True
            self._load.respond(ticket, response)

        def work(_progress: Progress) -> Any:
            return self._session.load(request.name, request.unit, request.mass, request.friction)

        self._start(work, finish, "loading the object")

    def _on_stop_tracking(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success = self._session.is_tracking
        self._session.stop_tracking()
        response.message = "tracking ended" if response.success else "no object is tracked"
        return response

    def _begin(self, request: Any) -> None:
        """Start the estimate of a goal.

        Raises:
            InputError: an estimate is running, the timeout is out of range, or the request or the
                newest messages cannot be used.
        """
        self._require_idle()
        if not 0.0 <= request.timeout <= MAX_TIMEOUT_S:
            raise InputError(f"timeout is {request.timeout} s, expected 0 to {MAX_TIMEOUT_S:g}")
        start = self._start_pose(request)
        observation = self._inputs.observation(request, request.touch_only)
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame)
        self._cost = float("nan")

        def work(progress: Progress) -> PoseEstimate:
            def report(stage: str, fraction: float, cost: float) -> None:
                self._cost = cost
                progress(stage, STAGE_STARTS[stage] + STAGE_PARTS[stage] * fraction)

            return self._session.refine(request.object, observation, start, report)

        def finish(worker: Worker) -> None:
            result = RefineObjectPose.Result()
            with self.refuse_on_error(result):
                estimate = _result(worker)
                fill_result(result, estimate, header)
                result.success = estimate.is_identified
                self._publish(estimate, header)
                if request.track and estimate.is_identified:
                    self._session.follow(estimate)
            self._goal.end(result)

        self._request_timeout_s = request.timeout or self._timeout_s
        self._start(work, finish, "the estimate")

    def _start_pose(self, request: Any) -> NDArray[np.float64] | None:
        """Return the pose of a goal to start from, or None.

        Raises:
            InputError: it is in another frame, or not usable.
        """
        frame = request.start.header.frame_id
        if not frame:
            return None
        if frame != self._frame:
            raise InputError(f"the start pose is in frame '{frame[:80]}', expected '{self._frame}'")
        return from_pose_message(request.start.pose)

    def _require_idle(self) -> None:
        if self._stopping or (self._worker is not None and self._is_request):
            raise InputError("another request is being worked on: wait for its end or cancel it")

    def _start(
        self, work: Callable[[Progress], Any], finish: Callable[[Worker], None], name: str
    ) -> None:
        """Start a request; a tracking step that is running is dropped."""
        if self._worker is not None:
            self._worker.cancel()
        self._finish, self._is_request = finish, True
        self._worker = Worker(work, name)

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def _tick(self) -> None:
        worker = self._worker
        if worker is None:
            self._track()
        elif worker.is_done:
            self._worker = None
            finish, self._finish = self._finish, None
            if finish is not None:
                finish(worker)
        elif self._is_request and self._goal.is_active:
            self._report(worker)

    def _report(self, worker: Worker) -> None:
        """Publish the progress of a goal, or cancel it after its timeout."""
        if worker.seconds > self._request_timeout_s and not worker.is_cancelled:
            worker.cancel(f"given up after {self._request_timeout_s:g} s")
        if not worker.is_cancelled:
            feedback = RefineObjectPose.Feedback(stage=worker.stage, cost=float(self._cost))
            feedback.progress = float(worker.fraction)
            self._goal.feedback(feedback)

    def _track(self) -> None:
        """Follow the object into the newest frame."""
        message = self._inputs.newest("depth")
        if not self._session.is_tracking or message is None or message is self._last_depth:
            return
        self._last_depth = message
        try:
            observation = self._inputs.observation()
        except InputError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=2.0)
            return
        header = Header(stamp=message.header.stamp, frame_id=self._frame)

        def finish(worker: Worker) -> None:
            if worker.result is None:
                self.get_logger().warning(worker.failure, throttle_duration_sec=2.0)
            else:
                self._publish(worker.result, header)

        self._worker = Worker(lambda _progress: self._session.track(observation), "tracking")
        self._finish, self._is_request = finish, False

    def _publish(self, estimate: PoseEstimate, header: Header) -> None:
        """Publish pose, markers and tf of an estimate, unless it is not identified."""
        if time.monotonic() - self._markers_at_s > MARKER_PERIOD_S:  # of thousands of triangles
            self._markers_at_s = time.monotonic()
            item = self._session.item(estimate.object_name)
            self._markers.publish(to_markers(estimate, item, header))
        if not estimate.is_identified:
            return
        self._poses.publish(to_object_pose(estimate, header))
        if self._transforms is not None:
            pose = estimate.best.object_pose
            self._transforms(to_transform_stamped(pose, header, self._object_frame))


def _result(worker: Worker) -> Any:
    """Return the result of a computation.

    Raises:
        InputError: it failed.
    """
    if worker.result is None:
        raise InputError(worker.failure)
    return worker.result


def _transform_publisher(node: GuardedNode) -> Callable[[Any], None] | None:
    """Return a function that publishes a transform on /tf; None without tf2_msgs."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().info("tf2_msgs is not installed: object poses are not published on /tf")
        return None
    publisher = node.create_publisher(TFMessage, "/tf", 100)
    return lambda transform: publisher.publish(TFMessage(transforms=[transform]))


def main() -> int:
    """Run the node."""
    return run(ObjectPoseRefinerNode)


if __name__ == "__main__":
    raise SystemExit(main())
