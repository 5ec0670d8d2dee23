"""Rays from the gel up to a reflecting interface of the layers and back down to the gel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.camera_rays import reflectance
from tacdiff_ros.optics.parameters import View

NEWTON_STEPS = 5
MIN_COSINE = 1e-3
# Reflectance has an infinite slope at the critical angle; this rounds it for the gradients.
CRITICAL_ROUNDING = 0.02


@dataclass(frozen=True)
class ReflectedPath:
    """A ray that leaves the gel upward, is reflected and returns.

    Attributes:
        reflectance: fraction of the light that returns, in [0, 1].
        distance: horizontal distance between the two ends of the ray, mm.
        derivative: derivative of the distance with respect to the angle in the gel, mm/rad.
    """

    reflectance: Any
    distance: Any
    derivative: Any


def reflected_path(view: View, interface: int, sine: Any, z: Any) -> ReflectedPath:
    """Trace reflected rays, given by their angle in the gel.

    Args:
        view: sensor parameters.
        interface: index of the reflecting interface: 1 is the last one above the gel, 2 the one
            above it, and so on.
        sine: sine of the angle to the layers' normal, in the gel.
        z: sum of the heights of the two ends of the ray, mm; 0 is the undeformed surface.
    """
    last = view.count("layers.index") - 1
    gel_index = view.scalar("layers.index", last)
    cosine = dr.safe_sqrt(1.0 - dr.square(sine))
    distance = derivative = mi.Float(0.0)
    fraction = mi.Float(1.0)
    below_index, below_cosine = gel_index, cosine
    for step in range(interface):
        index = view.scalar("layers.index", last - step)
        layer_cosine = dr.safe_sqrt(1.0 - dr.square(sine * gel_index / index))
        if step > 0:
            lost = reflectance(below_index, below_cosine, index, layer_cosine)
            fraction = fraction * dr.square(1.0 - lost)
        thickness = 2.0 * view.scalar("layers.thickness_mm", last - step - 1)
        thickness = thickness + z if step == 0 else thickness
        bounded = dr.maximum(layer_cosine, MIN_COSINE)
        distance = distance + thickness * (sine * gel_index / index) / bounded
        derivative = derivative + thickness * (gel_index / index) * cosine / (
            bounded * dr.square(bounded)
        )
        below_index, below_cosine = index, layer_cosine
    above_index = view.scalar("layers.index", last - interface)
    cosine_squared = dr.maximum(1.0 - dr.square(sine * gel_index / above_index), 0.0)
    above_cosine = dr.sqrt(cosine_squared + CRITICAL_ROUNDING**2) - CRITICAL_ROUNDING
    fraction = fraction * reflectance(below_index, below_cosine, above_index, above_cosine)
    return ReflectedPath(reflectance=fraction, distance=distance, derivative=derivative)


def reflected_sine(view: View, interface: int, radius: Any, z: Any) -> Any:
    """Return the sine of the angle in the gel at which a reflected ray covers a distance.

    Args:
        view: sensor parameters.
        interface: index of the reflecting interface, as in `reflected_path`.
        radius: horizontal distance between the two ends of the ray, mm.
        z: sum of the heights of the two ends of the ray, mm; 0 is the undeformed surface.
    """
    last = view.count("layers.thickness_mm")
    height = 2.0 * sum(view.scalar("layers.thickness_mm", last - 1 - k) for k in range(interface))
    tangent = radius / dr.maximum(height + z, 1e-2)
    sine = tangent * dr.rsqrt(1.0 + dr.square(tangent))
    for _ in range(NEWTON_STEPS):
        path = reflected_path(view, interface, sine, z)
        cosine = dr.safe_sqrt(1.0 - dr.square(sine))
        step = (path.distance - radius) / dr.maximum(path.derivative, 1e-3) * cosine
        sine = dr.clip(sine - step, 1e-4, 0.9995)
    return sine
