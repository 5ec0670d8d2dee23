"""Tactile images of one sensor by the physically based renderer."""

from __future__ import annotations

import time

from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.optics.simulate import simulate_image
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.tactile_drawing import DrawnSurface


class RenderedDrawing:
    """Draws surfaces by the renderer, for sensors that have no network yet."""

    def __init__(self, model: SensorModel, settings: RenderSettings | None = None) -> None:
        """A sensor; the first image compiles kernels."""
        self.model = model
        self._settings = settings
        self._renderer = Renderer(model)

    def draw_surface(self, surface: GelSurface) -> DrawnSurface:
        """Maps and image of a surface."""
        started = time.perf_counter()
        seen = simulate_image(self._renderer, surface, self._settings)
        return DrawnSurface(seen.image, seen.maps, time.perf_counter() - started)
