"""Mounting of the sensor and position of the indenter at a robot."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.geometry.pose import Pose


@dataclass(frozen=True)
class Rig:
    """Mounting of the sensor on the robot and position of the indenter in its workspace.

    Attributes:
        end_effector_to_gel: pose of the frame `gel` in the end effector's frame.
        base_to_indenter: pose of the indenter in the robot's base frame, with its origin at the
            tip; its z axis is that of `gel` at contact (from the sensor into the indenter).
    """

    end_effector_to_gel: Pose
    base_to_indenter: Pose
