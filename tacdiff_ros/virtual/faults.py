"""Faults of the virtual arm that can be injected."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np

from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose


class ArmFault(str, Enum):
    """Faults of the virtual arm, named by their visible effect.

    REFLEX and USER_STOPPED are reported by mode and error flags. SILENT_REFLEX is a reflex of
    franka_ros2 since v2.4.0 and v3.3.0: the states fall silent until error recovery.
    RELEASED_USER_STOP leaves the arm without control in mode IDLE without error flags.
    SECOND_PUBLISHER: a second node publishes on the target topic, whose targets are then ignored.
    OTHER_END_EFFECTOR: the controller steers another frame than the reported one. STALE_TARGET: a
    target that was stored by the inactive controller runs at its activation. COALESCED_STATES:
    only the newest of several states is published.
    """

    REFLEX = "reflex"
    USER_STOPPED = "user_stopped"
    GUIDING = "guiding"
    ROBOT_ERROR = "robot_error"
    STALE_STATE = "stale_state"
    FORCE_SPIKE = "force_spike"
    TORQUE_SPIKE = "torque_spike"
    NOT_FINITE = "not_finite"
    CLOCK_JUMP = "clock_jump"
    POSE_JUMP = "pose_jump"
    ROTATION_JUMP = "rotation_jump"
    DRIFT = "drift"
    FROZEN_ARM = "frozen_arm"
    RISING_INDENTER = "rising_indenter"
    SILENT_REFLEX = "silent_reflex"
    RELEASED_USER_STOP = "released_user_stop"
    SECOND_PUBLISHER = "second_publisher"
    OTHER_END_EFFECTOR = "other_end_effector"
    STALE_TARGET = "stale_target"
    COALESCED_STATES = "coalesced_states"
    OTHER_FRAME_ID = "other_frame_id"


SPIKE_N = np.array([0.0, 0.0, 60.0])
SPIKE_N_M = np.array([0.0, 12.0, 0.0])
JUMP_MM = np.array([40.0, 0.0, 0.0])
JUMP_NS = 5_000_000_000
DRIFT_MM_S = np.array([30.0, 0.0, 0.0])
RISE_MM_S = 3.0
STALE_TARGET_MM = 30.0  # distance of the stored target behind the end effector
USER_STOP_S = 0.1  # time with the mode USER_STOPPED, before the button is released
MAX_COALESCED_STEPS = 25  # maximum number of steps per published state
OTHER_FRAME = "world"
# The controller steers the fingertip, and Desk has the flange as end effector: franka_description.
STEERED_FRAME = Pose.from_euler([0.0, 0.0, 103.4], [0.0, 0.0, -np.pi / 4])
FAULT_MODES = {
    ArmFault.REFLEX: RobotMode.REFLEX,
    ArmFault.USER_STOPPED: RobotMode.USER_STOPPED,
    ArmFault.GUIDING: RobotMode.GUIDING,
}
FAULTS_WITHOUT_MOTION = frozenset(
    {*FAULT_MODES, ArmFault.FROZEN_ARM, ArmFault.SILENT_REFLEX, ArmFault.RELEASED_USER_STOP}
)
# New targets have no effect, and the arm continues to its last one.
FAULTS_THAT_IGNORE_TARGETS = frozenset({ArmFault.SECOND_PUBLISHER, ArmFault.STALE_TARGET})


def parse_fault(name: str) -> ArmFault | None:
    """Return the fault of a name.

    Args:
        name: name of a fault, or "none".

    Returns:
        The fault; None for "none".

    Raises:
        InputError: the name is unknown; the message lists all names.
    """
    if name == "none":
        return None
    try:
        return ArmFault(name)
    except ValueError as error:
        known = ", ".join(["none", *(fault.value for fault in ArmFault)])
        raise InputError(f"fault is '{name[:40]}', expected one of {known}") from error


def disturb(state: RobotState, fault: ArmFault, age_s: float) -> RobotState:
    """Return a robot state as the arm reports it under a fault.

    Args:
        state: robot state without a fault.
        fault: active fault.
        age_s: time since the start of the fault, s.

    Returns:
        The falsified robot state.
    """
    if fault in FAULT_MODES:
        errors = ("cartesian_reflex",) if fault is ArmFault.REFLEX else ()
        return replace(state, mode=int(FAULT_MODES[fault]), errors=errors)
    if fault is ArmFault.RELEASED_USER_STOP:
        mode = RobotMode.USER_STOPPED if age_s < USER_STOP_S else RobotMode.IDLE
        return replace(state, mode=int(mode))
    if fault is ArmFault.OTHER_FRAME_ID:
        return replace(state, frame_id=OTHER_FRAME)
    if fault is ArmFault.ROBOT_ERROR:
        return replace(state, errors=("communication_constraints_violation",))
    if fault is ArmFault.FORCE_SPIKE:
        return replace(state, force_n=state.force_n + SPIKE_N)
    if fault is ArmFault.TORQUE_SPIKE:
        return replace(state, torque_n_m=state.torque_n_m + SPIKE_N_M)
    if fault is ArmFault.CLOCK_JUMP:
        return replace(state, stamp_ns=state.stamp_ns + JUMP_NS)
    return _displace(state, fault, age_s)


def _displace(state: RobotState, fault: ArmFault, age_s: float) -> RobotState:
    """Falsify the pose of a robot state; faults without an effect on it return it unchanged."""
    if fault is ArmFault.NOT_FINITE:
        return replace(state, position_mm=np.full(3, np.nan))
    if fault is ArmFault.POSE_JUMP:
        return replace(state, position_mm=state.position_mm + JUMP_MM)
    if fault is ArmFault.DRIFT:
        return replace(state, position_mm=state.position_mm + age_s * DRIFT_MM_S)
    if fault is ArmFault.ROTATION_JUMP:
        x, y, z, w = state.quaternion_xyzw  # rotation by 60 degrees about the base's z axis
        half = np.radians(30.0)
        c, s = np.cos(half), np.sin(half)
        rotated = np.array([c * x - s * y, c * y + s * x, c * z + s * w, c * w - s * z])
        return replace(state, quaternion_xyzw=rotated)
    return state
