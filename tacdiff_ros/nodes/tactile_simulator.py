"""Draws simulated images by the network: NOCS maps or gel surfaces in, `simulated/*` out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from shape_msgs.msg import Mesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.images import from_map, to_image
from tacdiff_ros.nodes.conversion.surface import METRES, from_mesh
from tacdiff_ros.nodes.parameters import declare, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, RELIABLE_IMAGES, SENSOR_IMAGES
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.resources import shipped_model
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.twin.tactile_drawing import TactileDrawing

QUIET_S = 5.0  # between two warnings


class TactileSimulatorNode(Node):
    """A frame takes some milliseconds, so it is drawn where it comes; late ones are dropped."""

    def __init__(self) -> None:
        """Read the parameters and load the network."""
        super().__init__("tactile_simulator")
        sensor = declare(self, "sensor_file", "", "of the unit; empty: the package's default")
        folder = declare(self, "model", "", "folder of the network; empty: the shipped one")
        threads = declare(self, "threads", 2, "of the processor for the network; 0: all")
        fast = declare(self, "half_precision", False, "bfloat16 where the processor can")
        self._frame = declare(self, "frame_id", "gelsight_optical_frame", "of simulated images")
        refuse_unknown(self)
        if not 0 <= threads <= 256:
            raise InputError(f"parameter 'threads' is {threads}: expected 0 to 256")
        self._drawing = TactileDrawing(
            read_sensor(Path(sensor).expanduser()) if sensor else default_sensor(),
            Path(folder).expanduser() if folder else shipped_model(),
            threads or None,
            "fast" if fast else "exact",
        )
        self._publishers_of = {
            name: self.create_publisher(Image, f"simulated/{name}", RELIABLE_IMAGES)
            for name in ("image_raw", "nocs", "depth")
        }
        self.create_subscription(Image, "nocs", self._on_nocs, SENSOR_IMAGES)
        self.create_subscription(Mesh, "gel_mesh", self._on_mesh, LATEST_COMMAND)

    def _on_nocs(self, message: Image) -> None:
        def draw() -> dict[str, NDArray[Any]]:
            return {"image_raw": self._drawing.draw_nocs(from_map(message, 3))}

        self._publish(draw, message.header.stamp)

    def _on_mesh(self, message: Mesh) -> None:
        """A mesh has no stamp: its images have the time at which it came."""

        def draw() -> dict[str, NDArray[Any]]:
            surface = from_mesh(message, self._drawing.model.gel)
            drawn = self._drawing.draw_surface(surface)
            depth_m = (METRES * drawn.maps.depth_mm).astype(np.float32)
            return {"image_raw": drawn.image, "nocs": drawn.maps.nocs, "depth": depth_m}

        self._publish(draw, self.get_clock().now().to_msg())

    def _publish(self, draw: Callable[[], dict[str, NDArray[Any]]], stamp: Any) -> None:
        try:
            images = draw()
        except InputError as error:
            self.get_logger().warning(f"not drawn: {error}", throttle_duration_sec=QUIET_S)
            return
        for name, image in images.items():
            self._publishers_of[name].publish(to_image(image, stamp, self._frame))


def main() -> int:
    """Entry point."""
    return run(TactileSimulatorNode)


if __name__ == "__main__":
    raise SystemExit(main())
