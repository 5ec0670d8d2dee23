"""Irradiance from area lights: rectangles in closed form, strips with a lobe by quadrature.

A rectangle of constant radiance uses Lambert's polygon formula (1760; e.g. Arvo, "Analytic methods
for simulated light transport", 1995, section 3), clipped at the receiver's horizon. The radiance of
a strip decreases as cos^(m - 1) of the angle to its aim. Its irradiance is an integral over the
angle u along the strip as seen from the receiver, in which 1 / r^2 cancels and cos^m u remains
(equiangular sampling, as in Kulla and Fajardo, 2012); eight Gauss-Legendre points are within 0.05 %
for lights 2 mm away.

Limits: a strip is treated as a line, so its width must be small compared with its distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View

PANELS = 4
MIN_SQUARED_NORM = 1e-12
MIN_DISTANCE_MM = 1e-3
GAUSS_POINT = 3.0**-0.5  # two-point Gauss-Legendre rule, in [-1, 1]


@dataclass(frozen=True)
class LightFrame:
    """Pose and shape of one light, in the frame `gel`.

    Attributes:
        centre: centre, mm.
        along: unit vector along the length.
        across: unit vector along the width.
        aim: unit vector along which the light shines, normal to its plane.
        half_length: half of the length, mm.
        half_width: half of the width, mm.
        exponent: exponent m of the lobe; the radiance is proportional to cos^(m - 1).
    """

    centre: Any
    along: Any
    across: Any
    aim: Any
    half_length: Any
    half_width: Any
    exponent: Any


@dataclass(frozen=True)
class Panels:
    """A light divided along its length into panels that subtend equal angles at the receiver.

    Attributes:
        irradiance: irradiance from each panel, for unit radiance; an approximation for a rectangle,
            used only to weight the panels.
        direction: unit vectors from the receivers to the centres of the panels.
        total: irradiance from the whole light, for unit radiance.
        away: unit vectors from the receivers to the light's centre line, normal to the line.
        distance: distance from the receivers to the centre line, mm.
        start: angle at which the first panel begins, rad.
        step: angle that each panel subtends, rad.
    """

    irradiance: list[Any]
    direction: list[Any]
    total: Any
    away: Any
    distance: Any
    start: Any
    step: Any


def light_frame(view: View, light: int) -> LightFrame:
    """Return the frame of one light.

    Args:
        view: sensor parameters.
        light: index of the light.
    """
    return _frame(lambda name, part, parts: view.scalar(name, parts * light + part))


def light_frames(view: View, light: Any) -> LightFrame:
    """Return the frames of different lights, one per lane.

    Args:
        view: sensor parameters.
        light: (lanes,) indices of the lights.
    """
    return _frame(lambda name, part, parts: view.gather(name, parts * light + part))


def _frame(read: Callable[[str, int, int], Any]) -> LightFrame:
    """Compute the axes of a light from its azimuth, tilt and roll.

    Args:
        read: function of a parameter name, a component and the number of components per light,
            which returns the value of that component.
    """
    sin_a, cos_a = dr.sincos(read("lights.azimuth_rad", 0, 1))
    sin_t, cos_t = dr.sincos(read("lights.tilt_rad", 0, 1))
    sin_r, cos_r = dr.sincos(read("lights.roll_rad", 0, 1))
    aim = mi.Vector3f(cos_t * cos_a, cos_t * sin_a, sin_t)
    horizontal = mi.Vector3f(-sin_a, cos_a, 0.0)
    vertical = dr.cross(aim, horizontal)
    return LightFrame(
        centre=mi.Point3f(*(read("lights.centre_mm", k, 3) for k in range(3))),
        along=cos_r * horizontal + sin_r * vertical,
        across=cos_r * vertical - sin_r * horizontal,
        aim=aim,
        half_length=read("lights.half_length_mm", 0, 1),
        half_width=read("lights.half_width_mm", 0, 1),
        exponent=read("lights.exponent", 0, 1),
    )


def rectangle_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Return the irradiance of a rectangle of unit radiance, divided into panels.

    Args:
        frame: frame of the light.
        position: receiver points, mm.
        normal: unit normals of the receivers.

    Returns:
        Panels whose `total` is exact and whose `irradiance` is that of a strip.
    """
    panels = strip_panels(frame, position, normal)
    return replace(panels, total=rectangle_irradiance(frame, position, normal))


def strip_panels(frame: LightFrame, position: Any, normal: Any) -> Panels:
    """Return the irradiance of a strip of unit radiance along its aim, divided into panels.

    Args:
        frame: frame of the light.
        position: receiver points, mm.
        normal: unit normals of the receivers.

    Returns:
        Panels whose `total` is the sum of their `irradiance`.
    """
    to_centre = frame.centre - position
    offset = dr.dot(to_centre, frame.along)
    perpendicular = to_centre - offset * frame.along
    distance = dr.sqrt(dr.maximum(dr.squared_norm(perpendicular), MIN_DISTANCE_MM**2))
    away = perpendicular / distance
    start = dr.atan((offset - frame.half_length) / distance)
    step = (dr.atan((offset + frame.half_length) / distance) - start) / PANELS
    sine, cosine = dr.sincos(start + 0.5 * step)
    step_sine, step_cosine = dr.sincos(step)
    gauss_sine, gauss_cosine = dr.sincos(0.5 * GAUSS_POINT * step)
    emitted = -dr.dot(frame.aim, away)  # the aim is normal to the length
    lobe = dr.exp2(frame.exponent * dr.log2(dr.maximum(emitted, 1e-6)))
    scale = dr.select(emitted > 0.0, lobe, 0.0) * frame.half_width * step / distance
    normal_along, normal_away = dr.dot(normal, frame.along), dr.dot(normal, away)
    irradiance, direction = [], []
    for _ in range(PANELS):
        integral = mi.Float(0.0)
        for sign in (-1.0, 1.0):
            c = cosine * gauss_cosine - sign * sine * gauss_sine
            s = sine * gauss_cosine + sign * cosine * gauss_sine
            falloff = dr.exp2(frame.exponent * dr.log2(dr.maximum(c, 1e-6)))
            integral += falloff * dr.maximum(normal_along * s + normal_away * c, 0.0)
        irradiance.append(scale * integral)
        direction.append(sine * frame.along + cosine * away)
        sine, cosine = (
            sine * step_cosine + cosine * step_sine,
            cosine * step_cosine - sine * step_sine,
        )
    return Panels(
        irradiance=irradiance,
        direction=direction,
        total=sum(irradiance),
        away=away,
        distance=distance,
        start=start,
        step=step,
    )


def point_on_panels(
    frame: LightFrame, panels: Panels, position: Any, panel: Any, across: Any
) -> Any:
    """Return points of a light, given by their position on its panels.

    Args:
        frame: frame of the light.
        panels: panels of the light as seen from `position`.
        position: receiver points, mm.
        panel: fractional panel index in [0, PANELS], 0 at the start of the light.
        across: coordinate along the width, in [-1, 1].

    Returns:
        Points, mm.
    """
    sine, cosine = dr.sincos(panels.start + panel * panels.step)
    along = panels.distance * sine / dr.maximum(cosine, 1e-4)
    centre_line_point = position + panels.distance * panels.away + along * frame.along
    return centre_line_point + frame.across * (frame.half_width * across)


def rectangle_irradiance(frame: LightFrame, position: Any, normal: Any) -> Any:
    """Return the irradiance of a rectangle of unit radiance by Lambert's polygon formula.

    The part of the rectangle below the receiver's horizon is clipped.

    Args:
        frame: frame of the light.
        position: receiver points, mm.
        normal: unit normals of the receivers.
    """
    length, width = frame.half_length * frame.along, frame.half_width * frame.across
    to_centre = frame.centre - position
    corners = [to_centre + length + width, to_centre + length - width]  # clockwise from the front
    corners += [to_centre - length - width, to_centre - length + width]
    heights = [dr.dot(normal, corner) for corner in corners]
    total = mi.Float(0.0)
    leaving = entering = mi.Vector3f(1.0, 0.0, 0.0)
    crosses = mi.Bool(False)
    for k in range(4):
        a, b = corners[k], corners[(k + 1) % 4]
        height_a, height_b = heights[k], heights[(k + 1) % 4]
        above_a, above_b = height_a > 0.0, height_b > 0.0
        change = height_a - height_b
        fraction = height_a / dr.select(above_a ^ above_b, change, 1.0)
        horizon = a + fraction * (b - a)
        start, end = dr.select(above_a, a, horizon), dr.select(above_b, b, horizon)
        total += dr.select(above_a | above_b, _edge_term(start, end, normal), 0.0)
        leaving = dr.select(above_a & ~above_b, horizon, leaving)
        entering = dr.select(~above_a & above_b, horizon, entering)
        crosses |= above_a ^ above_b
    total += dr.select(crosses, _edge_term(leaving, entering, normal), 0.0)
    in_front = dr.dot(frame.aim, to_centre) < 0.0
    return dr.select(in_front, dr.maximum(0.5 * total, 0.0), 0.0)


def point_on_light(frame: LightFrame, along: Any, across: Any) -> Any:
    """Return points of a light.

    Args:
        frame: frame of the light.
        along: coordinate along the length, in [-1, 1].
        across: coordinate along the width, in [-1, 1].

    Returns:
        Points, mm.
    """
    return (
        frame.centre
        + frame.along * (frame.half_length * along)
        + frame.across * (frame.half_width * across)
    )


def _edge_term(a: Any, b: Any, normal: Any) -> Any:
    """Return an edge's term of Lambert's formula: the subtended angle times a cosine.

    The cosine is that of the angle between `normal` and the normal of the plane through the
    receiver and the edge from `a` to `b`.
    """
    cross = dr.cross(a, b)
    norm = dr.sqrt(dr.maximum(dr.squared_norm(cross), MIN_SQUARED_NORM))
    return dr.atan2(norm, dr.dot(a, b)) * dr.dot(normal, cross) / norm
