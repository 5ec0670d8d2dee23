"""Grasp, look, touch, refine: runs the demonstration of object poses on the virtual arm.

It moves the virtual arm to the object, closes the fingers, lifts, and calls `refine_object_pose`.
For virtual hardware only: the motion is not watched. Progress goes to stderr as JSON, the result to
stdout; the observation is written to a folder for `tacdiff pose`. Exit code 0 if the pose is
identified.
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from tacdiff_ros.action import RefineObjectPose
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.conversion.object_pose import from_pose_message, to_pose_message
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.object_pose_inputs import ObjectPoseInputs
from tacdiff_ros.nodes.qos import (
    FRANKA_CONVENIENCE,
    LATEST_COMMAND,
    RELIABLE_IMAGES,
    SENSOR_STATES,
)
from tacdiff_ros.nodes.readiness_watch import ReadinessWatch
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.observation_file import write_observation
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.output_files import png_bytes, write_files
from tacdiff_ros.srv import InvertMesh
from tacdiff_ros.virtual.driver import BROADCASTER
from tacdiff_ros.virtual.grasp_scene import APPROACH_M

Floats = NDArray[np.float64]

SPEED_M_S = 0.025
TARGET_PERIOD_S = 0.02
TOLERANCE_M = 1e-3
SETTLE_S = 1.0
CLOSING_S = 2.0
RESPONSE_S = 300.0  # time for a service, a motion or new images on a busy machine
TRIES, RETRY_S = 8, 0.5
FRESH_IMAGES = 2  # of each kind after a motion: the first may have been taken before its end
MAX_AGE_S = 60.0


class GraspClient(GuardedNode):
    """Commands the virtual arm and hand, and collects what the sensors measure."""

    def __init__(self, hand: Hand, interrupts: list[int]) -> None:
        """Create subscriptions and clients.

        Args:
            hand: the hand on the arm.
            interrupts: received signals, which end every wait.
        """
        super().__init__("grasp_client")
        self._hand, self._interrupts = hand, interrupts
        self._inputs = ObjectPoseInputs(
            self, hand, (0.0,) * 7, (0.0,) * 3, MAX_AGE_S, reliable=True
        )
        self._pose: Any = None  # (4, 4) pose of the end effector in the base
        self._truth: Any = None  # (4, 4) true pose of the object in the hand
        self._targets = self.create_publisher(PoseStamped, "target_pose", LATEST_COMMAND)
        self.create_subscription(
            PoseStamped, f"{BROADCASTER}/current_pose", self._on_pose, FRANKA_CONVENIENCE
        )
        self.create_subscription(
            PoseStamped, "ground_truth/object_pose", self._on_truth, SENSOR_STATES
        )
        self._images: dict[str, Image] = {}  # newest of each gel
        for pad in hand.gel_pads:
            keep = functools.partial(self._images.__setitem__, pad.name)
            self.create_subscription(Image, f"{pad.name}/image_raw", keep, RELIABLE_IMAGES)
        self._refine = ActionClient(self, RefineObjectPose, "refine_object_pose")

    def run(self, observation: Path) -> dict[str, Any]:
        """Run all steps and return the result for JSON.

        Args:
            observation: folder to which the observation is written.

        Raises:
            InputError: a step failed, or the run was interrupted.
        """
        report("waiting for the arm", 0.0)
        self._wait(lambda: self._pose is not None, "the virtual arm publishes no state")
        start = self._pose
        for pad in self._hand.gel_pads:
            report(f"reference image of the {pad.name} gel", 0.05)
            self._call(Trigger, f"{pad.name}/{pad.name}_inversion/take_reference")
        report("approach", 0.1)
        self._move(start, APPROACH_M)
        report("grasp", 0.3)
        self._call(Trigger, "virtual_grasp/close")
        self._spin(CLOSING_S)
        report("lift", 0.5)
        self._move(start, 0.0)
        report("look", 0.6)
        self._wait_for_images()
        for pad in self._hand.gel_pads:
            report(f"touch: surface of the {pad.name} gel", 0.7)
            request = InvertMesh.Request(timeout=RESPONSE_S)
            self._call(InvertMesh, f"{pad.name}/invert_mesh", request)
            self._wait_for_points(f"{pad.name}/gel_points")
        report("refine", 0.8)
        # Large images that are sent without retransmission do not arrive on a busy machine.
        goal = RefineObjectPose.Goal(
            timeout=RESPONSE_S,
            depth=self._inputs.newest("depth"),
            mask=self._inputs.newest("mask"),
            camera_info=self._inputs.newest("camera_info"),
            joint_state=self._inputs.newest("joint_states"),
        )
        truth = self._truth
        write_observation(observation, self._inputs.observation(goal), self._hand)
        pictures = {f"{name}.png": png_bytes(from_image(m)) for name, m in self._images.items()}
        write_files(observation, pictures)
        started_s = time.monotonic()
        result = self._refined(goal)
        return _as_json(result, truth, time.monotonic() - started_s)

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = from_pose_message(message.pose)

    def _on_truth(self, message: PoseStamped) -> None:
        self._truth = from_pose_message(message.pose)

    def _move(self, start: Floats, forward: float) -> None:
        """Move the arm along the hand's z axis to a distance from its start, m."""
        begin = float((self._pose[:3, 3] - start[:3, 3]) @ start[:3, 2])
        started_s = time.monotonic()
        duration_s = abs(forward - begin) / SPEED_M_S
        goal = start @ se3.pose_of([0.0, 0.0, forward], np.eye(3))
        while (passed_s := time.monotonic() - started_s) < duration_s + SETTLE_S:
            fraction = min(passed_s / duration_s, 1.0)
            at = begin + (forward - begin) * fraction
            target = start @ se3.pose_of([0.0, 0.0, at], np.eye(3))
            message = PoseStamped(pose=to_pose_message(target))
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = "base"
            self._targets.publish(message)
            self._spin(TARGET_PERIOD_S)

        def is_there() -> bool:
            return bool(np.linalg.norm(self._pose[:3, 3] - goal[:3, 3]) < TOLERANCE_M)

        self._wait(is_there, "the virtual arm did not reach its target")

    def _call(self, kind: Any, name: str, request: Any = None) -> None:
        """Call a service, some times if need be: on a busy machine an image may be too old.

        Raises:
            InputError: it does not succeed, or the run was interrupted.
        """
        client = self.create_client(kind, name)
        reason = ""
        for _ in range(TRIES):
            self._wait(client.service_is_ready, f"nobody offers {name}")
            future = client.call_async(request or kind.Request())
            self._wait(future.done, f"{name} did not respond")
            response = future.result()
            if response is not None and response.success:
                return
            reason = response.message if response is not None else "no response"
            self._spin(RETRY_S)
        raise InputError(f"{name}: {reason}")

    def _wait_for_images(self) -> None:
        """Wait for depth and tactile images that were taken after the last motion."""
        self._spin(SETTLE_S)
        earlier = {name: id(message) for name, message in self._newest_images().items()}

        def are_new() -> bool:
            now = self._newest_images()
            return all(id(now[name]) != earlier[name] for name in now)

        for _ in range(FRESH_IMAGES):
            self._wait(are_new, "no new images come from the virtual grasp")
            earlier = {name: id(message) for name, message in self._newest_images().items()}

    def _wait_for_points(self, topic: str) -> None:
        self._wait(lambda: self._inputs.newest(topic) is not None, f"nothing comes on {topic}")

    def _newest_images(self) -> dict[str, Any]:
        gels = {pad.name: self._images.get(pad.name) for pad in self._hand.gel_pads}
        return {"depth": self._inputs.newest("depth"), **gels}

    def _refined(self, goal: Any) -> Any:
        """Return the result of the action for a goal."""
        self._wait(self._refine.server_is_ready, "no action server `refine_object_pose` is running")
        sending = self._refine.send_goal_async(goal)
        self._wait(sending.done, "refine_object_pose did not respond")
        handle = sending.result()
        if handle is None or not handle.accepted:
            raise InputError("refine_object_pose refused the goal")
        future = handle.get_result_async()
        self._wait(future.done, "refine_object_pose did not end")
        return future.result().result

    def _wait(self, condition: Callable[[], bool], failure: str) -> None:
        """Spin until a condition holds.

        Raises:
            InputError: it does not hold in time, or the run was interrupted.
        """
        end_s = time.monotonic() + RESPONSE_S
        while not condition():
            if time.monotonic() > end_s:
                raise InputError(failure)
            self._spin(0.02)

    def _spin(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while True:
            if self._interrupts:
                raise InputError("interrupted")
            left_s = end_s - time.monotonic()
            if left_s <= 0.0:
                return
            rclpy.spin_once(self, timeout_sec=left_s)


def report(step: str, progress: float) -> None:
    """Print the step that begins as JSON on stderr."""
    line = {"step": step, "progress": progress}
    print(json.dumps(line), file=sys.stderr, flush=True)


def _as_json(result: Any, truth: Floats, seconds: float) -> dict[str, Any]:
    content: dict[str, Any] = {
        "success": bool(result.success),
        "message": result.message,
        "verdict": result.verdict,
        "seconds": round(seconds, 2),
        "true_pose": truth.tolist(),
    }
    if result.verdict:
        covariance = np.reshape(result.object_pose.pose.covariance, (6, 6))
        content["pose"] = from_pose_message(result.object_pose.pose.pose).tolist()
        content["position_stddev_mm"] = 1e3 * float(np.sqrt(np.trace(covariance[:3, :3])))
        content["rotation_stddev_deg"] = float(np.degrees(np.sqrt(np.trace(covariance[3:, 3:]))))
        content["unobservable"] = list(result.unobservable)
        content["joint_offsets_mm"] = (1e3 * np.asarray(result.joint_offsets)).tolist()
        content["depth_bias_mm"] = 1e3 * result.depth_bias
    return content


def main() -> int:
    """Run the command line program; the exit code is 0 if the pose is identified."""
    interrupts: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: interrupts.append(number))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("observation", type=Path, help="folder for the observation")
    parser.add_argument("--hand", default="franka_two_minis", help="the hand on the arm")
    parser.add_argument("--await-ready", action="append", default=[], help="node to wait for")
    parser.add_argument("--server-timeout", type=float, default=1800.0, help="time to wait, s")
    options, ros_arguments = parser.parse_known_args()
    rclpy.init(args=[sys.argv[0], *ros_arguments], signal_handler_options=SignalHandlerOptions.NO)
    try:
        hand = load_hand(options.hand)
        node = GraspClient(hand, interrupts)
        watch = ReadinessWatch(node, options.await_ready)
        end_s = time.monotonic() + options.server_timeout
        while pending := watch.describe_pending():
            if failures := watch.failures():
                raise InputError("; ".join(failures))
            if interrupts or time.monotonic() > end_s:
                raise InputError("interrupted" if interrupts else pending)
        result = node.run(options.observation)
    except InputError as error:
        result = {"success": False, "message": str(error)}
    print(json.dumps(result))
    rclpy.try_shutdown()
    return 0 if result["success"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
