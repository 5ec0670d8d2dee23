"""Printed dots on the gel: how much light they swallow, and the coloured fringes around them.

A dot is known by its signed distance in material coordinates, so that it moves with the gel, has
exact gradients and needs no texture. Its rim is as wide as the print's own rim and the pixel
together. It stands `height_mm` above the gel and falls off over `softness_mm`: the slope turned to
a light is brighter, and what lies behind it is in shadow. Lights of three colours from three sides
make coloured fringes of both.

Limits: fringes are those of the nearest dot, and shadows those of a round one; a dot's directions
are taken at rest, so a gel that is twisted by an angle has its fringes turned by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View
from tacdiff_ros.sensor.sensor_model import Markers

# A rim of width w whose profile is the cubic smoothstep spreads as much as a box of w / sqrt(5/3).
BOX_TO_SMOOTHSTEP = 5.0 / 3.0
STEEPEST_LIGHT = 0.02  # smallest tangent of a light's elevation; keeps fringes finite
STEEPEST_VIEW = 0.1  # smallest cosine under which the print's height shifts it
PLATEAU = 0.1  # of the softness: how far inside of the radius a dot throws its shadow from
TANGENT_MM = 0.02  # rounds the shadow where a way just touches the plateau, for the gradients
PENUMBRA = 0.1  # of the height: how far above the way a dot must stand to block it


@dataclass(frozen=True)
class NearestMarker:
    """The nearest dot of each point.

    Attributes:
        away: (x, y) mm from the dot's centre to the point, in material coordinates.
        radius: of the round dot, mm.
        outside: signed distance to the rim along the ray from the centre, negative inside, mm.
        darkness: of the dot.
    """

    away: Any
    radius: Any
    outside: Any
    darkness: Any


def nearest_marker(view: View, markers: Markers, rest: Any) -> NearestMarker:
    """The nearest dot of material points (x, y) mm."""
    pitch, centre = view.pair("markers.pitch_mm"), view.pair("markers.centre_mm")
    middle = mi.Vector2f((markers.columns - 1) / 2, (markers.rows - 1) / 2)
    with dr.suspend_grad():
        place = dr.round(dr.detach((rest - centre) / pitch) + middle)
        column = mi.UInt32(dr.clip(place.x, 0, markers.columns - 1))
        row = mi.UInt32(dr.clip(place.y, 0, markers.rows - 1))
    index = row * markers.columns + column
    offset = mi.Vector2f(
        view.gather("markers.offset_mm", 2 * index), view.gather("markers.offset_mm", 2 * index + 1)
    )
    lattice = (mi.Vector2f(mi.Float(column), mi.Float(row)) - middle) * pitch
    away = rest - centre - lattice - offset
    distance = dr.sqrt(dr.maximum(dr.squared_norm(away), 1e-10))
    radius = 0.5 * view.scalar("markers.diameter_mm") * view.gather("markers.scale", index)
    shaped = radius * (1.0 + _shape(view, index, away / distance))
    return NearestMarker(away, radius, distance - shaped, view.gather("markers.darkness", index))


def _shape(view: View, index: Any, unit: Any) -> Any:
    """Relative change of the radius in a direction."""
    a2, b2, a3, b3 = (view.gather("markers.shape", 4 * index + k) for k in range(4))
    cos2 = dr.square(unit.x) - dr.square(unit.y)
    sin2 = 2.0 * unit.x * unit.y
    cos3, sin3 = cos2 * unit.x - sin2 * unit.y, sin2 * unit.x + cos2 * unit.y
    return a2 * cos2 + b2 * sin2 + a3 * cos3 + b3 * sin3


def visible_rest(view: View, rest: Any, direction: Any, normal: Any) -> Any:
    """Where the print is seen: its rim stands half its height above the gel.

    Args:
        view: parameters.
        rest: (x, y) mm of the gel's material point that a ray meets.
        direction: of the ray, unit.
        normal: of the gel there, unit, toward the camera.
    """
    half = 0.5 * view.scalar("markers.height_mm")
    steepness = dr.maximum(-dr.dot(direction, normal), STEEPEST_VIEW)
    toward = direction / steepness + normal
    return rest - half * mi.Vector2f(toward.x, toward.y)


def shade(view: View, dot: NearestMarker, footprint_mm: Any) -> Any:
    """Share of light that the print leaves, 1 off the dots."""
    edge = view.scalar("markers.edge_mm")
    width = dr.sqrt(dr.square(edge) + BOX_TO_SMOOTHSTEP * dr.square(footprint_mm))
    return 1.0 - dot.darkness * inside(dot.outside / width)


def rim_normal(view: View, dot: NearestMarker, normal: Any) -> Any:
    """The surface's unit normal with the slope of the dot's rim."""
    softness = view.scalar("markers.softness_mm")
    t = dr.clip(0.5 - dot.outside / softness, 0.0, 1.0)
    slope = 6.0 * t * (1.0 - t) * view.scalar("markers.height_mm") / softness
    distance = dr.sqrt(dr.maximum(dr.squared_norm(dot.away), 1e-10))
    outward = mi.Vector3f(dot.away.x, dot.away.y, 0.0) / distance
    return dr.normalize(normal + slope * outward)


def fringe(view: View, dot: NearestMarker, direction: Any, normal: Any) -> Any:
    """Share of light from a direction that passes the raised dot, 1 away from dots.

    The way to the light is compared with the dot where it comes closest to, or enters, the circle
    of the dot's plateau. Heights are in units of the dot's height.
    """
    softness = view.scalar("markers.softness_mm")
    rise = dr.dot(direction, normal)
    level = direction - rise * normal
    size = dr.sqrt(dr.maximum(dr.squared_norm(level), 1e-10))
    heading = mi.Vector2f(level.x, level.y) / size
    reach = view.scalar("markers.height_mm") / dr.maximum(rise / size, STEEPEST_LIGHT)
    plateau = dot.radius - PLATEAU * softness
    ahead = -dr.dot(dot.away, heading)
    squared = dr.squared_norm(dot.away)
    chord = dr.square(ahead) - squared + dr.square(plateau) * dr.sign(plateau)
    entry = dr.sqrt(dr.maximum(chord, 0.0) + dr.square(TANGENT_MM)) - TANGENT_MM
    way = dr.maximum(ahead - entry, 0.0)
    met = dr.sqrt(dr.maximum(dr.squared_norm(dot.away + way * heading), 1e-10)) - dot.radius
    own = dr.sqrt(dr.maximum(squared, 1e-10)) - dot.radius
    above = inside(met / softness) - inside(own / softness) - way / dr.maximum(reach, 1e-6)
    t = dr.clip(above / PENUMBRA, 0.0, 1.0)
    return 1.0 - dr.square(t) * (3.0 - 2.0 * t)


def inside(distance: Any) -> Any:
    """Smooth step from 1 (distance below -1/2) to 0 (above 1/2)."""
    t = dr.clip(0.5 - distance, 0.0, 1.0)
    return dr.square(t) * (3.0 - 2.0 * t)
