"""Inverts images to surfaces: service and action `invert_mesh`, topics `gel_points` and others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from tacdiff_ros.action import InvertMesh
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.inversion.reference_image import check_reference
from tacdiff_ros.inversion.sensor_inverters import SensorInverters
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_frame
from tacdiff_ros.nodes.conversion.sensor_model import to_residuals
from tacdiff_ros.nodes.conversion.surface import fill_inversion
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.inversion_topics import InversionTopics
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.node_settings import MeshInversionSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.sensor_parameter import describe_sensor, sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.worker import Progress, Worker
from tacdiff_ros.preparation import Preparation
from tacdiff_ros.sensor.sensor_file import parse_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.srv import InvertMesh as InvertMeshService
from tacdiff_ros.warm_up import inversion_stages, kernel_structure

TICK_S = 0.02
MAX_TIMEOUT_S = 3600.0
MAX_FRAME_GAP_NS = 1_000_000_000  # gap in the stream after which tracking restarts
Finish = Callable[[Worker], None]


class MeshInversionNode(GuardedNode):
    """Inverts images of requests, and the stream if `streaming` is on, in a separate thread."""

    def __init__(self) -> None:
        """Read the parameters, create service, action and topics, and start the preparation."""
        super().__init__("mesh_inversion")
        settings = declare_model(self, "", MeshInversionSettings)
        self._frame, self._timeout_s = settings.frame_id, settings.timeout_s
        self._streaming = settings.streaming
        self._inversion_settings = declare_model(self, "", InversionSettings)
        self._material = declare_model(self, "material", GelMaterial)
        self._modulus_stddev_mpa = settings.modulus_stddev_mpa or None
        refuse_unknown(self)
        model = sensor_from(settings.sensor_file)
        reference_name = settings.reference_image or "rendered, until ~/take_reference"
        described = describe_sensor(model, settings.sensor_file)
        stream = "inverts every image" if settings.streaming else "inverts on request"
        self.summary = f"{described}; {stream}; reference image: {reference_name}"
        reference = None
        if settings.reference_image:
            reference = read_image(Path(settings.reference_image).expanduser())
            reference = sensor_crop(model).reduce(reference, "the reference")
            check_reference(model, reference)
        self._gel = self._inverters(model, reference)
        self._notice = ""  # warning that the next response contains
        self._newest = NewestFrame(self)
        self._worker: Worker | None = None
        self._finish: Finish | None = None
        self._request_timeout_s = 0.0
        self._streamed: Any = None  # message of the stream that was inverted last
        self._stopping = False
        self._topics = InversionTopics(self, self._frame)
        self.create_subscription(SensorModelMessage, "sensor_model", self._on_model, LATCHED)
        self.create_service(Trigger, "~/take_reference", self._take_reference)
        self._service = DeferredService(self, InvertMeshService, "invert_mesh", self._on_request)
        self._goal = SingleGoal(self, InvertMesh, "invert_mesh", self._begin, self._cancel)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.preparation = self._prepare()

    def _inverters(
        self, model: SensorModel, reference: NDArray[np.uint8] | None
    ) -> SensorInverters:
        is_default = self._material == GelMaterial() and self._modulus_stddev_mpa is None
        material = None if is_default else self._material  # None: the sensor's own
        return SensorInverters(
            model, reference, self._inversion_settings, material, self._modulus_stddev_mpa
        )

    def _prepare(self) -> Preparation:
        """Start to compile the kernels for the current sensor; requests are refused meanwhile."""
        gel = self._gel

        def rehearse(image: NDArray[np.uint8]) -> None:
            gel.invert(image, lambda _fraction: None)
            if not self._streaming:
                return
            try:
                for after_pause in (False, True):
                    gel.follow(image, after_pause)
            finally:  # the first real frame must not be tracked from this one
                gel.reset_stream()

        stages = inversion_stages(gel.model, gel.reference, rehearse)
        return Preparation("inversion", stages)

    def request_stop(self, _reason: str) -> None:
        """Cancel the computation before the process ends."""
        self._stopping = True
        if self._worker is not None:
            self._worker.cancel()

    def is_finished(self) -> bool:
        """Return whether no computation is running."""
        return self._worker is None

    def _on_model(self, message: SensorModelMessage) -> None:
        """Use a new sensor model from the next image on, without the previous reference image.

        A model with the checksum of the current one changes at most the material.
        """
        model = parse_sensor(message.yaml)
        if model.checksum == self._gel.model.checksum:
            if model.material != self._gel.model.material:
                self._gel = self._inverters(model, self._gel.reference)
            return
        had_reference = self._gel.has_reference
        needs_other_kernels = kernel_structure(model) != kernel_structure(self._gel.model)
        self._gel = self._inverters(model, None)
        if needs_other_kernels:
            self.preparation = self._prepare()
        self.get_logger().info(f"sensor model '{message.sensor_id}' is used from now on")
        if had_reference:
            self._notice = (
                "the reference image was dropped, because the sensor model changed to "
                f"'{message.sensor_id}': call ~/take_reference while nothing touches the gel"
            )
            self.get_logger().warning(self._notice)

    def _take_reference(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Take the newest frame as reference image."""
        image = from_frame(self._newest.or_newest(Image()), sensor_crop(self._gel.model))
        check_reference(self._gel.model, image)
        self._gel = self._inverters(self._gel.model, image)
        self._notice = ""
        response.success, response.message = True, "the newest frame is the reference"
        return response

    def _on_request(self, request: Any, ticket: Ticket) -> None:
        """Start the inversion of a request, whose response follows later.

        Raises:
            InputError: the request is invalid, or another image is being inverted.
        """

        def finish(worker: Worker, stamp: Any) -> None:
            response = InvertMeshService.Response()
            with self.refuse_on_error(response):
                self._fill(response, worker, stamp)
            self._service.respond(ticket, response)

        self._invert(request, finish)

    def _begin(self, request: InvertMesh.Goal) -> None:
        """Start the inversion of a goal.

        Raises:
            InputError: the request is invalid, or another image is being inverted.
        """

        def finish(worker: Worker, stamp: Any) -> None:
            result = InvertMesh.Result()
            with self.refuse_on_error(result):
                self._fill(result, worker, stamp)
            self._goal.end(result)

        self._invert(request, finish)

    def _invert(self, request: Any, finish: Callable[[Worker, Any], None]) -> None:
        """Start the inversion of one image.

        Args:
            request: request of the service or goal of the action.
            finish: callback with the completed computation and the stamp of the image.

        Raises:
            InputError: the node is not ready, there is no image, the timeout is out of range, or
                another image is being inverted.
        """
        self.preparation.require_ready()
        if self._finish is not None or self._stopping:
            raise InputError("another image is being inverted: wait for its end or cancel it")
        if not 0.0 <= request.timeout <= MAX_TIMEOUT_S:
            raise InputError(f"timeout is {request.timeout} s, expected 0 to {MAX_TIMEOUT_S:g}")
        message = self._newest.or_newest(request.image)
        gel = self._gel
        image = from_frame(message, sensor_crop(gel.model))
        if self._worker is not None:
            self._worker.cancel()  # a request has priority over a frame of the stream
        stamp = message.header.stamp
        self._finish = lambda worker: finish(worker, stamp)
        self._request_timeout_s = request.timeout or self._timeout_s

        def work(progress: Progress) -> tuple[Inversion, GelHealth]:
            inversion = gel.invert(image, partial(progress, "inverting"))
            return inversion, gel.health(image, inversion)

        self._worker = Worker(work, "the inversion")

    def _fill(self, response: Any, worker: Worker, stamp: Any) -> None:
        """Fill a service response or an action result with an inversion.

        Raises:
            InputError: the inversion failed.
        """
        response.duration = worker.seconds
        notice, self._notice = self._notice, ""
        notices = (notice,) if notice else ()
        if worker.result is None:
            raise InputError(worker.failure + _warnings(notices))
        inversion, health = worker.result
        fill_inversion(response, inversion, health, stamp, self._frame)
        if not self._streaming:  # whose surfaces have another grid
            self._topics.publish(inversion, stamp)
        response.residuals = to_residuals(_figures(inversion))
        warnings = _warnings((*notices, *inversion.warnings, *health.warnings))
        response.message = f"inverted in {worker.seconds:.2f} s{warnings}"
        response.success = True

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def _tick(self) -> None:
        worker = self._worker
        if worker is None:
            self._invert_stream()
        elif worker.is_done:
            self._worker = None
            finish, self._finish = self._finish, None
            if finish is not None:
                finish(worker)
            else:
                self._publish(worker)
        elif self._finish is not None:
            self._check_progress(worker)

    def _check_progress(self, worker: Worker) -> None:
        """Publish the progress of a request, or cancel it after its timeout."""
        if worker.seconds > self._request_timeout_s and not worker.is_cancelled:
            worker.cancel(f"given up after {self._request_timeout_s:g} s")
        if not worker.is_cancelled:
            self._goal.feedback(InvertMesh.Feedback(progress=float(worker.fraction)))

    def _invert_stream(self) -> None:
        """Start the inversion of the newest frame of the stream; older frames are skipped."""
        message = self._newest.message
        if not self._streaming or self._stopping or message is None or message is self._streamed:
            return
        if not self.preparation.is_ready:
            return
        stamp_ns = to_nanoseconds(message.header.stamp)
        after_pause = self._streamed is not None and (
            abs(stamp_ns - to_nanoseconds(self._streamed.header.stamp)) > MAX_FRAME_GAP_NS
        )
        self._streamed = message
        gel, assess = self._gel, self._topics.take_health_turn()
        with_forces = self._topics.wants_forces

        def work(_progress: Progress) -> tuple[Inversion, GelHealth | None]:
            image = from_frame(message, sensor_crop(gel.model))
            inversion = gel.follow(image, after_pause, with_forces)
            return inversion, gel.health(image, inversion) if assess else None

        self._worker = Worker(work, "the inversion")

    def _publish(self, worker: Worker) -> None:
        """Publish the inversion of a frame of the stream."""
        if worker.result is None:
            self.get_logger().warning(worker.failure, throttle_duration_sec=5.0)
            return
        inversion, health = worker.result
        stamp = self._streamed.header.stamp
        self._topics.publish(inversion, stamp)
        if health is not None:
            self._topics.publish_health(health, stamp)


def _warnings(lines: tuple[str, ...]) -> str:
    """Return warnings as text to append to the message of a response."""
    return "".join(f"; warning: {line}" for line in lines)


def _figures(inversion: Inversion) -> dict[str, float]:
    """Return the figures of merit of the fit by name."""
    figures = {"image_rms_grey": inversion.image_rms, "explained_share": inversion.inlier_fraction}
    if inversion.markers is not None:
        markers = inversion.markers
        figures["dots_found_share"] = markers.found_count / markers.expected
    return figures


def main() -> int:
    """Run the node."""
    return run(MeshInversionNode)


if __name__ == "__main__":
    raise SystemExit(main())
