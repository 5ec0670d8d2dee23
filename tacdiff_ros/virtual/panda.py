"""A virtual Franka Panda under Cartesian impedance control.

Joint-space dynamics with the real arm's kinematics and inertias (Pinocchio, the URDF of
example-robot-data). The controller is assumed to compensate gravity and Coriolis forces.
Limits: the joints are rigid and frictionless, and self-collision is not checked.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose

STEP_S = 1e-3
URDF = Path("share/example-robot-data/robots/panda_description/urdf/panda.urdf")
END_EFFECTOR = "panda_hand_tcp"
ARM_JOINTS = 7
REFERENCE_INERTIA = np.repeat([8.0, 0.2], 3)  # kg, kg m^2: approximate inertia at the hand
BELOW_DIAGONAL = np.tril_indices(ARM_JOINTS, -1)
READY_RAD = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])


@dataclass(frozen=True)
class ImpedanceParameters:
    """Parameters of a Cartesian impedance controller.

    Attributes:
        stiffness_n_m: translational stiffness, N/m.
        rotational_stiffness_n_m_rad: rotational stiffness, N m/rad.
        damping_ratio: damping relative to critical damping at an apparent inertia of about 8 kg.
        posture_stiffness_n_m_rad: null-space stiffness of the joints toward the start posture,
            N m/rad.
        speed_mm_s: maximum speed of the desired pose, mm/s.
        rotation_speed_rad_s: maximum rotation speed of the desired pose, rad/s.
    """

    stiffness_n_m: float = 1500.0
    rotational_stiffness_n_m_rad: float = 60.0
    damping_ratio: float = 1.0
    posture_stiffness_n_m_rad: float = 5.0
    speed_mm_s: float = 100.0
    rotation_speed_rad_s: float = 1.0


@dataclass(frozen=True)
class PandaState:
    """State of the virtual arm.

    Attributes:
        position_rad: (7,) joint positions, rad.
        velocity_rad_s: (7,) joint velocities, rad/s.
        effort_n_m: (7,) commanded joint torques without gravity, N m.
        external_torque_n_m: (7,) joint torques of the external wrench, N m.
        end_effector: pose of the end effector in the base.
        desired: desired pose of the controller in the base.
        desired_velocity_mm_s: (3,) velocity of the desired pose in base axes, mm/s.
        desired_rotation_rad_s: (3,) angular velocity of the desired pose in base axes, rad/s.
        uptime_s: simulated time since the start of the arm, s.
        force_n: (3,) external force on the end effector in base axes, N.
        torque_n_m: (3,) external torque about the end effector's origin in base axes, N m.
    """

    position_rad: NDArray[np.float64]
    velocity_rad_s: NDArray[np.float64]
    effort_n_m: NDArray[np.float64]
    external_torque_n_m: NDArray[np.float64]
    end_effector: Pose
    desired: Pose
    desired_velocity_mm_s: NDArray[np.float64]
    desired_rotation_rad_s: NDArray[np.float64]
    uptime_s: float
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]


class VirtualPanda:
    """Simulated arm; call `step` once per millisecond of simulated time."""

    def __init__(self, start: Pose | None, control: ImpedanceParameters) -> None:
        """Start at rest.

        Args:
            start: pose of the end effector in the base; None for Franka's ready posture.
            control: parameters of the controller.

        Raises:
            InputError: the arm cannot reach the pose, or the package `pin` is missing.
        """
        self._pin = _import_pinocchio()
        self._model = _load_arm(self._pin)
        self._data = self._model.createData()
        self._frame = self._model.getFrameId(END_EFFECTOR)
        self._control = control
        stiffness = [control.stiffness_n_m, control.rotational_stiffness_n_m_rad]
        self._stiffness = np.repeat(stiffness, 3)
        self._damping = 2.0 * control.damping_ratio * np.sqrt(self._stiffness * REFERENCE_INERTIA)
        self._q = READY_RAD.copy() if start is None else self._solve_joints(start)
        self._posture = self._q.copy()
        self._dq: NDArray[np.float64] = np.zeros(ARM_JOINTS)
        self._tau: NDArray[np.float64] = np.zeros(ARM_JOINTS)
        self._wrench: NDArray[np.float64] = np.zeros(6)
        self._jacobian = self._update()
        self._desired = self._data.oMf[self._frame].copy()
        self._target = self._desired
        self._desired_twist: NDArray[np.float64] = np.zeros(6)
        self._steps = 0

    @property
    def end_effector(self) -> Pose:
        """Pose of the end effector in the base."""
        return _as_pose(self._data.oMf[self._frame])

    def follow(self, target: Pose) -> None:
        """Set the target of the controller: a pose of the end effector in the base."""
        self._target = self._pin.SE3(target.matrix, 1e-3 * target.position_mm)

    def hold(self) -> None:
        """Set the target of the controller to the current pose."""
        self._target = self._desired = self._data.oMf[self._frame].copy()
        self._desired_twist = np.zeros(6)

    def step(self, force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]) -> None:
        """Advance by 1 ms under an external wrench, by a semi-implicit Euler step.

        Args:
            force_n: (3,) float64 force on the end effector in base axes, N.
            torque_n_m: (3,) float64 torque about the end effector's origin in base axes, N m.
        """
        self._wrench = np.concatenate([force_n, torque_n_m])
        self._advance_desired()
        self._tau = self._control_torque()
        mass = self._pin.crba(self._model, self._data, self._q)
        mass[BELOW_DIAGONAL] = mass.T[BELOW_DIAGONAL]  # crba fills the upper triangle only
        acceleration = np.linalg.solve(mass, self._tau + self._jacobian.T @ self._wrench)
        self._dq = self._dq + STEP_S * acceleration
        self._q = self._q + STEP_S * self._dq
        self._jacobian = self._update()
        self._steps += 1

    def state(self) -> PandaState:
        """Return the state after the last step."""
        return PandaState(
            position_rad=self._q.copy(),
            velocity_rad_s=self._dq.copy(),
            effort_n_m=self._tau.copy(),
            external_torque_n_m=self._jacobian.T @ self._wrench,
            end_effector=self.end_effector,
            desired=_as_pose(self._desired),
            desired_velocity_mm_s=1e3 * self._desired_twist[:3],
            desired_rotation_rad_s=self._desired_twist[3:].copy(),
            uptime_s=self._steps * STEP_S,
            force_n=self._wrench[:3].copy(),
            torque_n_m=self._wrench[3:].copy(),
        )

    def _update(self) -> NDArray[np.float64]:
        """Update the kinematics; return the (6, 7) Jacobian of the end effector in base axes."""
        pin, model, data = self._pin, self._model, self._data
        pin.computeJointJacobians(model, data, self._q)
        pin.updateFramePlacement(model, data, self._frame)
        return np.asarray(
            pin.getFrameJacobian(model, data, self._frame, pin.LOCAL_WORLD_ALIGNED), float
        )

    def _advance_desired(self) -> None:
        """Move the desired pose toward the target, within the controller's speed limits."""
        offset = self._desired.actInv(self._target)
        rotation_rad = self._pin.log3(offset.rotation)
        duration_s = max(
            1e3 * _length(offset.translation) / self._control.speed_mm_s,
            _length(rotation_rad) / self._control.rotation_speed_rad_s,
        )
        turn = self._desired.rotation
        twist = np.concatenate([turn @ offset.translation, turn @ rotation_rad])
        self._desired_twist = twist / max(duration_s, STEP_S)
        if duration_s <= STEP_S:
            self._desired = self._target
            return
        fraction = STEP_S / duration_s
        rotation = self._pin.exp3(fraction * rotation_rad)
        self._desired = self._desired * self._pin.SE3(rotation, fraction * offset.translation)

    def _control_torque(self) -> NDArray[np.float64]:
        """Return the joint torques of the Cartesian impedance and of the null-space springs."""
        pose, jacobian = self._data.oMf[self._frame], self._jacobian
        rotation_error = self._pin.log3(self._desired.rotation @ pose.rotation.T)
        error = np.concatenate([self._desired.translation - pose.translation, rotation_error])
        wrench = self._stiffness * error - self._damping * (jacobian @ self._dq)
        posture = self._control.posture_stiffness_n_m_rad
        joint_torque = posture * (self._posture - self._q) - 2.0 * np.sqrt(posture) * self._dq
        wrench_of_joints = np.linalg.solve(jacobian @ jacobian.T, jacobian @ joint_torque)
        return jacobian.T @ (wrench - wrench_of_joints) + joint_torque

    def _solve_joints(self, goal: Pose) -> NDArray[np.float64]:
        """Solve the inverse kinematics by damped Gauss-Newton steps from the ready posture."""
        pin, model, data = self._pin, self._model, self._data
        desired = pin.SE3(goal.matrix, 1e-3 * goal.position_mm)
        q = READY_RAD.copy()
        for _ in range(200):
            pin.forwardKinematics(model, data, q)
            pin.updateFramePlacement(model, data, self._frame)
            error = pin.log6(data.oMf[self._frame].actInv(desired)).vector
            if np.linalg.norm(error) < 1e-6:
                break
            jacobian = pin.computeFrameJacobian(model, data, q, self._frame, pin.LOCAL)
            damped = jacobian @ jacobian.T + 1e-6 * np.eye(6)
            q = q + np.clip(jacobian.T @ np.linalg.solve(damped, error), -0.3, 0.3)
        inside = np.all(q >= model.lowerPositionLimit) and np.all(q <= model.upperPositionLimit)
        if np.linalg.norm(error) > 1e-4 or not inside:
            position = ", ".join(f"{1e-3 * value:.3f}" for value in goal.position_mm)
            raise InputError(
                f"the Panda cannot reach its start pose at ({position}) m: move the indenter or "
                "the start pose"
            )
        return np.asarray(q, float)


def _as_pose(placement: Any) -> Pose:
    return Pose(1e3 * placement.translation, placement.rotation.copy())


def _length(vector: NDArray[np.float64]) -> float:
    return math.sqrt(float(vector @ vector))


def _import_pinocchio() -> Any:
    try:
        import pinocchio
    except ImportError as error:
        raise InputError(
            "the virtual Panda needs the packages pin and example-robot-data: "
            "pip install 'tacdiff_ros[virtual]'"
        ) from error
    return pinocchio


def _load_arm(pin: Any) -> Any:
    """Load the model of the seven-joint arm with its hand; the fingers are locked."""
    folders = [Path(folder) for folder in (*sys.path, sys.prefix) if folder]
    candidates = [folder / "cmeel.prefix" / URDF for folder in folders]
    candidates += [folder / URDF for folder in folders]
    urdf = next((path for path in candidates if path.is_file()), None)
    if urdf is None:
        raise InputError(
            f"no Panda model ({URDF}) is installed: pip install example-robot-data, and run again"
        )
    full = pin.buildModelFromUrdf(str(urdf))
    locked = [joint for joint in range(1, full.njoints) if "finger" in full.names[joint]]
    return pin.buildReducedModel(full, locked, pin.neutral(full))
