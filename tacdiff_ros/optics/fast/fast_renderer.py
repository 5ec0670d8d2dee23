"""The fast renderer: the image model of `optics.renderer` without gradients and noise.

It evaluates the same equations in compiled loops over chunks of pixels: one sample per pixel, four
where the rim of a marker crosses it. All that does not depend on the surface is prepared once
(`sensor_tables`).

Limits: no gradients; shadows are those of a height map, so parts of the surface that overhang cast
the shadow of the part that is visible from above.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.light_panels import PANELS, SCRATCH_ROWS, light_panels
from tacdiff_ros.optics.fast.marker_points import FRINGE, PLAIN, RIM, cast_fringes, marker_points
from tacdiff_ros.optics.fast.radiance import add_indirect, add_light, pixel_values
from tacdiff_ros.optics.fast.sensor_tables import SUBPIXELS, SensorTables, sensor_tables
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, hit_rays, vertex_table
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float32]
CHUNK = 3000  # pixels: all data of a chunk fit the cache of a core
TYPICAL_TANGENT = np.float32(1.3)


@dataclass(frozen=True)
class FastSettings:
    """Size of the image, and which effects are rendered.

    Attributes:
        width_px: columns of the image; None for the sensor's.
        height_px: rows of the image; None for the sensor's.
        shadows: whether the surface casts shadows.
        threads: number of threads.
    """

    width_px: int | None = None
    height_px: int | None = None
    shadows: bool = True
    threads: int = 2


@dataclass
class _Points:
    hits: Floats
    slopes: Floats
    normal: Floats
    nearest: Floats
    reflectance: Floats


class FastRenderer:
    """Renderer of one sensor for images of one size."""

    def __init__(self, model: SensorModel, settings: FastSettings | None = None) -> None:
        self.model = model
        self._settings = settings or FastSettings()
        self._width = self._settings.width_px or model.image.width_px
        self._height = self._settings.height_px or model.image.height_px
        self._tables = sensor_tables(model, self._width, self._height)
        self._vertices: Floats | None = None
        gel = model.gel
        self.set_surface(GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11))

    def set_surface(self, surface: GelSurface) -> None:
        shape = (surface.rows, surface.columns)
        self._vertices = np.empty((*shape, HIT_ROWS), np.float32)
        position = surface.position.reshape(*shape, 3)
        vertex_table(position, surface.rest.reshape(*shape, 3), self._vertices)

    def image(self) -> Floats:
        count = self._width * self._height
        image = np.empty((count, 3), np.float32)
        for start in range(0, count, CHUNK):
            self._render_chunk(slice(start, min(start + CHUNK, count)), image)
        return image.reshape(self._height, self._width, 3)

    def _render_chunk(self, part, image):
        t = self._tables
        rays = np.ascontiguousarray(t.rays[:, part])
        hits, valid = self._hit(rays)
        n = rays.shape[1]
        radiance = np.zeros((3, n), np.float32)
        if t.markers is None:
            radiance[:] = self._irradiance(hits, hits[5:], None, None)
        else:
            normal, reflectance = np.empty((3, n), np.float32), np.empty(n, np.float32)
            nearest, kind = np.empty((3, n), np.float32), np.empty(n, np.int8)
            marker_points(t.markers.table, t.markers.pattern, hits, rays[2:], normal, reflectance, nearest, kind)
            plain = np.flatnonzero(kind == PLAIN)
            radiance[:, plain] = self._irradiance(np.ascontiguousarray(hits[:, plain]), np.ascontiguousarray(normal[:, plain]), None, None) * reflectance[plain]
            fr = np.flatnonzero(kind == FRINGE)
            if len(fr):
                radiance[:, fr] = self._irradiance(np.ascontiguousarray(hits[:, fr]), np.ascontiguousarray(normal[:, fr]), np.ascontiguousarray(nearest[:, fr]), t.markers.pattern) * reflectance[fr]
            rim = np.flatnonzero(kind == RIM)
            if len(rim):
                fine = np.ascontiguousarray(t.fine_rays[:, part][:, rim].reshape(4, -1))
                h, v = self._hit(fine)
                m = fine.shape[1]
                normal, reflectance = np.empty((3, m), np.float32), np.empty(m, np.float32)
                nearest, kind = np.empty((3, m), np.float32), np.empty(m, np.int8)
                marker_points(t.markers.table, t.markers.fine_pattern, h, fine[2:], normal, reflectance, nearest, kind)
                rgb = self._irradiance(h, normal, nearest, t.markers.fine_pattern) * reflectance
                radiance[:, rim] = rgb.reshape(3, -1, SUBPIXELS**2).mean(-1)
        pixel_values(t.factor[part], t.inverse_gamma, radiance, valid, image[part])

    def _hit(self, rays):
        n = rays.shape[1]
        hits, valid = np.empty((HIT_ROWS, n), np.float32), np.empty(n, bool)
        rows, columns = self._vertices.shape[:2]
        pad = self._tables.pad
        row = int((rays[1, 0] / pad[1] + 0.5) * (rows - 1)) if np.isfinite(rays[1, 0]) else 0
        column = int((rays[0, 0] / pad[0] + 0.5) * (columns - 1)) if np.isfinite(rays[0, 0]) else 0
        hit_rays(self._vertices, rays, row, column, hits, valid)
        return hits, valid

    def _irradiance(self, hits, normal, nearest, pattern):
        t = self._tables
        n = hits.shape[1]
        rgb = np.empty((3, n), np.float32)
        rgb[:] = t.ambient[:, None]
        if t.indirect is not None:
            add_indirect(t.indirect, t.pad, TYPICAL_TANGENT, hits, normal, rgb)
        scratch, panels = np.empty((SCRATCH_ROWS, n), np.float32), np.empty((PANELS, n), np.float32)
        for light, is_rectangle, color in zip(t.lights, t.is_rectangle, t.light_color, strict=True):
            light_panels(light, is_rectangle, hits, normal, scratch, panels)
            if nearest is not None:
                cast_fringes(pattern, light, hits, nearest, scratch, panels)
            add_light(color, panels, rgb)
        return rgb
