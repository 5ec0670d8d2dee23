"""Parameters for the poses of sensor and indenter, used by several nodes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from rclpy.node import Node

from tacdiff_ros.acquisition.preflight import CHECKS
from tacdiff_ros.acquisition.rig_observation import RigExpectation
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.nodes.node_settings import AcquisitionNodeSettings
from tacdiff_ros.nodes.parameters import declare_model

Triple = tuple[float, float, float]


class PlacementSettings(BaseModel):
    """Poses of sensor and indenter.

    The defaults are those of `config/`: the sensor below the hand, and the indenter stand 0.45 m in
    front of the robot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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


def declare_rig(node: Node) -> Rig:
    """Declare the parameters under `rig.` and read them.

    Args:
        node: node that gets the parameters.

    Returns:
        Rig with the poses of sensor and indenter.

    Raises:
        InputError: a value is not a triple of finite numbers.
    """
    placement = declare_model(node, "rig", PlacementSettings)
    return Rig(
        Pose.from_euler(placement.mount_position_mm, placement.mount_rpy_rad),
        Pose.from_euler(placement.indenter_position_mm, placement.indenter_rpy_rad),
    )


def expected_rig(
    settings: AcquisitionNodeSettings, rig: Rig, limits: SafetyLimits
) -> RigExpectation:
    """Return the rig that the parameters of `acquisition` describe.

    Args:
        settings: parameters of the node.
        rig: poses of sensor and indenter.
        limits: safety limits.

    Raises:
        InputError: a tolerated check does not exist.
    """
    tolerated = tuple(name for name in settings.tolerated_checks if name)
    if unknown := [name for name in tolerated if name not in CHECKS]:
        raise InputError(
            f"parameter 'tolerated_checks' is '{unknown[0][:40]}', expected some of "
            + ", ".join(CHECKS)
        )
    return RigExpectation(
        base_frame=settings.base_frame,
        end_effector_frame=settings.end_effector_frame,
        end_effector_to_gel=rig.end_effector_to_gel,
        limits=limits,
        tolerated=tolerated,
    )
