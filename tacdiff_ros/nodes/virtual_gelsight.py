"""A virtual GelSight Mini that sees the virtual arm's indenter: the driver's topics, and truth."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from geometry_msgs.msg import PoseStamped, WrenchStamped
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from shape_msgs.msg import Mesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.live.pose_path import PosePath
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    to_indenter,
    to_nanoseconds,
    to_time,
    to_wrench,
)
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.sensor_model import to_sensor_model
from tacdiff_ros.nodes.conversion.surface import METRES_PER_MM, to_mesh, to_points
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import VirtualGelsightSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED, LATEST_COMMAND, RELIABLE_IMAGES
from tacdiff_ros.nodes.sensor_parameter import sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.optics.variant import limit_threads
from tacdiff_ros.preparation import Preparation
from tacdiff_ros.twin.newest_worker import NewestWorker
from tacdiff_ros.virtual.virtual_sensor import SensedPress, VirtualSensor, virtual_sensor_model
from tacdiff_ros.warm_up import REST, virtual_sensor_stages

log = logging.getLogger(__name__)

INDENTER_TOPIC = "ground_truth/indenter"
MAX_WAITING = 3  # images, in lock step


class VirtualGelsightNode(GuardedNode):
    """Draws in a thread of its own, paced like a camera or by the virtual world's clock."""

    def __init__(self) -> None:
        """Read the parameters and begin."""
        super().__init__("virtual_gelsight")
        given = declare_model(self, "", VirtualGelsightSettings)
        self._rate_hz = given.rate_hz
        self._frame, self._gel_frame = given.frame_id, given.gel_frame_id
        self._lock_step = LockStep(self, {"virtual_panda": [INDENTER_TOPIC]}, self._on_step)
        refuse_unknown(self)
        limit_threads(given.threads)
        file, seed = given.sensor_file, given.seed
        model = sensor_from(file) if file else virtual_sensor_model(seed)
        self._sensor = VirtualSensor(model, given.indenter, seed, given.noise_grey)
        self._images = self.create_publisher(Image, "image_raw", RELIABLE_IMAGES)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE_IMAGES)
        self._wrenches = self.create_publisher(WrenchStamped, "contact_wrench", LATEST_COMMAND)
        self._meshes = self.create_publisher(Mesh, "ground_truth/gel_mesh", LATEST_COMMAND)
        self._points = self.create_publisher(
            PointCloud2, "ground_truth/gel_points", RELIABLE_IMAGES
        )
        self._truth = self.create_publisher(
            SensorModelMessage, "ground_truth/sensor_model", LATCHED
        )
        stamp = self.get_clock().now().to_msg()
        self._truth.publish(to_sensor_model(model, {}, stamp, self._frame))
        self._info = _camera_info(model.image.width_px, model.image.height_px, model.camera)
        self._path = PosePath()
        self._newest: tuple[int, IndenterPose] | None = None
        self._slot = -1  # periods since the clock's zero at the last image
        self._frames: NewestWorker[tuple[int, IndenterPose]] = NewestWorker(
            lambda frame: self._see(*frame), self._complain, MAX_WAITING
        )
        self.create_subscription(
            PoseStamped, INDENTER_TOPIC, self._on_indenter, self._lock_step.qos(LATEST_COMMAND)
        )
        self._running = True
        self._thread = threading.Thread(target=self._see_all, name="frames", daemon=True)
        self.preparation = Preparation(
            "virtual_sensor", virtual_sensor_stages(self._sensor), self._start
        )

    def destroy_node(self) -> None:
        """Draw no more."""
        self._running = False
        self._frames.close(2.0)
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        super().destroy_node()

    def _start(self) -> None:
        if not self._lock_step.is_on:
            self._thread.start()

    def _on_indenter(self, message: PoseStamped) -> None:
        pose = to_indenter(from_pose(message.pose))
        stamp_ns = to_nanoseconds(message.header.stamp)
        self._path.add(stamp_ns, pose)
        self._newest = stamp_ns, pose
        self._lock_step.received("virtual_panda", INDENTER_TOPIC, stamp_ns)

    def _on_step(self, now_ns: int) -> None:
        """In lock step: one image at each multiple of the period, of the indenter at that time."""
        slot = now_ns // round(1e9 / self._rate_hz)
        if slot == self._slot or not self.preparation.is_ready:
            return
        self._slot = slot
        pose = self._newest[1] if self._newest is not None else REST
        self._lock_step.begin(now_ns)
        self._frames.offer((now_ns, pose))

    def _see_all(self) -> None:
        """One image a period; where drawing takes longer, as many as can be."""
        next_s = time.monotonic()
        used = None
        while self._running:
            next_s = max(next_s + 1.0 / self._rate_hz, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
            newest = self._newest
            stamp_ns, pose = newest or (0, REST)
            if newest is None or newest is used:  # the arm is silent: the camera goes on
                stamp_ns = self.get_clock().now().nanoseconds
            used = newest
            try:
                self._see(stamp_ns, pose)
            except InputError as error:
                self._complain(str(error))
            except Exception as error:  # the camera goes on, and somebody must know
                self._complain(log_exception(log, "drawing failed", error))

    def _see(self, stamp_ns: int, pose: IndenterPose) -> None:
        """One image and its truth, published.

        Raises:
            InputError: the pose is one that the gel cannot take.
        """
        try:
            for point in self._path.take(stamp_ns, pose):
                self._sensor.move(point)
            self._publish(self._sensor.sense(pose), to_time(stamp_ns))
            self._lock_step.published(stamp_ns)
        finally:
            self._lock_step.end(stamp_ns)

    def _complain(self, line: str) -> None:
        self.drop("drawing", line)

    def _publish(self, seen: SensedPress, stamp: Any) -> None:
        if not self._running:
            return
        self._info.header.stamp, self._info.header.frame_id = stamp, self._frame
        wrench = WrenchStamped(wrench=to_wrench(seen.force_n, METRES_PER_MM * seen.torque_n_mm))
        wrench.header.stamp, wrench.header.frame_id = stamp, self._gel_frame
        self._wrenches.publish(wrench)
        if self._points.get_subscription_count():
            self._points.publish(to_points(seen.surface, stamp, self._gel_frame))
        self._images.publish(to_image(seen.image, stamp, self._frame))
        self._infos.publish(self._info)
        if self._meshes.get_subscription_count():
            self._meshes.publish(to_mesh(seen.surface))


def _camera_info(width: int, height: int, camera: Any) -> CameraInfo:
    """Focal length and centre as they are; the radial model is not ROS's, so D stays 0."""
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
    f, (x, y) = camera.focal_px, camera.centre_px
    info.d = [0.0] * 5
    info.k = [f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [f, 0.0, x, 0.0, 0.0, f, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def main() -> int:
    """Entry point."""
    return run(VirtualGelsightNode)


if __name__ == "__main__":
    raise SystemExit(main())
