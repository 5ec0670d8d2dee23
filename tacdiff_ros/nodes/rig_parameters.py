"""Parameters for the poses of sensor and indenter, used by several nodes."""

from __future__ import annotations

from rclpy.node import Node

from tacdiff_ros.acquisition.preflight import CHECKS
from tacdiff_ros.acquisition.rig_observation import RigExpectation
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.nodes.node_settings import AcquisitionNodeSettings
from tacdiff_ros.nodes.parameters import declare_model


def declare_rig(node: Node) -> RigSettings:
    """Declare the parameters under `rig.` and read them.

    Args:
        node: node that gets the parameters.

    Raises:
        InputError: a value is not a triple of finite numbers.
    """
    return declare_model(node, "rig", RigSettings)


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
