"""Checks of the arm's present state: rest, position in the workspace, wrench without contact."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.rig_observation import RigExpectation, RigObservation
from tacdiff_ros.geometry.pose import Pose

REST_MM, REST_RAD = 0.5, 0.005  # motion within the observed time; the noise of a pose is below
EDGE_MM = 2.0  # distance from the faces of the workspace box below which a warning is given
MAX_NOISE_N = 2.0  # standard deviation of the external force; a Franka's estimate has about 0.3 N


def check_arm_at_rest(observation: RigObservation, _expected: RigExpectation) -> Finding:
    """Check that the arm does not move: no other program steers it, no old target is executed."""
    name = "arm at rest"
    poses = _poses(observation)
    if not poses:
        return Finding(name, "warning", "not known without usable robot states")
    distances = [poses[0].distance_to(pose) for pose in poses]
    moved_mm, turned_rad = (max(parts) for parts in zip(*distances, strict=True))
    moved = f"moved by {moved_mm:.2f} mm and {np.degrees(turned_rad):.2f} degrees"
    if moved_mm > REST_MM or turned_rad > REST_RAD:
        return Finding(
            name,
            "bad",
            f"{moved} while it was observed, expected up to {REST_MM:g} mm: stop what moves it",
        )
    return Finding(name, "good", moved)


def check_workspace(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that the sensor is inside the workspace box."""
    name, limits = "workspace", expected.limits
    poses = _poses(observation)
    if not poses:
        return Finding(name, "warning", "not known without usable robot states")
    position = (poses[-1] @ expected.end_effector_to_gel).position_mm
    low, high = np.array(limits.box_min_mm), np.array(limits.box_max_mm)
    margin_mm = float(np.minimum(position - low, high - position).min())
    observed = f"the gel is at {_mm(position)}, the box is {_mm(low)} to {_mm(high)} mm"
    if margin_mm < 0.0:
        return Finding(
            name,
            "bad",
            f"{observed}: move the arm into it, or check limits.box_* and rig.mount_*",
        )
    if margin_mm < EDGE_MM:
        return Finding(name, "warning", f"{observed}: only {margin_mm:.1f} mm to its edge")
    return Finding(name, "good", observed)


def check_wrench_bias(observation: RigObservation, expected: RigExpectation) -> Finding:
    """Check that the external force without contact is plausible."""
    name, limit_n = "wrench bias", expected.limits.force_bias_n
    forces = [state.force_n for state in observation.robot_states if state.is_usable]
    if not forces:
        return Finding(name, "warning", "not known without usable robot states")
    bias_n = float(np.linalg.norm(np.mean(forces, axis=0)))
    noise_n = float(np.linalg.norm(np.std(forces, axis=0)))
    observed = f"{bias_n:.1f} N with a noise of {noise_n:.2f} N"
    if bias_n > limit_n:
        return Finding(
            name,
            "bad",
            f"{observed}, limit {limit_n:g} N (force_bias_n): check the load configured in Desk "
            "and that nothing touches the sensor",
        )
    if not np.any(forces):
        detail = "exactly 0 N in every robot state: the robot estimates no external force"
        return Finding(name, "bad", f"{detail}, so that no contact and no limit would be noticed")
    if noise_n > MAX_NOISE_N:
        detail = (
            f"{observed}, expected a noise below {MAX_NOISE_N:g} N: does something shake the arm?"
        )
        return Finding(name, "warning", detail)
    return Finding(name, "good", observed)


def _poses(observation: RigObservation) -> list[Pose]:
    """Return the end effector's poses in the base, of all usable states."""
    return [
        Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        for state in observation.robot_states
        if state.is_usable
    ]


def _mm(position: np.ndarray) -> str:
    """Return a position, with 0.0 for -0.0."""
    return "(" + ", ".join(f"{round(float(value), 1) + 0.0:.1f}" for value in position) + ")"
