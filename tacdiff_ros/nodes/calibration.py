"""Calibrates the sensor from images: service and action `calibrate`, latched `sensor_model`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image

from tacdiff_ros.action import Calibrate
from tacdiff_ros.calibration.calibrate import Calibration, residuals
from tacdiff_ros.calibration.calibration_session import CalibrationJob, CalibrationSession
from tacdiff_ros.errors import InputError
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.conversion.sensor_model import to_sensor_model
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.goals import SingleGoal
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.node_settings import CalibrationNodeSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.sensor_parameter import sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.worker import Worker
from tacdiff_ros.srv import Calibrate as CalibrateService

TICK_S = 0.05


class CalibrationNode(GuardedNode):
    """Takes images from messages or from `image_raw`, computes beside the executor, and saves."""

    def __init__(self) -> None:
        """Read the parameters and offer service and action."""
        super().__init__("calibration")
        given = declare_model(self, "", CalibrationNodeSettings)
        refuse_unknown(self)
        self._frame = given.frame_id
        model = sensor_from(given.sensor_file)
        self._new_session = partial(CalibrationSession, model, Path(given.data_folder).expanduser())
        self._session = self._new_session()
        self._newest = NewestFrame(self)
        self._worker: Worker | None = None
        self._finish: Any = None
        self._last: Calibration | None = None
        self._has_reference = False  # in the session
        self._stopping = False
        self._publisher = self.create_publisher(SensorModelMessage, "sensor_model", LATCHED)
        self._service = DeferredService(self, CalibrateService, "calibrate", self._on_request)
        self._goal = SingleGoal(self, Calibrate, "calibrate", self._begin, self._cancel)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if given.sensor_file:
            self._publish(to_sensor_model(model, {}, self.get_clock().now().to_msg(), self._frame))

    def request_stop(self, _reason: str) -> None:
        """End a computation before the process ends; nothing is half written."""
        self._stopping = True
        if self._worker is not None:
            self._worker.cancel()

    def is_finished(self) -> bool:
        """Whether nothing is computed any more."""
        return self._worker is None

    def _image(self, message: Image) -> NDArray[np.uint8]:
        """The image of a request, or the newest of the topic when it is empty."""
        return from_image(self._newest.unless(message))

    def _on_request(self, request: Any, ticket: Ticket) -> Any:
        """Answer at once, or later where something is computed."""
        response = CalibrateService.Response()
        try:
            if self._answer(request, response, ticket):
                return None
            response.success = True
        except InputError as error:
            response.message = str(error)
        response.presses_taken = self._session.press_count
        return response

    def _answer(self, request: Any, response: Any, ticket: Ticket) -> bool:
        """Carry a command out; whether its answer comes later.

        Raises:
            InputError: it cannot be, and why.
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
            response.message = "what was taken is forgotten"
        elif request.command == kind.COMMAND_SAVE:
            if self._last is None:
                raise InputError("nothing is computed yet: compute first")
            response.path = str(self._session.save(self._last, request.output))
            response.message = f"written: {response.path}"
        elif request.command == kind.COMMAND_COMPUTE:
            self._start(self._session.job(request.sensor_id), self._later(ticket, None, ""))
            return True
        elif request.command == kind.COMMAND_CALIBRATE:
            job, warning = self._whole_job(request)
            self._session.path(request.output, job.sensor_id)
            self._start(job, self._later(ticket, request.output, warning))
            return True
        else:
            raise InputError(f"command {request.command} is unknown: expected 0 to 5")
        return False

    def _whole_job(self, request: Any) -> tuple[CalibrationJob, str]:
        """A computation from one request, and a warning for its response where there is one.

        A request without presses uses those taken before.
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
            raise InputError("another calibration is computed: wait for its end or cancel it")
        self._finish = finish
        self._worker = Worker(job.run, "the calibration")

    def _later(self, ticket: Ticket, output: str | None, warning: str) -> Any:
        """How a service call is answered in the end; `output` None does not save."""

        def finish(worker: Worker) -> None:
            response = CalibrateService.Response(presses_taken=self._session.press_count)
            with self.answering(response):
                self._fill(response, worker, output, warning)
            self._service.answer(ticket, response)

        return finish

    def _fill(self, response: Any, worker: Worker, output: str | None, warning: str) -> None:
        """Save and publish a result, and say so in a response or an action's result.

        Raises:
            InputError: nothing was found, or it cannot be saved.
        """
        response.duration = worker.seconds
        found = worker.found
        if found is None:
            raise InputError(worker.failure + warning)
        if worker.is_cancelled:  # after its last step
            raise InputError("cancelled: nothing was written")
        if output is not None:
            response.path = str(self._session.save(found, output))
        self._last = found
        figures = residuals(found)
        now = self.get_clock().now().to_msg()
        response.sensor_model = to_sensor_model(found.model, figures, now, self._frame)
        self._publish(response.sensor_model)
        warnings = warning + "".join(f"; warning: {line}" for line in found.warnings)
        response.message = f"calibrated {found.model.sensor_id} in {worker.seconds:.0f} s{warnings}"
        response.success = True

    def _publish(self, message: SensorModelMessage) -> None:
        self._publisher.publish(message)

    def _begin(self, request: Calibrate.Goal) -> None:
        """Start a goal.

        Raises:
            InputError: the request cannot be carried out, or another calibration is computed.
        """
        job, warning = self._whole_job(request)
        self._session.path(request.output, job.sensor_id)

        def finish(worker: Worker) -> None:
            result = Calibrate.Result()
            with self.answering(result):
                self._fill(result, worker, request.output, warning)
            self._goal.end(result)

        self._start(job, finish)

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    def _tick(self) -> None:
        worker = self._worker
        if worker is None:
            return
        if not worker.is_cancelled:
            self._goal.feedback(
                Calibrate.Feedback(stage=worker.stage, progress=float(worker.share))
            )
        if worker.is_done:
            self._worker = None
            self._finish(worker)


def main() -> int:
    """Entry point."""
    return run(CalibrationNode)


if __name__ == "__main__":
    raise SystemExit(main())
