"""Tactile images of one sensor by its network: from NOCS maps, or from the gel's surface."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.translation.input_kinds import network_input
from tacdiff_ros.translation.translator import Precision, Translator

if TYPE_CHECKING:
    from tacdiff_ros.optics.renderer import Renderer
    from tacdiff_ros.optics.surface_maps import SurfaceMaps


@dataclass(frozen=True)
class RenderedSurface:
    """What the sensor sees of a surface.

    Attributes:
        image: (H, W, 3) uint8.
        maps: of the surface, on the same pixels; None where they were not asked for.
        seconds: that both took.
    """

    image: NDArray[np.uint8]
    maps: SurfaceMaps | None
    seconds: float


class NetworkRenderer:
    """Draws one sensor by a network; maps of surfaces by the renderer, which is loaded then."""

    def __init__(
        self,
        model: SensorModel,
        folder: Path,
        threads: int | None = None,
        precision: Precision = "exact",
    ) -> None:
        """A sensor and the network that was trained for it.

        Raises:
            InputError: the network is missing or damaged, or draws another sensor.
        """
        self.model = model
        self._translator = Translator(folder, threads, precision)
        self._translator.check_sensor(model.checksum, model.gel.full_indentation_mm)
        self._kind = self._translator.card.settings.kind
        self._threads = threads
        self._renderer: Renderer | None = None

    def draw_nocs(self, nocs: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 image of a NOCS map (H, W, 3) in [0, 1].

        Raises:
            InputError: another shape, values out of range, or a network that takes no NOCS alone.
        """
        if self._kind != "nocs":
            raise InputError(
                f"the network takes {self._kind}, which a NOCS map alone does not give: send the "
                "gel's surface"
            )
        return self._translator.translate(network_input("nocs", nocs))

    def draw_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """Image and maps of a surface; the network needs the maps anyway."""
        del with_maps
        from tacdiff_ros.optics.renderer import Renderer
        from tacdiff_ros.optics.simulate import light_image
        from tacdiff_ros.optics.variant import limit_threads

        started = time.perf_counter()
        if self._renderer is None:
            if self._threads is not None:
                limit_threads(self._threads)
            self._renderer = Renderer(self.model)
        self._renderer.show(surface)
        maps = self._renderer.maps()
        light = light_image(self._renderer) if self._kind == "nocs+light" else None
        image = self._translator.translate(
            network_input(self._kind, maps.nocs, maps.depth_mm, light)
        )
        return RenderedSurface(image, maps, time.perf_counter() - started)
