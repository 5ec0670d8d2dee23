"""A hand that presses a ball on a virtual sensor at given positions, as a person would."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor, virtual_sensor_model

AIM_MM = 0.5  # standard deviation of the position, per axis
DEPTH_MM = (0.8, 1.1)
TREMBLE_MM = 0.003  # standard deviation of the depth while the ball is held


class VirtualHand:
    """Images of a virtual sensor while a hand follows instructions.

    Attributes:
        sensor: virtual sensor, with its true parameters.
    """

    def __init__(self, diameter_mm: float, seed: int = 0, threads: int = 1) -> None:
        """Make a random sensor.

        Args:
            diameter_mm: diameter of the ball, mm.
            seed: seed of the sensor and of the hand.
            threads: number of threads of the renderer.
        """
        model = virtual_sensor_model(seed)
        ball = f"sphere:diameter={diameter_mm:g}"
        self.sensor = VirtualSensor(model, ball, seed, threads=threads)
        self._random = np.random.default_rng([seed, 0x4A4D])
        self._pose: IndenterPose | None = None

    def next(self, target_mm: tuple[float, float] | None) -> NDArray[np.uint8]:
        """Return the next image, (H, W, 3) uint8 RGB.

        Args:
            target_mm: (x, y) position to press at, mm; None to touch nothing.
        """
        if target_mm is None:
            return self.sensor.sense(IndenterPose(depth_mm=0.0)).image
        if self._pose is None:
            x_mm, y_mm = self._random.normal(target_mm, AIM_MM)
            self._pose = IndenterPose(x_mm, y_mm, self._random.uniform(*DEPTH_MM))
        depth_mm = self._pose.depth_mm + self._random.normal(0.0, TREMBLE_MM)
        return self.sensor.sense(IndenterPose(self._pose.x_mm, self._pose.y_mm, depth_mm)).image

    def lift(self) -> None:
        """Lift the ball, so that the next press is another one."""
        self._pose = None
        self.sensor.sense(IndenterPose(depth_mm=0.0))
