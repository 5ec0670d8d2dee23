"""Light that the coating scatters and the layers above the gel throw back: smooth, on a grid.

The last interface to the air above the glass reflects totally beyond the critical angle, so about
half of what the gel scatters returns. On a coarse grid over the untouched pad this module sums,
for every direction that reflection can come from, the radiance of the pad's point where it
started (radiosity by quadrature over angles), and the lights' own mirror images. What comes back
is kept as a vector (irradiance on a tilted surface is its product with the normal).

Limits: the pad is taken as flat and the dots as their average; light between parts of a deformed
surface is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from tacdiff_ros.optics.area_lights import (
    light_frame,
    point_on,
    rectangle_irradiance,
    strip_panels,
)
from tacdiff_ros.optics.camera_rays import reflectance
from tacdiff_ros.optics.parameters import Parameters, View
from tacdiff_ros.sensor.sensor_model import Light, SensorModel

GRID = (22, 18)  # nodes along x and y
AZIMUTHS = 20
BELOW_CRITICAL = 3  # quadrature points in sin^2 of the angle
BEYOND_CRITICAL = 10
LARGEST_SINE_SQUARED = 0.97
MIRROR_POINTS = 16
MIRROR_STEPS = 5
# Reflectance has an infinite slope at the critical angle; this rounds it for the gradients.
CRITICAL_ROUNDING = 1e-3


@dataclass(frozen=True)
class Indirect:
    """Vector irradiance on the grid's nodes: three flat arrays (3 nodes), one a channel."""

    channels: tuple[Any, Any, Any]
    width_mm: float
    height_mm: float

    def irradiance(self, position: Any, normal: Any) -> Any:
        """RGB irradiance on points with normals toward the camera."""
        index, shares = _bilinear(position, self.width_mm, self.height_mm)
        values = []
        for channel in self.channels:
            vector = sum(
                share * dr.gather(mi.Vector3f, channel, place)
                for share, place in zip(shares, index, strict=True)
            )
            values.append(dr.maximum(dr.dot(vector, normal), 0.0))
        return mi.Color3f(*values)


def indirect_light(parameters: Parameters, model: SensorModel) -> Indirect | None:
    """What the layers above throw back onto the untouched pad; None without bounces."""
    bounces = model.interreflection.bounces
    if bounces == 0:
        return None
    nodes = _nodes(model)
    view = parameters.view(dr.width(nodes))
    lit, mirrored = _from_lights(view, model, nodes)
    vector = [mi.Vector3f(0.0) for _ in range(3)]
    for _ in range(bounces):
        scattered = [(lit[c] - vector[c].z) * _albedo(view, model, c) / dr.pi for c in range(3)]
        returned = _returned(parameters, model, nodes, scattered)
        vector = [mirrored[c] + returned[c] for c in range(3)]
    channels = tuple(dr.ravel(part) for part in vector)
    dr.eval(channels)
    return Indirect(channels, model.gel.width_mm, model.gel.height_mm)


def _nodes(model: SensorModel) -> Any:
    """Middles of equal cells of the pad."""
    columns, rows = GRID
    index = dr.arange(mi.UInt32, columns * rows)
    x = (mi.Float(index % columns) + 0.5) / columns - 0.5
    y = (mi.Float(index // columns) + 0.5) / rows - 0.5
    nodes = mi.Point3f(x * model.gel.width_mm, y * model.gel.height_mm, 0.0)
    dr.eval(nodes)
    return nodes


def _albedo(view: View, model: SensorModel, channel: int) -> Any:
    """Reflectance of the pad, dots averaged in."""
    base = view.scalar("gel.base_color", channel)
    if model.markers is None:
        return base
    dots = model.markers.rows * model.markers.columns
    area = dots * dr.pi / 4 * dr.square(view.scalar("markers.diameter_mm"))
    share = area / (model.gel.width_mm * model.gel.height_mm)
    return base * (1.0 - model.markers.darkness * share)


def _from_lights(view: View, model: SensorModel, nodes: Any) -> tuple[list[Any], list[Any]]:
    """Direct irradiance and the mirror images' vector irradiance at the nodes, by channel."""
    up = mi.Vector3f(0.0, 0.0, -1.0)
    lit = [dr.pi * view.scalar("gel.ambient", c) for c in range(3)]
    mirrored = [mi.Vector3f(0.0) for _ in range(3)]
    for k, light in enumerate(model.lights):
        frame = light_frame(view, k)
        if light.kind == "rectangle":
            direct = rectangle_irradiance(frame, nodes, up)
        else:
            direct = strip_panels(frame, nodes, up).total
        image = _mirror_image(view, light, k, nodes)
        for c in range(3):
            radiance = view.scalar("lights.radiance", 3 * k + c)
            lit[c] = lit[c] + radiance * direct
            mirrored[c] += radiance * image
    return lit, mirrored


def _mirror_image(view: View, light: Light, k: int, nodes: Any) -> Any:
    """Vector irradiance of a light seen by reflection at the top of the layers, unit radiance.

    The way from the node to a point of the light goes up through all layers and down again. Its
    angle in the gel solves r = sum t_i tan(theta_i) (Newton); the solid angle follows from
    dr/dtheta.
    """
    frame = light_frame(view, k)
    nodes_1d, weights = np.polynomial.legendre.leggauss(MIRROR_POINTS)
    area = 4.0 * frame.half_length * frame.half_width
    total = mi.Vector3f(0.0)
    for place, weight in zip(nodes_1d, weights, strict=True):
        source = point_on(frame, float(place), 0.0)
        offset = mi.Vector2f(source.x - nodes.x, source.y - nodes.y)
        radius = dr.sqrt(dr.maximum(dr.squared_norm(offset), 1e-6))
        sine = _sine_of_reflected(view, radius, source.z)
        thrown, _, slope = _reflection(view, sine, source.z)
        cosine = dr.safe_sqrt(1.0 - dr.square(sine))
        heading = offset / radius
        arriving = mi.Vector3f(heading.x * sine, heading.y * sine, -cosine)
        # The ray arrives at the light going down: its direction, seen from the light, goes up.
        leaving = mi.Vector3f(-heading.x * sine, -heading.y * sine, -cosine)
        emitted = dr.maximum(dr.dot(frame.aim, leaving), 0.0)
        lobe = dr.exp2((frame.exponent - 1.0) * dr.log2(dr.maximum(emitted, 1e-6)))
        # Solid angle of a level area dA = r dr dphi; the light's own area faces it by `emitted`.
        per_level_area = sine / dr.maximum(radius * slope, 1e-6)
        projected = emitted / dr.maximum(cosine, 1e-3)
        share = float(weight) / 2 * area * projected * per_level_area
        total += arriving * (share * lobe * thrown)
    return total


def _sine_of_reflected(view: View, radius: Any, z: Any) -> Any:
    """Sine of the angle in the gel under which a reflected ray covers a level distance."""
    tangent = radius / dr.maximum(_straight_height(view, z), 1e-3)
    sine = tangent * dr.rsqrt(1.0 + dr.square(tangent))
    for _ in range(MIRROR_STEPS):
        _, reach, slope = _reflection(view, sine, z)
        cosine = dr.safe_sqrt(1.0 - dr.square(sine))
        step = (reach - radius) / dr.maximum(slope, 1e-3) * cosine
        sine = dr.clip(sine - step, 1e-4, 0.999)
    return sine


def _straight_height(view: View, z: Any) -> Any:
    layers = view.count("layers.thickness_mm")
    return 2.0 * sum(view.scalar("layers.thickness_mm", k) for k in range(layers)) + z


def _reflection(view: View, sine: Any, z: Any) -> tuple[Any, Any, Any]:
    """A ray up to the top of the layers and back to height z.

    Returns:
        Share of light that comes back; level distance; its derivative by the angle in the gel.
    """
    count = view.count("layers.index")
    index = [view.scalar("layers.index", k) for k in range(count)]
    cosine = dr.safe_sqrt(1.0 - dr.square(sine))
    reach = slope = mi.Float(0.0)
    passed = mi.Float(1.0)
    inner_index, inner_cosine = index[-1], cosine
    for k in range(count - 1, 0, -1):
        here = sine * index[-1] / index[k]
        inside = dr.safe_sqrt(1.0 - dr.square(here))
        path = 2.0 * view.scalar("layers.thickness_mm", k - 1)
        if k == count - 1:
            path = path + z
        else:
            loss = reflectance(inner_index, inner_cosine, index[k], inside)
            passed = passed * dr.square(1.0 - loss)
        bounded = dr.maximum(inside, 1e-3)
        reach = reach + path * here / bounded
        slope = slope + path * (index[-1] / index[k]) * cosine / (bounded * dr.square(bounded))
        inner_index, inner_cosine = index[k], inside
    beyond = dr.maximum(1.0 - dr.square(sine * index[-1] / index[0]), 0.0)
    above = dr.sqrt(beyond + CRITICAL_ROUNDING) - CRITICAL_ROUNDING**0.5
    return passed * reflectance(inner_index, inner_cosine, index[0], above), reach, slope


def _returned(
    parameters: Parameters, model: SensorModel, nodes: Any, scattered: list[Any]
) -> list[Any]:
    """Vector irradiance that comes back of scattered radiance, by channel."""
    dr.eval(scattered)
    count = dr.width(nodes)
    directions = AZIMUTHS * (BELOW_CRITICAL + BEYOND_CRITICAL)
    lane = dr.arange(mi.UInt32, count * directions)
    view = parameters.view(count * directions)
    sine_squared, weight = _angle(view, (lane % directions) // AZIMUTHS)
    sine = dr.sqrt(sine_squared)
    azimuth = (mi.Float(lane % AZIMUTHS) + 0.5) * (2.0 * dr.pi / AZIMUTHS)
    sin_a, cos_a = dr.sincos(azimuth)
    thrown, reach, _ = _reflection(view, sine, mi.Float(0.0))
    place = dr.gather(mi.Point3f, nodes, lane // directions)
    start = mi.Point3f(place.x + reach * cos_a, place.y + reach * sin_a, 0.0)
    cosine = dr.safe_sqrt(1.0 - sine_squared)
    arriving = mi.Vector3f(sine * cos_a, sine * sin_a, -cosine)
    # d omega = sin(theta) d theta d phi = d(sin^2) / (2 cos) d phi
    measure = thrown * weight * (2.0 * dr.pi / AZIMUTHS) / (2.0 * dr.maximum(cosine, 1e-3))
    index, shares = _bilinear(start, model.gel.width_mm, model.gel.height_mm)
    on_pad = _inside(start.x, model.gel.width_mm, GRID[0])
    on_pad *= _inside(start.y, model.gel.height_mm, GRID[1])
    results = []
    for channel in scattered:
        radiance = sum(
            share * dr.gather(mi.Float, channel, place)
            for share, place in zip(shares, index, strict=True)
        )
        part = arriving * (radiance * measure * on_pad)
        dr.eval(part)
        results.append(mi.Vector3f(*(dr.block_sum(axis, directions) for axis in part)))
    return results


def _angle(view: View, ring: Any) -> tuple[Any, Any]:
    """Gauss-Legendre points and weights in sin^2 of the angle, split at the critical angle."""
    last = view.count("layers.index") - 1
    critical = dr.square(view.scalar("layers.index", 0) / view.scalar("layers.index", last))
    critical = dr.minimum(critical, 0.9 * LARGEST_SINE_SQUARED)
    low, low_weight = np.polynomial.legendre.leggauss(BELOW_CRITICAL)
    high, high_weight = np.polynomial.legendre.leggauss(BEYOND_CRITICAL)
    nodes = mi.Float(np.concatenate([low, high]).astype(np.float32))
    weights = mi.Float(np.concatenate([low_weight, high_weight]).astype(np.float32))
    beyond = ring >= BELOW_CRITICAL
    start = dr.select(beyond, critical, 0.0)
    end = dr.select(beyond, LARGEST_SINE_SQUARED, critical)
    node, weight = dr.gather(mi.Float, nodes, ring), dr.gather(mi.Float, weights, ring)
    return start + (end - start) * 0.5 * (node + 1.0), 0.5 * (end - start) * weight


def _inside(place: Any, size_mm: float, cells: int) -> Any:
    """1 on the pad and 0 beside it, over the width of a cell, so that gradients see the border."""
    return dr.clip(0.5 + (0.5 * size_mm - dr.abs(place)) * (cells / size_mm), 0.0, 1.0)


def _bilinear(position: Any, width_mm: float, height_mm: float) -> tuple[list[Any], list[Any]]:
    """Indices and shares of the four nodes around points."""
    columns, rows = GRID
    x = dr.clip((position.x / width_mm + 0.5) * columns - 0.5, 0.0, columns - 1.001)
    y = dr.clip((position.y / height_mm + 0.5) * rows - 0.5, 0.0, rows - 1.001)
    column, row = mi.UInt32(dr.floor(dr.detach(x))), mi.UInt32(dr.floor(dr.detach(y)))
    right, down = x - mi.Float(column), y - mi.Float(row)
    first = row * columns + column
    index = [first, first + 1, first + columns, first + columns + 1]
    shares = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    return index, shares
