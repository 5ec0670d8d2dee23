"""Inversion with Mitsuba's own tools: the `prb` integrator, LargeSteps and Adam.

It needs cholespy (`make bench` installs it). The scene is that of the path tracer for the
calibrated model without markers. As in the package's inversion, the loss uses the ratio to the
reference image at pixels without markers. Slopes do not determine the mean height, so the median
height is set to 0.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.optics.reference_scene import mitsuba_scene, path_depth
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

SPACING_MM = 0.2
SAMPLES, REFERENCE_SAMPLES = 4, 256
STEP_MM = 0.1  # the best of 0.05, 0.1 and 0.2
DARKEST, WHITE = 1e-4, 0.99

Floats = NDArray[np.float64]


class LargeSteps:
    """Inverter of images of one sensor."""

    def __init__(self, model: SensorModel, reference: Floats) -> None:
        """Build the scene.

        Args:
            model: sensor model.
            reference: (H, W, 3) reference image without markers, 1 for white.
        """
        straight = model.camera.model_copy(update={"distortion": (0.0, 0.0)})
        plain = model.model_copy(update={"markers": None, "camera": straight})
        height, width = reference.shape[:2]
        effort = PathSettings(width_px=width)
        parts = mitsuba_scene(plain, effort)
        parts["integrator"] = {
            "type": "prb",
            "max_depth": path_depth(plain, effort.bounces),
            "rr_depth": 1000,
        }
        gel = model.gel
        columns, rows = (round(side / SPACING_MM) + 1 for side in (gel.width_mm, gel.height_mm))
        self._rest = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
        self._scene = mi.load_dict({**parts, "gel": _mesh(model, self._rest)})
        self._lens = _lens(model, width, height)
        undeformed = mi.render(self._scene, spp=REFERENCE_SAMPLES)
        self._undeformed = dr.maximum(dr.detach(undeformed), DARKEST)
        self._reference = np.maximum(self._straight(reference), DARKEST)
        self._gamma = np.array(model.response.gamma)

    def invert(
        self, image: Floats, free: NDArray[np.bool_], budgets: list[float]
    ) -> list[GelSurface]:
        """Invert an image and return the surface after each time budget.

        Args:
            image: (H, W, 3) tactile image, 1 for white.
            free: (H, W) mask of the pixels without markers.
            budgets: time budgets in ascending order, s.
        """
        params = mi.traverse(self._scene)
        key = "gel.vertex_positions"
        start = mi.Float(self._rest.position.astype(np.float32).ravel())
        steps = mi.ad.LargeSteps(start, params["gel.faces"])
        adam = mi.ad.Adam(lr=STEP_MM, uniform=True)
        adam["u"] = steps.to_differential(start)
        measured = self._straight(image)
        ratio = mi.TensorXf(((measured / self._reference) ** self._gamma).astype(np.float32))
        usable = self._straight(free.astype(float))[..., None] * (measured < WHITE)
        weight = mi.TensorXf((usable * (self._reference / self._gamma)).astype(np.float32))
        surfaces: list[GelSurface] = []
        done, started = 0, time.perf_counter()
        while len(surfaces) < len(budgets):
            vertices = steps.from_differential(adam["u"])
            params[key] = vertices
            params.update()
            rendered = mi.render(self._scene, params, spp=SAMPLES, seed=done)
            # Linear in the rendered image, so that its noise does not bias the gradient.
            difference = rendered / self._undeformed - ratio
            loss = dr.mean(dr.square(weight * difference))
            dr.backward(loss)
            adam.step()
            done += 1
            if time.perf_counter() - started > budgets[len(surfaces)]:
                position = np.array(dr.detach(vertices), np.float32).reshape(-1, 3)
                position[:, 2] -= np.median(position[:, 2])
                surfaces.append(self._rest.moved(position))
        return surfaces

    def _straight(self, image: Floats) -> NDArray[np.float32]:
        """Return an image without lens distortion."""
        across, down = self._lens
        return cv2.remap(image.astype(np.float32), across, down, cv2.INTER_LINEAR)


def _mesh(model: SensorModel, surface: GelSurface) -> mi.Mesh:
    """Return the gel mesh, which emits its ambient light as in the path tracer's reference."""
    properties = mi.Properties()
    base = list(model.gel.base_color)
    properties["bsdf"] = mi.load_dict(
        {"type": "diffuse", "reflectance": {"type": "rgb", "value": base}}
    )
    if any(model.gel.ambient):
        glow = [a * b for a, b in zip(model.gel.ambient, base, strict=True)]
        properties["emitter"] = mi.load_dict(
            {"type": "area", "radiance": {"type": "rgb", "value": glow}}
        )
    faces = surface.triangles.astype(np.uint32)
    mesh = mi.Mesh("gel", len(surface.rest), len(faces), has_vertex_normals=True, props=properties)
    fields = mi.traverse(mesh)
    fields["faces"] = faces.ravel()
    fields["vertex_positions"] = surface.position.astype(np.float32).ravel()
    fields.update()
    return mesh


def _lens(model: SensorModel, width: int, height: int) -> tuple[NDArray, NDArray]:
    """Return the image coordinates of the pixels of a lens without distortion."""
    camera, scale = model.camera, width / model.image.width_px
    matrix = np.diag([camera.focal_px * scale, camera.focal_px * scale, 1.0])
    matrix[:2, 2] = (np.array(camera.centre_px) + 0.5) * scale - 0.5
    bend = np.array([*camera.distortion, 0.0, 0.0])
    return cv2.initUndistortRectifyMap(matrix, bend, None, matrix, (width, height), cv2.CV_32FC1)
