"""Network renderer: tactile images of one sensor from NOCS maps or from gel surfaces."""

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
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
    from tacdiff_ros.optics.map_arrays import SurfaceMaps

DEFAULT_THREADS = 2


@dataclass(frozen=True)
class RenderedSurface:
    """Rendering of one surface.

    Attributes:
        image: (H, W, 3) uint8 RGB image.
        maps: maps of the surface on the same pixels; None if they were not requested.
        seconds: computing time of both, s.
    """

    image: NDArray[np.uint8]
    maps: SurfaceMaps | None
    seconds: float


class NetworkRenderer:
    """Renders images of one sensor with its network.

    The maps of a surface come from the fast renderer, which is loaded at first use.
    """

    def __init__(
        self,
        model: SensorModel,
        folder: Path,
        threads: int | None = None,
        precision: Precision = "exact",
    ) -> None:
        """Load the network of a sensor.

        Args:
            model: sensor model.
            folder: folder of the network.
            threads: number of threads; None for the default.
            precision: numerical precision of the network.

        Raises:
            InputError: the network is missing or damaged, or was trained for another sensor.
        """
        self.model = model
        self._translator = Translator(folder, threads, precision)
        self._translator.check_sensor(model.checksum, model.gel.full_indentation_mm)
        self._kind = self._translator.card.settings.kind
        self._threads = threads
        self._renderer: FastRenderer | None = None

    def render_nocs(self, nocs: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Render the image of a NOCS map.

        Args:
            nocs: (H, W, 3) float32 map with values in [0, 1].

        Returns:
            (H, W, 3) uint8 RGB image.

        Raises:
            InputError: the shape is wrong, a value is out of range, or the network needs more
                inputs than a NOCS map.
        """
        if self._kind != "nocs":
            raise InputError(
                f"the network requires {self._kind}, and a NOCS map alone is not enough: send the "
                "gel's surface"
            )
        return self._translator.translate(network_input("nocs", nocs))

    def render_surface(self, surface: GelSurface, with_maps: bool = True) -> RenderedSurface:
        """Render the image and the maps of a surface.

        Args:
            surface: surface of the gel.
            with_maps: ignored, because the network needs the maps in any case.

        Returns:
            Image and maps.
        """
        del with_maps
        from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
        from tacdiff_ros.optics.simulate import light_image

        started_s = time.perf_counter()
        if self._renderer is None:
            settings = FastSettings(threads=self._threads or DEFAULT_THREADS)
            self._renderer = FastRenderer(self.model, settings)
        self._renderer.set_surface(surface)
        maps = self._renderer.maps()
        light = light_image(self._renderer) if self._kind == "nocs+light" else None
        image = self._translator.translate(
            network_input(self._kind, maps.nocs, maps.depth_mm, light)
        )
        return RenderedSurface(image, maps, time.perf_counter() - started_s)
