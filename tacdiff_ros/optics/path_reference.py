"""Path-traced images by Mitsuba's own integrator, as a reference for the fast renderer.

The sensor is built from physical parts (`reference_scene`), with a fine mesh on which the markers
are raised and painted. Nothing of the fast renderer is used. Each light is rendered alone, because
the path tracer would otherwise waste two of three samples per colour.

Limits: rendering is slow (about a minute per image at 1 % noise); the lights must lie inside the
gel layer, where the path tracer can connect to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.reference_mesh import ReferenceMesh, mesh_normals, reference_mesh
from tacdiff_ros.optics.reference_response import respond
from tacdiff_ros.optics.reference_scene import (
    camera_and_layers,
    check_lights,
    coated_gel,
    interface_plugin,
    light_emitter,
)
from tacdiff_ros.optics.reference_smoothing import smooth_reflected
from tacdiff_ros.optics.undistorted_view import distort, undistorted_view
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

GUIDE_SAMPLES = 16
AMBIENT_FRACTION = 1 / 16  # fraction of the samples that ambient light gets, as it has little noise
REFLECTED_FACTOR = 8  # factor on the samples of the coarse image of reflected light
MAX_LANES = 5_000_000


@dataclass(frozen=True)
class PathTracedImage:
    """A path-traced image and its noise.

    Attributes:
        image: (H, W, 3) float32 RGB pixel values, 1 for white, not clipped.
        standard_error: (H, W, 3) float32 standard error of the image.
    """

    image: NDArray[np.float32]
    standard_error: NDArray[np.float32]


@dataclass(frozen=True)
class _Source:
    """A light source that is rendered alone.

    Attributes:
        parts: emitter for the scene; empty for the ambient light.
        color: RGB radiance of the source.
    """

    parts: dict[str, Any]
    color: tuple[float, ...]


def path_reference(
    model: SensorModel,
    surface: GelSurface,
    settings: PathSettings | None = None,
    progress: Callable[[float], None] | None = None,
) -> PathTracedImage:
    """Render a sensor's image of a surface by path tracing.

    Args:
        model: sensor model.
        surface: gel surface, interpolated smoothly to a finer mesh.
        settings: size and quality of the image; None for the defaults.
        progress: callback with the finished fraction of the work, in (0, 1].

    Raises:
        InputError: a light lies above the gel layer.
    """
    settings = settings or PathSettings()
    check_lights(model)
    mesh = reference_mesh(model, surface, settings.spacing_mm)
    sources = [_Source({"light": light_emitter(light)}, light.radiance) for light in model.lights]
    if any(model.gel.ambient):
        sources.append(_Source({}, (1.0, 1.0, 1.0)))
    base = replace(settings, bounces=0) if settings.smooth_reflected else settings
    radiance, variance = np.zeros(3), np.zeros(3)
    for k, source in enumerate(sources):
        scene = _lit_gel(model, mesh, source)
        quality = _quality(base, source)
        mean, error = _accumulate(model, scene, quality, k, interface_plugin(base))
        radiance = radiance + mean * np.array(source.color)
        variance = variance + (error * np.array(source.color)) ** 2
        if progress is not None:
            progress((k + 1) / len(sources))
    if settings.smooth_reflected and settings.bounces:
        radiance = radiance + _reflected(model, mesh, sources, settings)
    return _camera_image(model, settings, radiance, variance)


def _reflected(
    model: SensorModel, mesh: ReferenceMesh, sources: list[_Source], settings: PathSettings
) -> NDArray[np.float64]:
    """Render the light that the layers reflect, from a coarse image with the noise removed.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        sources: light sources.
        settings: size and quality of the result.

    Returns:
        (H, W, 3) RGB radiance.
    """
    coarse = replace(
        settings, width_px=settings.width_px // 2, samples=REFLECTED_FACTOR * settings.samples
    )
    total = np.zeros(3)
    for k, source in enumerate(sources):
        scene = _lit_gel(model, mesh, source)
        # With the same seed both images have the same direct light, which cancels.
        quality = _quality(coarse, source)
        whole, _ = _accumulate(model, scene, quality, k)
        direct, _ = _accumulate(model, scene, replace(quality, bounces=0), k)
        total = total + (whole - direct) * np.array(source.color)
    return smooth_reflected(total, _guides(model, mesh, coarse), _guides(model, mesh, settings))


def _guides(model: SensorModel, mesh: ReferenceMesh, settings: PathSettings) -> NDArray[np.float64]:
    """Render the guides of `smooth_reflected`.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        settings: size of the image.

    Returns:
        (H, W, 5) paint, and paint times the normal's x, y and 1 + z and the height in mm.
    """
    shape = np.concatenate([mesh_normals(mesh.position), mesh.position[..., 2:]], axis=-1)
    shape[..., 2] += 1.0
    lowest = np.minimum(shape.min(axis=(0, 1)), 0.0)
    quality = replace(settings, bounces=0, samples=GUIDE_SAMPLES)
    guides = []
    for first in (0, 2):
        # Emission cannot be negative, so the shape is rendered with an offset.
        part = slice(first, first + 2)
        raised = shape[..., part] - lowest[part]
        glow = mesh.paint[..., None] * np.concatenate([np.ones_like(raised[..., :1]), raised], -1)
        gel = coated_gel(model, mesh, glow, black=True)
        rendered, _ = _accumulate(model, {"gel": gel}, quality, 0, interface_plugin(quality))
        paint = rendered[..., :1]
        guides.append(rendered[..., 1:] + paint * lowest[part])
    return np.concatenate([paint, *guides], axis=-1)


def _lit_gel(model: SensorModel, mesh: ReferenceMesh, source: _Source) -> dict[str, Any]:
    """Return the gel and a source; the gel emits the ambient light itself."""
    glow = None if source.parts else mesh.paint[..., None] * model.gel.ambient
    return {"gel": coated_gel(model, mesh, glow), **source.parts}


def _quality(settings: PathSettings, source: _Source) -> PathSettings:
    """Return the settings for a source, with fewer samples for the ambient light."""
    if source.parts:
        return settings
    return replace(settings, samples=max(1, round(AMBIENT_FRACTION * settings.samples)))


def _accumulate(
    model: SensorModel,
    parts: dict[str, Any],
    settings: PathSettings,
    light: int,
    interface: str = "dielectric",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Render a scene in several passes, each of which fits into memory.

    Args:
        model: sensor model.
        parts: gel and emitter of the scene.
        settings: size and quality of the image.
        light: index of the light source, for the seed.
        interface: Mitsuba's plugin for the interfaces.

    Returns:
        (H, W, 3) mean radiance and (H, W, 3) standard error of the mean, of the undistorted view.
    """
    scene = mi.load_dict({**camera_and_layers(model, settings, interface), **parts})
    film = scene.sensors()[0].film().size()
    wanted = settings.samples / undistorted_view(model)[1] ** 2
    passes = max(4, math.ceil(wanted * film[0] * film[1] / MAX_LANES))
    samples = max(1, round(math.sqrt(wanted / passes))) ** 2  # multijitter needs a square number
    total, squares = np.zeros((film[1], film[0], 3)), np.zeros((film[1], film[0], 3))
    for k in range(passes):
        seed = (settings.seed * 64 + light) * 4096 + k
        image = np.array(mi.render(scene, spp=samples, seed=dr.opaque(mi.UInt32, seed)), np.float64)
        total, squares = total + image, squares + image**2
    mean = total / passes
    variance = np.maximum(squares / passes - mean**2, 0.0) / (passes - 1)
    return mean, np.sqrt(variance)


def _camera_image(
    model: SensorModel,
    settings: PathSettings,
    radiance: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> PathTracedImage:
    """Apply the lens distortion and the camera response.

    Args:
        model: sensor model.
        settings: size of the image.
        radiance: (H, W, 3) RGB radiance of the undistorted view.
        variance: (H, W, 3) variance of the radiance.
    """
    distorted = distort(model, settings, radiance)
    image = respond(model, distorted)
    error = np.sqrt(distort(model, settings, variance).clip(0.0)) / undistorted_view(model)[1]
    brighter = respond(model, distorted + error)
    return PathTracedImage(
        image=image.astype(np.float32),
        standard_error=np.abs(brighter - image).astype(np.float32),
    )
