"""Virtual set-up: the virtual arm with the sensor at its hand, above an indenter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.geometry.pose import Pose, cross
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.virtual.contact import StiffContact, StiffContactParameters
from tacdiff_ros.virtual.driver import VirtualDriver
from tacdiff_ros.virtual.faults import (
    FAULTS_THAT_IGNORE_TARGETS,
    FAULTS_WITHOUT_MOTION,
    MAX_COALESCED_STEPS,
    RISE_MM_S,
    STALE_TARGET_MM,
    STEERED_FRAME,
    ArmFault,
    disturb,
)
from tacdiff_ros.virtual.panda import STEP_S, ImpedanceParameters, PandaState, VirtualPanda

STEP_NS = int(STEP_S * 1e9)
SILENCE_NS = 500_000_000  # time without targets after which a new run begins
BASE_FRAME = "base"  # root link of franka_description
MAX_CATCH_UP_STEPS = 50  # a longer pause is skipped instead of simulated


@dataclass(frozen=True)
class RigReading:
    """State of the virtual set-up after one step of 1 ms.

    Attributes:
        stamp_ns: time of the step, ns.
        arm: true state of the arm.
        reported: state that the arm reports, with noise, bias and faults; None while it is silent.
        gel_to_indenter: true indenter pose in the frame `gel`.
        contact_force_n: true magnitude of the contact force, N.
    """

    stamp_ns: int
    arm: PandaState
    reported: RobotState | None
    gel_to_indenter: Pose
    contact_force_n: float


class VirtualRig:
    """Simulates arm, contact and faults on one clock.

    Attributes:
        arm: virtual arm.
        driver: state of its driver; while that is not active, the arm stands still.
        fault: active fault; None without one.
    """

    def __init__(
        self,
        rig: Rig,
        start: Pose | None,
        control: ImpedanceParameters,
        contact: StiffContactParameters | None,
        force_noise_n: float = 0.05,
        force_bias_n: tuple[float, float, float] = (0.3, -0.2, 0.5),
        seed: int = 0,
    ) -> None:
        """Start at rest.

        Args:
            rig: calibrated poses of sensor and indenter.
            start: pose of the end effector in the base; None for Franka's ready posture.
            control: parameters of the arm's controller.
            contact: parameters of the contact; None to use the wrench of `set_wrench_on_gel`.
            force_noise_n: standard deviation of the reported force, N.
            force_bias_n: bias of the reported force in the base, N.
            seed: seed of the noise.
        """
        self.arm = VirtualPanda(start, control)
        self.driver = VirtualDriver()
        self.fault: ArmFault | None = None
        self._rig = rig
        self._contact = StiffContact(contact) if contact is not None else None
        self._external_wrench: tuple[NDArray[np.float64], NDArray[np.float64]]
        self._external_wrench = (np.zeros(3), np.zeros(3))
        self._noise_n = force_noise_n
        self._bias_n = np.array(force_bias_n)
        self._seed, self._runs = seed, 0
        self._random = np.random.default_rng(seed)
        self._commanded_ns = -SILENCE_NS
        self._fault_since_ns = 0
        self._fault_until_ns: int | None = None
        self._time_ns: int | None = None
        self._risen_mm = 0.0
        self._stored_target: Pose | None = None
        self._next_state_ns = 0

    def inject(self, fault: ArmFault | None, duration_s: float) -> None:
        """Start or end a fault.

        Args:
            fault: fault to start; None ends the active fault.
            duration_s: duration of the fault, s; 0: until the next call.
        """
        if self.fault in (ArmFault.SILENT_REFLEX, ArmFault.RELEASED_USER_STOP):
            self.driver.restore()
        self.fault = fault
        now_ns = self._time_ns or 0
        self._fault_since_ns = now_ns
        self._begin(fault)
        self._fault_until_ns = now_ns + int(duration_s * 1e9) if duration_s > 0 else None

    def _begin(self, fault: ArmFault | None) -> None:
        """Apply what happens once at the start of a fault."""
        if fault is ArmFault.SILENT_REFLEX:
            self.driver.fail()
        elif fault is ArmFault.STALE_TARGET:
            self.arm.follow(self.arm.end_effector.shifted([0.0, 0.0, -STALE_TARGET_MM]))

    def error_recovery(self) -> None:
        """Clear the robot's error, as the action `error_recovery` does; ends a user stop."""
        self.driver.recover_error()
        if self.fault is ArmFault.RELEASED_USER_STOP:
            self.inject(None, 0.0)

    def follow(self, target: Pose) -> None:
        """Send a target to the arm; it is ignored while a fault prevents motion.

        A controller that is not active stores the target and follows it when it is activated, as
        crisp_controllers does. The first target after a silence starts a new run, whose noise does
        not depend on earlier runs.

        Args:
            target: target of the end effector in the base.
        """
        now_ns = self._time_ns or 0
        if now_ns - self._commanded_ns >= SILENCE_NS:
            self._random = np.random.default_rng(self._seed + self._runs)
            self._runs += 1
        self._commanded_ns = now_ns
        if not self.driver.follows_targets:
            self._stored_target = target
        elif self.fault not in FAULTS_WITHOUT_MOTION | FAULTS_THAT_IGNORE_TARGETS:
            self._follow(target)

    def _follow(self, target: Pose) -> None:
        if self.fault is ArmFault.OTHER_END_EFFECTOR:
            target = target @ STEERED_FRAME.inverse()
        self.arm.follow(target)

    def set_wrench_on_gel(
        self, force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]
    ) -> None:
        """Set the external wrench of a set-up without its own contact model.

        Args:
            force_n: (3,) force on the gel in the frame `gel`, N.
            torque_n_m: (3,) torque about the origin of the frame `gel`, N m.
        """
        self._external_wrench = (force_n, torque_n_m)

    def advance(self, now_ns: int) -> list[RigReading]:
        """Simulate up to a time.

        Args:
            now_ns: time, ns; a jump of the clock backward restarts the time.

        Returns:
            Readings since the last call, one per millisecond.
        """
        if self._time_ns is None or not 0 <= now_ns - self._time_ns <= MAX_CATCH_UP_STEPS * STEP_NS:
            self._time_ns = now_ns - STEP_NS
        readings = []
        while self._time_ns + STEP_NS <= now_ns:
            self._time_ns += STEP_NS
            readings.append(self._step(self._time_ns))
        return readings

    def _step(self, time_ns: int) -> RigReading:
        """Simulate 1 ms: contact, arm, and the reported state."""
        if self._fault_until_ns is not None and time_ns >= self._fault_until_ns:
            self.inject(None, 0.0)
        self._update_control()
        gel = self.arm.end_effector @ self._rig.end_effector_to_gel
        gel_to_indenter = gel.inverse() @ self._indenter()
        if self._contact is not None:
            force, torque = self._contact.wrench_on_gel(gel_to_indenter, STEP_S)
        else:
            force, torque = self._external_wrench
        force_base, torque_base = gel.rotate(force), gel.rotate(torque)
        lever_m = 1e-3 * (gel.position_mm - self.arm.end_effector.position_mm)
        self.arm.step(force_base, torque_base + cross(lever_m, force_base))
        state = self.arm.state()
        return RigReading(
            stamp_ns=time_ns,
            arm=state,
            reported=self._report(state, time_ns),
            gel_to_indenter=gel_to_indenter,
            contact_force_n=float(np.linalg.norm(force)),
        )

    def _update_control(self) -> None:
        """Hold the arm without an active controller; follow a stored target once it is active."""
        driver = self.driver
        if self.fault is ArmFault.SILENT_REFLEX and driver.follows_targets:
            self.fault, self._fault_until_ns = None, None  # recovered
        if self.fault in FAULTS_WITHOUT_MOTION or not driver.follows_targets:
            self.arm.hold()
        elif self._stored_target is not None:
            self._follow(self._stored_target)
            self._stored_target = None

    def _indenter(self) -> Pose:
        """Return the indenter pose in the base; a fault can raise it into the sensor."""
        if self.fault is ArmFault.RISING_INDENTER:
            self._risen_mm += RISE_MM_S * STEP_S
        else:
            self._risen_mm = max(0.0, self._risen_mm - RISE_MM_S * STEP_S)
        return self._rig.base_to_indenter.shifted([0.0, 0.0, -self._risen_mm])

    def _report(self, state: PandaState, time_ns: int) -> RobotState | None:
        """Return the reported state with noise, bias and the active fault."""
        if self.fault is ArmFault.STALE_STATE or not self.driver.publishes_states:
            return None
        if self.fault is ArmFault.COALESCED_STATES and not self._is_published(time_ns):
            return None
        noise = self._random.standard_normal(6)
        reported = RobotState(
            stamp_ns=time_ns,
            position_mm=state.end_effector.position_mm,
            quaternion_xyzw=state.end_effector.quaternion_xyzw,
            force_n=state.force_n + self._bias_n + self._noise_n * noise[:3],
            torque_n_m=state.torque_n_m + 0.02 * self._noise_n * noise[3:],
            mode=int(RobotMode.MOVE if self.driver.follows_targets else RobotMode.IDLE),
            frame_id=BASE_FRAME,
        )
        if self.fault is None:
            return reported
        return disturb(reported, self.fault, (time_ns - self._fault_since_ns) * 1e-9)

    def _is_published(self, time_ns: int) -> bool:
        """Return whether a state is published while states coalesce at random intervals."""
        if time_ns < self._next_state_ns:
            return False
        steps = int(self._random.integers(1, MAX_COALESCED_STEPS + 1))
        self._next_state_ns = time_ns + steps * STEP_NS
        return True
