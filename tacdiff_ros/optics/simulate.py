"""The simulated tactile image of a surface and its maps, for `SimulateTouch` and the CLI."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface

if TYPE_CHECKING:
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer


class ImageRenderer(Protocol):
    """What the fast and the differentiable renderer have in common."""

    def set_surface(self, surface: GelSurface) -> None:
        """Set the gel surface to render."""
        ...

    def image(self) -> NDArray[np.float32]:
        """Render the (H, W, 3) image, 1 for white."""
        ...

    def maps(self) -> SurfaceMaps:
        """Return the surface maps at the centres of the pixels."""
        ...


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


def simulate_image(renderer: ImageRenderer, surface: GelSurface) -> SimulatedImage:
    """Render a surface and its maps.

    Args:
        renderer: renderer of the sensor; reuse it, because it prepares the sensor.
        surface: gel surface.
    """
    start = time.perf_counter()
    renderer.set_surface(surface)
    values = renderer.image()
    maps = renderer.maps()
    return SimulatedImage(image=to_uint8(values), maps=maps, seconds=time.perf_counter() - start)


def light_image(renderer: FastRenderer) -> NDArray[np.uint8]:
    """Render the current surface without cast shadows.

    This image is an input of networks of kind `nocs+light`.

    Args:
        renderer: renderer of the sensor.

    Returns:
        (H, W, 3) uint8 RGB image.
    """
    return to_uint8(renderer.image(shadows=False))


def to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert pixel values to the format of a camera image.

    Args:
        values: float pixel values, 1 for white; values outside [0, 1] are clipped.

    Returns:
        uint8 pixel values, of the same shape.
    """
    return np.asarray(np.rint(255.0 * np.clip(values, 0.0, 1.0)), np.uint8)
