"""Markers printed on the gel: the light that they absorb and the coloured fringes around them.

A marker is a printed disc, described by its signed distance in material coordinates. It therefore
moves with the gel, has exact gradients and needs no texture. Its rim is as wide as the printed rim
and the pixel together. The marker stands `height_mm` above the gel and slopes down over
`softness_mm`: the slope that faces a light is brighter, and the gel behind it is in shadow. Lights
of three colours from three sides turn both effects into coloured fringes.

Limits: only the nearest marker causes fringes, and its shadow is that of a round one. Directions
around a marker are those at rest, so on a twisted gel the fringes are rotated by the twist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View
from tacdiff_ros.sensor.sensor_model import Markers

# A rim of width w with the cubic smoothstep as its profile blurs as much as a box of
# w / sqrt(5/3).
BOX_TO_SMOOTHSTEP = 5.0 / 3.0
MIN_LIGHT_TANGENT = 0.02  # smallest tangent of a light's elevation; keeps the fringes finite
MIN_VIEW_COSINE = 0.1  # smallest cosine of the view angle; bounds the shift by the marker's height
PLATEAU = 0.1  # distance from the plateau's edge to the marker's radius, per softness
TANGENT_MM = 0.02  # rounds the shadow of a ray that just touches the plateau, for the gradients
PENUMBRA = 0.1  # height above the ray at which a marker blocks all light, per marker height


@dataclass(frozen=True)
class NearestMarker:
    """The nearest marker of each point, in material coordinates.

    Attributes:
        away: (x, y) vectors from the marker's centre to the point, mm.
        radius: radius of the marker without its shape deviation, mm.
        outside: signed distance to the rim along the ray from the centre, mm; negative inside.
        darkness: fraction of the light that the marker absorbs.
    """

    away: Any
    radius: Any
    outside: Any
    darkness: Any


def nearest_marker(view: View, markers: Markers, rest: Any) -> NearestMarker:
    """Return the nearest marker of material points.

    Args:
        view: sensor parameters.
        markers: marker pattern of the sensor model.
        rest: (x, y) rest positions of the points, mm.
    """
    pitch, centre = view.pair("markers.pitch_mm"), view.pair("markers.centre_mm")
    middle = mi.Vector2f((markers.columns - 1) / 2, (markers.rows - 1) / 2)
    with dr.suspend_grad():
        lattice_index = dr.round(dr.detach((rest - centre) / pitch) + middle)
        column = mi.UInt32(dr.clip(lattice_index.x, 0, markers.columns - 1))
        row = mi.UInt32(dr.clip(lattice_index.y, 0, markers.rows - 1))
    index = row * markers.columns + column
    offset = mi.Vector2f(
        view.gather("markers.offset_mm", 2 * index), view.gather("markers.offset_mm", 2 * index + 1)
    )
    lattice = (mi.Vector2f(mi.Float(column), mi.Float(row)) - middle) * pitch
    away = rest - centre - lattice - offset
    distance = dr.sqrt(dr.maximum(dr.squared_norm(away), 1e-10))
    radius = 0.5 * view.scalar("markers.diameter_mm") * view.gather("markers.scale", index)
    shaped_radius = radius * (1.0 + _shape(view, index, away / distance))
    return NearestMarker(
        away=away,
        radius=radius,
        outside=distance - shaped_radius,
        darkness=view.gather("markers.darkness", index),
    )


def _shape(view: View, index: Any, direction: Any) -> Any:
    """Return the relative change of markers' radii in unit directions from their centres."""
    a2, b2, a3, b3 = (view.gather("markers.shape", 4 * index + k) for k in range(4))
    cos2 = dr.square(direction.x) - dr.square(direction.y)
    sin2 = 2.0 * direction.x * direction.y
    cos3 = cos2 * direction.x - sin2 * direction.y
    sin3 = sin2 * direction.x + cos2 * direction.y
    return a2 * cos2 + b2 * sin2 + a3 * cos3 + b3 * sin3


def visible_rest(view: View, rest: Any, direction: Any, normal: Any) -> Any:
    """Return the rest positions of the print that is visible along camera rays.

    The rim of a marker is visible at half the marker's height above the gel, which shifts the
    visible print against the gel.

    Args:
        view: sensor parameters.
        rest: (x, y) rest positions of the gel points that the rays hit, mm.
        direction: unit directions of the rays.
        normal: unit normals of the gel at these points, toward the camera.

    Returns:
        (x, y) rest positions, mm.
    """
    half_height = 0.5 * view.scalar("markers.height_mm")
    cosine = dr.maximum(-dr.dot(direction, normal), MIN_VIEW_COSINE)
    shift = direction / cosine + normal
    return rest - half_height * mi.Vector2f(shift.x, shift.y)


def marker_reflectance(view: View, marker: NearestMarker, footprint_mm: Any) -> Any:
    """Return the fraction of light that the print reflects, 1 outside the markers.

    Args:
        view: sensor parameters.
        marker: nearest marker of each point.
        footprint_mm: size of a sample's footprint on the gel, mm; it blurs the rim.
    """
    edge = view.scalar("markers.edge_mm")
    width = dr.sqrt(dr.square(edge) + BOX_TO_SMOOTHSTEP * dr.square(footprint_mm))
    return 1.0 - marker.darkness * smooth_step(marker.outside / width)


def rim_normal(view: View, marker: NearestMarker, normal: Any) -> Any:
    """Return the surface normals, tilted by the slope of the marker's rim.

    Args:
        view: sensor parameters.
        marker: nearest marker of each point.
        normal: unit normals of the gel.

    Returns:
        Unit normals.
    """
    softness = view.scalar("markers.softness_mm")
    t = dr.clip(0.5 - marker.outside / softness, 0.0, 1.0)
    slope = 6.0 * t * (1.0 - t) * view.scalar("markers.height_mm") / softness
    distance = dr.sqrt(dr.maximum(dr.squared_norm(marker.away), 1e-10))
    outward = mi.Vector3f(marker.away.x, marker.away.y, 0.0) / distance
    return dr.normalize(normal + slope * outward)


def marker_transmission(view: View, marker: NearestMarker, direction: Any, normal: Any) -> Any:
    """Return the fraction of light from a direction that passes the raised marker.

    The ray to the light is compared with the marker's height where it enters the circle of the
    marker's plateau, or comes closest to it. Heights are relative to the height of the marker.

    Args:
        view: sensor parameters.
        marker: nearest marker of each point.
        direction: unit directions to the light.
        normal: unit normals of the gel.

    Returns:
        Fraction in [0, 1]; 1 away from markers.
    """
    softness = view.scalar("markers.softness_mm")
    rise = dr.dot(direction, normal)
    tangential = direction - rise * normal
    norm = dr.sqrt(dr.maximum(dr.squared_norm(tangential), 1e-10))
    heading = mi.Vector2f(tangential.x, tangential.y) / norm
    shadow_length = view.scalar("markers.height_mm") / dr.maximum(rise / norm, MIN_LIGHT_TANGENT)
    plateau_radius = marker.radius - PLATEAU * softness
    ahead = -dr.dot(marker.away, heading)
    squared_distance = dr.squared_norm(marker.away)
    chord = dr.square(ahead) - squared_distance
    chord = chord + dr.square(plateau_radius) * dr.sign(plateau_radius)
    half_chord = dr.sqrt(dr.maximum(chord, 0.0) + dr.square(TANGENT_MM)) - TANGENT_MM
    path = dr.maximum(ahead - half_chord, 0.0)
    nearest = dr.sqrt(dr.maximum(dr.squared_norm(marker.away + path * heading), 1e-10))
    nearest = nearest - marker.radius
    own = dr.sqrt(dr.maximum(squared_distance, 1e-10)) - marker.radius
    ray_height = path / dr.maximum(shadow_length, 1e-6)
    above = smooth_step(nearest / softness) - smooth_step(own / softness) - ray_height
    t = dr.clip(above / PENUMBRA, 0.0, 1.0)
    return 1.0 - dr.square(t) * (3.0 - 2.0 * t)


def smooth_step(distance: Any) -> Any:
    """Return a cubic step from 1 (distance below -1/2) to 0 (distance above 1/2).

    Args:
        distance: signed distance in units of the step's width.
    """
    t = dr.clip(0.5 - distance, 0.0, 1.0)
    return dr.square(t) * (3.0 - 2.0 * t)
