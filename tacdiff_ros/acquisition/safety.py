"""Monitor that detects violations of the safety limits of a run.

One monitor checks the robot states, the images, the message clock and every target before it is
sent. It only decides; the session stops and retracts the arm. Every limit has a cause of its own,
so that a failed run names the limit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.arm_control import ArmControl
from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.image_pause import image_pause_s, low_rate_warning
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.safety_limits import SafetyLimits, Vector
from tacdiff_ros.acquisition.speed_window import SpeedWindow
from tacdiff_ros.acquisition.stream_watch import StreamWatch
from tacdiff_ros.geometry.pose import Pose

STEP_TOLERANCE = 1e-6


class SafetyMonitor:
    """Monitors one run and records its first fault.

    The age of messages is measured on a monotonic clock at reception, so that a wrong message
    clock cannot hide silence.

    Attributes:
        limits: safety limits.
        fault: first fault; None without one.
        force_max_n: maximum external force since the first tare, bias removed, N.
        force_now_n: external force of the newest state, bias removed, N.
        is_blocked: whether the caller knows that targets have no effect at present.
    """

    def __init__(
        self, limits: SafetyLimits, end_effector_to_gel: Pose, base_frame: str = ""
    ) -> None:
        """Start without a fault and with a bias of zero.

        Args:
            limits: safety limits.
            end_effector_to_gel: pose of the frame `gel` in the end effector.
            base_frame: frame that the robot states must have; empty to accept any.
        """
        self.limits = limits
        self.is_blocked = False
        self._control = ArmControl(base_frame)
        self.fault: Fault | None = None
        self.force_max_n = 0.0
        self._mount = end_effector_to_gel
        self._bias_force_n: NDArray[np.float64] = np.zeros(3)
        self._bias_torque_n_m: NDArray[np.float64] = np.zeros(3)
        self._speeds = SpeedWindow(limits)
        self._states = StreamWatch(
            "robot state", limits.state_age_s, Cause.STALE_STATE, limits.clock_jump_s
        )
        self._images = StreamWatch(
            "image", limits.image_age_s, Cause.STALE_IMAGES, limits.clock_jump_s
        )
        self._image_format: tuple[int, ...] | None = None
        self._target: tuple[float, Pose] | None = None
        self.force_now_n = 0.0
        self._tared = False

    def trip(self, cause: Cause, detail: str) -> None:
        """Record a fault, unless one is recorded already."""
        if self.fault is None:
            self.fault = Fault(cause, detail)

    def _trip_by(self, fault: Fault | None) -> None:
        if fault is not None:
            self.trip(fault.cause, fault.detail)

    def forget_streams(self) -> None:
        """Restart the supervision of the streams after a stop; fault and bias remain."""
        self._speeds.clear()
        self._image_format = None
        self._states.forget()
        self._images.forget()

    def forget_target(self) -> None:
        """Accept any next target inside the box, however far it is from the last one."""
        self._target = None

    def tare(self, states: list[RobotState]) -> None:
        """Set the bias of force and torque to the mean wrench of some states.

        Args:
            states: robot states in free space, at least one.
        """
        self._bias_force_n = np.mean([state.force_n for state in states], axis=0)
        self._bias_torque_n_m = np.mean([state.torque_n_m for state in states], axis=0)
        if not self._tared:
            self._tared, self.force_max_n = True, 0.0  # before the first tare, forces include bias
        size = float(np.linalg.norm(self._bias_force_n))
        if size > self.limits.force_bias_n:
            self.trip(
                Cause.FORCE_BIAS,
                f"the force without contact is {size:.1f} N, limit "
                f"{self.limits.force_bias_n:g} N: check the configured load and that "
                "nothing touches the sensor",
            )

    def without_bias(
        self, force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Subtract the bias of the last `tare`.

        Args:
            force_n: (3,) external force in the robot base, N.
            torque_n_m: (3,) external torque in the robot base, N m.

        Returns:
            Force (3,) N and torque (3,) N m without bias.
        """
        return force_n - self._bias_force_n, torque_n_m - self._bias_torque_n_m

    def on_state(self, state: RobotState, now_s: float) -> bool:
        """Check a robot state.

        Args:
            state: robot state.
            now_s: monotonic time of its reception, s.

        Returns:
            Whether the numbers of the state can be used.
        """
        if not state.is_usable:
            self.trip(Cause.NOT_FINITE, "the robot state holds a number that is not finite")
            return False
        self._trip_by(self._control.check(state))
        self._check_wrench(state)
        self._trip_by(self._speeds.add(state))
        self._check_inside(self._gel_position_mm(state))
        self._trip_by(self._states.receive(state.stamp_ns, now_s))
        return True

    def on_image(self, stamp_ns: int, shape: tuple[int, ...], now_s: float) -> None:
        """Check the stamp and the shape of an image.

        Args:
            stamp_ns: stamp of the image, ns.
            shape: shape of the image array.
            now_s: monotonic time of its reception, s.
        """
        if self._image_format not in (None, shape):
            self.trip(
                Cause.IMAGE_CHANGED_FORMAT,
                f"the images changed from {self._image_format} to {shape} during the run",
            )
        self._image_format = shape
        self._trip_by(self._images.receive(stamp_ns, now_s))

    def on_target(self, target: Pose, now_s: float) -> bool:
        """Check a target before it is sent.

        Args:
            target: target of the frame `gel` in the robot base.
            now_s: monotonic time, s.

        Returns:
            Whether the target may be sent.
        """
        if not (np.isfinite(target.position_mm).all() and np.isfinite(target.matrix).all()):
            self.trip(Cause.NOT_FINITE, "the commanded target holds a number that is not finite")
            return False
        if not self.is_inside(target.position_mm):
            self.trip(Cause.TARGET_OUTSIDE_WORKSPACE, self.outside_detail(target))
            return False
        if self._target is not None and not self._is_slow(self._target, target, now_s):
            return False
        self._target = (now_s, target)
        return True

    def check_ages(self, now_s: float) -> None:
        """Check the age of the last state and of the last image; call it at every tick."""
        self._trip_by(self._states.silence(now_s))
        self._trip_by(self._images.silence(now_s))

    def wants_pause(self, now_s: float) -> bool:
        """Return whether a stream has been silent for so long that motion should pause."""
        states_s, images_s = self._states.age_s(now_s), self._images.age_s(now_s)
        return states_s > self.limits.state_pause_s or images_s > self.image_pause_s()

    def image_pause_s(self) -> float:
        """Return the silence of images after which motion pauses, s."""
        return image_pause_s(self.limits, self._images.interval_s())

    def low_rate_warning(self) -> str:
        """Return one line if the images are so slow that the pause was adapted; else empty."""
        return low_rate_warning(self.limits, self._images.interval_s())

    def check_tracking(self, target: Pose, measured: Pose) -> None:
        """Check that the measured pose of the frame `gel` follows its target."""
        distance_mm, _ = target.distance_to(measured)
        if distance_mm > self.limits.tracking_mm:
            self.trip(
                Cause.TRACKING_ERROR,
                f"the arm is {distance_mm:.1f} mm from its target, limit "
                f"{self.limits.tracking_mm:g} mm: is the Cartesian controller active?",
            )

    def is_trustworthy(self, now_s: float) -> bool:
        """Return whether recent, finite states arrive from an arm that may move, inside the box."""
        state = self._speeds.newest
        if self.is_blocked or state is None or not self._states.has_received:
            return False
        is_fresh = self._states.silence(now_s) is None
        is_inside = self.is_inside(self._gel_position_mm(state))
        return is_fresh and self._control.may_move(state) and is_inside

    def is_inside(self, position_mm: NDArray[np.float64]) -> bool:
        """Return whether a position is inside the workspace box.

        Args:
            position_mm: (3,) position of the frame `gel` in the robot base, mm.
        """
        low, high = self.limits.box_min_mm, self.limits.box_max_mm
        return bool(np.all(position_mm >= low) and np.all(position_mm <= high))

    def outside_detail(self, target: Pose) -> str:
        """Return the one-line description of a target outside the workspace box."""
        return (
            f"the target {_mm(target.position_mm)} lies outside the box {self._box()}: "
            "move the indenter or enlarge the workspace"
        )

    @property
    def has_control(self) -> bool:
        """Whether the newest state has the mode MOVE: a controller drives the arm."""
        state = self._speeds.newest
        return state is not None and state.mode == RobotMode.MOVE

    def _check_wrench(self, state: RobotState) -> None:
        force, torque = self.without_bias(state.force_n, state.torque_n_m)
        force_n, torque_n_m = float(np.linalg.norm(force)), float(np.linalg.norm(torque))
        self.force_now_n = force_n
        self.force_max_n = max(self.force_max_n, force_n)
        if force_n > self.limits.force_n:
            self.trip(
                Cause.FORCE_LIMIT, f"the force is {force_n:.2f} N, limit {self.limits.force_n:g} N"
            )
        if torque_n_m > self.limits.torque_n_m:
            self.trip(
                Cause.TORQUE_LIMIT,
                f"the torque is {torque_n_m:.2f} N m, limit {self.limits.torque_n_m:g} N m",
            )

    def _check_inside(self, position_mm: NDArray[np.float64]) -> None:
        if not self.is_inside(position_mm):
            self.trip(
                Cause.OUTSIDE_WORKSPACE,
                f"the gel is at {_mm(position_mm)}, outside the box {self._box()}",
            )

    def _is_slow(self, last: tuple[float, Pose], target: Pose, now_s: float) -> bool:
        """Check the step between two targets against the speed limits, and trip above them.

        A late timer causes one large step; dividing by the time since the last target allows it.
        """
        step_mm, step_rad = last[1].distance_to(target)
        elapsed_s = max(now_s - last[0], 1e-3)
        if step_mm <= self.limits.speed_mm_s * elapsed_s + STEP_TOLERANCE and (
            step_rad <= self.limits.rotation_speed_rad_s * elapsed_s + STEP_TOLERANCE
        ):
            return True
        self.trip(
            Cause.TARGET_TOO_FAST,
            f"the next target is {step_mm:.2f} mm and {step_rad:.4f} rad away after "
            f"{elapsed_s * 1e3:.0f} ms, limits {self.limits.speed_mm_s:g} mm/s and "
            f"{self.limits.rotation_speed_rad_s:g} rad/s",
        )
        return False

    def _gel_position_mm(self, state: RobotState) -> NDArray[np.float64]:
        end_effector = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return (end_effector @ self._mount).position_mm

    def _box(self) -> str:
        return f"{_mm(self.limits.box_min_mm)} to {_mm(self.limits.box_max_mm)}"


def _mm(position: NDArray[np.float64] | Vector) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in position) + ") mm"
