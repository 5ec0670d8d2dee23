"""Calibrates the sensor from images: service and action `calibrate`, latched `sensor_model`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image

from tacdiff_ros.action import Calibrate
from tacdiff_ros.calibration.calibration_figures import residuals
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.calibration.calibration_session import CalibrationJob, CalibrationSession
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.errors import InputError
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.conversion.sensor_model import to_sensor_model
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.guide_topics import GuideTopics
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.node_settings import CalibrationNodeSettings, GuideSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.sensor_parameter import describe_sensor, sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.worker import Worker
from tacdiff_ros.srv import Calibrate as CalibrateService

TICK_S = 0.05


class CalibrationNode(GuardedNode):
    """Takes images from requests or `image_raw`, calibrates in a separate thread, and saves."""

    def __init__(self) -> None:
        """Read the parameters and create service and action."""
        super().__init__("calibration")
        settings = declare_model(self, "", CalibrationNodeSettings)
        guide = declare_model(self, "guide", GuideSettings)
        refuse_unknown(self)
        self._frame = settings.frame_id
        model = sensor_from(settings.sensor_file)
        data_folder = Path(settings.data_folder).expanduser()
        described = describe_sensor(model, settings.sensor_file)
        self.summary = f"starts from {described}; sensor files go to {data_folder}"
        self._new_session = partial(CalibrationSession, model, data_folder)
        self._session = self._new_session()
        self._newest = NewestFrame(self)
        self._worker: Worker | None = None
        self._finish: Any = None
        self._last: Calibration | None = None
        self._has_reference = False  # whether the session has one
        self._stopping = False
        self._publisher = self.create_publisher(SensorModelMessage, "sensor_model", LATCHED)
        self._guide: GuideTopics | None = None
        if guide.diameter_mm:
            compute = partial(self._compute_guided, guide.sensor_id)
            self._guide = GuideTopics(self, model, data_folder, guide, compute)
        self._service = DeferredService(self, CalibrateService, "calibrate", self._on_request)
        self._goal = SingleGoal(self, Calibrate, "calibrate", self._begin, self._cancel)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if settings.sensor_file:
            self._publish(to_sensor_model(model, {}, self.get_clock().now().to_msg(), self._frame))

    def request_stop(self, _reason: str) -> None:
        """Cancel the computation before the process ends, so that no file is partly written."""
        self._stopping = True
        if self._worker is not None:
            self._worker.cancel()

    def is_finished(self) -> bool:
        """Return whether no computation is running."""
        return self._worker is None

    def _image(self, message: Image) -> NDArray[np.uint8]:
        """Return the image of a request, or the newest frame if that image is empty."""
        return from_image(self._newest.or_newest(message))

    def _on_request(self, request: Any, ticket: Ticket) -> Any:
        """Return the response, or None if it follows after a computation."""
        response = CalibrateService.Response()
        try:
            if self._execute(request, response, ticket):
                return None
            response.success = True
        except InputError as error:
            response.message = str(error)
        response.presses_taken = self._session.press_count
        return response

    def _execute(self, request: Any, response: Any, ticket: Ticket) -> bool:
        """Execute the command of a request.

        Args:
            request: request of the service.
            response: response, filled in place unless it is deferred.
            ticket: ticket for a deferred response.

        Returns:
            Whether the response is deferred until the end of a computation.

        Raises:
            InputError: the command cannot be executed.
        """
        kind = CalibrateService.Request
        if request.command == kind.COMMAND_TAKE_REFERENCE:
            self._session.take_reference(self._image(request.reference))
            self._has_reference = True
            response.message = "the reference is taken"
        elif request.command == kind.COMMAND_TAKE_PRESS:
            for message in request.presses or [Image()]:
                self._session.take_press(self._image(message), request.indenter)
            response.message = f"{self._session.press_count} presses are taken"
        elif request.command == kind.COMMAND_CLEAR:
            self._session.clear()
            self._has_reference = False
            response.message = "reference and presses are discarded"
        elif request.command == kind.COMMAND_SAVE:
            if self._last is None:
                raise InputError("nothing is computed yet: call COMMAND_COMPUTE first")
            response.path = str(self._session.save(self._last, request.output))
            response.message = f"written: {response.path}"
        elif request.command == kind.COMMAND_COMPUTE:
            job = self._session.job(request.sensor_id)
            self._start(job, self._deferred_response(ticket, None, ""))
            return True
        elif request.command == kind.COMMAND_CALIBRATE:
            job, warning = self._complete_job(request)
            self._session.path(request.output, job.sensor_id)  # refuses an invalid name early
            self._start(job, self._deferred_response(ticket, request.output, warning))
            return True
        else:
            raise InputError(f"command {request.command} is unknown, expected 0 to 5")
        return False

    def _complete_job(self, request: Any) -> tuple[CalibrationJob, str]:
        """Return the calibration for a single request, and a warning for its response.

        A request without presses uses the presses that were taken before. The warning is empty if
        there is none.
        """
        if not request.presses:
            if request.reference.width > 0:
                self._session.take_reference(from_image(request.reference))
                self._has_reference = True
            return self._session.job(request.sensor_id), ""
        session = self._new_session()
        session.take_reference(self._image(request.reference))
        for message in request.presses:
            session.take_press(from_image(message), request.indenter)
        warning = ""
        if self._has_reference and request.reference.width == 0:
            warning = (
                "; warning: the newest frame was used as reference, not the one taken before: "
                "give a request with presses its own reference"
            )
            self.get_logger().warning(warning.removeprefix("; warning: "))
        return session.job(request.sensor_id), warning

    def _start(self, job: CalibrationJob, finish: Any) -> None:
        if self._worker is not None or self._stopping:
            raise InputError("another calibration is running: wait for its end or cancel it")
        self._finish = finish
        self._worker = Worker(job.run, "the calibration")

    def _deferred_response(self, ticket: Ticket, output: str | None, warning: str) -> Any:
        """Return the function that responds to a service call after the computation.

        Args:
            ticket: ticket of the request.
            output: file name; None to save no file.
            warning: text that is appended to the message of the response.
        """

        def finish(worker: Worker) -> None:
            response = CalibrateService.Response(presses_taken=self._session.press_count)
            with self.refuse_on_error(response):
                self._fill(response, worker, output, warning)
            self._service.respond(ticket, response)

        return finish

    def _fill(self, response: Any, worker: Worker, output: str | None, warning: str) -> None:
        """Save and publish a calibration, and fill a service response or an action result.

        Args:
            response: response or result, filled in place.
            worker: completed computation.
            output: file name; None to save no file.
            warning: text that is appended to the message.

        Raises:
            InputError: the calibration failed or was cancelled, or it cannot be saved.
        """
        response.duration = worker.seconds
        calibration = worker.result
        if calibration is None:
            raise InputError(worker.failure + warning)
        if worker.is_cancelled:  # after its last step
            raise InputError("cancelled: nothing was written")
        if output is not None:
            response.path = str(self._session.save(calibration, output))
        self._last = calibration
        model, figures = calibration.model, residuals(calibration)
        now = self.get_clock().now().to_msg()
        response.sensor_model = to_sensor_model(model, figures, now, self._frame)
        self._publish(response.sensor_model)
        warnings = warning + "".join(f"; warning: {line}" for line in calibration.warnings)
        response.message = f"calibrated {model.sensor_id} in {worker.seconds:.0f} s{warnings}"
        response.success = True

    def _publish(self, message: SensorModelMessage) -> None:
        self._publisher.publish(message)

    def _compute_guided(
        self, sensor_id: str, folder: SessionFolder, respond: Callable[[bool, str], None]
    ) -> None:
        """Calibrate from the images of a guided session, and save the result.

        Args:
            sensor_id: identifier of the sensor.
            folder: images of the session.
            respond: function that responds to the request, with success and message.

        Raises:
            InputError: the images cannot be used, or another calibration is running.
        """
        session = self._new_session()
        session.take_reference(folder.reference())
        for press in folder.presses:
            session.take_press(folder.image(press), f"sphere:diameter={press.diameter_mm:g}")

        def finish(worker: Worker) -> None:
            response = CalibrateService.Response()
            with self.refuse_on_error(response):
                self._fill(response, worker, "", "")
            written = f"; written: {response.path}" if response.path else ""
            respond(response.success, response.message + written)

        self._start(session.job(sensor_id), finish)

    def _begin(self, request: Calibrate.Goal) -> None:
        """Start the calibration of a goal.

        Raises:
            InputError: the request is invalid, or another calibration is running.
        """
        job, warning = self._complete_job(request)
        self._session.path(request.output, job.sensor_id)  # refuses an invalid name early

        def finish(worker: Worker) -> None:
            result = Calibrate.Result()
            with self.refuse_on_error(result):
                self._fill(result, worker, request.output, warning)
            self._goal.end(result)

        self._start(job, finish)

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def _tick(self) -> None:
        if self._guide is not None:
            self._guide.tick()
        worker = self._worker
        if worker is None:
            return
        if not worker.is_cancelled:
            self._goal.feedback(
                Calibrate.Feedback(stage=worker.stage, progress=float(worker.fraction))
            )
        if worker.is_done:
            self._worker = None
            self._finish(worker)


def main() -> int:
    """Run the node."""
    return run(CalibrationNode)


if __name__ == "__main__":
    raise SystemExit(main())
