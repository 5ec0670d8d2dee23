"""A virtual GelSight Mini pressed on the virtual arm's indenter: driver topics, ground truth."""

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
from tacdiff_ros.nodes.sensor_parameter import describe_sensor, sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.preparation import Preparation
from tacdiff_ros.twin.newest_worker import NewestWorker
from tacdiff_ros.virtual.virtual_sensor import SensedPress, VirtualSensor, virtual_sensor_model
from tacdiff_ros.warm_up import REST, virtual_sensor_stages

log = logging.getLogger(__name__)

INDENTER_TOPIC = "ground_truth/indenter"
MAX_WAITING = 3  # images that may wait for the renderer in lock step


class VirtualGelsightNode(GuardedNode):
    """Renders in a separate thread, at the rate of a camera or in step with the virtual clock."""

    def __init__(self) -> None:
        """Read the parameters, create the topics and start the preparation."""
        super().__init__("virtual_gelsight")
        settings = declare_model(self, "", VirtualGelsightSettings)
        self._rate_hz = settings.rate_hz
        self._frame, self._gel_frame = settings.frame_id, settings.gel_frame_id
        self._lock_step = LockStep(self, {"virtual_panda": [INDENTER_TOPIC]}, self._on_step)
        refuse_unknown(self)
        file, seed = settings.sensor_file, settings.seed
        model = sensor_from(file) if file else virtual_sensor_model(seed)
        self._sensor = VirtualSensor(
            model, settings.indenter, seed, settings.noise_grey, threads=settings.threads
        )
        self.summary = (
            f"{describe_sensor(model, file or f'random sensor of seed {seed}')}; pressed by "
            f"{settings.indenter}; {settings.rate_hz:g} Hz"
        )
        self._info = _camera_info(model.image.width_px, model.image.height_px, model.camera)
        self._create_publishers()
        stamp = self.get_clock().now().to_msg()
        self._truth.publish(to_sensor_model(model, {}, stamp, self._frame))
        self._path = PosePath()
        self._newest: tuple[int, IndenterPose] | None = None
        self._period_index = -1  # number of camera periods since time 0 at the last image
        self._frames: NewestWorker[tuple[int, IndenterPose]] = NewestWorker(
            lambda frame: self._process_frame(*frame), self._drop_frame, MAX_WAITING
        )
        self.create_subscription(
            PoseStamped, INDENTER_TOPIC, self._on_indenter, self._lock_step.qos(LATEST_COMMAND)
        )
        self._running = True
        self._thread = threading.Thread(
            target=self._render_periodically, name="frames", daemon=True
        )
        self.preparation = Preparation(
            "virtual_sensor", virtual_sensor_stages(self._sensor), self._start
        )

    def _create_publishers(self) -> None:
        self._images = self.create_publisher(Image, "image_raw", RELIABLE_IMAGES)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE_IMAGES)
        self._wrenches = self.create_publisher(
            WrenchStamped, "ground_truth/gel_wrench", LATEST_COMMAND
        )
        self._meshes = self.create_publisher(Mesh, "ground_truth/gel_mesh", LATEST_COMMAND)
        self._points = self.create_publisher(
            PointCloud2, "ground_truth/gel_points", RELIABLE_IMAGES
        )
        self._truth = self.create_publisher(
            SensorModelMessage, "ground_truth/sensor_model", LATCHED
        )

    def destroy_node(self) -> None:
        """Stop rendering and destroy the node."""
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
        """In lock step, render the current indenter pose at each multiple of the period."""
        period_index = now_ns // round(1e9 / self._rate_hz)
        if period_index == self._period_index or not self.preparation.is_ready:
            return
        self._period_index = period_index
        pose = self._newest[1] if self._newest is not None else REST
        self._lock_step.begin(now_ns)
        self._frames.offer((now_ns, pose))

    def _render_periodically(self) -> None:
        """Body of the thread: one image per period, or fewer if rendering takes longer."""
        next_s = time.monotonic()
        rendered = None
        while self._running:
            next_s = max(next_s + 1.0 / self._rate_hz, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
            newest = self._newest
            stamp_ns, pose = newest or (0, REST)
            if newest is None or newest is rendered:  # no new pose: the image gets the current time
                stamp_ns = self.get_clock().now().nanoseconds
            rendered = newest
            try:
                self._process_frame(stamp_ns, pose)
            except InputError as error:
                self._drop_frame(str(error))
            except Exception as error:  # the thread must continue, and the error must be reported
                self._drop_frame(log_exception(log, "rendering failed", error))

    def _process_frame(self, stamp_ns: int, pose: IndenterPose) -> None:
        """Move the gel, render one image, and publish the image and its ground truth.

        Raises:
            InputError: the gel cannot be simulated in this pose.
        """
        try:
            waypoints = self._path.take(stamp_ns, pose)
            self._publish(self._sensor.sense(pose, waypoints), to_time(stamp_ns))
            self._lock_step.published(stamp_ns)
        finally:
            self._lock_step.end(stamp_ns)

    def _drop_frame(self, cause: str) -> None:
        self.drop("rendering", cause)

    def _publish(self, press: SensedPress, stamp: Any) -> None:
        if not self._running:
            return
        self._info.header.stamp, self._info.header.frame_id = stamp, self._frame
        gel = press.result
        torque_n_m = METRES_PER_MM * gel.torque_at_origin_n_mm
        wrench = WrenchStamped(wrench=to_wrench(gel.force_n, torque_n_m))
        wrench.header.stamp, wrench.header.frame_id = stamp, self._gel_frame
        self._wrenches.publish(wrench)
        if self._points.get_subscription_count():
            self._points.publish(to_points(gel.surface, stamp, self._gel_frame))
        self._images.publish(to_image(press.image, stamp, self._frame))
        self._infos.publish(self._info)
        if self._meshes.get_subscription_count():
            self._meshes.publish(to_mesh(gel.surface))


def _camera_info(width: int, height: int, camera: Any) -> CameraInfo:
    """Return focal length and centre; D is 0, because ROS has no such radial distortion model."""
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
    f, (x, y) = camera.focal_px, camera.centre_px
    info.d = [0.0] * 5
    info.k = [f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [f, 0.0, x, 0.0, 0.0, f, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def main() -> int:
    """Run the node."""
    return run(VirtualGelsightNode)


if __name__ == "__main__":
    raise SystemExit(main())
