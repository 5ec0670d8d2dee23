"""A GelSight Mini that follows an indenter: the hardware's stand-in, with its own truth.

It is not the twin: its unit, its gel's stiffness and friction, the mesh, the shadow samples and
the noise are others. For judging calibration and inversion there are path-traced units (`units`);
this one has to keep up with a camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pose_path import straight_way
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.mechanics.touch import gel_thickness_mm
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

SURFACE_MM = 0.2  # spacing of what is drawn
STIFFNESS_SPREAD, FRICTION = 0.1, (0.4, 0.6)
FAR_MM = -1.0  # depth of an indenter that touches nothing


@dataclass(frozen=True)
class SensedPress:
    """One image and the truth behind it.

    Attributes:
        image: (H, W, 3) uint8, noise included.
        surface: of the gel.
        force_n: (3,) of the indenter on the gel, frame gel.
        torque_n_mm: (3,) likewise, about the origin of the frame gel.
    """

    image: NDArray[np.uint8]
    surface: GelSurface
    force_n: NDArray[np.float64]
    torque_n_mm: NDArray[np.float64]


class VirtualSensor:
    """One virtual unit under one indenter; give it the poses in their order."""

    def __init__(
        self,
        model: SensorModel,
        indenter: str,
        seed: int = 0,
        noise_grey: float = 1.0,
        grid: tuple[int, int] = (49, 61),
    ) -> None:
        """Tables of the gel, in some seconds.

        Args:
            model: the unit, see `virtual_sensor_model`.
            indenter: spec.
            seed: of the gel's material and the noise.
            noise_grey: standard deviation of the noise, in grey levels.
            grid: rows and columns of the gel's surface.

        Raises:
            InputError: a bad spec or grid.
        """
        self.model = model
        random = np.random.default_rng([seed, 0x5E45])
        stiffness = 0.2 * (1.0 + random.uniform(-STIFFNESS_SPREAD, STIFFNESS_SPREAD))
        self.material = GelMaterial(
            young_modulus_mpa=stiffness, friction=float(random.uniform(*FRICTION))
        )
        size = (model.gel.width_mm, model.gel.height_mm, gel_thickness_mm(model))
        pad = PadGrid(*size, rows=grid[0], columns=grid[1])
        self._gel = LiveGel(build_indenter(indenter), self.material, pad)
        self._renderer = Renderer(model)
        rows, columns = (math.ceil(side / SURFACE_MM) + 1 for side in (size[1], size[0]))
        self._fine = max(rows, grid[0]), max(columns, grid[1])
        self._random, self._noise_grey = random, noise_grey
        self._frames = 0
        self._surface: GelSurface | None = None
        self._values: NDArray[np.float32] | None = None
        self._last: IndenterPose | None = None

    def see(self, pose: IndenterPose) -> SensedPress:
        """What the sensor sees and feels under a pose; of depth 0 or less, nothing.

        Raises:
            InputError: the pose is not finite, beside the pad, or too deep.
        """
        answer = self.move(pose)
        surface = answer.surface()
        values = self._drawn(surface)
        noisy = values + self._noise_grey * self._random.standard_normal(values.shape, np.float32)
        torque = answer.net_torque_nmm + np.cross(answer.pose.tip_mm, answer.net_force_n)
        image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return SensedPress(image, surface, answer.net_force_n, torque)

    def _drawn(self, surface: GelSurface) -> NDArray[np.float32]:
        """(H, W, 3) grey levels without noise; of a gel that stands still, those of before."""
        if self._values is None or self._surface is None or not self._surface.renders_like(surface):
            self._frames += 1
            self._renderer.show(refine_surface(surface, *self._fine))
            drawn = self._renderer.image(RenderSettings(samples=1, seed=self._frames))
            self._surface, self._values = surface, 255.0 * drawn
        return self._values

    def move(self, pose: IndenterPose) -> LiveResult:
        """The gel under a pose, unseen: a way-point between two images.

        Raises:
            InputError: as `see`.
        """
        self._gel.check_pose(pose)
        for point in straight_way(self._last, pose):
            self._gel.follow(point)
        self._last = pose
        return self._gel.follow(
            pose if pose.depth_mm > 0 else IndenterPose(depth_mm=FAR_MM, yaw_rad=pose.yaw_rad)
        )


def virtual_sensor_model(seed: int) -> SensorModel:
    """A random unit, exposed so that its untouched gel is not white.

    Its dots are in the middle of the pad: what is mounted on an arm is measured from them.
    """
    model = random_sensor(seed)
    if model.markers is not None:
        centred = model.markers.model_copy(update={"centre_mm": (0.0, 0.0)})
        model = model.model_copy(update={"markers": centred})
    return usable_exposure(model)
