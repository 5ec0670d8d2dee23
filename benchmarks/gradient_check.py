"""Compares the renderer's gradients with central finite differences, for any parameter."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.renderer import Renderer, RenderSettings

VERTICES = "surface.position"
LOW_PASS_PX = 5
# Steps of finite differences: large enough for float32, small enough for the second order.
STEPS = {
    "_mm": 2e-4,
    "_rad": 3e-5,
    "centre_px": 3e-3,
    "index": 2e-4,
    "softness_mm": 2e-5,
    "focal_px": 2e-2,
    "distortion": 2e-4,
    "radiance": 0.05,
    "azimuth_rad": 1e-3,
    "tilt_rad": 1e-3,
    "roll_rad": 1e-3,
    "half_length_mm": 5e-3,
    "half_width_mm": 5e-3,
    "surface.position": 2e-4,
    "exponent": 0.02,
    "scale": 5e-4,
    "shape": 5e-4,
}
DEFAULT_STEP = 5e-3


@dataclass(frozen=True)
class GradientCheck:
    """Comparison of a gradient with finite differences along one random direction.

    Attributes:
        slope: least-squares factor from gradient to finite difference, ideally 1.
        lowpass_error: relative RMS error of the gradient after a 5 x 5 low-pass filter.
        reverse_error: relative difference of reverse and forward mode on a random image.
    """

    slope: float
    lowpass_error: float
    reverse_error: float


def step_of(name: str) -> float:
    """Return the finite-difference step of a parameter."""
    endings = [ending for ending in STEPS if name.endswith(ending)]
    return STEPS[max(endings, key=len)] if endings else DEFAULT_STEP


def check_gradient(
    renderer: Renderer,
    name: str,
    settings: RenderSettings,
    seed: int = 0,
    step: float | None = None,
    direction: NDArray[np.float64] | None = None,
) -> GradientCheck:
    """Compare the image derivative by one parameter with a central finite difference.

    Args:
        renderer: renderer with sensor and surface at which the derivative is taken.
        name: parameter name, or `surface.position` for the vertices.
        settings: render settings; all images use one seed.
        seed: seed of the random direction.
        step: finite-difference step in the unit of the parameter; None for its default.
        direction: direction with one entry per parameter value; None for a random one.
    """
    base = np.array(dr.detach(_get(renderer, name)), np.float64)
    random = np.random.default_rng(seed)
    if direction is None:
        direction = random.choice([-1.0, 1.0], len(base)) * random.uniform(0.5, 1.0, len(base))
    step = step or step_of(name)
    cotangent = random.standard_normal((3, _pixels(renderer, settings)))
    try:
        forward, reverse = _gradients(renderer, name, base, direction, cotangent, settings)
        images = []
        for sign in (1.0, -1.0):
            _set(renderer, name, mi.Float((base + sign * step * direction).astype(np.float32)))
            images.append(renderer.image(settings).astype(np.float64))
    finally:
        _set(renderer, name, mi.Float(base.astype(np.float32)))
    difference = (images[0] - images[1]) / (2.0 * step)
    forward = forward.reshape(difference.shape)
    size = (LOW_PASS_PX, LOW_PASS_PX)
    blurred = cv2.blur(difference, size)
    along = float(np.sum(forward.transpose(2, 0, 1).reshape(3, -1) * cotangent))
    scale = float(np.linalg.norm(forward)) * float(np.sqrt(np.mean(cotangent**2)))
    return GradientCheck(
        slope=float(np.sum(difference * forward) / max(np.sum(forward**2), 1e-30)),
        lowpass_error=float(
            np.linalg.norm(blurred - cv2.blur(forward, size))
            / max(float(np.linalg.norm(blurred)), 1e-30)
        ),
        reverse_error=abs(float(reverse @ direction) - along) / max(scale, 1e-30),
    )


def parameter_names(renderer: Renderer) -> list[str]:
    """Return the names of all continuous parameters of a renderer, including the vertices."""
    return [*renderer.parameters, VERTICES]


def _gradients(
    renderer: Renderer,
    name: str,
    base: NDArray[np.float64],
    direction: NDArray[np.float64],
    cotangent: NDArray[np.float64],
    settings: RenderSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (pixels, 3) forward derivative and the reverse gradient of a random image."""
    values = mi.Float(base.astype(np.float32))
    dr.enable_grad(values)
    _set(renderer, name, values)
    image = renderer.render(settings)
    dr.set_grad(values, mi.Float(direction.astype(np.float32)))
    dr.forward_to(image)
    forward = np.stack([np.array(dr.grad(channel), np.float64) for channel in image], axis=-1)
    values = mi.Float(base.astype(np.float32))
    dr.enable_grad(values)
    _set(renderer, name, values)
    image = renderer.render(settings)
    weights = mi.Color3f(*(mi.Float(part.astype(np.float32)) for part in cotangent))
    dr.backward(dr.sum(dr.dot(image, weights)))
    return forward, np.array(dr.grad(values), np.float64)


def _pixels(renderer: Renderer, settings: RenderSettings) -> int:
    image = renderer.model.image
    return (settings.width_px or image.width_px) * (settings.height_px or image.height_px)


def _get(renderer: Renderer, name: str) -> mi.Float:
    return renderer.mesh.vertices if name == VERTICES else renderer.parameters[name]


def _set(renderer: Renderer, name: str, values: mi.Float) -> None:
    if name == VERTICES:
        renderer.mesh.set_vertices(values)
    else:
        renderer.parameters[name] = values
