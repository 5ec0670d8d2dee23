"""A virtual Franka Panda under Cartesian impedance control.

Joint-space dynamics with the real arm's kinematics and inertias (Pinocchio, the URDF of
example-robot-data), gravity and Coriolis forces taken as compensated by the controller.
Limits: rigid joints without friction; self-collision is not checked.
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
REFERENCE_INERTIA = np.repeat([8.0, 0.2], 3)  # kg, kg m^2: the arm's at its hand, roughly
BELOW_DIAGONAL = np.tril_indices(ARM_JOINTS, -1)
READY_RAD = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])


@dataclass(frozen=True)
class ImpedanceParameters:
    """Cartesian impedance controller; damping is relative to an apparent inertia of about 8 kg.

    Attributes:
        stiffness_n_m: translational.
        rotational_stiffness_n_m_rad: rotational.
        damping_ratio: 1 is critical.
        posture_stiffness_n_m_rad: of the joints toward the start posture, in the null space.
        speed_mm_s: the target is followed no faster.
        rotation_speed_rad_s: the target is followed no faster.
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
        position_rad: (7,) joints.
        velocity_rad_s: (7,) joints.
        effort_n_m: (7,) commanded torques without gravity.
        external_torque_n_m: (7,) of the external wrench.
        end_effector: pose in the base.
        desired: pose the controller pulls to.
        force_n: (3,) external force on the end effector, base axes.
        torque_n_m: (3,) external torque at the end effector's origin, base axes.
    """

    position_rad: NDArray[np.float64]
    velocity_rad_s: NDArray[np.float64]
    effort_n_m: NDArray[np.float64]
    external_torque_n_m: NDArray[np.float64]
    end_effector: Pose
    desired: Pose
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]


class VirtualPanda:
    """The arm; call `step` once a millisecond of simulated time."""

    def __init__(self, start: Pose | None, control: ImpedanceParameters) -> None:
        """Stand at a pose of the end effector in the base, or in Franka's ready posture.

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

    @property
    def end_effector(self) -> Pose:
        """Pose of the end effector in the base."""
        return _as_pose(self._data.oMf[self._frame])

    def follow(self, target: Pose) -> None:
        """Pull toward a pose of the end effector in the base from now on."""
        self._target = self._pin.SE3(target.matrix, 1e-3 * target.position_mm)

    def hold(self) -> None:
        """Stay where the arm is."""
        self._target = self._desired = self._data.oMf[self._frame].copy()

    def step(self, force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]) -> None:
        """Advance by 1 ms under a force and torque (3,) on the end effector, in base axes."""
        self._wrench = np.concatenate([force_n, torque_n_m])
        self._advance_desired()
        self._tau = self._control_torque()
        mass = self._pin.crba(self._model, self._data, self._q)
        mass[BELOW_DIAGONAL] = mass.T[BELOW_DIAGONAL]  # crba fills the upper triangle only
        acceleration = np.linalg.solve(mass, self._tau + self._jacobian.T @ self._wrench)
        self._dq = self._dq + STEP_S * acceleration
        self._q = self._q + STEP_S * self._dq
        self._jacobian = self._update()

    def state(self) -> PandaState:
        """State after the last step."""
        return PandaState(
            position_rad=self._q.copy(),
            velocity_rad_s=self._dq.copy(),
            effort_n_m=self._tau.copy(),
            external_torque_n_m=self._jacobian.T @ self._wrench,
            end_effector=self.end_effector,
            desired=_as_pose(self._desired),
            force_n=self._wrench[:3].copy(),
            torque_n_m=self._wrench[3:].copy(),
        )

    def _update(self) -> NDArray[np.float64]:
        """Forward kinematics; (6, 7) Jacobian of the end effector in base axes."""
        pin, model, data = self._pin, self._model, self._data
        pin.computeJointJacobians(model, data, self._q)
        pin.updateFramePlacement(model, data, self._frame)
        return np.asarray(
            pin.getFrameJacobian(model, data, self._frame, pin.LOCAL_WORLD_ALIGNED), float
        )

    def _advance_desired(self) -> None:
        """Let the desired pose follow the target, no faster than the controller allows."""
        there = self._desired.actInv(self._target)
        turn_rad = self._pin.log3(there.rotation)
        needed_s = max(
            1e3 * _length(there.translation) / self._control.speed_mm_s,
            _length(turn_rad) / self._control.rotation_speed_rad_s,
        )
        if needed_s <= STEP_S:
            self._desired = self._target
            return
        share = STEP_S / needed_s
        part = self._pin.SE3(self._pin.exp3(share * turn_rad), share * there.translation)
        self._desired = self._desired * part

    def _control_torque(self) -> NDArray[np.float64]:
        """Cartesian spring and damper, and a weak joint spring in its null space."""
        here, jacobian = self._data.oMf[self._frame], self._jacobian
        turn = self._pin.log3(self._desired.rotation @ here.rotation.T)
        error = np.concatenate([self._desired.translation - here.translation, turn])
        wrench = self._stiffness * error - self._damping * (jacobian @ self._dq)
        posture = self._control.posture_stiffness_n_m_rad
        joint = posture * (self._posture - self._q) - 2.0 * np.sqrt(posture) * self._dq
        seen_at_end_effector = np.linalg.solve(jacobian @ jacobian.T, jacobian @ joint)
        return jacobian.T @ (wrench - seen_at_end_effector) + joint

    def _solve_joints(self, goal: Pose) -> NDArray[np.float64]:
        """Joints for a pose of the end effector: damped Gauss-Newton from the ready posture."""
        pin, model, data = self._pin, self._model, self._data
        wanted = pin.SE3(goal.matrix, 1e-3 * goal.position_mm)
        q = READY_RAD.copy()
        for _ in range(200):
            pin.forwardKinematics(model, data, q)
            pin.updateFramePlacement(model, data, self._frame)
            error = pin.log6(data.oMf[self._frame].actInv(wanted)).vector
            if np.linalg.norm(error) < 1e-6:
                break
            jacobian = pin.computeFrameJacobian(model, data, q, self._frame, pin.LOCAL)
            damped = jacobian @ jacobian.T + 1e-6 * np.eye(6)
            q = q + np.clip(jacobian.T @ np.linalg.solve(damped, error), -0.3, 0.3)
        inside = np.all(q >= model.lowerPositionLimit) and np.all(q <= model.upperPositionLimit)
        if np.linalg.norm(error) > 1e-4 or not inside:
            place = ", ".join(f"{1e-3 * value:.3f}" for value in goal.position_mm)
            raise InputError(f"the Panda cannot reach its start pose at ({place}) m")
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
    """The seven-joint arm with the hand, fingers locked."""
    folders = [Path(folder) for folder in (*sys.path, sys.prefix) if folder]
    candidates = [folder / "cmeel.prefix" / URDF for folder in folders]
    candidates += [folder / URDF for folder in folders]
    urdf = next((path for path in candidates if path.is_file()), None)
    if urdf is None:
        raise InputError(
            f"no Panda model found ({URDF}): pip install example-robot-data, and run again"
        )
    whole = pin.buildModelFromUrdf(str(urdf))
    locked = [joint for joint in range(1, whole.njoints) if "finger" in whole.names[joint]]
    return pin.buildReducedModel(whole, locked, pin.neutral(whole))
