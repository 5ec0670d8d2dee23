"""The simulated tactile image of a surface and its maps, for `SimulateTouch` and the CLI."""

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
    """A rendered image of a surface, with its maps.

    Attributes:
        image: (H, W, 3) uint8 RGB; black where the camera's rays miss the gel.
        maps: maps of the surface, at the same pixels.
        seconds: rendering time, s.
    """

    image: NDArray[np.uint8]
    maps: SurfaceMaps
    seconds: float


def simulate_image(
    renderer: Renderer, surface: GelSurface, settings: RenderSettings | None = None
) -> SimulatedImage:
    """Render a surface and its maps.

    Args:
        renderer: renderer of the sensor; reuse it, because its first images compile kernels.
        surface: gel surface.
        settings: size and quality of the image; None for the defaults.
    """
    start = time.perf_counter()
    renderer.set_surface(surface)
    values = renderer.image(settings)
    maps = renderer.maps(settings)
    return SimulatedImage(image=to_uint8(values), maps=maps, seconds=time.perf_counter() - start)


def light_image(renderer: Renderer) -> NDArray[np.uint8]:
    """Render the current surface without cast shadows, at one sample per pixel.

    This image is an input of networks of kind `nocs+light`.

    Args:
        renderer: renderer of the sensor.

    Returns:
        (H, W, 3) uint8 RGB image.
    """
    return to_uint8(renderer.image(RenderSettings(samples=1, shadows=False)))


def to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert pixel values to the format of a camera image.

    Args:
        values: float pixel values, 1 for white; values outside [0, 1] are clipped.

    Returns:
        uint8 pixel values, of the same shape.
    """
    return np.asarray(np.rint(255.0 * np.clip(values, 0.0, 1.0)), np.uint8)
