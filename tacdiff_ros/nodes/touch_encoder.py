"""Learned features of touch, slip and properties of one or two sensors; recognition of touches."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_srvs.srv import Trigger

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import default_crop
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import TouchEncoderSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.run_plan import FILE_NAME
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.touch_topics import TouchTopics
from tacdiff_ros.resources import shipped_encoder
from tacdiff_ros.srv import IdentifyInHand, MatchTouches, RecognizeTouch, RememberTouch
from tacdiff_ros.touch_features.slip.slip_head import SlipHead, load_slip_head
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder
from tacdiff_ros.touch_features.touch_input import HEIGHT, WIDTH
from tacdiff_ros.touch_features.touch_memory import Recognition
from tacdiff_ros.touch_features.touch_session import SAME, TouchSession, describe
from tacdiff_ros.touch_features.touched_sensor import TouchedSensor

DIAGNOSTICS_S = 1.0


class TouchEncoderNode(GuardedNode):
    """Publishes the reading of each image, and responds to requests about touches."""

    def __init__(self) -> None:
        """Read the parameters, load encoder and memory, and create topics and services."""
        super().__init__("touch_encoder")
        settings = declare_model(self, "", TouchEncoderSettings)
        refuse_unknown(self)
        folder = Path(settings.encoder).expanduser() if settings.encoder else shipped_encoder()
        self._topics = [self._sensor_topics("", folder, settings)]
        if settings.second_sensor:
            self._topics.append(self._sensor_topics("second/", folder, settings))
        sensors = [topics.sensor for topics in self._topics]
        memory_file = memory_path(settings)
        self._session = TouchSession(sensors, memory_file, sensors[0].encoder_checksum)
        self.summary = (
            f"encoder {sensors[0].encoder_checksum[:16]} of {folder}; {len(sensors)} sensor(s); "
            f"{len(self._session.names)} remembered names in {memory_file}"
        )
        self.create_service(Trigger, "~/take_reference", self._take_reference)
        self.create_service(RememberTouch, "remember_touch", self._remember)
        self.create_service(RecognizeTouch, "recognize_touch", self._recognize)
        self.create_service(MatchTouches, "match_touches", self._match)
        self.create_service(IdentifyInHand, "identify_in_hand", self._identify)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_S, self._diagnose)

    def request_stop(self, _reason: str) -> None:
        """Stop the threads after their current image."""
        for topics in self._topics:
            topics.worker.close(0.0)

    def is_finished(self) -> bool:
        """Return whether no image is being read."""
        return all(topics.worker.close(0.0) for topics in self._topics)

    def _sensor_topics(
        self, prefix: str, folder: Path, settings: TouchEncoderSettings
    ) -> TouchTopics:
        """Load an encoder of its own for a sensor, and create its topics."""
        encoder = TouchEncoder(folder, settings.threads)
        slip_head = slip_head_of(folder, encoder.checksum) if settings.slip_head else None
        if encoder.card.withheld and not prefix:
            no_slip = slip_head is None and "slip_fraction" in encoder.card.withheld
            self.get_logger().warning(
                f"the encoder gives NaN for {', '.join(encoder.card.withheld)}: too bad in tests"
                + ("; no slip warnings (parameter slip_head)" if no_slip else "")
            )
        blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        encoder.read(blank, blank)  # so that the first image is not late
        name = self.resolve_topic_name(f"{prefix}image_raw")
        sensor = TouchedSensor(name, encoder, settings.slip_warning, slip_head)
        crop = replace(default_crop(), border_fraction=settings.border_fraction)
        reference = settings.second_reference_image if prefix else settings.reference_image
        if reference:
            path = Path(reference).expanduser()
            sensor.take_reference(crop.reduce(read_image(path), "the reference"))
        frame = settings.second_frame_id if prefix else settings.frame_id
        return TouchTopics(self, prefix, frame, sensor, crop)

    def _take_reference(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Take the newest image of each sensor as its reference image."""
        images = [topics.newest_image() for topics in self._topics]
        for topics, image in zip(self._topics, images, strict=True):
            topics.sensor.take_reference(image)
        response.success, response.message = True, "the newest image is the reference"
        return response

    def _remember(
        self, request: RememberTouch.Request, response: RememberTouch.Response
    ) -> RememberTouch.Response:
        if request.forget:
            self._session.forget(request.name)
            response.message = f"{request.name} is forgotten"
        else:
            response.examples = self._session.remember(request.name, time.monotonic())
            response.message = f"{request.name} has {response.examples} examples"
        response.success = True
        return response

    def _recognize(
        self, _request: RecognizeTouch.Request, response: RecognizeTouch.Response
    ) -> RecognizeTouch.Response:
        return _fill(response, self._session.recognize(time.monotonic()))

    def _match(
        self, _request: MatchTouches.Request, response: MatchTouches.Response
    ) -> MatchTouches.Response:
        response.similarity = self._session.match(time.monotonic())
        response.same = response.similarity >= SAME
        verdict = "the same" if response.same else "not the same"
        response.message = f"{verdict} (similarity {response.similarity:.2f})"
        response.success = True
        return response

    def _identify(
        self, _request: IdentifyInHand.Request, response: IdentifyInHand.Response
    ) -> IdentifyInHand.Response:
        return _fill(response, self._session.identify(time.monotonic()))

    def _diagnose(self) -> None:
        array = DiagnosticArray(status=[self._status(topics) for topics in self._topics])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _status(self, topics: TouchTopics) -> DiagnosticStatus:
        trouble = topics.sensor.trouble(time.monotonic())
        values = {
            "images": topics.worker.done,
            "replaced_by_newer": topics.worker.dropped,
            "latency_ms": round(1e3 * topics.latency_s, 1),
            "has_reference": topics.sensor.has_reference,
            "remembered_names": len(self._session.names),
        }
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK,
            name=f"{self.get_fully_qualified_name()}: touch",
            hardware_id=topics.sensor.name,
            message=trouble or "images are read",
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )


def _fill(response: Any, recognition: Recognition) -> Any:
    """Fill the response of a service with a recognition."""
    response.known = recognition.known
    response.names = list(recognition.names)
    response.similarity = recognition.similarity.tolist()
    response.success, response.message = True, describe(recognition)
    return response


def slip_head_of(folder: Path, checksum: str) -> SlipHead:
    """Return the slip head of an encoder.

    Args:
        folder: folder of the encoder.
        checksum: checksum of the encoder.

    Raises:
        InputError: it has none, or the file is damaged.
    """
    head = load_slip_head(folder, checksum)
    if head is None:
        raise InputError(
            f"parameter 'slip_head' is true, but {folder} has no slip head: train it (`tacdiff "
            "touch slip`), or set slip_head to false"
        )
    return head


def memory_path(settings: TouchEncoderSettings) -> Path:
    """Return the path of the memory's file.

    Args:
        settings: parameters of the node.

    Raises:
        InputError: its name is no file name in the data folder.
    """
    name = settings.memory_file
    if not FILE_NAME.fullmatch(name) or not name.endswith(".npz"):
        raise InputError(
            f"parameter 'memory_file' is {name[:80]!r}, expected a file name ending in .npz: "
            "letters, digits, _ . -"
        )
    return Path(settings.data_folder).expanduser() / name


def main() -> int:
    """Run the node."""
    return run(TouchEncoderNode)


if __name__ == "__main__":
    raise SystemExit(main())
