"""What the acquisition needs to know of the arm at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

QUATERNION_PARTS = (1e-150, 1e150)  # the largest part; its square must be a usable number


class RobotMode(IntEnum):
    """Franka's robot modes, with the numbers of `franka_msgs/FrankaRobotState`."""

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

    Plain arrays, because a thousand of these come in every second.

    Attributes:
        stamp_ns: time of the measurement on the message clock.
        position_mm: (3,) end effector in the robot base.
        quaternion_xyzw: (4,) orientation of the end effector in the robot base.
        force_n: (3,) external force in the robot base, bias included.
        torque_n_m: (3,) external torque in the robot base, bias included.
        mode: Franka's robot mode.
        errors: names of the error flags that are raised now.
    """

    stamp_ns: int
    position_mm: NDArray[np.float64]
    quaternion_xyzw: NDArray[np.float64]
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]
    mode: int
    errors: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether every number is finite and the quaternion is an orientation."""
        numbers = (self.position_mm, self.quaternion_xyzw, self.force_n, self.torque_n_m)
        low, high = QUATERNION_PARTS
        return all(np.isfinite(part).all() for part in numbers) and (
            low < float(np.abs(self.quaternion_xyzw).max()) < high
        )
