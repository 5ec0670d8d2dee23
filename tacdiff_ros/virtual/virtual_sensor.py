"""A virtual GelSight Mini under an indenter: it replaces the real sensor, with ground truth.

It differs from the twin in the sensor model, the stiffness and friction of the gel, the mesh and
the noise. It is fast enough for the frame rate of a camera; for the evaluation
of calibration and inversion, use the path-traced sensors of `sensor_store`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

SURFACE_MM = 0.2  # vertex spacing of the rendered surface
STIFFNESS_SPREAD, FRICTION = 0.1, (0.4, 0.6)
NO_CONTACT_DEPTH_MM = -1.0  # depth of an indenter without contact


@dataclass(frozen=True)
class SensedPress:
    """One image of the sensor with its ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB image with noise.
        result: true state of the gel: surface, forces.
    """

    image: NDArray[np.uint8]
    result: LiveResult


class VirtualSensor:
    """Simulates one virtual sensor under one indenter; friction depends on the order of the poses.

    Attributes:
        model: sensor model.
        material: true material of the gel.
    """

    def __init__(
        self,
        model: SensorModel,
        indenter: str,
        seed: int = 0,
        noise_grey: float = 1.0,
        grid: tuple[int, int] = (49, 61),
        threads: int = 2,
    ) -> None:
        """Compute the tables of the live gel, which takes some seconds.

        Args:
            model: sensor model, see `virtual_sensor_model`.
            indenter: indenter spec.
            seed: seed of the gel's material and of the noise.
            noise_grey: standard deviation of the noise, grey levels.
            grid: number of rows and columns of the simulated surface.
            threads: number of threads of the renderer.

        Raises:
            InputError: the spec or the grid is invalid.
        """
        self.model = model
        random = np.random.default_rng([seed, 0x5E45])
        modulus_mpa = 0.2 * (1.0 + random.uniform(-STIFFNESS_SPREAD, STIFFNESS_SPREAD))
        self.material = GelMaterial(
            young_modulus_mpa=modulus_mpa, friction=float(random.uniform(*FRICTION))
        )
        self._gel = LiveGel.of_sensor(model, build_indenter(indenter), self.material, grid)
        self._renderer = FastRenderer(model, FastSettings(threads=threads))
        size = (model.gel.height_mm, model.gel.width_mm)
        rows, columns = (math.ceil(side / SURFACE_MM) + 1 for side in size)
        self._render_grid = max(rows, grid[0]), max(columns, grid[1])
        self._random, self._noise_grey = random, noise_grey
        self._surface: GelSurface | None = None
        self._values: NDArray[np.float32] | None = None

    def sense(self, pose: IndenterPose, waypoints: Sequence[IndenterPose] = ()) -> SensedPress:
        """Simulate the next pose, and capture an image with its ground truth.

        Args:
            pose: indenter pose in the frame `gel`; a depth of 0 or less means no contact.
            waypoints: poses between the previous pose and this one, in order.

        Returns:
            Image and ground truth.

        Raises:
            InputError: a pose is not finite, beside the pad, or too deep.
        """
        result = self.move(pose, waypoints)
        values = self._render(result)
        noisy = values + self._noise_grey * self._random.standard_normal(values.shape, np.float32)
        return SensedPress(
            image=np.clip(np.rint(noisy), 0, 255).astype(np.uint8),
            result=result,
        )

    def _render(self, result: LiveResult) -> NDArray[np.float32]:
        """Return grey levels (H, W, 3) without noise; they are cached while the gel is at rest."""
        surface = result.surface
        if self._values is None or self._surface is None or not self._surface.renders_like(surface):
            fine = refine_contact(surface, self._gel.indenter, result.pose, *self._render_grid)
            self._renderer.set_surface(fine)
            self._surface, self._values = surface, 255.0 * self._renderer.image()
        return self._values

    def move(self, pose: IndenterPose, waypoints: Sequence[IndenterPose] = ()) -> LiveResult:
        """Simulate the next pose without an image.

        Args:
            pose: indenter pose in the frame `gel`.
            waypoints: poses between the previous pose and this one, in order.

        Returns:
            Result of the live gel.

        Raises:
            InputError: see `sense`.
        """
        for goal in (*waypoints, pose):
            self._gel.limits.check(goal)
        return self._gel.follow(_raised(pose), [_raised(waypoint) for waypoint in waypoints])


def _raised(pose: IndenterPose) -> IndenterPose:
    """Return the pose, or one high above the pad's centre if there is no contact."""
    if pose.depth_mm > 0:
        return pose
    return IndenterPose(depth_mm=NO_CONTACT_DEPTH_MM, yaw_rad=pose.yaw_rad)


def virtual_sensor_model(seed: int) -> SensorModel:
    """Return a random sensor with a usable exposure.

    Its markers are centred on the pad, because the mounting of a sensor on an arm is measured from
    them.

    Args:
        seed: seed of the sensor.

    Returns:
        Sensor model.
    """
    model = random_sensor(seed)
    if model.markers is not None:
        centred = model.markers.model_copy(update={"centre_mm": (0.0, 0.0)})
        model = model.model_copy(update={"markers": centred})
    return usable_exposure(model)
