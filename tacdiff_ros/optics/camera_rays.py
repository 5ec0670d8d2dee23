"""From pixels through the layers into the gel, with gradients for camera and layers.

Refraction at parallel slabs keeps the ray's transverse optical component n sin(theta) (Snell), so
the direction in every layer follows in closed form. Weights are Fresnel's for unpolarised light.

Limits: light that the interfaces throw to and fro on the camera's side (below 1 %) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View

UNDISTORTION_STEPS = 4
SMALL_ANGLE_SQUARED = 1e-5


@dataclass(frozen=True)
class GelRays:
    """Rays in the gel's layer, frame `gel`, mm.

    Attributes:
        origin: on the last interface before the gel.
        direction: unit.
        weight: radiance at the camera over radiance in the gel.
        valid: the ray reaches the gel.
    """

    origin: Any
    direction: Any
    weight: Any
    valid: Any


def gel_rays(view: View, x_px: Any, y_px: Any) -> GelRays:
    """Rays into the gel of image points (pixels, (0, 0) in the middle of the first)."""
    direction = rotate(view.triple("camera.rotation_rad"), _camera_direction(view, x_px, y_px))
    position = view.triple("camera.position_mm")
    layers = view.count("layers.index")
    index = [view.scalar("layers.index", k) for k in range(layers)]
    thickness = [view.scalar("layers.thickness_mm", k) for k in range(layers - 1)]
    valid = direction.z > 1e-3
    cosine = dr.maximum(direction.z, 1e-3)
    transverse = mi.Vector2f(direction.x, direction.y) * index[0]
    origin = position + direction * ((-sum(thickness) - position.z) / cosine)
    weight = dr.square(index[0] / index[-1])
    for k in range(1, layers):
        sine = transverse / index[k]
        inside = dr.safe_sqrt(1.0 - dr.squared_norm(sine))
        weight *= transmittance(index[k - 1], cosine, index[k], inside)
        cosine = inside
        direction = mi.Vector3f(sine.x, sine.y, cosine)
        if k < layers - 1:
            origin += direction * (thickness[k - 1] / dr.maximum(cosine, 1e-3))
    return GelRays(mi.Point3f(origin), direction, weight, valid)


def transmittance(index_from: Any, cosine_from: Any, index_to: Any, cosine_to: Any) -> Any:
    """Fresnel's transmittance of an interface for unpolarised light."""
    return 1.0 - reflectance(index_from, cosine_from, index_to, cosine_to)


def reflectance(index_from: Any, cosine_from: Any, index_to: Any, cosine_to: Any) -> Any:
    """Fresnel's reflectance; `cosine_to` 0 stands for total reflection."""
    a, b = index_from * cosine_from, index_to * cosine_to
    c, d = index_from * cosine_to, index_to * cosine_from
    senkrecht = (a - b) / dr.maximum(a + b, 1e-6)
    parallel = (c - d) / dr.maximum(c + d, 1e-6)
    return 0.5 * (dr.square(senkrecht) + dr.square(parallel))


def rotate(rotation_vector: Any, vector: Any) -> Any:
    """Rodrigues' rotation, smooth at zero angle."""
    squared = dr.squared_norm(rotation_vector)
    small = squared < SMALL_ANGLE_SQUARED
    angle = dr.sqrt(dr.select(small, 1.0, squared))
    a = dr.select(small, 1.0 - squared / 6.0, dr.sin(angle) / angle)
    b = dr.select(small, 0.5 - squared / 24.0, (1.0 - dr.cos(angle)) / dr.square(angle))
    once = dr.cross(rotation_vector, vector)
    return vector + a * once + b * dr.cross(rotation_vector, once)


def _camera_direction(view: View, x_px: Any, y_px: Any) -> Any:
    """Unit direction in the camera's frame; the radial distortion is inverted by Newton steps."""
    focal, centre = view.scalar("camera.focal_px"), view.pair("camera.centre_px")
    k1, k2 = view.scalar("camera.distortion", 0), view.scalar("camera.distortion", 1)
    x, y = (x_px - centre.x) / focal, (y_px - centre.y) / focal
    distorted = dr.square(x) + dr.square(y)
    ratio = mi.Float(1.0)
    for _ in range(UNDISTORTION_STEPS):
        r2 = distorted * dr.square(ratio)
        value = ratio * (1.0 + r2 * (k1 + k2 * r2)) - 1.0
        slope = 1.0 + r2 * (3.0 * k1 + 5.0 * k2 * r2)
        ratio = ratio - value / dr.maximum(slope, 0.1)
    return dr.normalize(mi.Vector3f(x * ratio, y * ratio, 1.0))
