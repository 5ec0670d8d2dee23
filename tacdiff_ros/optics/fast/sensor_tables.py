"""Everything that an image of one sensor needs and that does not depend on the gel's surface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.optics.fast.indirect_cache import SHAPE, indirect_table
from tacdiff_ros.optics.fast.light_tables import (
    NODE_MM,
    LightTables,
    light_coefficients,
)
from tacdiff_ros.optics.projection import intersect_planes, pixel_rays
from tacdiff_ros.sensor.parameters import Values, parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float32]

# Samples of a pixel that shows a marker's rim, in units of the pixel.
RIM_SAMPLES = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
# A rim with a cubic smoothstep as its profile blurs as much as a box of its width / sqrt(5/3).
BOX_TO_SMOOTHSTEP = 5.0 / 3.0
MIN_FRINGE_TANGENT = 0.15  # smallest tangent of a light's elevation for which fringes are complete
SHADOW_MM = 0.27  # largest spacing of the nodes of cast shadows on the undeformed surface
FAR_MM = 1e6  # position of a ray that misses every gel
NO_LIGHT: Floats = np.zeros((2, 2, *SHAPE[2:]), np.float32)


@dataclass(frozen=True)
class MarkerTables:
    """Printed markers, in the format of `marker_points`.

    Attributes:
        table: (rows, columns, 8) float32 centre, radius, darkness and shape of each marker.
        pattern: (10,) float32 parameters of the pattern, for one sample per pixel.
        fine_pattern: (10,) float32 parameters for the samples of a pixel at a rim.
    """

    table: Floats
    pattern: Floats
    fine_pattern: Floats


@dataclass(frozen=True)
class SensorTables:
    """Prepared sensor, for images of one size with N pixels in row-major order.

    Attributes:
        rays: (4, N) float32 camera rays in the gel: x and y at z = 0, mm, and dx/dz, dy/dz.
        fine_rays: (4, N, S) float32 rays of the samples of a pixel at a rim.
        factor: (3, N) float32 pixel value of unit irradiance for a linear camera.
        inverse_gamma: (3,) float32 reciprocal of each channel's gamma.
        lights: (L, 15) float32 parameters of the lights.
        light_color: (L, 3) float32 radiance of the lights.
        ambient: (3,) float32 irradiance by ambient light.
        base_color: (3,) float32 reflectance of the gel.
        reflects: whether the layers reflect light.
        light: polynomials of the light.
        shadow_px: distance in pixels of the nodes of cast shadows.
        shadow_rays: (4, R, C) float32 rays through these nodes.
        markers: tables of the markers; None for a gel without markers.
        pad: (2,) float32 width and height of the pad, mm.
        camera_axis: (3,) unit vector of the optical axis in the frame `gel`.
        camera_position: (3,) optical centre, mm.
    """

    rays: Floats
    fine_rays: Floats
    factor: Floats
    inverse_gamma: Floats
    lights: Floats
    light_color: Floats
    ambient: Floats
    base_color: Floats
    reflects: bool
    light: LightTables
    shadow_px: int
    shadow_rays: Floats
    markers: MarkerTables | None
    pad: Floats
    camera_axis: Floats
    camera_position: Floats


def sensor_tables(model: SensorModel, width_px: int, height_px: int) -> SensorTables:
    """Prepare a sensor for images of one size.

    Args:
        model: sensor model.
        width_px: columns of the images.
        height_px: rows of the images.
    """
    values = parameter_values(model)
    centres = _sample_pixels(model, width_px, height_px, ((0.5, 0.5),))
    direction = pixel_rays(values, centres[:, 0])
    fine = _sample_pixels(model, width_px, height_px, RIM_SAMPLES)
    lights = _lights(values)
    pad = np.array([model.gel.width_mm, model.gel.height_mm], np.float32)
    mm_per_px = _footprint_mm(values) * model.image.width_px / width_px
    node_px, shadow_px = (max(1, int(d / mm_per_px)) for d in (NODE_MM, SHADOW_MM))
    node_rays = _node_rays(values, model, width_px, height_px, (1, node_px))[..., :width_px]
    return SensorTables(
        rays=_rays(values, direction),
        fine_rays=_rays(values, pixel_rays(values, fine)),
        factor=_factor(values, model, direction, width_px, height_px),
        inverse_gamma=(1.0 / values["response.gamma"]).astype(np.float32),
        lights=lights,
        light_color=np.reshape(values.get("lights.radiance", ()), (-1, 3)).astype(np.float32),
        ambient=(math.pi * values["gel.ambient"]).astype(np.float32),
        base_color=values["gel.base_color"].astype(np.float32),
        reflects=model.interreflection.bounces > 0,
        light=_light(model, lights, pad, node_rays, node_px),
        shadow_px=shadow_px,
        shadow_rays=_node_rays(values, model, width_px, height_px, (shadow_px, shadow_px)),
        markers=_markers(values, model, width_px),
        pad=pad,
        camera_axis=_rotation(values).apply([0.0, 0.0, 1.0]).astype(np.float32),
        camera_position=values["camera.position_mm"].astype(np.float32),
    )


def _sample_pixels(
    model: SensorModel, width_px: int, height_px: int, samples: tuple[tuple[float, float], ...]
) -> NDArray[np.float64]:
    """Return (N, S, 2) positions of the samples of all pixels, in the sensor's own pixels."""
    y, x = np.divmod(np.arange(width_px * height_px), width_px)
    position = np.stack([x, y], axis=-1)[:, None] + np.array(samples)
    size = np.array([model.image.width_px, model.image.height_px])
    return np.asarray(position * (size / (width_px, height_px)) - 0.5)


def _node_rays(
    values: Values, model: SensorModel, width_px: int, height_px: int, distance_px: tuple[int, int]
) -> Floats:
    """Return the (4, R, C) rays through pixels at distances in x and y, one node beyond the image.

    The first node is the first pixel.
    """
    x, y = (
        distance * np.arange((size - 1) // distance + 2.0)
        for size, distance in zip((width_px, height_px), distance_px, strict=True)
    )
    size = np.array([model.image.width_px, model.image.height_px])
    position = np.stack(np.meshgrid(x, y), axis=-1) + 0.5
    return _rays(values, pixel_rays(values, position * (size / (width_px, height_px)) - 0.5))


def _light(
    model: SensorModel, lights: Floats, pad: Floats, rays: Floats, node_px: int
) -> LightTables:
    """Return the polynomials of the light at nodes with rays (4, R, C)."""
    kinds = tuple(light.kind == "rectangle" for light in model.lights)
    indirect = indirect_table(model) if model.interreflection.bounces else NO_LIGHT
    values = light_coefficients(lights, kinds, indirect, pad, np.ascontiguousarray(rays))
    return LightTables(node_px=node_px, coefficients=values)


def _rotation(values: Values) -> Rotation:
    return Rotation.from_rotvec(values["camera.rotation_rad"])


def _rays(values: Values, direction: NDArray[np.float64]) -> Floats:
    """Return (4, ...) rays in the gel of (..., 3) directions in air, far off if there are none."""
    surface, above = (intersect_planes(values, direction, z) for z in (0.0, -1.0))
    parts = [surface[..., 0], surface[..., 1], *np.moveaxis(surface - above, -1, 0)[:2]]
    rays = np.ascontiguousarray(np.stack(parts), np.float32)
    return np.nan_to_num(rays, copy=False, nan=FAR_MM)


def _factor(
    values: Values, model: SensorModel, direction: NDArray[Any], width_px: int, height_px: int
) -> Floats:
    """Return the (3, N) value of pixels for unit irradiance, before the gamma curve."""
    x, y = ((np.arange(size) + 0.5) / size for size in (width_px, height_px))
    aspect = width_px / height_px
    squared = ((x - 0.5) * aspect)[None, :] ** 2 + (y - 0.5)[:, None] ** 2
    squared /= 0.25 * (aspect**2 + 1.0)
    first, second = values["response.vignetting"]
    vignetting = 1.0 + squared * (first + second * squared)
    color = values["gel.base_color"] * values["response.gain"] / math.pi
    factor = _transmission(values, direction)[:, None] * vignetting.reshape(-1, 1) * color
    if model.flat_field is not None:
        rows, columns = (
            _cubic_weights(p, n) for p, n in zip((y, x), _field_size(values), strict=True)
        )
        field = np.einsum("yr,rck,xc->yxk", rows, values["flat_field.values"], columns)
        factor *= field.reshape(-1, 3)
    return np.ascontiguousarray(factor.T, np.float32)


def _field_size(values: Values) -> tuple[int, int]:
    rows, columns = values["flat_field.values"].shape[:2]
    return rows, columns


def _cubic_weights(position: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return (N, count) Catmull-Rom weights of nodes from 0 to 1, clamped at the borders."""
    node = position * (count - 1)
    cell = np.clip(np.floor(node), 0, count - 2).astype(int)
    t = node - cell
    parts = [
        0.5 * (-(t**3) + 2 * t**2 - t),
        0.5 * (3 * t**3 - 5 * t**2 + 2),
        0.5 * (-3 * t**3 + 4 * t**2 + t),
        0.5 * (t**3 - t**2),
    ]
    weights = np.zeros((len(position), count))
    for k, part in enumerate(parts):
        np.add.at(weights, (np.arange(len(t)), np.clip(cell - 1 + k, 0, count - 1)), part)
    return weights


def _transmission(values: Values, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N,) ratio of the radiance at the camera to the radiance in the gel."""
    index = values["layers.index"]
    sine = index[0] * np.hypot(direction[:, 0], direction[:, 1])
    weight = np.full(len(direction), (index[0] / index[-1]) ** 2)
    cosines = [np.sqrt(np.maximum(1.0 - (sine / n) ** 2, 0.0)) for n in index]
    for k in range(1, len(index)):
        above, below, cos_above, cos_below = index[k - 1], index[k], cosines[k - 1], cosines[k]
        perpendicular = (above * cos_above - below * cos_below) / (
            above * cos_above + below * cos_below
        )
        parallel = (above * cos_below - below * cos_above) / (above * cos_below + below * cos_above)
        weight *= 1.0 - 0.5 * (perpendicular**2 + parallel**2)
    return weight


def _lights(values: Values) -> Floats:
    """Return the (L, 15) parameters of the lights, as `light_panels` reads them."""
    rows = []
    for k in range(len(values.get("lights.radiance", ()))):
        azimuth, tilt, roll = (values[f"lights.{n}_rad"][k] for n in ("azimuth", "tilt", "roll"))
        aim = np.array(
            [math.cos(tilt) * math.cos(azimuth), math.cos(tilt) * math.sin(azimuth), math.sin(tilt)]
        )
        horizontal = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
        vertical = np.cross(aim, horizontal)
        along = math.cos(roll) * horizontal + math.sin(roll) * vertical
        across = math.cos(roll) * vertical - math.sin(roll) * horizontal
        sizes = [values[f"lights.{n}"][k] for n in ("half_length_mm", "half_width_mm", "exponent")]
        rows.append([*values["lights.centre_mm"][k], *along, *across, *aim, *sizes])
    return np.reshape(rows, (-1, 15)).astype(np.float32)


def _markers(values: Values, model: SensorModel, width_px: int) -> MarkerTables | None:
    """Return the tables of the markers."""
    markers = model.markers
    if markers is None:
        return None
    rows, columns = markers.rows, markers.columns
    pitch = values["markers.pitch_mm"]
    first = values["markers.centre_mm"] - 0.5 * pitch * [columns - 1, rows - 1]
    grid_y, grid_x = np.mgrid[0:rows, 0:columns]
    centre = first + pitch * np.stack([grid_x, grid_y], axis=-1)
    centre += values["markers.offset_mm"].reshape(rows, columns, 2)
    radius = 0.5 * float(values["markers.diameter_mm"]) * values["markers.scale"]
    parts = [
        centre,
        radius.reshape(rows, columns, 1),
        values["markers.darkness"].reshape(rows, columns, 1),
        values["markers.shape"].reshape(rows, columns, 4),
    ]
    shape = np.abs(values["markers.shape"]).sum(axis=1)
    max_radius = radius * (1.0 + shape) + np.linalg.norm(values["markers.offset_mm"], axis=1)
    height, softness = float(values["markers.height_mm"]), float(values["markers.softness_mm"])
    footprint = _footprint_mm(values) * model.image.width_px / width_px
    patterns = []
    for samples in (1, len(RIM_SAMPLES)):
        edge = float(values["markers.edge_mm"])
        width = math.sqrt(edge**2 + BOX_TO_SMOOTHSTEP * footprint**2 / samples)
        rim = 0.5 * max(edge, softness) + math.sqrt(0.5) * footprint
        reach = max(rim, 0.5 * softness + height / MIN_FRINGE_TANGENT)
        far = float(np.max(max_radius)) + reach + height
        patterns.append([*pitch, *first, height, softness, width, rim, reach, far])
    return MarkerTables(
        table=np.concatenate(parts, axis=-1).astype(np.float32),
        pattern=np.array(patterns[0], np.float32),
        fine_pattern=np.array(patterns[1], np.float32),
    )


def _footprint_mm(values: Values) -> float:
    """Return the size of a pixel of the sensor's own image on the undeformed surface, mm."""
    thickness, index = values["layers.thickness_mm"], values["layers.index"][1:]
    apparent_depth = -values["camera.position_mm"][2] - np.sum(thickness - thickness / index)
    return float(apparent_depth / values["camera.focal_px"])
