"""Rendering of a chunk of pixels: whole rows of the image whose data fit the cache of a core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.local_interreflection import interpolate_nodes
from tacdiff_ros.optics.fast.marker_points import (
    PLAIN,
    RIM,
    marker_points,
    near_irradiance,
    near_markers,
)
from tacdiff_ros.optics.fast.pixel_light import pixel_light
from tacdiff_ros.optics.fast.radiance import pixel_values, replace_radiance, sample_rays
from tacdiff_ros.optics.fast.sensor_tables import MarkerTables, SensorTables
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, NORMAL_X, hit_grid, hit_rays
from tacdiff_ros.optics.fast.surface_tables import SurfaceTables

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
NO_PIXELS: Ints = np.empty(0, np.int32)
UNSHADED: Floats = np.empty((0, 0, 0), np.float32)


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


@dataclass(frozen=True)
class _NearMarkers:
    """Samples of the M pixels of a chunk that show a marker's rim or a fringe.

    Attributes:
        pixel: (M,) int32 numbers of the pixels.
        column: (R,) int32 index among them of each sample.
        weight: (R,) float32 weight of each sample.
        hits: (8, R) float32 points.
        points: markers at the points.
    """

    pixel: Ints
    column: Ints
    weight: Floats
    hits: Floats
    points: _MarkerPoints


@dataclass(frozen=True)
class PixelIrradiance:
    """Irradiance of the points that the centres of N pixels show.

    Attributes:
        centres: these points.
        rgb: (3, N) float32 irradiance, without local inter-reflection.
        near: samples near markers; None for a gel without markers.
        reflectance: (N,) float32 reflectance of the print; empty for a gel without markers.
        near_light: (K, M) float32 light of the M pixels near markers, with cast shadows.
    """

    centres: PixelHits
    rgb: Floats
    near: _NearMarkers | None
    reflectance: Floats
    near_light: Floats


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


def pixel_irradiance(
    sensor: SensorTables,
    surface: SurfaceTables,
    centres: PixelHits,
    other: PixelIrradiance | None,
    width_px: int,
    has_shadows: bool,
) -> PixelIrradiance:
    """Return the irradiance of the points that the centres of pixels show.

    Args:
        sensor: prepared sensor.
        surface: prepared surface.
        centres: result of `pixel_hits`.
        other: result for the same pixels with or without shadows, whose samples near markers are
            used again; None if there is none.
        width_px: columns of the image.
        has_shadows: whether the surface casts shadows.
    """
    count = centres.hits.shape[1]
    shape = (-1, count // width_px, width_px)
    hits = centres.hits.reshape(shape)
    near, reflectance = None, np.ones(0, np.float32)
    if other is not None:
        near, reflectance = other.near, other.reflectance
    elif sensor.markers is not None:
        near, reflectance = _near_markers(sensor, sensor.markers, surface, centres)
    pixel = NO_PIXELS if near is None else near.pixel
    rgb = np.empty((3, count), np.float32)
    light = np.empty((sensor.light.coefficients.shape[2], len(pixel)), np.float32)
    pixel_light(
        sensor.light.coefficients,
        sensor.light.node_px,
        surface.shadows if has_shadows and surface.shadows is not None else UNSHADED,
        sensor.shadow_px,
        centres.pixels.start // width_px,
        sensor.light_color,
        sensor.ambient,
        hits,
        hits[NORMAL_X:],
        pixel,
        light,
        rgb.reshape(shape),
    )
    return PixelIrradiance(centres, rgb, near, reflectance, light)


def render_pixels(
    sensor: SensorTables,
    pixels: PixelIrradiance,
    width_px: int,
    image: Floats,
    local: Floats | None = None,
) -> None:
    """Write the values of pixels, 1 for white.

    Args:
        sensor: prepared sensor.
        pixels: result of `pixel_irradiance`; its irradiance is changed.
        width_px: columns of the image.
        image: (pixels of the image, 3) float32 image; changed.
        local: (R, C, 3) float32 irradiance by local inter-reflection at the nodes of cast shadows;
            None without it.
    """
    centres, radiance = pixels.centres, pixels.rgb
    extra = None
    if local is not None:
        extra = np.empty_like(radiance)
        shape = (3, -1, width_px)
        interpolate_nodes(
            local, sensor.shadow_px, centres.pixels.start // width_px, extra.reshape(shape)
        )
        radiance += extra
    if pixels.near is not None and sensor.markers is not None:
        radiance *= pixels.reflectance
        _replace_near(sensor, sensor.markers, pixels, extra, radiance)
    factor, part = sensor.factor[:, centres.pixels], image[centres.pixels]
    pixel_values(factor, sensor.inverse_gamma, radiance, centres.valid, part)


def _near_markers(
    sensor: SensorTables, markers: MarkerTables, surface: SurfaceTables, centres: PixelHits
) -> tuple[_NearMarkers, Floats]:
    """Return the samples near markers, and the (N,) reflectance of the print at all pixels."""
    count = centres.hits.shape[1]
    pixel, reflectance = np.empty(count + 1, np.int32), np.ones(count, np.float32)
    is_near = np.empty(count, bool)
    shape = markers.table.shape
    pixel = pixel[: near_markers(shape[:2], markers.pattern, centres.hits, pixel, is_near)]
    points = _marker_points(markers, markers.pattern, pixel, centres.hits, centres.rays)
    reflectance[pixel] = points.reflectance
    chosen = points.kind != PLAIN
    pixel, kind = pixel[chosen], points.kind[chosen]
    fine_rays = sensor.fine_rays[:, centres.pixels]
    capacity = len(pixel) * fine_rays.shape[2]
    column, weight = np.empty(capacity, np.int32), np.empty(capacity, np.float32)
    rays = np.empty((4, capacity), np.float32)
    samples = sample_rays(kind, RIM, pixel, centres.rays, fine_rays, column, weight, rays)
    rays, column = np.ascontiguousarray(rays[:, :samples]), column[:samples]
    weight = weight[:samples]
    hits, valid = np.empty((HIT_ROWS, samples), np.float32), np.empty(samples, bool)
    hit_rays(
        surface.vertices,
        surface.shape,
        sensor.pad,
        rays,
        pixel[column],
        centres.moved,
        hits,
        valid,
    )
    weight *= valid
    every = np.arange(samples, dtype=np.int32)
    points = _marker_points(markers, markers.fine_pattern, every, hits, rays)
    return _NearMarkers(pixel, column, weight, hits, points), reflectance


def _replace_near(
    sensor: SensorTables,
    markers: MarkerTables,
    pixels: PixelIrradiance,
    extra: Floats | None,
    radiance: Floats,
) -> None:
    """Replace the radiance of pixels near markers by the mean of their samples."""
    near = pixels.near
    assert near is not None  # noqa: S101
    rgb, points = np.empty((3, len(near.column)), np.float32), near.points
    near_irradiance(
        markers.fine_pattern,
        pixels.near_light,
        near.column,
        sensor.light_color,
        sensor.ambient,
        near.hits,
        points.normal,
        points.nearest,
        rgb,
    )
    if extra is not None:
        rgb += extra[:, near.pixel[near.column]]
    replace_radiance(near.pixel, near.column, near.weight, points.reflectance, rgb, radiance)


def _marker_points(
    markers: MarkerTables, pattern: Floats, chosen: Ints, hits: Floats, rays: Floats
) -> _MarkerPoints:
    count = len(chosen)
    points = _MarkerPoints(
        normal=np.empty((3, count), np.float32),
        reflectance=np.empty(count, np.float32),
        nearest=np.empty((3, count), np.float32),
        kind=np.empty(count, np.int8),
    )
    marker_points(
        markers.table,
        pattern,
        chosen,
        hits,
        rays[2:],
        points.normal,
        points.reflectance,
        points.nearest,
        points.kind,
    )
    return points
