"""Camera rays from pixels through the layers into the gel, differentiable by camera and layers.

Refraction at parallel slabs preserves the transverse optical component n sin(theta) of a ray
(Snell's law), so its direction in every layer follows in closed form. Transmission uses Fresnel's
equations for unpolarised light.

Limits: multiple reflections between the interfaces on the camera's side (below 1 % of the light)
are neglected.
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
    """Camera rays inside the gel layer, in the frame `gel`.

    Attributes:
        origin: points on the last interface before the gel, mm.
        direction: unit directions in the gel.
        weight: ratio of the radiance at the camera to the radiance in the gel.
        valid: mask of the rays that reach the gel.
    """

    origin: Any
    direction: Any
    weight: Any
    valid: Any


def gel_rays(view: View, x_px: Any, y_px: Any) -> GelRays:
    """Return the rays of image points, refracted into the gel.

    Args:
        view: sensor parameters, one lane per ray.
        x_px: column coordinates, px; 0 is the centre of the first pixel.
        y_px: row coordinates, px; 0 is the centre of the first pixel.
    """
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
        refracted_cosine = dr.safe_sqrt(1.0 - dr.squared_norm(sine))
        weight *= transmittance(index[k - 1], cosine, index[k], refracted_cosine)
        cosine = refracted_cosine
        direction = mi.Vector3f(sine.x, sine.y, cosine)
        if k < layers - 1:
            origin += direction * (thickness[k - 1] / dr.maximum(cosine, 1e-3))
    return GelRays(origin=mi.Point3f(origin), direction=direction, weight=weight, valid=valid)


def transmittance(index_from: Any, cosine_from: Any, index_to: Any, cosine_to: Any) -> Any:
    """Return Fresnel's transmittance of an interface for unpolarised light.

    Args:
        index_from: refractive index on the incident side.
        cosine_from: cosine of the angle of incidence.
        index_to: refractive index on the far side.
        cosine_to: cosine of the angle of refraction; 0 means total reflection.
    """
    return 1.0 - reflectance(index_from, cosine_from, index_to, cosine_to)


def reflectance(index_from: Any, cosine_from: Any, index_to: Any, cosine_to: Any) -> Any:
    """Return Fresnel's reflectance of an interface for unpolarised light.

    Args:
        index_from: refractive index on the incident side.
        cosine_from: cosine of the angle of incidence.
        index_to: refractive index on the far side.
        cosine_to: cosine of the angle of refraction; 0 means total reflection.
    """
    a, b = index_from * cosine_from, index_to * cosine_to
    c, d = index_from * cosine_to, index_to * cosine_from
    perpendicular = (a - b) / dr.maximum(a + b, 1e-6)
    parallel = (c - d) / dr.maximum(c + d, 1e-6)
    return 0.5 * (dr.square(perpendicular) + dr.square(parallel))


def rotate(rotation_vector: Any, vector: Any) -> Any:
    """Rotate vectors by Rodrigues' formula, differentiable at angle zero.

    Args:
        rotation_vector: axis times angle, rad.
        vector: vectors to rotate.
    """
    squared = dr.squared_norm(rotation_vector)
    small = squared < SMALL_ANGLE_SQUARED
    angle = dr.sqrt(dr.select(small, 1.0, squared))
    a = dr.select(small, 1.0 - squared / 6.0, dr.sin(angle) / angle)
    b = dr.select(small, 0.5 - squared / 24.0, (1.0 - dr.cos(angle)) / dr.square(angle))
    cross = dr.cross(rotation_vector, vector)
    return vector + a * cross + b * dr.cross(rotation_vector, cross)


def _camera_direction(view: View, x_px: Any, y_px: Any) -> Any:
    """Return unit ray directions in the camera frame; Newton steps invert the radial distortion."""
    focal, centre = view.scalar("camera.focal_px"), view.pair("camera.centre_px")
    k1, k2 = view.scalar("camera.distortion", 0), view.scalar("camera.distortion", 1)
    x, y = (x_px - centre.x) / focal, (y_px - centre.y) / focal
    distorted_r2 = dr.square(x) + dr.square(y)
    ratio = mi.Float(1.0)
    for _ in range(UNDISTORTION_STEPS):
        r2 = distorted_r2 * dr.square(ratio)
        residual = ratio * (1.0 + r2 * (k1 + k2 * r2)) - 1.0
        derivative = 1.0 + r2 * (3.0 * k1 + 5.0 * k2 * r2)
        ratio = ratio - residual / dr.maximum(derivative, 0.1)
    return dr.normalize(mi.Vector3f(x * ratio, y * ratio, 1.0))
