"""Publishes the positions of the gel's markers in each image and their displacements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from tacdiff_ros.images.crop import default_crop
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.msg import MarkerField as MarkerFieldMessage
from tacdiff_ros.nodes.conversion.images import from_frame
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import MarkerTrackerSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import SENSOR_IMAGES
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.sensor.marker_grid import MarkerGrid


class MarkerTrackerNode(GuardedNode):
    """Subscribes to `image_raw`; the first image with a detected grid is the reference."""

    def __init__(self) -> None:
        """Subscribe to the images and create the publisher."""
        super().__init__("marker_tracker")
        settings = declare_model(self, "", MarkerTrackerSettings)
        refuse_unknown(self)
        self._grid = MarkerGrid.parse(settings.grid)
        self.summary = f"{settings.grid} markers"
        self._crop = default_crop()
        self._reference: MarkerField | None = None
        self._tracker = MarkerTracker(self._grid)
        self._publisher = self.create_publisher(MarkerFieldMessage, "markers", 10)
        self.create_subscription(Image, "image_raw", self._on_image, SENSOR_IMAGES)
        self.create_service(Trigger, "~/reset_reference", self._reset_reference)

    def _on_image(self, message: Image) -> None:
        image = from_frame(message, self._crop)
        if self._reference is None:
            self._reference = detect_markers(image, self._grid)
            self._tracker = MarkerTracker(self._grid, self._reference)
        field = self._tracker.track(image)
        self._publisher.publish(to_message(field, self._reference, message))

    def _reset_reference(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        self._reference = None
        response.success = True
        response.message = "the next image with a detected grid becomes the reference"
        return response


def to_message(field: MarkerField, reference: MarkerField, image: Image) -> MarkerFieldMessage:
    """Convert the markers of an image into a message, row by row.

    Args:
        field: markers of the image.
        reference: markers of the reference image.
        image: image message, whose header is copied.

    Returns:
        Message with positions and displacements, px.
    """
    rows, columns = field.found.shape
    displacement_px = field.displacement_px(reference)
    message = MarkerFieldMessage(
        rows=rows,
        columns=columns,
        found_count=field.found_count,
        found=field.found.ravel().tolist(),
    )
    message.header = image.header
    message.id = list(range(rows * columns))
    message.x, message.y = _flat(field.position_px[..., 0]), _flat(field.position_px[..., 1])
    message.dx, message.dy = _flat(displacement_px[..., 0]), _flat(displacement_px[..., 1])
    message.diameter = _flat(field.diameter_px)
    return message


def _flat(values: NDArray[np.float64]) -> list[float]:
    return list(values.ravel().tolist())


def main() -> int:
    """Run the node."""
    return run(MarkerTrackerNode)


if __name__ == "__main__":
    raise SystemExit(main())
