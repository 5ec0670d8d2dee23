"""Converts observations of a grasp and object poses between messages and the core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_message import check_layout
from tacdiff_ros.msg import Residual
from tacdiff_ros.nodes.conversion.images import from_map
from tacdiff_ros.object_pose.hypotheses import Hypothesis, in_hand_axes
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GelTouch
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
METRES_PER_MM = 1e-3
CONTACT_PRESSURE = 1000.0  # of a point of the gel that touches, Pa
CONTACT_INDENTATION = 5e-5  # the same without pressures, m
DEFAULT_STDDEV = 1e-4  # of a gel's height where the message has none, m
MAX_CLOUD_POINTS = 200_000
OBJECT_COLOUR, HYPOTHESIS_ALPHA = (0.2, 0.8, 0.35), 0.25
CONTACT_COLOUR = (0.9, 0.1, 0.1)
CONTACT_DIAMETER = 0.003  # m


def from_depth(message: Image) -> NDArray[np.float32]:
    """Convert a depth image, 32FC1 in m or 16UC1 in mm, into an array (H, W), m.

    Raises:
        InputError: another encoding, or the data does not match the size.
    """
    if message.encoding not in ("16UC1", "mono16"):
        return from_map(message, 1)
    rows = _rows(message, 2)
    values = rows.view(np.dtype(">u2" if message.is_bigendian else "<u2"))
    return (METRES_PER_MM * values).astype(np.float32)


def from_mask(message: Image) -> NDArray[np.bool_]:
    """Convert a mask, mono8 and not 0 on the object, into an array (H, W).

    Raises:
        InputError: another encoding, or the data does not match the size.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise InputError(f"mask encoding is '{message.encoding[:20]}', expected mono8")
    return np.asarray(_rows(message, 1) > 0)


def _rows(message: Image, pixel_bytes: int) -> NDArray[np.uint8]:
    check_layout(message, pixel_bytes)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, : pixel_bytes * message.width])


def from_camera_info(message: CameraInfo, pose: Floats) -> DepthCamera:
    """Convert the intrinsics of a rectified camera and its pose (4, 4) in the hand.

    Raises:
        InputError: the intrinsics are not usable, or the image is distorted.
    """
    fx, fy, cx, cy = (float(message.k[index]) for index in (0, 4, 2, 5))
    if np.any(np.abs(np.asarray(message.d, float)) > 1e-6):
        raise InputError("the depth image is distorted: give the rectified one and its camera_info")
    return DepthCamera(int(message.width), int(message.height), fx, fy, cx, cy, pose)


def from_joint_states(message: JointState) -> dict[str, float]:
    """Return joint positions by name.

    Raises:
        InputError: names and positions differ in number.
    """
    if len(message.name) != len(message.position):
        raise InputError(
            f"joint state has {len(message.name)} names and {len(message.position)} positions"
        )
    return dict(zip(message.name, message.position, strict=True))


def from_cloud(message: PointCloud2) -> dict[str, Floats]:
    """Return the float32 fields of a point cloud by name, each (N,).

    Raises:
        InputError: the cloud has too many points, or its data does not match its size.
    """
    count = message.width * message.height
    if count > MAX_CLOUD_POINTS or len(message.data) != count * message.point_step:
        raise InputError(
            f"point cloud of {count} points and {len(message.data)} bytes: expected up to "
            f"{MAX_CLOUD_POINTS} points of {message.point_step} bytes"
        )
    raw = np.frombuffer(message.data, np.uint8).reshape(count, message.point_step)
    order = ">" if message.is_bigendian else "<"
    fields = {}
    for field in message.fields:
        end = field.offset + 4
        if field.datatype != PointField.FLOAT32 or end > message.point_step:
            continue
        values = np.ascontiguousarray(raw[:, field.offset : end]).view(f"{order}f4")
        fields[field.name] = values.ravel().astype(np.float64)
    return fields


def from_taxel_forces(message: PointCloud2) -> Floats:
    """Return the forces (T, 3), N, of the fields force_x, force_y and force_z.

    Raises:
        InputError: a field is missing; see `from_cloud`.
    """
    return _vectors(from_cloud(message), ("force_x", "force_y", "force_z"), "taxel forces")


def from_gel_points(message: PointCloud2, name: str) -> GelTouch:
    """Convert the surface of a gel, as published by `mesh_inversion`.

    Args:
        message: organised cloud with x, y, z, and dz, height_stddev, valid, contact, pressure,
            traction_x and traction_y where they are known.
        name: name of the gel.

    Raises:
        InputError: the cloud is not organised; see `from_cloud`.
    """
    fields = from_cloud(message)
    points = _vectors(fields, ("x", "y", "z"), "gel points")
    if min(message.height, message.width) < 2:
        raise InputError(f"gel points of {name}: expected an organised cloud, rows x columns")
    grid = points.reshape(message.height, message.width, 3)
    across, down = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    normals = np.cross(across, down).reshape(-1, 3)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    none = np.zeros(len(points))
    pressure = fields.get("pressure")
    traction = None
    if "contact" in fields:
        contact = fields["contact"] > 0.5
    elif pressure is None:
        contact = fields.get("dz", points[:, 2]) < -CONTACT_INDENTATION
    else:
        contact = pressure > CONTACT_PRESSURE
    if pressure is not None:
        sideways = [fields.get(key, none) for key in ("traction_x", "traction_y")]
        traction = np.stack([*sideways, -pressure], axis=1)
    valid = fields.get("valid", none + 1.0) > 0.5
    stddev = fields.get("height_stddev", none + DEFAULT_STDDEV)
    keep = valid & np.isfinite(points).all(axis=1)
    force = None
    if traction is not None:
        cell = np.linalg.norm(np.cross(across, down), axis=-1).reshape(-1, 1)
        force = (traction * cell)[keep].sum(axis=0)
    return GelTouch(
        name,
        points[keep],
        normals[keep],
        contact[keep],
        stddev[keep],
        None if traction is None else traction[keep],
        force,
    )


def _vectors(fields: dict[str, Floats], names: Sequence[str], kind: str) -> Floats:
    missing = [name for name in names if name not in fields]
    if missing:
        raise InputError(f"{kind} have no float32 field {missing[0]}, expected {', '.join(names)}")
    return np.stack([fields[name] for name in names], axis=1)


def from_pose_message(message: Pose) -> Floats:
    """Convert a pose message into a transformation (4, 4), m.

    Raises:
        InputError: the quaternion is zero or a number is not finite.
    """
    at, turn = message.position, message.orientation
    values = np.array([at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w])
    length = float(np.linalg.norm(values[3:]))
    if not np.all(np.isfinite(values)) or not 1e-6 < length < math.inf:
        raise InputError("pose with numbers that are not finite, or with a zero quaternion")
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat(values[3:]).as_matrix()
    result[:3, 3] = values[:3]
    return result


def to_pose_message(pose: Floats) -> Pose:
    """Convert a transformation (4, 4), m, into a pose message."""
    x, y, z = pose[:3, 3].tolist()
    qx, qy, qz, qw = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def to_transform(pose: Floats) -> Transform:
    """Convert a transformation (4, 4), m, into a transform message."""
    message = to_pose_message(pose)
    position = message.position
    translation = Vector3(x=position.x, y=position.y, z=position.z)
    return Transform(translation=translation, rotation=message.orientation)


def to_transform_stamped(pose: Floats, header: Header, child: str) -> TransformStamped:
    """Convert a transformation (4, 4) of a frame into a stamped transform."""
    return TransformStamped(header=header, child_frame_id=child, transform=to_transform(pose))


def to_pose_with_covariance(hypothesis: Hypothesis) -> PoseWithCovariance:
    """Convert a hypothesis: covariance of position and rotation about the axes of the hand."""
    covariance = in_hand_axes(hypothesis.object_covariance, hypothesis.object_pose)
    return PoseWithCovariance(
        pose=to_pose_message(hypothesis.object_pose), covariance=covariance.ravel().tolist()
    )


def to_object_pose(estimate: PoseEstimate, header: Header) -> PoseWithCovarianceStamped:
    """Convert the best hypothesis of an estimate."""
    return PoseWithCovarianceStamped(header=header, pose=to_pose_with_covariance(estimate.best))


def fill_result(result: Any, estimate: PoseEstimate, header: Header) -> None:
    """Write an estimate into the result of the action `RefineObjectPose`, changed in place."""
    result.verdict = estimate.verdict
    result.message = "; warning: ".join(
        [f"{estimate.verdict}: {estimate.reason}", *estimate.warnings]
    )
    result.object_pose = to_object_pose(estimate, header)
    result.hypotheses = [to_pose_with_covariance(each) for each in estimate.hypotheses]
    result.weights = [each.weight for each in estimate.hypotheses]
    result.unobservable = [each.words for each in estimate.open_directions]
    result.camera_correction = to_transform(estimate.camera_correction)
    result.joint_offsets = estimate.joint_offsets.tolist()
    result.depth_bias = float(estimate.best.fit.unknowns.depth_bias)
    contact = estimate.plausibility
    result.contacts = [Point(x=x, y=y, z=z) for x, y, z in contact.contacts.tolist()]
    result.penetration_max = contact.penetration
    result.unbalanced_wrench = contact.unbalanced
    result.residuals = [
        Residual(name=name, value=each.rms if math.isfinite(each.rms) else 0.0, unit="")
        for name, each in estimate.agreement.items()
    ]
    result.duration = estimate.seconds


def to_markers(estimate: PoseEstimate, item: RigidObject, header: Header) -> MarkerArray:
    """Return RViz markers: the object, further hypotheses transparent, and contacts."""
    markers = [
        _object_marker(item, each.object_pose, header, index)
        for index, each in enumerate(estimate.hypotheses)
    ]
    r, g, b = CONTACT_COLOUR
    contacts = Marker(header=header, ns="contacts", type=Marker.SPHERE_LIST, action=Marker.ADD)
    contacts.pose.orientation.w = 1.0
    contacts.scale.x = contacts.scale.y = contacts.scale.z = CONTACT_DIAMETER
    contacts.color = ColorRGBA(r=r, g=g, b=b, a=1.0)
    positions = estimate.plausibility.contacts.tolist()
    contacts.points = [Point(x=x, y=y, z=z) for x, y, z in positions]
    clear = Marker(header=header, action=Marker.DELETEALL)
    return MarkerArray(markers=[clear, *markers, contacts])


def _object_marker(item: RigidObject, pose: Floats, header: Header, index: int) -> Marker:
    marker = Marker(header=header, ns="hypotheses", id=index, type=Marker.TRIANGLE_LIST)
    marker.action = Marker.ADD
    marker.pose = to_pose_message(pose)
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    r, g, b = OBJECT_COLOUR
    marker.color = ColorRGBA(r=r, g=g, b=b, a=1.0 if index == 0 else HYPOTHESIS_ALPHA)
    corners = item.vertices[item.faces.ravel()].tolist()
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in corners]
    return marker
