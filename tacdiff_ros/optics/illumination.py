"""Light that reaches the gel: area lights with shadows and fringes, reflections, ambient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics import gel_mesh
from tacdiff_ros.optics.area_lights import (
    PANELS,
    LightFrame,
    Panels,
    light_frame,
    point_at,
    rectangle_panels,
    strip_panels,
)
from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.interreflection import Indirect
from tacdiff_ros.optics.parameters import View
from tacdiff_ros.optics.printed_markers import NearestMarker, fringe, rim_normal
from tacdiff_ros.sensor.sensor_model import SensorModel

GOLDEN = 0.5 * (5.0**0.5 - 1.0)


@dataclass(frozen=True)
class ShadowSamples:
    """Numbers that choose the shadow rays, all in [0, 1).

    Attributes:
        stratum: equally spaced over a pixel's samples.
        turn: random, one a pixel, added to the stratum.
        across: random, one a sample.
    """

    stratum: Any
    turn: Any
    across: Any


def irradiance(
    view: View,
    model: SensorModel,
    mesh: GelMesh,
    hit: SurfaceHit,
    dot: NearestMarker | None,
    indirect: Indirect | None,
    shadows: ShadowSamples | None,
) -> Any:
    """RGB irradiance at hits; `shadows` None leaves out shadows cast by the surface."""
    total = dr.pi * mi.Color3f(view.triple("gel.ambient"))
    normal = hit.normal if dot is None else rim_normal(view, dot, hit.normal)
    if indirect is not None:
        total += indirect.irradiance(hit.position, normal)
    if hit.local_interreflection is not None:
        total += hit.local_interreflection
    lit = []
    for k, light in enumerate(model.lights):
        frame = light_frame(view, k)
        panels_of = rectangle_panels if light.kind == "rectangle" else strip_panels
        lit.append((frame, panels_of(frame, hit.position, normal)))
    seen = [[mi.Bool(True)] * PANELS for _ in lit]
    if shadows is not None:
        seen = [_seen(mesh, *parts, hit, shadows, k) for k, parts in enumerate(lit)]
    if gel_mesh.rays_apart() and view.attached(hit.position, hit.normal):
        dr.eval(seen, hit.valid, hit.triangle)
    for k, (_, panels) in enumerate(lit):
        passed = [mi.Float(1.0)] * PANELS
        if dot is not None:
            passed = [fringe(view, dot, way, hit.normal) for way in panels.direction]
        passed = [dr.select(see, share, 0.0) for see, share in zip(seen[k], passed, strict=True)]
        total += mi.Color3f(view.triple("lights.radiance", 3 * k)) * _passing(panels, passed)
    return total


def _passing(panels: Panels, shares: list[Any]) -> Any:
    """Irradiance of a light of which shares of its panels pass."""
    passing = sum(part * share for part, share in zip(panels.irradiance, shares, strict=True))
    whole = sum(panels.irradiance)
    return panels.total * dr.select(whole > 0.0, passing / dr.maximum(whole, 1e-12), 0.0)


def _seen(
    mesh: GelMesh,
    frame: LightFrame,
    panels: Panels,
    hit: SurfaceHit,
    shadows: ShadowSamples,
    light: int,
) -> list[Any]:
    """Whether a point of each panel is seen from the hits.

    Neighbouring panels share a ray, which goes to either by their irradiance; its place on the
    light is stratified over a pixel's samples.
    """
    seen = []
    for first in range(0, PANELS, 2):
        with dr.suspend_grad():
            number = light * PANELS + first
            share = _fraction(shadows.stratum + shadows.turn + number * GOLDEN)
            across = 2.0 * _fraction(shadows.across + number * GOLDEN) - 1.0
            a, b = panels.irradiance[first], panels.irradiance[first + 1]
            border = a / dr.maximum(a + b, 1e-12)
            place = dr.select(
                share < border,
                share / dr.maximum(border, 1e-6),
                1.0 + (share - border) / dr.maximum(1.0 - border, 1e-6),
            )
            target = point_at(frame, panels, hit.position, first + place, across)
            active = hit.valid & ((a + b) > 0.0)
            free = mesh.visible(hit.position, hit.normal, target, active)
        seen += [free, free]
    return seen


def _fraction(value: Any) -> Any:
    return value - dr.floor(value)
