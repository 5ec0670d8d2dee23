"""Contact force between the sensor and an indenter, fast enough for 1 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.pose import Pose, cross

PAD_HALF_SIZE_MM = (12.6, 10.4)  # the pad of a GelSight Mini: 25.25 mm along x, 20.75 along y


@dataclass(frozen=True)
class StiffContactParameters:
    """Parameters of a contact model with linear springs and Coulomb friction.

    Attributes:
        stiffness_n_mm: normal stiffness, N/mm.
        damping_n_s_mm: normal damping, N s/mm.
        tangential_stiffness_n_mm: tangential stiffness while the contact sticks, N/mm.
        torsional_stiffness_n_m_rad: torsional stiffness while the contact sticks, N m/rad.
        friction: Coulomb friction coefficient.
        contact_radius_mm: lever arm of the maximum friction torque, mm.
    """

    stiffness_n_mm: float = 2.5
    damping_n_s_mm: float = 0.02
    tangential_stiffness_n_mm: float = 0.8
    torsional_stiffness_n_m_rad: float = 0.15
    friction: float = 0.5
    contact_radius_mm: float = 3.0


class StiffContact:
    """Contact between the gel and an indenter's tip: a spring with Coulomb friction.

    Limits: the force is proportional to the depth and does not depend on the indenter's shape. The
    model gives the virtual arm a contact force; for force prediction, use the package `mechanics`.

    Attributes:
        parameters: parameters of the model.
        force_n: magnitude of the last contact force, N.
    """

    def __init__(self, parameters: StiffContactParameters) -> None:
        """Start without contact."""
        self.parameters = parameters
        self.force_n = 0.0
        self._stick: tuple[NDArray[np.float64], float] | None = None
        self._last_depth_mm = 0.0

    def wrench_on_gel(
        self, gel_to_indenter: Pose, interval_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Advance by one time step, and return the wrench on the gel.

        Args:
            gel_to_indenter: indenter pose in the frame `gel`.
            interval_s: time step, s.

        Returns:
            Force (3,) N and torque (3,) N m on the gel, in the frame `gel` about its origin.
        """
        x_mm, y_mm, z_mm = gel_to_indenter.position_mm
        depth_mm = -float(z_mm)
        approach_mm_s = (depth_mm - self._last_depth_mm) / interval_s
        self._last_depth_mm = depth_mm
        is_off_pad = abs(x_mm) > PAD_HALF_SIZE_MM[0] or abs(y_mm) > PAD_HALF_SIZE_MM[1]
        if depth_mm <= 0.0 or is_off_pad:
            self._stick, self.force_n = None, 0.0
            return np.zeros(3), np.zeros(3)
        law = self.parameters
        normal_n = max(0.0, law.stiffness_n_mm * depth_mm + law.damping_n_s_mm * approach_mm_s)
        yaw_rad = gel_to_indenter.yaw_rad
        shear_n, twist_n_m = self._friction(np.array([x_mm, y_mm]), yaw_rad, normal_n)
        force_n = np.array([shear_n[0], shear_n[1], -normal_n])
        self.force_n = float(np.linalg.norm(force_n))
        lever_m = 1e-3 * gel_to_indenter.position_mm
        return force_n, cross(lever_m, force_n) + np.array([0.0, 0.0, twist_n_m])

    def _friction(
        self, position_mm: NDArray[np.float64], yaw_rad: float, normal_n: float
    ) -> tuple[NDArray[np.float64], float]:
        """Return shear force (2,), N, and friction torque, N m; slip moves the springs' anchor."""
        law = self.parameters
        anchor_mm, anchor_rad = self._stick or (position_mm, yaw_rad)
        shear_n = law.tangential_stiffness_n_mm * (position_mm - anchor_mm)
        limit_n = law.friction * normal_n
        magnitude_n = float(np.linalg.norm(shear_n))
        if magnitude_n > limit_n:
            shear_n *= limit_n / magnitude_n
            anchor_mm = position_mm - shear_n / law.tangential_stiffness_n_mm
        limit_n_m = limit_n * law.contact_radius_mm * 1e-3
        spring_n_m = law.torsional_stiffness_n_m_rad * (yaw_rad - anchor_rad)
        twist_n_m = float(np.clip(spring_n_m, -limit_n_m, limit_n_m))
        if twist_n_m != spring_n_m:
            anchor_rad = yaw_rad - twist_n_m / law.torsional_stiffness_n_m_rad
        self._stick = (anchor_mm, anchor_rad)
        return shear_n, twist_n_m
