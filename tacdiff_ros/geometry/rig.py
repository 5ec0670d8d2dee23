"""Where the sensor and the indenter are on a robot."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.geometry.pose import Pose


@dataclass(frozen=True)
class Rig:
    """Mounting of the sensor and position of the indenter.

    Attributes:
        end_effector_to_gel: pose of the frame `gel` in the end effector.
        base_to_indenter: pose of the indenter in the robot base; its z axis is that of `gel` at
            contact (from the sensor into the indenter), its origin the tip.
    """

    end_effector_to_gel: Pose
    base_to_indenter: Pose
