"""Publishes images of a GelSight Mini, from a camera, a video, an image folder or a generator."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.frame_sources import (
    CameraFrames,
    CameraLostError,
    FrameSource,
    open_frames,
)
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    to_indenter,
    to_nanoseconds,
    to_time,
)
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import GelsightDriverSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, RELIABLE_IMAGES
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.virtual.frames import GeneratedFrames, cycle_pose

log = logging.getLogger(__name__)

INDENTER_TOPIC = "ground_truth/indenter"
RECONNECT_PERIOD_S = 1.0
STALE_AFTER_PERIODS = 3.0


class GelSightDriver(GuardedNode):
    """Reads frames in a separate thread and publishes `image_raw` and `camera_info`."""

    def __init__(self) -> None:
        """Open the source named by the parameters."""
        super().__init__("gelsight_driver")
        self._declare()
        self._lock_step = LockStep(self, {"virtual_panda": [INDENTER_TOPIC]}, self._on_step)
        refuse_unknown(self)
        if self._lock_step.is_on and self._source == "camera":
            raise InputError(
                "parameter 'lock_step' is true with source 'camera': expected false, because a "
                "camera cannot wait; or set 'source' to generated images or files"
            )
        self._images = self.create_publisher(Image, "image_raw", RELIABLE_IMAGES)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE_IMAGES)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._published = 0
        self._published_at_report = 0
        self._last_s = self._lock_step.monotonic_s()
        self._reconnects = 0
        self._ended = False
        self._indenter: IndenterPose | None = None
        self._frames = self._open()
        self._generator = GeneratedFrames() if self._source == "generated" else None
        if self._generator is not None or self._lock_step.is_on:
            qos = self._lock_step.qos(LATEST_COMMAND)
            self.create_subscription(PoseStamped, INDENTER_TOPIC, self._on_indenter, qos)
        self.create_timer(1.0, self._diagnose)
        self._running = True
        self._start_ns = 0
        self._period_index = -1  # number of image periods since time 0 at the last image
        self._thread = threading.Thread(target=self._read_periodically, name="frames", daemon=True)
        if not self._lock_step.is_on:
            self._thread.start()

    def destroy_node(self) -> None:
        """Stop reading, release the camera and destroy the node."""
        self._running = False
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        if self._frames is not None:
            self._frames.close()
        super().destroy_node()

    def _declare(self) -> None:
        settings = declare_model(self, "", GelsightDriverSettings)
        self._source, self._device, self._loop = settings.source, settings.device, settings.loop
        self._rate_hz, self._delay_s = settings.rate_hz, settings.capture_delay_s
        self._frame_id, self._focal_px = settings.frame_id, settings.focal_length_px
        self._border, self._size = settings.border_fraction, (settings.width, settings.height)

    def _open(self) -> FrameSource | None:
        """Return the open source; None for generated images and while the camera is missing."""
        if self._source == "generated":
            return None
        if self._source != "camera":
            return open_frames(self._source, self._loop)
        try:
            return CameraFrames(self._device, self._size, self._border)
        except CameraLostError as error:
            self.get_logger().warning(f"{error}; retrying", throttle_duration_sec=10.0)
            return None

    def _read_periodically(self) -> None:
        """Body of the reading thread: wait, read and publish; reopen a camera that was lost."""
        start_s = next_s = time.monotonic()
        while self._running:
            if self._source != "camera":
                next_s = max(next_s + 1.0 / self._rate_hz, time.monotonic() - 1.0)
                time.sleep(max(0.0, next_s - time.monotonic()))
            try:
                if self._generator is not None:
                    self._generate(time.monotonic() - start_s)
                elif not self._read_one():
                    return
            except Exception as error:  # the thread must continue, and the error must be reported
                self.get_logger().error(log_exception(log, "reading an image failed", error))
                time.sleep(RECONNECT_PERIOD_S)

    def _on_step(self, now_ns: int) -> None:
        """In lock step, publish one image at each multiple of the period, until a file ends."""
        self._start_ns = self._start_ns or now_ns
        period_index = now_ns // round(1e9 / self._rate_hz)
        if period_index == self._period_index or self._ended:
            return
        self._period_index = period_index
        if self._generator is not None:
            self._generate(1e-9 * (now_ns - self._start_ns))
        else:
            self._read_one()

    def _generate(self, elapsed_s: float) -> None:
        if self._generator is not None:
            self._publish(self._generator.render(self._indenter or cycle_pose(elapsed_s)))

    def _read_one(self) -> bool:
        """Publish the next image of a camera or file; return whether there may be another one."""
        if self._frames is None:
            time.sleep(RECONNECT_PERIOD_S)
            self._frames = self._open()
            return True
        try:
            image = self._frames.read()
        except CameraLostError as error:
            self.get_logger().warning(f"{error}; reopening it")
            self._frames.close()
            self._frames = None
            self._reconnects += 1
            return True
        except InputError as error:
            self.get_logger().error(str(error))
            image = None
        if image is None:
            self._ended = True
            self.get_logger().info(f"end of {self._source} after {self._published} images")
            return False
        self._publish(image)
        return True

    def _publish(self, image: Any) -> None:
        stamp_ns = self._lock_step.now_ns() - int(self._delay_s * 1e9)
        stamp = to_time(stamp_ns)
        if not self._running:
            return
        self._images.publish(to_image(image, stamp, self._frame_id))
        self._infos.publish(self._camera_info(image.shape, stamp))
        self._lock_step.published(stamp_ns)
        self._published += 1
        self._last_s = self._lock_step.monotonic_s()

    def _camera_info(self, shape: tuple[int, ...], stamp: Any) -> CameraInfo:
        """Return a pinhole model without distortion; an all-zero K means an uncalibrated camera."""
        info = CameraInfo(height=shape[0], width=shape[1], distortion_model="plumb_bob")
        info.header.stamp, info.header.frame_id = stamp, self._frame_id
        info.d = [0.0] * 5
        if self._focal_px > 0.0:
            f, x, y = self._focal_px, (shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0
            info.k = [f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0]
            info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
            info.p = [f, 0.0, x, 0.0, 0.0, f, y, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info

    def _on_indenter(self, message: PoseStamped) -> None:
        self._indenter = to_indenter(from_pose(message.pose))
        self._lock_step.received(
            "virtual_panda", INDENTER_TOPIC, to_nanoseconds(message.header.stamp)
        )

    def _diagnose(self) -> None:
        """Publish the rate and the age of the images, once per second."""
        rate_hz = self._published - self._published_at_report
        self._published_at_report = self._published
        age_s = self._lock_step.monotonic_s() - self._last_s
        stale = age_s > STALE_AFTER_PERIODS / self._rate_hz and not self._ended
        level = DiagnosticStatus.ERROR if stale else DiagnosticStatus.OK
        state = "ended" if self._ended else "no images" if stale else "publishing"
        values = {"rate_hz": rate_hz, "age_s": f"{age_s:.3f}", "images": self._published}
        values |= {"reconnects": self._reconnects, "source": self._source}
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: images",
            message=state,
            hardware_id=self._device if self._source == "camera" else self._source,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        report = DiagnosticArray(status=[status])
        report.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(report)


def main() -> int:
    """Run the node."""
    return run(GelSightDriver)


if __name__ == "__main__":
    raise SystemExit(main())
