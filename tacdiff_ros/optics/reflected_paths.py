"""Ways from the gel up to an interface of the layers and back: how far, how much, how wide."""

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
    """A ray that leaves the untouched surface's plane and comes back to a height.

    Attributes:
        share: of light that comes back.
        reach: level distance in mm.
        slope: derivative of the reach by the angle in the gel.
    """

    share: Any
    reach: Any
    slope: Any


def reflected_path(view: View, interface: int, sine: Any, z: Any) -> ReflectedPath:
    """Follow a ray by the sine of its angle in the gel.

    Args:
        view: parameters.
        interface: that reflects: 1 is the last above the gel, 2 the one above it, and so on.
        sine: of the angle to the normal, in the gel.
        z: height at which the way back ends, mm (0 is the untouched surface).
    """
    last = view.count("layers.index") - 1
    gel_index = view.scalar("layers.index", last)
    cosine = dr.safe_sqrt(1.0 - dr.square(sine))
    reach = slope = mi.Float(0.0)
    share = mi.Float(1.0)
    below_index, below_cosine = gel_index, cosine
    for step in range(interface):
        index = view.scalar("layers.index", last - step)
        inside = dr.safe_sqrt(1.0 - dr.square(sine * gel_index / index))
        if step > 0:
            lost = reflectance(below_index, below_cosine, index, inside)
            share = share * dr.square(1.0 - lost)
        path = 2.0 * view.scalar("layers.thickness_mm", last - step - 1)
        path = path + z if step == 0 else path
        bounded = dr.maximum(inside, MIN_COSINE)
        reach = reach + path * (sine * gel_index / index) / bounded
        slope = slope + path * (gel_index / index) * cosine / (bounded * dr.square(bounded))
        below_index, below_cosine = index, inside
    above = view.scalar("layers.index", last - interface)
    left = dr.maximum(1.0 - dr.square(sine * gel_index / above), 0.0)
    beyond = dr.sqrt(left + CRITICAL_ROUNDING**2) - CRITICAL_ROUNDING
    return ReflectedPath(
        share * reflectance(below_index, below_cosine, above, beyond), reach, slope
    )


def reflected_sine(view: View, interface: int, radius: Any, z: Any) -> Any:
    """Sine of the angle in the gel under which a reflected ray covers a level distance."""
    last = view.count("layers.thickness_mm")
    height = 2.0 * sum(view.scalar("layers.thickness_mm", last - 1 - k) for k in range(interface))
    tangent = radius / dr.maximum(height + z, 1e-2)
    sine = tangent * dr.rsqrt(1.0 + dr.square(tangent))
    for _ in range(NEWTON_STEPS):
        path = reflected_path(view, interface, sine, z)
        cosine = dr.safe_sqrt(1.0 - dr.square(sine))
        step = (path.reach - radius) / dr.maximum(path.slope, 1e-3) * cosine
        sine = dr.clip(sine - step, 1e-4, 0.9995)
    return sine
