"""A virtual hand with two GelSight Minis on the virtual arm, an object and a depth camera."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Vector3Stamped
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.geometry import to_vector
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.object_pose import from_pose_message, to_pose_message
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import HAND_FRAME, VirtualGraspSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import FRANKA_CONVENIENCE, RELIABLE_IMAGES, RELIABLE_STATES
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.preparation import Preparation, Stage
from tacdiff_ros.virtual.driver import BROADCASTER
from tacdiff_ros.virtual.grasp_scene import (
    APPROACH_M,
    AT_GRASP_M,
    OPENING_M,
    GraspScene,
    HandMotion,
    write_bracket,
)
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

STATE_PERIOD_S = 0.05
CLOSING_S = 1.0  # duration of closing and opening
LIFTED_M = 0.005  # distance from the grasp from which on the hand carries the object
HAND_TO_TCP = se3.pose_of([0.0, 0.0, 0.1034], np.eye(3))  # of fr3_hand_tcp in fr3_hand
GRAVITY = np.array([0.0, 0.0, -9.81])  # in the base, m/s2
CAMERA_FRAME = "camera_depth_optical_frame"


class VirtualGraspNode(GuardedNode):
    """Publishes what gripper, camera and gels measure while the virtual arm moves the hand."""

    def __init__(self) -> None:
        """Read the parameters, create the topics and start to prepare the scene."""
        super().__init__("virtual_grasp")
        settings = declare_model(self, "", VirtualGraspSettings)
        refuse_unknown(self)
        self._hand = load_hand(settings.hand)
        self._scene: GraspScene | None = None
        self._scratch = TemporaryDirectory(prefix="virtual_grasp")
        self._start: Any = None  # (4, 4) pose of the hand in the base at the first state
        self._pose: Any = None  # newest pose
        self._opening, self._goal_opening = OPENING_M, OPENING_M
        self._moved_s = time.monotonic()
        self._was_lifted = False
        self._create_topics()
        models = [virtual_sensor_model(settings.seed + k) for k in range(len(self._hand.gel_pads))]
        scratch = Path(self._scratch.name)
        mesh = Path(settings.object).expanduser() if settings.object else scratch / "bracket.stl"
        if not settings.object:
            write_bracket(mesh)

        def prepare() -> None:
            scene = GraspScene(mesh, self._hand, models, settings.seed, scratch)
            rest = HandMotion(np.eye(4), OPENING_M)
            for gel in range(len(models)):
                scene.touch(gel, rest)
            scene.depth_and_mask(rest)
            self._scene = scene

        self.preparation = Preparation("virtual_grasp", [Stage("the virtual grasp", prepare, 60.0)])
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(STATE_PERIOD_S, self._publish_state, clock=steady)
        self.create_timer(1.0 / settings.image_rate_hz, self._publish_touches, clock=steady)
        self.create_timer(1.0 / settings.depth_rate_hz, self._publish_depth, clock=steady)

    def _create_topics(self) -> None:
        self._joints = self.create_publisher(JointState, "joint_states", RELIABLE_STATES)
        self._gravity = self.create_publisher(Vector3Stamped, "gravity", RELIABLE_STATES)
        self._camera_poses = self.create_publisher(PoseStamped, "camera_pose", RELIABLE_STATES)
        self._truth = self.create_publisher(
            PoseStamped, "ground_truth/object_pose", RELIABLE_STATES
        )
        self._depths = self.create_publisher(Image, "depth", RELIABLE_IMAGES)
        self._masks = self.create_publisher(Image, "mask", RELIABLE_IMAGES)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE_IMAGES)
        self._touches = [
            self.create_publisher(Image, f"{pad.name}/image_raw", RELIABLE_IMAGES)
            for pad in self._hand.gel_pads
        ]
        self.create_subscription(
            PoseStamped, f"{BROADCASTER}/current_pose", self._on_pose, FRANKA_CONVENIENCE
        )
        self.create_service(Trigger, "~/close", self._move_fingers(0.0, "closed"))
        self.create_service(Trigger, "~/open", self._move_fingers(OPENING_M, "open"))

    def destroy_node(self) -> None:
        """Remove the temporary files and destroy the node."""
        self._scratch.cleanup()
        super().destroy_node()

    def _move_fingers(self, opening: float, word: str) -> Any:
        """Return a callback that starts to move the fingers."""

        def move(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self.preparation.require_ready()
            motion = self._motion()
            if motion is None or self._scene is None:
                raise InputError("no robot state came yet: is virtual_panda running?")
            if opening == 0.0 and self._scene.is_lifted(motion, AT_GRASP_M):
                raise InputError(
                    f"the hand is not at the object: move it {1e3 * APPROACH_M:g} mm along its z "
                    "axis from where it started"
                )
            self._goal_opening, self._moved_s = opening, time.monotonic()
            response.success = True
            response.message = f"the fingers are {word} in {CLOSING_S:g} s"
            return response

        return move

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = from_pose_message(message.pose) @ se3.inverse(HAND_TO_TCP)
        if self._start is None:
            self._start = self._pose

    def _motion(self) -> HandMotion | None:
        """Return where the hand is; None before the first robot state."""
        if self._scene is None or self._pose is None:
            return None
        now_s = time.monotonic()
        step = (now_s - self._moved_s) / CLOSING_S * OPENING_M
        self._moved_s = now_s
        self._opening += float(np.clip(self._goal_opening - self._opening, -step, step))
        return HandMotion(se3.inverse(self._start) @ self._pose, max(self._opening, 0.0))

    def _publish_state(self) -> None:
        motion = self._motion()
        if motion is None or self._scene is None:
            return
        scene, header = self._scene, self._header(HAND_FRAME)
        gravity = self._pose[:3, :3].T @ GRAVITY
        if not self._was_lifted and motion.opening <= 0.0 and scene.is_lifted(motion, LIFTED_M):
            self._was_lifted = True
            scene.hang(gravity)
        positions = scene.joint_positions(motion).tolist()
        names = list(self._hand.joint_names)
        self._joints.publish(JointState(header=header, name=names, position=positions))
        self._gravity.publish(Vector3Stamped(header=header, vector=to_vector(gravity)))
        truth = to_pose_message(scene.object_in_hand(motion))
        self._truth.publish(PoseStamped(header=header, pose=truth))

    def _publish_touches(self) -> None:
        motion = self._motion()
        if motion is None or self._scene is None:
            return
        for gel, publisher in enumerate(self._touches):
            header = self._header(f"{self._hand.gel_pads[gel].name}_optical_frame")
            image = self._scene.touch(gel, motion)
            publisher.publish(to_image(image, header.stamp, header.frame_id))

    def _publish_depth(self) -> None:
        motion = self._motion()
        if motion is None or self._scene is None:
            return
        header = self._header(CAMERA_FRAME)
        camera = self._scene.reported_camera(motion)
        depth, mask = self._scene.depth_and_mask(motion)
        in_hand = Header(stamp=header.stamp, frame_id=HAND_FRAME)
        self._camera_poses.publish(PoseStamped(header=in_hand, pose=to_pose_message(camera.pose)))
        self._infos.publish(_camera_info(camera, header))
        self._masks.publish(to_image(255 * mask.astype(np.uint8), header.stamp, header.frame_id))
        self._depths.publish(to_image(depth, header.stamp, header.frame_id))

    def _header(self, frame: str) -> Header:
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=frame)


def _camera_info(camera: DepthCamera, header: Header) -> CameraInfo:
    intrinsics = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return CameraInfo(header=header, width=camera.width, height=camera.height, k=intrinsics)


def main() -> int:
    """Run the node."""
    return run(VirtualGraspNode)


if __name__ == "__main__":
    raise SystemExit(main())
