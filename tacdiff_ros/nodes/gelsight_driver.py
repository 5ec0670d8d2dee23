"""Publishes images of a GelSight Mini, from a camera, a video, an image folder or a generator."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.camera import CameraSettings
from tacdiff_ros.images.camera_stream import CameraStream
from tacdiff_ros.images.capture_settings import CaptureMode, open_capture
from tacdiff_ros.images.crop import Crop
from tacdiff_ros.images.frame_sources import FrameSource, open_frames
from tacdiff_ros.images.stream_statistics import StreamReport, StreamStatistics
from tacdiff_ros.nodes.camera_calibration import CameraInfoSource
from tacdiff_ros.nodes.compressed_images import CompressedImages
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    to_indenter,
    to_nanoseconds,
    to_time,
)
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.first_image import FirstImage
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import GelsightDriverSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, RELIABLE_IMAGES
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.virtual.frames import GeneratedFrames, cycle_pose

log = logging.getLogger(__name__)

INDENTER_TOPIC = "ground_truth/indenter"
PAUSE_AFTER_ERROR_S = 1.0
CAMERA = "camera"
LEVELS = {
    "ok": DiagnosticStatus.OK,
    "warning": DiagnosticStatus.WARN,
    "error": DiagnosticStatus.ERROR,
}


class GelSightDriver(GuardedNode):
    """Reads images in a separate thread and publishes `image_raw` and `camera_info`.

    Attributes:
        preparation: a camera's first image; None for other sources, which are ready immediately.
    """

    def __init__(self, open_device: Callable[[int | str], Any] = open_capture) -> None:
        """Open the source named by the parameters.

        Args:
            open_device: function that opens an OpenCV capture.
        """
        super().__init__("gelsight_driver")
        self._settings = settings = declare_model(self, "", GelsightDriverSettings)
        self._source = settings.source
        name = f"camera '{settings.device}'" if self._source == CAMERA else self._source
        size = f"{settings.width} x {settings.height}"
        self.summary = f"images of {name}, {size}, {settings.rate_hz:g} Hz"
        self.preparation = FirstImage(name) if self._source == CAMERA else None
        self._lock_step = LockStep(self, {"virtual_panda": [INDENTER_TOPIC]}, self._on_step)
        refuse_unknown(self)
        if self._lock_step.is_on and self._source == CAMERA:
            raise InputError(
                "parameter 'lock_step' is true with source 'camera': expected false, because a "
                "camera cannot wait; or set 'source' to generated images or files"
            )
        self._calibration = CameraInfoSource(
            settings.camera_info_url, settings.focal_length_px, settings.frame_id
        )
        self._statistics = StreamStatistics(settings.rate_hz, self._lock_step.monotonic_s())
        self._ended = False
        self._crop = Crop((settings.width, settings.height), settings.border_fraction)
        self._indenter: IndenterPose | None = None
        self._camera = self._make_camera(open_device) if self._source == CAMERA else None
        self._generator = GeneratedFrames() if self._source == "generated" else None
        self._frames: FrameSource | None = None
        if self._camera is None and self._generator is None:
            self._frames = open_frames(self._source, settings.loop)
        self._create_topics()
        self._running = True
        self._start_ns = 0
        self._period_index = -1  # number of image periods since time 0 at the last image
        self._thread = threading.Thread(target=self._read_until_end, name="frames", daemon=True)
        if not self._lock_step.is_on:
            self._thread.start()

    def destroy_node(self) -> None:
        """Stop reading, release the camera and destroy the node."""
        self._running = False
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        for source in (self._camera, self._frames):
            if source is not None and not self._thread.is_alive():
                source.close()
        self._compressed.close()
        super().destroy_node()

    def _make_camera(self, open_device: Callable[[int | str], Any]) -> CameraStream:
        settings = self._settings
        self._calibration.check_size(settings.width, settings.height)
        mode = CaptureMode(
            settings.capture_width,
            settings.capture_height,
            settings.rate_hz,
            buffers=settings.capture_buffers,
        )
        camera = CameraSettings(
            settings.device,
            (settings.width, settings.height),
            settings.border_fraction,
            mode,
            settings.lock_exposure,
        )
        return CameraStream(camera, self.get_logger().warning, open_device)

    def _create_topics(self) -> None:
        self._images = self.create_publisher(Image, "image_raw", RELIABLE_IMAGES)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE_IMAGES)
        self._compressed = CompressedImages(
            self, "image_raw", self._settings.compressed_format, self._settings.jpeg_quality
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        if self._generator is not None or self._lock_step.is_on:
            qos = self._lock_step.qos(LATEST_COMMAND)
            self.create_subscription(PoseStamped, INDENTER_TOPIC, self._on_indenter, qos)
        self.create_timer(1.0, self._diagnose)

    def _read_until_end(self) -> None:
        """Body of the reading thread: read and publish; a camera sets the pace, a file has none."""
        period_s = 1.0 / self._settings.rate_hz
        start_s = next_s = time.monotonic()
        while self._running and not self._ended:
            if self._camera is None:
                next_s = max(next_s + period_s, time.monotonic() - 1.0)
                time.sleep(max(0.0, next_s - time.monotonic()))
            try:
                self._read_one(time.monotonic() - start_s)
            except Exception as error:  # the thread must continue, and the error must be reported
                self.get_logger().error(log_exception(log, "reading an image failed", error))
                time.sleep(PAUSE_AFTER_ERROR_S)

    def _on_step(self, now_ns: int) -> None:
        """In lock step, publish one image at each multiple of the period, until a file ends."""
        self._start_ns = self._start_ns or now_ns
        period_index = now_ns // round(1e9 / self._settings.rate_hz)
        if period_index == self._period_index or self._ended:
            return
        self._period_index = period_index
        self._read_one(1e-9 * (now_ns - self._start_ns))

    def _read_one(self, elapsed_s: float) -> None:
        """Publish the next image of the source, or note its end."""
        if self._camera is not None:
            self._read_camera(self._camera)
        elif self._generator is not None:
            self._publish_now(self._generator.render(self._indenter or cycle_pose(elapsed_s)))
        elif self._frames is not None:
            self._read_file(self._frames)

    def _read_camera(self, camera: CameraStream) -> None:
        """Publish an image with its time of capture, converted from the monotonic clock."""
        frame = camera.next()
        if frame is None or frame.image is None:
            return
        if self.preparation is not None:
            self.preparation.is_ready = True
        age_s = time.monotonic() - frame.captured_s
        if not frame.has_driver_stamp:
            age_s += self._settings.capture_delay_s
        self._publish(frame.image, self._lock_step.now_ns() - round(1e9 * age_s))

    def _read_file(self, frames: FrameSource) -> None:
        try:
            image = frames.read()
            if image is not None:
                image = self._crop.reduce(image, "a frame")
        except InputError as error:
            self.get_logger().error(str(error))
            image = None
        if image is not None:
            self._publish_now(image)
            return
        self._ended = True
        self.get_logger().info(f"end of {self._source} after {self._statistics.images} images")

    def _publish_now(self, image: NDArray[np.uint8]) -> None:
        """Publish an image of a file or generator with the present time."""
        now_s = self._lock_step.monotonic_s()
        self._statistics.add(now_s, now_s)
        delay_ns = round(1e9 * self._settings.capture_delay_s)
        self._publish(image, self._lock_step.now_ns() - delay_ns)

    def _publish(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        if not self._running:
            return
        message = to_image(image, to_time(stamp_ns), self._settings.frame_id)
        self._images.publish(message)
        self._compressed.publish(image, message.header)
        self._publish_info(image.shape, message.header.stamp)
        self._lock_step.published(stamp_ns)

    def _publish_info(self, shape: tuple[int, ...], stamp: Time) -> None:
        try:
            self._calibration.check_size(shape[1], shape[0])
        except InputError as error:  # the images of a file have another size
            self.get_logger().error(f"no camera_info: {error}", once=True)
            return
        self._infos.publish(self._calibration.message(shape, stamp))

    def _on_indenter(self, message: PoseStamped) -> None:
        self._indenter = to_indenter(from_pose(message.pose))
        self._lock_step.received(
            "virtual_panda", INDENTER_TOPIC, to_nanoseconds(message.header.stamp)
        )

    def _diagnose(self) -> None:
        """Publish rate, jitter, latency and problems of the images, once per second."""
        if self._camera is not None:
            report = self._camera.report()
        else:
            report = self._statistics.report(self._lock_step.monotonic_s())
        if self._ended:
            report = StreamReport("ok", ["ended"], report.values)
        values = report.values | {"source": self._source}
        is_camera = self._source == CAMERA
        status = DiagnosticStatus(
            level=LEVELS[report.level],
            name=f"{self.get_fully_qualified_name()}: images",
            message="; ".join(report.problems) or "publishing",
            hardware_id=self._settings.device if is_camera else self._source,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main() -> int:
    """Run the node."""
    return run(GelSightDriver)


if __name__ == "__main__":
    raise SystemExit(main())
