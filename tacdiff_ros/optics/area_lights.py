"""Irradiance of rectangles in closed form, and of strips with a lobe by a fixed quadrature.

A rectangle of constant radiance: Lambert's polygon formula (1760; e.g. Arvo, "Analytic methods for
simulated light transport", 1995, section 3), clipped at the receiver's horizon. A strip whose
radiance falls as cos^(m - 1) from its aim: Gauss-Legendre points along its length, each a small
Lambertian source; across its width it is taken as a line.

Limits: a strip's width must be small against its distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from tacdiff_ros.optics.parameters import View

PANELS = 4
POINTS_PER_PANEL = 4
TINY = 1e-12


@dataclass(frozen=True)
class LightFrame:
    """A light's placement: centre and unit axes along its length, across, and of its aim."""

    centre: Any
    along: Any
    across: Any
    aim: Any
    half_length: Any
    half_width: Any
    exponent: Any


@dataclass(frozen=True)
class Panels:
    """A light in equal pieces along its length.

    Attributes:
        irradiance: of each piece at the receivers, for unit radiance; for a rectangle an estimate
            that only weighs the pieces.
        direction: unit vectors from the receivers to the pieces' middles.
        total: irradiance of the whole light, for unit radiance.
    """

    irradiance: list[Any]
    direction: list[Any]
    total: Any


def light_frame(view: View, light: int) -> LightFrame:
    """Placement of a light, from its azimuth, tilt and roll."""
    azimuth = view.scalar("lights.azimuth_rad", light)
    tilt = view.scalar("lights.tilt_rad", light)
    roll = view.scalar("lights.roll_rad", light)
    sin_a, cos_a = dr.sincos(azimuth)
    sin_t, cos_t = dr.sincos(tilt)
    sin_r, cos_r = dr.sincos(roll)
    aim = mi.Vector3f(cos_t * cos_a, cos_t * sin_a, sin_t)
    level = mi.Vector3f(-sin_a, cos_a, 0.0)
    upright = dr.cross(aim, level)
    return LightFrame(
        mi.Point3f(view.triple("lights.centre_mm", 3 * light)),
        cos_r * level + sin_r * upright,
        cos_r * upright - sin_r * level,
        aim,
        view.scalar("lights.half_length_mm", light),
        view.scalar("lights.half_width_mm", light),
        view.scalar("lights.exponent", light),
    )


def rectangle_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Irradiance of a rectangle of unit radiance on points with normals."""
    pieces = [_piece(frame, position, normal, (share,), (1.0,)) for share in _middles()]
    return Panels(
        [irradiance for irradiance, _ in pieces],
        [direction for _, direction in pieces],
        rectangle_irradiance(frame, position, normal),
    )


def strip_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Irradiance of a strip of unit radiance along its aim on points with normals."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS_PER_PANEL)
    pieces = [
        _piece(frame, position, normal, share + nodes / PANELS, weights / 2) for share in _middles()
    ]
    irradiance = [part for part, _ in pieces]
    return Panels(irradiance, [direction for _, direction in pieces], sum(irradiance))


def rectangle_irradiance(frame: LightFrame, position: Any, normal: Any) -> Any:
    """Lambert's formula with horizon clipping, for unit radiance."""
    length, width = frame.half_length * frame.along, frame.half_width * frame.across
    middle = frame.centre - position
    corners = [middle + length + width, middle + length - width]  # clockwise, seen from the front
    corners += [middle - length - width, middle - length + width]
    heights = [dr.dot(normal, corner) for corner in corners]
    total = mi.Float(0.0)
    leaving = entering = mi.Vector3f(1.0, 0.0, 0.0)
    crosses = mi.Bool(False)
    for k in range(4):
        a, b = corners[k], corners[(k + 1) % 4]
        height_a, height_b = heights[k], heights[(k + 1) % 4]
        above_a, above_b = height_a > 0.0, height_b > 0.0
        change = height_a - height_b
        share = height_a / dr.select(above_a ^ above_b, change, 1.0)
        horizon = a + share * (b - a)
        start, end = dr.select(above_a, a, horizon), dr.select(above_b, b, horizon)
        total += dr.select(above_a | above_b, _edge(start, end, normal), 0.0)
        leaving = dr.select(above_a & ~above_b, horizon, leaving)
        entering = dr.select(~above_a & above_b, horizon, entering)
        crosses |= above_a ^ above_b
    total += dr.select(crosses, _edge(leaving, entering, normal), 0.0)
    in_front = dr.dot(frame.aim, middle) < 0.0
    return dr.select(in_front, dr.maximum(0.5 * total, 0.0), 0.0)


def point_on(frame: LightFrame, along: Any, across: Any) -> Any:
    """A point of the light; `along` and `across` in [-1, 1]."""
    return (
        frame.centre
        + frame.along * (frame.half_length * along)
        + frame.across * (frame.half_width * across)
    )


def _middles() -> list[float]:
    """Places of the panels' middles along the light, in [-1, 1]."""
    return [(2 * k + 1) / PANELS - 1.0 for k in range(PANELS)]


def _piece(
    frame: LightFrame, position: Any, normal: Any, places: Any, weights: Any
) -> tuple[Any, Any]:
    """Irradiance of a panel by point sources, and the direction of its middle point."""
    area = 4.0 * frame.half_length * frame.half_width / PANELS
    total = mi.Float(0.0)
    for place, weight in zip(places, weights, strict=True):
        way = point_on(frame, float(place), 0.0) - position
        inverse = dr.rsqrt(dr.maximum(dr.squared_norm(way), TINY))
        direction = way * inverse
        emitted = dr.maximum(-dr.dot(frame.aim, direction), 0.0)
        received = dr.maximum(dr.dot(normal, direction), 0.0)
        lobe = dr.exp2(frame.exponent * dr.log2(dr.maximum(emitted, 1e-6)))
        total += float(weight) * dr.select(emitted > 0.0, lobe, 0.0) * received * inverse * inverse
    middle = frame.centre + frame.along * (frame.half_length * float(np.mean(places)))
    return area * total, dr.normalize(middle - position)


def _edge(a: Any, b: Any, normal: Any) -> Any:
    """Angle that an edge subtends times the cosine of its plane's normal."""
    cross = dr.cross(a, b)
    size = dr.sqrt(dr.maximum(dr.squared_norm(cross), TINY))
    return dr.atan2(size, dr.dot(a, b)) * dr.dot(normal, cross) / size
