"""Topics from which the observation of a grasp is put together."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Vector3Stamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.object_pose import (
    from_camera_info,
    from_depth,
    from_gel_points,
    from_joint_states,
    from_mask,
    from_pose_message,
    from_taxel_forces,
)
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.qos import RELIABLE_IMAGES, SENSOR_IMAGES, SENSOR_STATES
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.hand import Hand

Floats = NDArray[np.float64]
TOPICS: dict[str, tuple[type[Any], Any]] = {
    "depth": (Image, SENSOR_IMAGES),
    "mask": (Image, SENSOR_IMAGES),
    "camera_info": (CameraInfo, SENSOR_IMAGES),
    "camera_pose": (PoseStamped, SENSOR_STATES),
    "joint_states": (JointState, SENSOR_STATES),
    "taxel_forces": (PointCloud2, SENSOR_STATES),
    "gravity": (Vector3Stamped, SENSOR_STATES),
}


class ObjectPoseInputs:
    """Newest message of each topic."""

    def __init__(
        self,
        node: GuardedNode,
        hand: Hand,
        camera_pose: tuple[float, ...],
        gravity: tuple[float, ...],
        max_age_s: float,
        *,
        reliable: bool = False,
    ) -> None:
        """Subscribe to all topics.

        Args:
            node: node that receives the messages.
            hand: hand; each of its gels has a topic `<name>/gel_points`.
            camera_pose: pose of the camera in the hand before a message: x, y, z, m, and the
                quaternion x, y, z, w; zeros if it is unknown.
            gravity: (3,) gravity in the hand before a message, m/s2; zeros if it is unknown.
            max_age_s: age above which a message is not used, s.
            reliable: whether lost messages are sent again, which needs publishers that do so.
        """
        self._hand = hand
        self._max_age_s = max_age_s
        self._gravity = np.array(gravity, float)
        self._camera_pose = _fixed_pose(camera_pose)
        self._newest: dict[str, tuple[Any, float]] = {}
        for topic, (kind, qos) in TOPICS.items():
            node.create_subscription(
                kind, topic, self._keeper(topic), RELIABLE_IMAGES if reliable else qos
            )
        for pad in hand.gel_pads:
            topic = f"{pad.name}/gel_points"
            # Reliable: a surface that was requested is published only once.
            node.create_subscription(PointCloud2, topic, self._keeper(topic), RELIABLE_IMAGES)

    def newest(self, topic: str) -> Any:
        """Return the newest message of a topic that is not too old, or None."""
        message, received_s = self._newest.get(topic, (None, 0.0))
        is_old = time.monotonic() - received_s > self._max_age_s
        return None if is_old and topic not in ("camera_info", "camera_pose") else message

    def observation(self, request: Any = None, touch_only: bool = False) -> GraspObservation:
        """Return the observation of the newest messages, or of those that a request contains.

        Args:
            request: goal of the action; None for topics only.
            touch_only: whether the camera is ignored.

        Raises:
            InputError: a message is missing or cannot be used.
        """
        joints = self._message(request, "joint_state", "joint_states", "name")
        if joints is None:
            raise InputError("no joint positions: none came on joint_states, nor with the request")
        camera, depth, mask = None, None, None
        depth_message = None if touch_only else self._message(request, "depth", "depth", "width")
        if depth_message is not None:
            camera, depth, mask = self._images(request, depth_message)
        gels = [
            (pad.name, message)
            for pad in self._hand.gel_pads
            if (message := self.newest(f"{pad.name}/gel_points")) is not None
        ]
        taxels = self.newest("taxel_forces")
        return GraspObservation(
            self._hand.ordered(from_joint_states(joints)),
            camera,
            depth,
            mask,
            None if taxels is None else from_taxel_forces(taxels),
            tuple(from_gel_points(message, name) for name, message in gels),
            self._known_gravity(),
        )

    def _images(
        self, request: Any, depth_message: Image
    ) -> tuple[DepthCamera, NDArray[np.float32], NDArray[np.bool_]]:
        mask = self._message(request, "mask", "mask", "width")
        info = self._message(request, "camera_info", "camera_info", "width")
        if mask is None or info is None:
            missing = "mask" if mask is None else "camera_info"
            raise InputError(f"a depth image without {missing}: give it, or set touch_only")
        moved = self.newest("camera_pose")
        pose = self._camera_pose if moved is None else from_pose_message(moved.pose)
        if pose is None:
            raise InputError(
                "the camera's pose in the hand is unknown: set the parameter camera_pose, or "
                "publish camera_pose"
            )
        return from_camera_info(info, pose), from_depth(depth_message), from_mask(mask)

    def _known_gravity(self) -> Floats | None:
        message = self.newest("gravity")
        vector = self._gravity
        if message is not None:
            vector = np.array([message.vector.x, message.vector.y, message.vector.z])
        return vector if np.isfinite(vector).all() and np.any(vector) else None

    def _message(self, request: Any, field: str, topic: str, filled: str) -> Any:
        """Return the message of a request if its field `filled` is not empty, else the newest."""
        given = getattr(request, field, None)
        if given is not None and getattr(given, filled):
            return given
        return self.newest(topic)

    def _keeper(self, topic: str) -> Any:
        def keep(message: Any) -> None:
            self._newest[topic] = message, time.monotonic()

        return keep


def _fixed_pose(values: tuple[float, ...]) -> Floats | None:
    """Return the pose (4, 4) of a parameter, or None if it is all zeros.

    Raises:
        InputError: the quaternion is zero.
    """
    if not any(values):
        return None
    message = PoseStamped().pose
    message.position.x, message.position.y, message.position.z = values[:3]
    orientation = message.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = values[3:]
    return from_pose_message(message)
