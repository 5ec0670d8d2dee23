"""Size and quality of path-traced images."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class PathSettings:
    """Size and quality of a path-traced image.

    Attributes:
        width_px: columns of the image; the rows follow from the sensor's aspect ratio.
        samples: samples per pixel for each light; ambient light gets `AMBIENT_FRACTION` of them.
        bounces: number of returns from the layers, as `Interreflection.bounces`; 0 for direct
            light only.
        seed: seed of all samples.
        smooth_reflected: whether to render the reflected light at half the size and remove its
            noise; the standard error is then that of the direct light.
        spacing_mm: vertex spacing of the mesh, mm.
    """

    width_px: int = 320
    samples: int = 1024
    bounces: int = 1
    seed: int = 0
    smooth_reflected: bool = False
    spacing_mm: float = 0.025

    def size_px(self, model: SensorModel) -> tuple[int, int]:
        """Return the width and the height of a sensor's image, px."""
        return self.width_px, round(self.width_px * model.image.height_px / model.image.width_px)
