"""The rig: what all nodes and commands must know alike, as one section of a parameter file."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig

Triple = tuple[float, float, float]
#: Fields that nodes with a parameter of the same name take, where that is not given.
CHECKSUM_DIGITS = 16  # of the checksum in lines for people
INHERITED = ("sensor_file", "indenter", "base_frame", "end_effector_frame")


class RigSettings(BaseModel):
    """Poses of sensor and indenter, frames of the arm, sensor file and indenter.

    The default poses are those of `config/`: the sensor below the hand, and the indenter stand
    0.45 m in front of the robot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(description="name of the rig, which recordings state")] = ""
    mount_position_mm: Annotated[
        Triple, Field(description="origin of the frame gel in the end effector frame, mm")
    ] = (0.0, 0.0, 40.0)
    mount_rpy_rad: Annotated[
        Triple, Field(description="roll, pitch, yaw of the frame gel in the end effector, rad")
    ] = (0.0, 0.0, 0.0)
    indenter_position_mm: Annotated[
        Triple, Field(description="tip of the indenter in the robot base frame, mm")
    ] = (450.0, 0.0, 100.0)
    indenter_rpy_rad: Annotated[
        Triple,
        Field(description="roll, pitch, yaw of the frame gel at contact, z into the indenter, rad"),
    ] = (3.141592653589793, 0.0, 0.0)
    indenter: Annotated[
        str, Field(description="spec of the mounted indenter; empty: each node's own parameter")
    ] = ""
    sensor_file: Annotated[
        str, Field(description="path of the sensor file; empty: each node's own parameter")
    ] = ""
    base_frame: Annotated[
        str, Field(description="frame of O_T_EE; empty: each node's own parameter")
    ] = ""
    end_effector_frame: Annotated[
        str, Field(description="link of O_T_EE; empty: each node's own parameter")
    ] = ""

    @property
    def rig(self) -> Rig:
        """Poses of sensor and indenter."""
        return Rig(
            Pose.from_euler(self.mount_position_mm, self.mount_rpy_rad),
            Pose.from_euler(self.indenter_position_mm, self.indenter_rpy_rad),
        )

    @property
    def checksum(self) -> str:
        """SHA-256 of all values, as hexadecimal digits; it does not depend on the file's layout."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()

    @property
    def line(self) -> str:
        """Name, checksum and what the rig says, in one line."""
        mount = ", ".join(f"{value:g}" for value in self.mount_position_mm)
        indenter = ", ".join(f"{value:g}" for value in self.indenter_position_mm)
        return (
            f"{self.name or 'without a name'}, checksum {self.checksum[:CHECKSUM_DIGITS]}, gel at "
            f"[{mount}] mm in the end effector, indenter {self.indenter or '(not named)'} at "
            f"[{indenter}] mm, {self.sensor_file or 'no sensor file'}"
        )

    def describe(self) -> dict[str, Any]:
        """Return the content of a recording's entry `rig`: all values and their checksum."""
        return {**self.model_dump(mode="json"), "checksum": self.checksum}
