"""The fast renderer: the image model of `optics.renderer` without gradients and noise.

It evaluates the same equations in compiled loops: one sample per pixel, four where the rim of a
marker crosses it. What does not depend on the surface is prepared once (`sensor_tables`), what is
smooth is computed on coarser grids once for each surface (`surface_tables`).

Limits: no gradients. Shadows are those of a height map: a part of the surface that overhangs casts
the shadow of the part that is visible from above, and shadows are blurred by `SHADOW_MM`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.hit_maps import maps_of_hits
from tacdiff_ros.optics.fast.local_interreflection import local_interreflection
from tacdiff_ros.optics.fast.pixel_chunk import (
    PixelHits,
    PixelIrradiance,
    pixel_hits,
    pixel_irradiance,
    render_pixels,
)
from tacdiff_ros.optics.fast.sensor_tables import sensor_tables
from tacdiff_ros.optics.fast.surface_tables import Relief, SurfaceTables, surface_tables
from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float32]
CHUNK_PIXELS = 19_200  # whose data fit the cache of a core


@dataclass(frozen=True)
class FastSettings:
    """Size of an image and resources of its renderer.

    Attributes:
        width_px: columns of the image; None for the sensor's.
        height_px: rows of the image; None for the sensor's.
        threads: number of threads.
        local_interreflection: whether parts of the deformed gel light and occlude each other, if
            the sensor's layers reflect light.
    """

    width_px: int | None = None
    height_px: int | None = None
    threads: int = 2
    local_interreflection: bool = True


class FastRenderer:
    """Renderer of one sensor for images of one size.

    Attributes:
        model: sensor model.
    """

    def __init__(self, model: SensorModel, settings: FastSettings | None = None) -> None:
        """Prepare the sensor, with an undeformed surface.

        Args:
            model: sensor model.
            settings: size of the image and resources; None for the defaults.

        Raises:
            InputError: Mitsuba, which prepares a sensor when it is used for the first time, cannot
                run.
        """
        settings = settings or FastSettings()
        self.model = model
        self._local = settings.local_interreflection
        self._width = settings.width_px or model.image.width_px
        self._height = settings.height_px or model.image.height_px
        self._sensor = sensor_tables(model, self._width, self._height)
        self._pool = ThreadPoolExecutor(settings.threads) if settings.threads > 1 else None
        gel = model.gel
        self.set_surface(GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11))

    def set_surface(self, surface: GelSurface) -> None:
        """Set the gel surface to render.

        Args:
            surface: gel surface.
        """
        self._surface = surface
        self._tables: dict[bool, SurfaceTables] = {}  # by whether they have shadows
        self._hits: list[PixelHits] | None = None

    def image(self, shadows: bool = True) -> Floats:
        """Render the image.

        Args:
            shadows: whether the surface casts shadows, and its parts light each other.

        Returns:
            (H, W, 3) float32 RGB pixel values, 1 for white, not clipped.
        """
        return self._images(shadows)[shadows]

    def image_with_and_without_shadows(self) -> tuple[Floats, Floats]:
        """Render the image with cast shadows and without, in little more time than one of them.

        Returns:
            Two images as of `image`.
        """
        images = self._images(True, False)
        return images[True], images[False]

    def _images(self, *shadows: bool) -> dict[bool, Floats]:
        """Return images by whether the surface casts shadows."""
        tables = self._surface_tables(True in shadows)
        hits = self._pixel_hits(tables)
        images: dict[bool, Floats] = {}
        pixels: list[PixelIrradiance] = []
        for kind in shadows:
            image = np.empty((self._height * self._width, 3), np.float32)
            irradiance = partial(
                pixel_irradiance, self._sensor, tables, width_px=self._width, has_shadows=kind
            )
            write = partial(render_pixels, self._sensor, width_px=self._width, image=image)
            others: list[PixelIrradiance | None] = [*pixels] or [None] * len(hits)
            parts = [partial(irradiance, *pair) for pair in zip(hits, others, strict=True)]
            if kind and self._local and self._sensor.reflects and tables.relief is not None:
                pixels = self._run_all(parts)
                local = self._local_interreflection(tables.relief, pixels)
                self._run_all(partial(write, part, local=local) for part in pixels)
            else:
                pixels = self._run_all(partial(_written, part, write) for part in parts)
            images[kind] = image.reshape(self._height, self._width, 3)
        return images

    def _local_interreflection(self, relief: Relief, pixels: list[PixelIrradiance]) -> Floats:
        """Return the (R, C, 3) local inter-reflection at the nodes of cast shadows."""
        step = self._sensor.shadow_px
        rows, columns = self._sensor.shadow_rays.shape[1:]
        row = np.minimum(np.arange(rows) * step, self._height - 1)
        column = np.minimum(np.arange(columns) * step, self._width - 1)
        nodes = np.empty((3, rows, columns), np.float32)
        for part in pixels:
            first = part.centres.pixels.start // self._width
            rgb = part.rgb.reshape(3, -1, self._width)
            inside = (row >= first) & (row < first + rgb.shape[1])
            nodes[:, inside] = rgb[:, row[inside] - first][..., column]
        return local_interreflection(self._sensor, relief, nodes, self._run_all)

    def maps(self) -> SurfaceMaps:
        """Return the surface maps at the centres of the pixels."""
        tables = self._tables.get(True) or self._surface_tables(False)
        shape = (self._height, self._width)
        return maps_of_hits(self.model, self._sensor, self._pixel_hits(tables), shape)

    def _surface_tables(self, shadows: bool) -> SurfaceTables:
        if shadows not in self._tables:
            if not shadows and True in self._tables:
                return self._tables[True]
            self._tables[shadows] = surface_tables(
                self._sensor, self._surface, shadows, self._run_all
            )
        return self._tables[shadows]

    def _pixel_hits(self, tables: SurfaceTables) -> list[PixelHits]:
        """Return the hits of all pixels, in chunks of whole rows."""
        if self._hits is None:
            width, count = self._width, self._width * self._height
            size = width * max(1, CHUNK_PIXELS // width)
            chunks = [slice(first, min(first + size, count)) for first in range(0, count, size)]
            self._hits = self._run_all(
                partial(pixel_hits, self._sensor, tables, chunk, width) for chunk in chunks
            )
        return self._hits

    def _run_all(self, tasks: Iterable[Callable[[], Any]]) -> list[Any]:
        """Run tasks, in several threads if there are any; return their results in order."""
        if self._pool is None:
            return [task() for task in tasks]
        return [future.result() for future in [self._pool.submit(task) for task in tasks]]


def _written(
    irradiance: Callable[[], PixelIrradiance], write: Callable[[PixelIrradiance], None]
) -> PixelIrradiance:
    """Compute the irradiance of a chunk and write its pixels while its data are in the cache."""
    pixels = irradiance()
    write(pixels)
    return pixels
