"""Robot state at one instant, as the acquisition uses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

QUATERNION_RANGE = (1e-150, 1e150)  # magnitude of the largest component: its square stays finite


class RobotMode(IntEnum):
    """Robot modes of Franka, numbered as in `franka_msgs/FrankaRobotState`."""

    OTHER = 0
    IDLE = 1
    MOVE = 2
    GUIDING = 3
    REFLEX = 4
    USER_STOPPED = 5
    AUTOMATIC_ERROR_RECOVERY = 6


@dataclass(frozen=True)
class RobotState:
    """One state of the arm.

    It holds plain arrays, because a thousand states arrive every second.

    Attributes:
        stamp_ns: time of the measurement on the message clock, ns.
        position_mm: (3,) position of the end effector in the robot base, mm.
        quaternion_xyzw: (4,) orientation of the end effector in the robot base.
        force_n: (3,) external force in the robot base, bias included, N.
        torque_n_m: (3,) external torque in the robot base, bias included, N m.
        mode: robot mode, see `RobotMode`.
        errors: names of the active error flags.
        frame_id: frame of position, orientation and wrench; empty if unknown.
    """

    stamp_ns: int
    position_mm: NDArray[np.float64]
    quaternion_xyzw: NDArray[np.float64]
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]
    mode: int
    errors: tuple[str, ...] = ()
    frame_id: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether every number is finite and the quaternion can be normalised."""
        numbers = (self.position_mm, self.quaternion_xyzw, self.force_n, self.torque_n_m)
        low, high = QUATERNION_RANGE
        return all(np.isfinite(part).all() for part in numbers) and (
            low < float(np.abs(self.quaternion_xyzw).max()) < high
        )
