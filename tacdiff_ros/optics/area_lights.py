"""Irradiance of rectangles in closed form, and of strips with a lobe by a fixed quadrature.

A rectangle of constant radiance: Lambert's polygon formula (1760; e.g. Arvo, "Analytic methods for
simulated light transport", 1995, section 3), clipped at the receiver's horizon. A strip whose
radiance falls as cos^(m - 1) from its aim: an integral over the angle u under which a receiver sees
its length, in which 1 / r^2 cancels and cos^m u is left (equiangular, as Kulla and Fajardo, 2012);
eight Gauss-Legendre points are within 0.05 % for lights 2 mm away.

Limits: across its width a strip is taken as a line, which must be narrow against its distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View

PANELS = 4
TINY = 1e-12
NEAREST_MM = 1e-3
GAUSS_POINT = 3.0**-0.5  # of two, in [-1, 1]


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
    """A light in pieces that a receiver sees under equal angles along its length.

    Attributes:
        irradiance: of each piece at the receivers, for unit radiance; for a rectangle an estimate
            that only weighs the pieces.
        direction: unit vectors from the receivers to the pieces' middles.
        total: irradiance of the whole light, for unit radiance.
        away: unit vectors from the receivers to the light's line, normal to it.
        distance: to that line, mm.
        start: angle at which the first piece begins.
        step: angle of a piece.
    """

    irradiance: list[Any]
    direction: list[Any]
    total: Any
    away: Any
    distance: Any
    start: Any
    step: Any


def light_frame(view: View, light: int) -> LightFrame:
    """Placement of one light."""
    return _frame(lambda name, part, parts: view.scalar(name, parts * light + part))


def light_frames(view: View, light: Any) -> LightFrame:
    """Placement of a different light in each lane."""
    return _frame(lambda name, part, parts: view.gather(name, parts * light + part))


def _frame(read: Callable[[str, int, int], Any]) -> LightFrame:
    """Axes from azimuth, tilt and roll; `read` takes a name, which of its parts, of how many."""
    sin_a, cos_a = dr.sincos(read("lights.azimuth_rad", 0, 1))
    sin_t, cos_t = dr.sincos(read("lights.tilt_rad", 0, 1))
    sin_r, cos_r = dr.sincos(read("lights.roll_rad", 0, 1))
    aim = mi.Vector3f(cos_t * cos_a, cos_t * sin_a, sin_t)
    level = mi.Vector3f(-sin_a, cos_a, 0.0)
    upright = dr.cross(aim, level)
    return LightFrame(
        mi.Point3f(*(read("lights.centre_mm", k, 3) for k in range(3))),
        cos_r * level + sin_r * upright,
        cos_r * upright - sin_r * level,
        aim,
        read("lights.half_length_mm", 0, 1),
        read("lights.half_width_mm", 0, 1),
        read("lights.exponent", 0, 1),
    )


def rectangle_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Irradiance of a rectangle of unit radiance on points with normals."""
    pieces = strip_panels(frame, position, normal)
    return replace(pieces, total=rectangle_irradiance(frame, position, normal))


def strip_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Irradiance of a strip of unit radiance along its aim on points with normals."""
    middle = frame.centre - position
    offset = dr.dot(middle, frame.along)
    across = middle - offset * frame.along
    distance = dr.sqrt(dr.maximum(dr.squared_norm(across), NEAREST_MM**2))
    away = across / distance
    start = dr.atan((offset - frame.half_length) / distance)
    step = (dr.atan((offset + frame.half_length) / distance) - start) / PANELS
    sine, cosine = dr.sincos(start + 0.5 * step)
    turn_sine, turn_cosine = dr.sincos(step)
    side_sine, side_cosine = dr.sincos(0.5 * GAUSS_POINT * step)
    emitted = -dr.dot(frame.aim, away)  # the aim is normal to the length
    lobe = dr.exp2(frame.exponent * dr.log2(dr.maximum(emitted, 1e-6)))
    scale = dr.select(emitted > 0.0, lobe, 0.0) * frame.half_width * step / distance
    level, upright = dr.dot(normal, frame.along), dr.dot(normal, away)
    irradiance, direction = [], []
    for _ in range(PANELS):
        part = mi.Float(0.0)
        for sign in (-1.0, 1.0):
            c = cosine * side_cosine - sign * sine * side_sine
            s = sine * side_cosine + sign * cosine * side_sine
            falloff = dr.exp2(frame.exponent * dr.log2(dr.maximum(c, 1e-6)))
            part += falloff * dr.maximum(level * s + upright * c, 0.0)
        irradiance.append(scale * part)
        direction.append(sine * frame.along + cosine * away)
        sine, cosine = (
            sine * turn_cosine + cosine * turn_sine,
            cosine * turn_cosine - sine * turn_sine,
        )
    return Panels(irradiance, direction, sum(irradiance), away, distance, start, step)


def point_at(frame: LightFrame, panels: Panels, position: Any, place: Any, across: Any) -> Any:
    """A point of the light: `place` counts panels from its start, `across` is in [-1, 1]."""
    sine, cosine = dr.sincos(panels.start + place * panels.step)
    along = panels.distance * sine / dr.maximum(cosine, 1e-4)
    foot = position + panels.distance * panels.away + along * frame.along
    return foot + frame.across * (frame.half_width * across)


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


def _edge(a: Any, b: Any, normal: Any) -> Any:
    """Angle that an edge subtends times the cosine of its plane's normal."""
    cross = dr.cross(a, b)
    size = dr.sqrt(dr.maximum(dr.squared_norm(cross), TINY))
    return dr.atan2(size, dr.dot(a, b)) * dr.dot(normal, cross) / size
