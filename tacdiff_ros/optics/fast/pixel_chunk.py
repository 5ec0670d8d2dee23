"""Rendering of a chunk of pixels: whole rows of the image whose data fit the cache of a core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.cast_shadows import attenuate, shadowed_points
from tacdiff_ros.optics.fast.light_panels import PANELS, SCRATCH_ROWS, light_panels
from tacdiff_ros.optics.fast.marker_points import RIM, cast_fringes, marker_points
from tacdiff_ros.optics.fast.radiance import add_light, pixel_values, replace_radiance, sample_rays
from tacdiff_ros.optics.fast.sensor_tables import MarkerTables, SensorTables
from tacdiff_ros.optics.fast.smooth_light import correct_grazed, smooth_irradiance
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, NORMAL_X, hit_grid, hit_rays
from tacdiff_ros.optics.fast.surface_tables import TYPICAL_TANGENT, SurfaceTables

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PixelHits:
    """What the centres of N pixels show.

    Attributes:
        pixels: indices of the pixels.
        rays: (4, N) float32 rays through their centres.
        hits: (8, N) float32 position, rest position and normal; see `surface_hits`.
        valid: (N,) bool, whether a pixel shows the gel.
        moved: (2, N) float32 result of `hit_grid`.
    """

    pixels: slice
    rays: Floats
    hits: Floats
    valid: NDArray[np.bool_]
    moved: Floats


@dataclass(frozen=True)
class _MarkerPoints:
    """Result of `marker_points`."""

    normal: Floats
    reflectance: Floats
    nearest: Floats
    kind: NDArray[np.int8]


def pixel_hits(
    sensor: SensorTables, surface: SurfaceTables, pixels: slice, width_px: int
) -> PixelHits:
    """Intersect the rays through the centres of pixels with a surface.

    Args:
        sensor: prepared sensor.
        surface: prepared surface.
        pixels: indices of the pixels, whole rows.
        width_px: columns of the image.
    """
    rays = np.ascontiguousarray(sensor.rays[:, pixels])
    count = rays.shape[1]
    hits, moved = np.empty((HIT_ROWS, count), np.float32), np.empty((2, count), np.float32)
    valid = np.empty(count, bool)
    hit_grid(surface.vertices, surface.shape, sensor.pad, rays, width_px, moved, hits, valid)
    return PixelHits(pixels=pixels, rays=rays, hits=hits, valid=valid, moved=moved)


def render_pixels(
    sensor: SensorTables,
    surface: SurfaceTables,
    centres: PixelHits,
    images: dict[bool, Floats],
) -> None:
    """Write the values of pixels, 1 for white.

    Args:
        sensor: prepared sensor.
        surface: prepared surface.
        centres: result of `pixel_hits`.
        images: (pixels of the image, 3) float32 images with cast shadows (key True), without them
            (False), or both; changed.
    """
    hits, markers, kinds = centres.hits, sensor.markers, tuple(images)
    if markers is None:
        radiances = _irradiances(sensor, surface, kinds, hits, hits[NORMAL_X:])
    else:
        points = _marker_points(markers, markers.pattern, hits, centres.rays)
        radiances = _irradiances(sensor, surface, kinds, hits, points.normal)
        for radiance in radiances:
            radiance *= points.reflectance
        _render_near_markers(sensor, markers, surface, kinds, centres, points.kind, radiances)
    factor = sensor.factor[:, centres.pixels]
    for image, radiance in zip(images.values(), radiances, strict=True):
        part = image[centres.pixels]
        pixel_values(factor, sensor.inverse_gamma, radiance, centres.valid, part)


def _render_near_markers(
    sensor: SensorTables,
    markers: MarkerTables,
    surface: SurfaceTables,
    with_shadows: tuple[bool, ...],
    centres: PixelHits,
    kind: NDArray[np.int8],
    radiances: list[Floats],
) -> None:
    """Render pixels near markers with fringes, and in finer samples at rims."""
    fine_rays = sensor.fine_rays[:, centres.pixels]
    capacity = fine_rays.shape[1] * fine_rays.shape[2]
    near, weight = np.empty(capacity, np.int32), np.empty(capacity, np.float32)
    rays = np.empty((4, capacity), np.float32)
    count = sample_rays(kind, RIM, centres.rays, fine_rays, near, weight, rays)
    if count == 0:
        return
    rays, near, weight = rays[:, :count], near[:count], weight[:count]
    hits, valid = np.empty((HIT_ROWS, count), np.float32), np.empty(count, bool)
    shape = surface.shape
    hit_rays(surface.vertices, shape, sensor.pad, rays, near, centres.moved, hits, valid)
    points = _marker_points(markers, markers.fine_pattern, hits, rays)
    parts = _irradiances(sensor, surface, with_shadows, hits, points.normal, points.nearest)
    weight *= valid
    for rgb, radiance in zip(parts, radiances, strict=True):
        replace_radiance(near, weight, points.reflectance, rgb, radiance)


def _marker_points(
    markers: MarkerTables, pattern: Floats, hits: Floats, rays: Floats
) -> _MarkerPoints:
    count = hits.shape[1]
    points = _MarkerPoints(
        normal=np.empty((3, count), np.float32),
        reflectance=np.empty(count, np.float32),
        nearest=np.empty((3, count), np.float32),
        kind=np.empty(count, np.int8),
    )
    marker_points(
        markers.table,
        pattern,
        hits,
        rays[2:],
        points.normal,
        points.reflectance,
        points.nearest,
        points.kind,
    )
    return points


def _irradiances(
    sensor: SensorTables,
    surface: SurfaceTables,
    with_shadows: tuple[bool, ...],
    hits: Floats,
    normal: Floats,
    nearest_marker: Floats | None = None,
) -> list[Floats]:
    """Return the (3, N) irradiance of points, with or without cast shadows.

    Args:
        sensor: prepared sensor.
        surface: prepared surface.
        with_shadows: kinds of the results, true for those with cast shadows.
        hits: (8, N) points.
        normal: (3, N) unit normals.
        nearest_marker: (3, N) markers that cast fringes, see `marker_points`; None for none.
    """
    count, shadows = hits.shape[1], surface.shadows if True in with_shadows else None
    rgb, panels = np.empty((3, count), np.float32), np.empty((PANELS, count), np.float32)
    smooth_irradiance(surface.light, sensor.pad, hits, normal, rgb)
    correct_grazed(sensor.indirect, sensor.pad, TYPICAL_TANGENT, hits, normal, rgb)
    results = {kind: rgb.copy() for kind in with_shadows[1:]} | {with_shadows[0]: rgb}
    scratch, shadowed = np.empty((SCRATCH_ROWS, count), np.float32), np.empty(count, np.int32)
    if shadows is not None:
        shadowed = shadowed[: shadowed_points(shadows.cells, shadows.grid, hits, shadowed)]
    for k, light in enumerate(sensor.lights):
        color = sensor.light_color[k]
        light_panels(light, sensor.is_rectangle[k], hits, normal, scratch, panels)
        if nearest_marker is not None and sensor.markers is not None:
            pattern = sensor.markers.fine_pattern
            cast_fringes(pattern, light, hits, nearest_marker, scratch, panels)
        if False in results:
            add_light(color, panels, results[False])
        if shadows is not None:
            visible, bit = shadows.visible[k], np.int32(1 << k)
            attenuate(visible, shadows.cells, bit, shadows.grid, hits, shadowed, panels)
        if True in results:
            add_light(color, panels, results[True])
    return [results[kind] for kind in with_shadows]
