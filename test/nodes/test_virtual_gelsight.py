"""The virtual sensor on DDS: images that follow the indenter, with its stamps, and the truth."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import Image, PointCloud2
from shape_msgs.msg import Mesh
from tacdiff_ros.msg import SensorModel

from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import parse_sensor
from tacdiff_ros.sensor.surface_points import surface_of_points
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

pytestmark = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)
KINDS = {
    "image_raw": Image,
    "ground_truth/gel_wrench": WrenchStamped,
    "ground_truth/gel_mesh": Mesh,
    "ground_truth/gel_points": PointCloud2,
}


class Client:
    """Moves the indenter and takes what the sensor says."""

    def __init__(self, meeting) -> None:
        node, self.spin = meeting.node, meeting.spin
        self.indenter = node.create_publisher(PoseStamped, "ground_truth/indenter", 10)
        self.seen = {name: [] for name in KINDS}
        for name, kind in KINDS.items():
            node.create_subscription(kind, name, self.seen[name].append, 10)
        self.truth = []
        node.create_subscription(
            SensorModel, "ground_truth/sensor_model", self.truth.append, LATCHED
        )
        self.spin(60.0, lambda: bool(self.seen["image_raw"] and self.truth))


@pytest.fixture(scope="module")
def client(meeting):
    arguments = ["-p", "seed:=4", "-p", "indenter:=sphere:diameter=6"]
    return Client(meeting("virtual_gelsight", arguments))


def pose(depth_mm: float, stamp_ms: int) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp = Time(sec=stamp_ms // 1000, nanosec=stamp_ms % 1000 * 1_000_000)
    message.pose.position.z = -1e-3 * depth_mm
    message.pose.orientation.w = 1.0
    return message


def test_the_truth_is_latched(client):
    model = parse_sensor(client.truth[-1].yaml)
    assert model.checksum == virtual_sensor_model(4).checksum


def test_images_and_wrenches_follow_the_indenter_with_its_stamps(client):
    before = from_image(client.seen["image_raw"][-1])
    for name in ("image_raw", "ground_truth/gel_wrench"):
        client.seen[name].clear()
    for k in range(100):
        client.indenter.publish(pose(min(0.05 * k, 0.5), 5_000 + 10 * k))
        client.spin(0.1)
        wrenches = client.seen["ground_truth/gel_wrench"]
        if wrenches and wrenches[-1].wrench.force.z < -0.1:
            break
    assert client.seen["ground_truth/gel_wrench"][-1].wrench.force.z < -0.1
    client.spin(0.5)
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in client.seen["image_raw"]]
    moved = [stamp for stamp in stamps if stamp[0] < 100]
    assert moved
    assert all(nanosec % 10_000_000 == 0 for _, nanosec in moved)
    after = from_image(client.seen["image_raw"][-1])
    assert np.abs(after.astype(int) - before).max() > 40
    assert len(client.seen["ground_truth/gel_mesh"][-1].vertices) == 49 * 61
    cloud = client.seen["ground_truth/gel_points"][-1]
    surface = surface_of_points(cloud, virtual_sensor_model(4).gel)
    assert (surface.rows, surface.columns) == (49, 61)
    assert -0.6 < surface.position[:, 2].min() < -0.1
    stamps = [message.header.stamp for message in client.seen["image_raw"]]
    assert cloud.header.stamp in stamps[-3:]
