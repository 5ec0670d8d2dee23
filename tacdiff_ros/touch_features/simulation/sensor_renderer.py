"""Pictures and maps of gel surfaces by one random sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.touch_features.simulation.layer_contact import PadGrid
from tacdiff_ros.touch_features.simulation.varied_sensors import VariedSensor
from tacdiff_ros.touch_features.touch_set import HEIGHT_PX, MAP_SHAPE, WIDTH_PX

Floats = NDArray[np.float32]
MIN_NORMAL_Z = 0.1  # of the surface's normals, for slopes of at most 10


class SensorRenderer:
    """Renderer of one random sensor.

    Attributes:
        sensor: the sensor.
    """

    def __init__(self, sensor: VariedSensor, grid: PadGrid) -> None:
        """Prepare a sensor.

        Args:
            sensor: random sensor.
            grid: vertices of the gel's surface.
        """
        self.sensor = sensor
        self._renderer = FastRenderer(sensor.model, FastSettings(WIDTH_PX, HEIGHT_PX, threads=1))
        x, y = grid.positions()
        rest = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
        self._rest = GelSurface(rest, rest, grid.rows, grid.columns)
        self._wear = np.zeros_like(rest)
        self._wear[:, 2] = sensor.wear_mm.reshape(-1)

    def picture(
        self, displacement_mm: Floats, random: np.random.Generator, brightness: float = 1.0
    ) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return the image and the maps of a deformed gel.

        Args:
            displacement_mm: (R, C, 3) displacement of the surface, mm.
            random: generator of the camera's noise.
            brightness: factor of the exposure.

        Returns:
            (120, 160, 3) uint8 RGB image, and (5, 30, 40) float16 maps as in a `TouchSet`.
        """
        position = self._rest.rest + displacement_mm.reshape(-1, 3) + self._wear
        self._renderer.set_surface(self._rest.moved(position, may_overhang=True))
        image = self.sensor.camera.picture(self._renderer.image(), random, brightness)
        return image, _reduced(self._renderer.maps())

    def reference(self) -> NDArray[np.uint8]:
        """Return the reference image."""
        rest = np.zeros_like(self._rest.rest)
        return self.picture(rest, np.random.default_rng(0))[0]


def _reduced(maps: SurfaceMaps) -> NDArray[np.float16]:
    """Return maps at a quarter of the image's size."""
    nz = np.minimum(maps.normal[..., 2], np.float32(-MIN_NORMAL_Z))
    slopes = [-maps.normal[..., axis] / nz for axis in (0, 1)]
    fields = np.stack([maps.indentation_mm, *slopes, maps.shear_mm[..., 0], maps.shear_mm[..., 1]])
    count, rows, columns = MAP_SHAPE
    step = HEIGHT_PX // rows
    blocks = fields.reshape(count, rows, step, columns, step)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float16)
