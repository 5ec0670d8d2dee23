"""Tactile images of one sensor by the physically based renderer."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.optics.surface_maps import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.network_renderer import RenderedSurface


class PhysicalRenderer:
    """Renders surfaces, for sensors that have no network yet; a still gel is rendered once."""

    def __init__(self, model: SensorModel, settings: RenderSettings | None = None) -> None:
        """A sensor; the first image compiles kernels."""
        self.model = model
        self._settings = settings
        self._renderer = Renderer(model)
        self._surface: GelSurface | None = None
        self._image: NDArray[np.uint8] | None = None
        self._maps: SurfaceMaps | None = None

    def draw_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """The image of a surface, and its maps where they are wanted."""
        started = time.perf_counter()
        if self._surface is None or not self._surface.renders_like(surface):
            self._renderer.show(surface)
            self._surface, self._image, self._maps = surface, None, None
        if self._image is None:
            self._image = to_uint8(self._renderer.image(self._settings))
        if with_maps and self._maps is None:
            self._maps = self._renderer.maps(self._settings)
        maps = self._maps if with_maps else None
        return RenderedSurface(self._image.copy(), maps, time.perf_counter() - started)
