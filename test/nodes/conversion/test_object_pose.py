"""Messages of the object pose node against values that are known."""

import array
import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from geometry_msgs.msg import Pose
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2, PointField

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.object_pose import (
    from_camera_info,
    from_depth,
    from_gel_points,
    from_joint_states,
    from_mask,
    from_pose_message,
    from_taxel_forces,
    to_pose_message,
)
from tacdiff_ros.object_pose import se3


def image(values, encoding):
    message = Image(height=values.shape[0], width=values.shape[1], encoding=encoding)
    message.step = values.shape[1] * values.itemsize
    message.data = array.array("B", values.tobytes())
    return message


def cloud(columns, rows=1):
    values = np.column_stack(list(columns.values())).astype(np.float32)
    message = PointCloud2(height=rows, width=len(values) // rows, point_step=4 * len(columns))
    message.fields = [
        PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1)
        for k, name in enumerate(columns)
    ]
    message.data = array.array("B", values.tobytes())
    return message


def test_depth_in_millimetres_and_in_metres_are_the_same():
    depth = np.array([[0.5, 0.0, 1.25], [0.6, 2.0, 3.0]], np.float32)
    assert from_depth(image(depth, "32FC1")) == pytest.approx(depth)
    millimetres = (1000 * depth).astype(np.uint16)
    assert from_depth(image(millimetres, "16UC1")) == pytest.approx(depth)
    with pytest.raises(InputError, match="encoding"):
        from_depth(image(np.zeros((2, 2), np.uint8), "mono8"))


def test_a_mask_is_true_where_a_pixel_is_not_zero():
    mask = np.array([[0, 1, 255]], np.uint8)
    assert from_mask(image(mask, "mono8")).tolist() == [[False, True, True]]
    with pytest.raises(InputError, match="mono8"):
        from_mask(image(mask, "rgb8"))


def test_a_distorted_camera_is_refused_and_a_rectified_one_is_a_pinhole():
    info = CameraInfo(width=320, height=240, k=[270.0, 0, 160, 0, 271.0, 120, 0, 0, 1])
    camera = from_camera_info(info, np.eye(4))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (270.0, 271.0, 160.0, 120.0)
    info.d = [0.1, 0.0, 0.0, 0.0, 0.0]
    with pytest.raises(InputError, match="distorted"):
        from_camera_info(info, np.eye(4))


def test_joint_states_of_unequal_length_are_refused():
    assert from_joint_states(JointState(name=["a"], position=[1.0])) == {"a": 1.0}
    with pytest.raises(InputError, match="1 names and 0 positions"):
        from_joint_states(JointState(name=["a"]))


def test_a_pose_survives_both_conversions():
    pose = se3.exp([0.1, -0.2, 0.3, 1.0, 2.0, -0.5])
    assert from_pose_message(to_pose_message(pose)) == pytest.approx(pose)
    with pytest.raises(InputError, match="zero quaternion"):
        from_pose_message(_zero_quaternion())


def _zero_quaternion():
    pose = Pose()
    pose.orientation.w = 0.0
    return pose


def test_taxel_forces_are_vectors_in_the_order_of_the_points():
    forces = cloud({"force_x": [1, 2], "force_y": [3, 4], "force_z": [5, 6]})
    assert from_taxel_forces(forces).tolist() == [[1, 3, 5], [2, 4, 6]]
    with pytest.raises(InputError, match="force_z"):
        from_taxel_forces(cloud({"force_x": [1], "force_y": [1]}))
    forces.data = forces.data[:-1]
    with pytest.raises(InputError, match="point cloud"):
        from_taxel_forces(forces)


def test_a_tilted_gel_has_the_normal_of_its_plane_and_touches_where_it_is_pressed():
    x, y = np.meshgrid(np.arange(5) * 1e-3, np.arange(4) * 1e-3)
    slope = math.tan(math.radians(10.0))
    columns = {
        "x": x.ravel(),
        "y": y.ravel(),
        "z": -slope * x.ravel(),
        "pressure": np.where(x.ravel() > 0.0025, 5000.0, 0.0),
        "valid": np.where(y.ravel() > 0.0025, 0.0, 1.0),
    }
    touch = from_gel_points(cloud(columns, rows=4), "left")
    assert len(touch.points) == 15  # one row is not valid
    expected = [math.sin(math.radians(10.0)), 0.0, math.cos(math.radians(10.0))]
    assert touch.normals == pytest.approx(np.tile(expected, (15, 1)), abs=1e-5)
    assert touch.contact.reshape(3, 5).tolist() == 3 * [[False, False, False, True, True]]
    assert touch.traction[touch.contact] == pytest.approx(np.tile([0, 0, -5000.0], (6, 1)))
    assert touch.force == pytest.approx([0, 0, -6 * 5000.0 * 1e-6 * math.hypot(1.0, slope)])
    columns["contact"] = np.where(x.ravel() > 0.0035, 1.0, 0.0)
    told = from_gel_points(cloud(columns, rows=4), "left")
    assert told.contact.reshape(3, 5).tolist() == 3 * [[False, False, False, False, True]]
    del columns["pressure"]
    shape = from_gel_points(cloud(columns, rows=4), "left")
    assert shape.contact.tolist() == told.contact.tolist()
    assert shape.traction is None
    assert shape.force is None
    with pytest.raises(InputError, match="organised"):
        from_gel_points(cloud({name: values[:3] for name, values in columns.items()}), "left")
