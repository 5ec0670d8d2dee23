"""Inverts images to surfaces: service and action `invert_mesh`, topics `gel_points` and more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, PointCloud2
from shape_msgs.msg import Mesh
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker

from tacdiff_ros.action import InvertMesh
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.inversion.inverter import Inversion, check_reference
from tacdiff_ros.inversion.sensor_inverters import SensorInverters
from tacdiff_ros.msg import ContactSummary
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.conversion.sensor_model import to_residuals
from tacdiff_ros.nodes.conversion.surface import (
    fill_inversion,
    to_contact,
    to_inverted_points,
    to_marker,
    to_mesh,
)
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.node_settings import MeshInversionSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.sensor_parameter import sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.worker import Progress, Worker
from tacdiff_ros.preparation import Preparation
from tacdiff_ros.sensor.sensor_file import parse_sensor
from tacdiff_ros.srv import InvertMesh as InvertMeshService
from tacdiff_ros.warm_up import inversion_stages, kernel_structure

TICK_S = 0.02
MAX_TIMEOUT_S = 3600.0
PAUSE_NS = 1_000_000_000  # after such a pause markers may be anywhere
OLD_MESH = "topic gel_mesh has no stamp and will go: subscribe to gel_points instead"
Finish = Callable[[Worker], None]


class MeshInversionNode(GuardedNode):
    """Inverts requested images, and the stream when `streaming` is on, beside the executor."""

    def __init__(self) -> None:
        """Read the parameters and offer service, action and topics."""
        super().__init__("mesh_inversion")
        given = declare_model(self, "", MeshInversionSettings)
        self._frame, self._timeout_s = given.frame_id, given.timeout_s
        self._streaming = given.streaming
        self._settings = declare_model(self, "", InversionSettings)
        refuse_unknown(self)
        model = sensor_from(given.sensor_file)
        reference = None
        if given.reference_image:
            reference = read_image(Path(given.reference_image).expanduser())
            check_reference(model, reference)
        self._gel = SensorInverters(model, reference, self._settings)
        self._notice = ""  # goes into the next response
        self._newest = NewestFrame(self)
        self._worker: Worker | None = None
        self._finish: Finish | None = None
        self._give_up_s = 0.0
        self._followed: Any = None
        self._stopping = False
        self._points = self.create_publisher(PointCloud2, "gel_points", 1)
        self._meshes = self.create_publisher(Mesh, "gel_mesh", 1)
        self._markers = self.create_publisher(Marker, "gel_mesh/marker", 1)
        self._contacts = self.create_publisher(ContactSummary, "gel_mesh/contact", 10)
        self.create_subscription(SensorModelMessage, "sensor_model", self._on_model, LATCHED)
        self.create_service(Trigger, "~/take_reference", self._take_reference)
        self._service = DeferredService(self, InvertMeshService, "invert_mesh", self._on_request)
        self._goal = SingleGoal(self, InvertMesh, "invert_mesh", self._begin, self._cancel)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.preparation = self._prepare()

    def _prepare(self) -> Preparation:
        """Compile what images of the present sensor need, before requests are taken."""
        gel = self._gel

        def rehearse(image: NDArray[np.uint8]) -> None:
            gel.invert(image, lambda _fraction: None)
            if not self._streaming:
                return
            try:
                for after_pause in (False, True):
                    gel.follow(image, after_pause)
            finally:  # the first real frame has nothing to do with this one
                gel.reset_stream()

        stages = inversion_stages(gel.model, gel.reference, rehearse)
        return Preparation("inversion", stages)

    def request_stop(self, _reason: str) -> None:
        """End a computation before the process ends."""
        self._stopping = True
        if self._worker is not None:
            self._worker.cancel()

    def is_finished(self) -> bool:
        """Whether nothing is computed any more."""
        return self._worker is None

    def _on_model(self, message: SensorModelMessage) -> None:
        """A new calibration: used from the next image on, without the reference image of the last.

        The model that is in use already changes nothing.
        """
        model = parse_sensor(message.yaml)
        if model.checksum == self._gel.model.checksum:
            return
        had_reference = self._gel.has_reference
        needs_other_kernels = kernel_structure(model) != kernel_structure(self._gel.model)
        self._gel = SensorInverters(model, None, self._settings)
        if needs_other_kernels:
            self.preparation = self._prepare()
        self.get_logger().info(f"sensor model '{message.sensor_id}' is used from now on")
        if had_reference:
            self._notice = (
                f"the reference image was dropped with the sensor model before "
                f"'{message.sensor_id}': call ~/take_reference while nothing touches the gel"
            )
            self.get_logger().warning(self._notice)

    def _take_reference(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """The newest frame becomes the image of the untouched gel."""
        image = from_image(self._newest.unless(Image()))
        check_reference(self._gel.model, image)
        self._gel = SensorInverters(self._gel.model, image, self._settings)
        self._notice = ""
        response.success, response.message = True, "the newest frame is the reference"
        return response

    def _on_request(self, request: Any, ticket: Ticket) -> None:
        """Answer later; InputError where nothing can be computed."""

        def finish(worker: Worker, stamp: Any) -> None:
            response = InvertMeshService.Response()
            with self.answering(response):
                self._fill(response, worker, stamp)
            self._service.answer(ticket, response)

        self._invert(request, finish)

    def _begin(self, request: InvertMesh.Goal) -> None:
        """Start a goal; InputError where nothing can be computed."""

        def finish(worker: Worker, stamp: Any) -> None:
            result = InvertMesh.Result()
            with self.answering(result):
                self._fill(result, worker, stamp)
            self._goal.end(result)

        self._invert(request, finish)

    def _invert(self, request: Any, finish: Callable[[Worker, Any], None]) -> None:
        """Start inverting one image.

        Raises:
            InputError: there is none, or another one is inverted.
        """
        self.preparation.require_ready()
        if self._finish is not None or self._stopping:
            raise InputError("another image is inverted: wait for its end or cancel it")
        if not 0.0 <= request.timeout <= MAX_TIMEOUT_S:
            raise InputError(f"timeout is {request.timeout} s, expected 0 to {MAX_TIMEOUT_S:g}")
        message = self._newest.unless(request.image)
        image, gel = from_image(message), self._gel
        if self._worker is not None:
            self._worker.cancel()  # a frame of the stream gives way
        stamp = message.header.stamp
        self._finish = lambda worker: finish(worker, stamp)
        self._give_up_s = request.timeout or self._timeout_s

        def work(progress: Progress) -> Inversion:
            return gel.invert(image, partial(progress, "inverting"))

        self._worker = Worker(work, "the inversion")

    def _fill(self, response: Any, worker: Worker, stamp: Any) -> None:
        response.duration = worker.seconds
        notice, self._notice = self._notice, ""
        notices = (notice,) if notice else ()
        if worker.found is None:
            raise InputError(worker.failure + _warnings(notices))
        found: Inversion = worker.found
        fill_inversion(response, found, stamp, self._frame)
        response.residuals = to_residuals(_figures(found))
        warnings = _warnings((*notices, *found.warnings))
        response.message = f"inverted in {worker.seconds:.2f} s{warnings}"
        response.success = True

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def _tick(self) -> None:
        worker = self._worker
        if worker is None:
            self._follow()
        elif worker.is_done:
            self._worker = None
            finish, self._finish = self._finish, None
            if finish is not None:
                finish(worker)
            else:
                self._publish(worker)
        elif self._finish is not None:
            self._watch(worker)

    def _watch(self, worker: Worker) -> None:
        """Report the progress of a request, and give it up in time."""
        if worker.seconds > self._give_up_s and not worker.is_cancelled:
            worker.cancel(f"given up after {self._give_up_s:g} s")
        if not worker.is_cancelled:
            self._goal.feedback(InvertMesh.Feedback(progress=float(worker.share)))

    def _follow(self) -> None:
        """Start with the newest frame of the stream; those that came meanwhile are left out."""
        message = self._newest.message
        if not self._streaming or self._stopping or message is None or message is self._followed:
            return
        if not self.preparation.is_ready:
            return
        stamp_ns = to_nanoseconds(message.header.stamp)
        paused = self._followed is not None and (
            abs(stamp_ns - to_nanoseconds(self._followed.header.stamp)) > PAUSE_NS
        )
        self._followed = message
        gel = self._gel
        self._worker = Worker(
            lambda _progress: gel.follow(from_image(message), paused), "the inversion"
        )

    def _publish(self, worker: Worker) -> None:
        """A frame of the stream."""
        if worker.found is None:
            self.get_logger().warning(worker.failure, throttle_duration_sec=5.0)
            return
        result: Inversion = worker.found
        stamp = self._followed.header.stamp
        self._points.publish(to_inverted_points(result, stamp, self._frame))
        self._contacts.publish(to_contact(result.contact, stamp, self._frame))
        if self._markers.get_subscription_count():
            self._markers.publish(to_marker(result.surface, stamp, self._frame))
        if self._meshes.get_subscription_count():
            self.get_logger().warning(OLD_MESH, once=True)
            self._meshes.publish(to_mesh(result.surface))


def _warnings(lines: tuple[str, ...]) -> str:
    """Warnings as the end of a response's message."""
    return "".join(f"; warning: {line}" for line in lines)


def _figures(found: Inversion) -> dict[str, float]:
    """What tells how well a fit went."""
    figures = {"image_rms_grey": found.image_rms, "explained_share": found.inlier_fraction}
    if found.markers is not None:
        figures["dots_found_share"] = found.markers.found_count / found.markers.expected
    return figures


def main() -> int:
    """Entry point."""
    return run(MeshInversionNode)


if __name__ == "__main__":
    raise SystemExit(main())
