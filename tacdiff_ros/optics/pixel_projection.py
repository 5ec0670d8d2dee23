"""Points of the gel to pixels with gradients; `projection` in Dr.Jit.

For each lane: Newton steps without gradients find the ray, and one more with gradients carries
them (the implicit function theorem).
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.camera_rays import rotate
from tacdiff_ros.optics.parameters import View

NEWTON_STEPS = 7
LARGEST_SINE = 0.999


def project_points(view: View, points: Any) -> Any:
    """Pixels (`mi.Point2f`) of points in the gel (`mi.Point3f`, mm, frame `gel`).

    Limits: points must lie in the gel's layer or below the untouched surface.
    """
    count = view.count("layers.index")
    index = [view.scalar("layers.index", k) for k in range(count)]
    camera = view.triple("camera.position_mm")
    paths = [view.scalar("layers.thickness_mm", k) for k in range(count - 1)]
    paths = [-camera.z - sum(paths), *paths]
    paths[-1] = paths[-1] + points.z
    offset = mi.Vector2f(points.x - camera.x, points.y - camera.y)
    radius = dr.sqrt(dr.maximum(dr.squared_norm(offset), 1e-12))
    with dr.suspend_grad():
        still = dr.detach([*index, *paths, radius])
        start = still[-1] * dr.rsqrt(dr.square(still[-1]) + dr.square(sum(still[count:-1])))
        sine = start * still[0]
        for _ in range(NEWTON_STEPS):
            sine = _newton(still[:count], still[count:-1], still[-1], sine)
    sine = _newton(index, paths, radius, sine) / index[0]
    heading = offset / radius
    direction = mi.Vector3f(heading.x * sine, heading.y * sine, dr.safe_sqrt(1.0 - dr.square(sine)))
    seen = rotate(-view.triple("camera.rotation_rad"), direction)
    plane = mi.Vector2f(seen.x, seen.y) / seen.z
    r2 = dr.squared_norm(plane)
    k1, k2 = view.scalar("camera.distortion", 0), view.scalar("camera.distortion", 1)
    scale = (1.0 + r2 * (k1 + k2 * r2)) * view.scalar("camera.focal_px")
    return mi.Point2f(plane * scale + view.pair("camera.centre_px"))


def _newton(index: list[Any], paths: list[Any], radius: Any, sine: Any) -> Any:
    covered = slope = mi.Float(0.0)
    for n, path in zip(index, paths, strict=True):
        share = sine / n
        cosine = dr.sqrt(dr.maximum(1.0 - dr.square(share), 1.0 - LARGEST_SINE**2))
        covered = covered + path * share / cosine
        slope = slope + path / (n * cosine * dr.square(cosine))
    return sine - (covered - radius) / dr.maximum(slope, 1e-9)
