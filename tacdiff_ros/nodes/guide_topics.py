"""Guided calibration on topics: the picture and instruction of the guide, services for its steps.

The buttons are `~/guide/take`, `~/guide/undo` and `~/guide/finish`; `~/guide/image_raw` shows the
live picture and `~/guide/instruction` says what to do, for RViz, Foxglove or rqt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from tacdiff_ros.calibration.guided.guide import CalibrationGuide
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.images import from_image, to_image
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import GuideSettings
from tacdiff_ros.nodes.qos import LATCHED, LATEST_COMMAND, SENSOR_IMAGES
from tacdiff_ros.nodes.worker import Worker
from tacdiff_ros.sensor.sensor_model import SensorModel

PERIOD_S = 0.1  # of the images that are checked and shown
BUSY = "an image is being checked: wait for its end"

Compute = Callable[[SessionFolder, Callable[[bool, str], None]], None]


class GuideTopics:
    """Connects a `CalibrationGuide` with topics and services; checks run in a separate thread."""

    def __init__(
        self,
        node: GuardedNode,
        model: SensorModel,
        folder: Path,
        settings: GuideSettings,
        compute: Compute,
    ) -> None:
        """Open the session and begin to show images.

        Args:
            node: node of the topics.
            model: initial sensor model.
            folder: folder of sessions.
            settings: parameters below `guide`.
            compute: function of the session's images and of a callback for success and message,
                which starts the calibration.

        Raises:
            InputError: the session's folder holds other files.
        """
        session = SessionFolder(folder / settings.folder)
        self._guide = CalibrationGuide(model, session, settings.diameter_mm)
        self._node = node
        self._compute = compute
        self._pictures = node.create_publisher(Image, "~/guide/image_raw", LATEST_COMMAND)
        self._instructions = node.create_publisher(String, "~/guide/instruction", LATCHED)
        node.create_subscription(Image, "image_raw", self._on_image, SENSOR_IMAGES)
        self._services = {
            name: DeferredService(node, Trigger, f"~/guide/{name}", partial(self._on_request, name))
            for name in ("take", "undo", "finish")
        }
        self._instruction, self._updated_s = "", 0.0
        self._ticket: tuple[str, Ticket] | None = None
        self._worker: Worker | None = Worker(lambda _: self._guide.resume(), "the session")

    def tick(self) -> None:
        """Respond to a request whose work has ended; called by a timer."""
        worker = self._worker
        if worker is None or not worker.is_done:
            return
        self._worker = None
        if worker.failure:
            self._node.get_logger().warning(worker.failure)
        if self._ticket is not None:
            name, ticket = self._ticket
            self._ticket = None
            message = worker.failure or str(worker.result)
            self._respond(name, ticket, not worker.failure, message)

    def _on_image(self, message: Image) -> None:
        """Show an image with the guide's marks, unless one is being checked."""
        if self._worker is not None or time.monotonic() < self._updated_s + PERIOD_S:
            return
        self._updated_s = time.monotonic()
        state = self._guide.watch(from_image(message))
        self._pictures.publish(to_image(state.picture, message.header.stamp, "guide"))
        text = "\n".join([state.instruction, *([state.hint] if state.hint else []), *state.known])
        if text != self._instruction:
            self._instruction = text
            self._instructions.publish(String(data=text))

    def _on_request(self, name: str, _request: Trigger.Request, ticket: Ticket) -> Any:
        """Begin a step; the response follows when it has ended."""
        if self._worker is not None:
            return Trigger.Response(success=False, message=BUSY)
        try:
            if name == "finish":
                self._guide.finish()
                self._compute(self._guide.folder, partial(self._respond, name, ticket))
                return None
        except InputError as error:
            return Trigger.Response(success=False, message=str(error))
        action = self._guide.take if name == "take" else self._guide.undo
        self._ticket = (name, ticket)
        self._worker = Worker(lambda _: action(), f"guide/{name}")
        return None

    def _respond(self, name: str, ticket: Ticket, success: bool, message: str) -> None:
        self._services[name].respond(ticket, Trigger.Response(success=success, message=message))
