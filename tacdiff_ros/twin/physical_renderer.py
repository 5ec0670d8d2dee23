"""Physically based rendering of tactile images of one sensor."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.optics.simulate import ImageRenderer, to_uint8
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.twin.network_renderer import RenderedSurface


class PhysicalRenderer:
    """Renders surfaces of a sensor without a network; an unchanged surface is rendered once."""

    def __init__(self, model: SensorModel, renderer: ImageRenderer | None = None) -> None:
        """Prepare the sensor.

        Args:
            model: sensor model.
            renderer: renderer of this sensor; None for the fast one.
        """
        self.model = model
        self._renderer: ImageRenderer = renderer or FastRenderer(model)
        self._surface: GelSurface | None = None
        self._image: NDArray[np.uint8] | None = None
        self._maps: SurfaceMaps | None = None

    def render_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """Render the image of a surface, and its maps if they are requested.

        Args:
            surface: surface of the gel.
            with_maps: whether the maps are required.

        Returns:
            Image, and maps if they are requested.
        """
        started_s = time.perf_counter()
        if self._surface is None or not self._surface.renders_like(surface):
            self._renderer.set_surface(surface)
            self._surface, self._image, self._maps = surface, None, None
        if self._image is None:
            self._image = to_uint8(self._renderer.image())
        if with_maps and self._maps is None:
            self._maps = self._renderer.maps()
        maps = self._maps if with_maps else None
        return RenderedSurface(self._image.copy(), maps, time.perf_counter() - started_s)
