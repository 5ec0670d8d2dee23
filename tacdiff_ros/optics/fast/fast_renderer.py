"""The fast renderer: the image model of `optics.renderer` without gradients and noise.

It evaluates the same equations in compiled loops over chunks of pixels: one sample per pixel, four
where the rim of a marker crosses it. All that does not depend on the surface is prepared once
(`sensor_tables`), all that is smooth is computed on coarser grids once per surface.

Limits: no gradients; shadows are those of a height map, so parts of the surface that overhang cast
the shadow of the part that is visible from above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.cast_shadows import attenuate, panel_visibility, shade_heights, shadow_cells, shadowed_points
from tacdiff_ros.optics.fast.light_panels import PANELS, SCRATCH_ROWS, light_panels
from tacdiff_ros.optics.fast.marker_points import RIM, cast_fringes, marker_points
from tacdiff_ros.optics.fast.radiance import (
    add_light,
    pixel_values,
    replace_radiance,
    sample_rays,
)
from tacdiff_ros.optics.fast.sensor_tables import sensor_tables
from tacdiff_ros.optics.fast.smooth_light import (
    ENTRIES,
    node_light,
    node_points,
    smooth_irradiance,correct_grazed,
)
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, hit_grid, hit_rays, vertex_table
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
import os
Floats = NDArray[np.float32]
CHUNK = 3200
TYPICAL_TANGENT = np.float32(1.3)
NODE_MM = float(os.environ.get("ND","0.4"))
SHADOW_MM = float(os.environ.get("SH","0.2"))


@dataclass(frozen=True)
class FastSettings:
    width_px: int | None = None
    height_px: int | None = None
    shadows: bool = True
    threads: int = 2


class FastRenderer:
    """Renderer of one sensor for images of one size."""

    def __init__(self, model: SensorModel, settings: FastSettings | None = None) -> None:
        self.model = model
        self._settings = settings or FastSettings()
        self._width = self._settings.width_px or model.image.width_px
        self._height = self._settings.height_px or model.image.height_px
        self._tables = sensor_tables(model, self._width, self._height)
        gel = model.gel
        self.set_surface(GelSurface.flat(gel.width_mm, gel.height_mm, 9, 11))

    def set_surface(self, surface: GelSurface) -> None:
        t = self._tables
        shape = (surface.rows, surface.columns)
        self._vertices = np.empty((*shape, HIT_ROWS), np.float32)
        position = surface.position.reshape(*shape, 3)
        vertex_table(position, surface.rest.reshape(*shape, 3), self._vertices)
        size = [math.ceil(s / NODE_MM) + 1 for s in t.pad[::-1]]
        at = [np.interp(np.linspace(line[0], line[-1], n), line, np.arange(len(line))).astype(np.float32) for line, n in zip((surface.y_mm, surface.x_mm), size)]
        nodes = np.empty((*size, HIT_ROWS), np.float32)
        node_points(self._vertices, at[0], at[1], nodes)
        self._light = np.empty((*size, ENTRIES), np.float32)
        table = t.indirect if t.indirect is not None else np.zeros((2, 2, 4, 8), np.float32)
        node_light(table, t.pad, TYPICAL_TANGENT, t.ambient, nodes, self._light)
        self._visible = None
        if self._settings.shadows and len(t.lights) and position[..., 2].min() < -0.03:
            self._shadows()

    def _shadows(self):
        t = self._tables
        size = [math.ceil(s / SHADOW_MM) + 1 for s in t.pad[::-1]]
        y, x = (np.linspace(-s / 2, s / 2, n) for s, n in zip(t.pad[::-1], size))
        gx, gy = np.meshgrid(x, y)
        rays = np.zeros((4, gx.size), np.float32)
        rays[0], rays[1] = gx.ravel(), gy.ravel()
        hits, valid, _ = self._hit(rays, size[1])
        heights = hits[2].reshape(size)
        self._grid = np.array([x[0], y[0], x[1] - x[0], y[1] - y[0]], np.float32)
        shade = np.empty(size, np.float32)
        self._visible = np.empty((len(t.lights), *size, PANELS), np.float32)
        for light, visible in zip(t.lights, self._visible):
            shade_heights(light, heights, self._grid, shade)
            if os.environ.get("V"): print("flagged", (heights-shade>0.02).mean())
            panel_visibility(light, heights, self._grid, (0, size[0]), shade, visible)
        self._cells = np.empty((len(t.lights), *size), bool)
        for v, cc in zip(self._visible, self._cells):
            shadow_cells(v, cc)
        if os.environ.get("V"): print("shadowed cells", self._cells.mean((1,2)))

    def image(self) -> Floats:
        count = self._width * self._height
        image = np.empty((count, 3), np.float32)
        for start in range(0, count, CHUNK):
            self._render_chunk(slice(start, min(start + CHUNK, count)), image)
        return image.reshape(self._height, self._width, 3)

    def _render_chunk(self, part, image):
        t = self._tables
        rays = np.ascontiguousarray(t.rays[:, part])
        hits, valid, moved = self._hit(rays, self._width)
        n = rays.shape[1]
        if t.markers is None:
            radiance = self._irradiance(hits, hits[5:], None, None)
        else:
            kind, normal, reflectance, nearest = self._markers(rays, hits, t.markers.pattern)
            radiance = self._irradiance(hits, normal, None, None) * reflectance
            fine_rays = t.fine_rays[:, part]
            s = fine_rays.shape[2]
            pixel, weight, chosen = np.empty(n * s, np.int32), np.empty(n * s, np.float32), np.empty((4, n * s), np.float32)
            m = sample_rays(kind, RIM, rays, fine_rays, pixel, weight, chosen)
            if m:
                fine = np.ascontiguousarray(chosen[:, :m])
                h, v, _ = self._hit(fine, None, pixel[:m], moved)
                _, normal, reflectance, nearest = self._markers(fine, h, t.markers.fine_pattern)
                rgb = self._irradiance(h, normal, nearest, t.markers.fine_pattern)
                replace_radiance(pixel[:m], weight[:m], reflectance, rgb, radiance)
        pixel_values(t.factor[part], t.inverse_gamma, radiance, valid, image[part])

    def _markers(self, rays, hits, pattern):
        n = rays.shape[1]
        normal, reflectance = np.empty((3, n), np.float32), np.empty(n, np.float32)
        nearest, kind = np.empty((3, n), np.float32), np.empty(n, np.int8)
        marker_points(self._tables.markers.table, pattern, hits, rays[2:], normal, reflectance, nearest, kind)
        return kind, normal, reflectance, nearest

    def _hit(self, rays, width, near=None, moved=None):
        n = rays.shape[1]
        hits, valid = np.empty((HIT_ROWS, n), np.float32), np.empty(n, bool)
        v = self._vertices
        if near is None:
            moved = np.empty((2, n), np.float32)
            hit_grid(v.ravel(), v.shape[:2], self._tables.pad, rays, width, moved, hits, valid)
        else:
            hit_rays(v.ravel(), v.shape[:2], self._tables.pad, rays, near, moved, hits, valid)
        return hits, valid, moved

    def _irradiance(self, hits, normal, nearest, pattern):
        t = self._tables
        n = hits.shape[1]
        rgb = np.empty((3, n), np.float32)
        smooth_irradiance(self._light, t.pad, hits, normal, rgb)
        scratch, panels = np.empty((SCRATCH_ROWS, n), np.float32), np.empty((PANELS, n), np.float32)
        if t.indirect is not None:
            correct_grazed(t.indirect, t.pad, TYPICAL_TANGENT, t.graze, hits, normal, rgb)
        chosen = np.empty(n, np.int32)
        for k, (light, is_rectangle, color) in enumerate(zip(t.lights, t.is_rectangle, t.light_color, strict=True)):
            light_panels(light, is_rectangle, hits, normal, scratch, panels)
            if self._visible is not None:
                m=shadowed_points(self._cells[k], self._grid, hits, chosen)
                attenuate(self._visible[k], self._grid, hits, chosen[:m], panels)
            if nearest is not None:
                cast_fringes(pattern, light, hits, nearest, scratch, panels)
            add_light(color, panels, rgb)
        return rgb
