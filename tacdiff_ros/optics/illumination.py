"""Irradiance of the gel: area lights with shadows, marker fringes, reflections, ambient light."""

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
    point_on_panels,
    rectangle_panels,
    strip_panels,
)
from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.interreflection import IndirectLight
from tacdiff_ros.optics.parameters import View
from tacdiff_ros.optics.printed_markers import NearestMarker, marker_transmission, rim_normal
from tacdiff_ros.sensor.sensor_model import SensorModel

GOLDEN_RATIO = 0.5 * (5.0**0.5 - 1.0)  # its multiples decorrelate the samples of the lights


@dataclass(frozen=True)
class ShadowSamples:
    """Sample numbers in [0, 1) that choose the targets of the shadow rays.

    Attributes:
        stratum: numbers equally spaced over the samples of a pixel.
        rotation: one random number per pixel, added to the stratum (Cranley-Patterson rotation).
        across: one random number per sample, for the coordinate across the light.
    """

    stratum: Any
    rotation: Any
    across: Any


def irradiance(
    view: View,
    model: SensorModel,
    mesh: GelMesh,
    hit: SurfaceHit,
    marker: NearestMarker | None,
    indirect: IndirectLight | None,
    shadows: ShadowSamples | None,
) -> Any:
    """Return the RGB irradiance at points of the surface.

    Args:
        view: sensor parameters, one lane per point.
        model: sensor model.
        mesh: gel surface, which casts the shadows.
        hit: points of the surface.
        marker: nearest marker of each point; None for a gel without markers.
        indirect: light reflected by the layers; None for direct light only.
        shadows: sample numbers of the shadow rays; None for no cast shadows.
    """
    total = dr.pi * mi.Color3f(view.triple("gel.ambient"))
    normal = hit.normal if marker is None else rim_normal(view, marker, hit.normal)
    if indirect is not None:
        total += indirect.irradiance(hit.position, normal)
    if hit.local_interreflection is not None:
        total += hit.local_interreflection
    lights = []
    for k, light in enumerate(model.lights):
        frame = light_frame(view, k)
        panels_of = rectangle_panels if light.kind == "rectangle" else strip_panels
        lights.append((frame, panels_of(frame, hit.position, normal)))
    visibility = [[mi.Bool(True)] * PANELS for _ in lights]
    if shadows is not None:
        visibility = [
            _panel_visibility(mesh, frame, panels, hit, shadows, k)
            for k, (frame, panels) in enumerate(lights)
        ]
    if gel_mesh.separate_ray_kernels() and view.has_gradients(hit.position, hit.normal):
        dr.eval(visibility, hit.valid, hit.triangle)
    for k, (_, panels) in enumerate(lights):
        transmission = _panel_transmission(view, marker, hit, panels, visibility[k])
        radiance = mi.Color3f(view.triple("lights.radiance", 3 * k))
        total += radiance * _transmitted(panels, transmission)
    return total


def _panel_transmission(
    view: View,
    marker: NearestMarker | None,
    hit: SurfaceHit,
    panels: Panels,
    visibility: list[Any],
) -> list[Any]:
    """Return the fraction of each panel's light that reaches the surface.

    Args:
        view: sensor parameters.
        marker: nearest marker of each point; None for a gel without markers.
        hit: points of the surface.
        panels: panels of the light.
        visibility: one mask per panel, whether it is visible from the points.
    """
    transmission = [mi.Float(1.0)] * PANELS
    if marker is not None:
        transmission = [
            marker_transmission(view, marker, direction, hit.normal)
            for direction in panels.direction
        ]
    return [
        dr.select(visible, fraction, 0.0)
        for visible, fraction in zip(visibility, transmission, strict=True)
    ]


def _transmitted(panels: Panels, transmission: list[Any]) -> Any:
    """Return the irradiance from a light after its panels were attenuated.

    Args:
        panels: panels of the light.
        transmission: fraction of each panel's light that arrives.
    """
    transmitted = sum(
        irradiance * fraction
        for irradiance, fraction in zip(panels.irradiance, transmission, strict=True)
    )
    whole = sum(panels.irradiance)
    return panels.total * dr.select(whole > 0.0, transmitted / dr.maximum(whole, 1e-12), 0.0)


def _panel_visibility(
    mesh: GelMesh,
    frame: LightFrame,
    panels: Panels,
    hit: SurfaceHit,
    shadows: ShadowSamples,
    light: int,
) -> list[Any]:
    """Sample for each panel of a light whether it is visible from the surface.

    Two neighbouring panels use the same ray. Its target is on one of the two, with a probability
    proportional to their irradiance, and is stratified over the samples of a pixel.

    Args:
        mesh: gel surface, which casts the shadows.
        frame: frame of the light.
        panels: panels of the light.
        hit: points of the surface.
        shadows: sample numbers of the shadow rays.
        light: index of the light.

    Returns:
        One mask per panel.
    """
    visibility = []
    for first in range(0, PANELS, 2):
        with dr.suspend_grad():
            number = light * PANELS + first
            along = _fractional_part(shadows.stratum + shadows.rotation + number * GOLDEN_RATIO)
            across = 2.0 * _fractional_part(shadows.across + number * GOLDEN_RATIO) - 1.0
            a, b = panels.irradiance[first], panels.irradiance[first + 1]
            threshold = a / dr.maximum(a + b, 1e-12)
            panel = dr.select(
                along < threshold,
                along / dr.maximum(threshold, 1e-6),
                1.0 + (along - threshold) / dr.maximum(1.0 - threshold, 1e-6),
            )
            target = point_on_panels(frame, panels, hit.position, first + panel, across)
            active = hit.valid & ((a + b) > 0.0)
            visible = mesh.visible(hit.position, hit.normal, target, active)
        visibility += [visible, visible]
    return visibility


def _fractional_part(value: Any) -> Any:
    return value - dr.floor(value)
