"""A surface in, the tactile image and its maps out: what `SimulateTouch` and the CLI call."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.optics.surface_maps import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class SimulatedImage:
    """What the sensor sees of a surface.

    Attributes:
        image: (H, W, 3) uint8 RGB; black where the camera looks past the gel.
        maps: of the surface, on the same pixels.
        seconds: that rendering took.
    """

    image: NDArray[np.uint8]
    maps: SurfaceMaps
    seconds: float


def simulate_image(
    renderer: Renderer, surface: GelSurface, settings: RenderSettings | None = None
) -> SimulatedImage:
    """Render a surface; keep the renderer between calls, the first one compiles its kernels."""
    start = time.perf_counter()
    renderer.show(surface)
    values = renderer.image(settings)
    maps = renderer.maps(settings)
    return SimulatedImage(to_uint8(values), maps, time.perf_counter() - start)


def light_image(renderer: Renderer) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of the renderer's surface without cast shadows, at one sample a pixel.

    What a network of kind `nocs+light` is given.
    """
    return to_uint8(renderer.image(RenderSettings(samples=1, shadows=False)))


def to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixel values, 1 for white, as a camera stores them."""
    return np.asarray(np.rint(255.0 * np.clip(values, 0.0, 1.0)), np.uint8)
