"""A Panda without hardware: the topics of franka_ros2, and the truth beside them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    from_wrench,
    to_nanoseconds,
    to_pose,
    to_time,
    to_wrench,
)
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.node_settings import VirtualPandaSettings
from tacdiff_ros.nodes.parameters import declare, declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import (
    FRANKA_CONVENIENCE,
    LATEST_COMMAND,
    RELIABLE_STATES,
)
from tacdiff_ros.nodes.rig_parameters import declare_rig
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.srv import InjectFault
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.faults import parse_fault
from tacdiff_ros.virtual.panda import ImpedanceParameters, PandaState
from tacdiff_ros.virtual.rig import STEP_NS, RigReading, VirtualRig

BROADCASTER = "franka_robot_state_broadcaster"
STEP_PERIOD_S = 1e-3
MAX_FAULT_S = 3600.0
MAX_FAREWELL_S = 10.0


class VirtualPandaNode(GuardedNode):
    """Steps the arm in real time and publishes every millisecond's state."""

    def __init__(self) -> None:
        """Place the arm above the indenter and start."""
        super().__init__("virtual_panda")
        rig = declare_rig(self)
        given = declare_model(self, "", VirtualPandaSettings)
        self._arm_id, self._gel_frame = given.arm_id, given.gel_frame_id
        impedance = self._declare_floats("impedance", ImpedanceParameters)
        plane = self._declare_floats("plane", StiffContactParameters)
        self._lock_step = LockStep(
            self, {"acquisition": ["target_pose"]}, self._advance_to, feedback=["acquisition"]
        )
        refuse_unknown(self)
        start = rig.base_to_indenter.shifted([0.0, 0.0, -given.start_gap_mm])
        self._rig = VirtualRig(
            rig,
            start @ rig.end_effector_to_gel.inverse(),
            ImpedanceParameters(**impedance),
            StiffContactParameters(**plane) if given.contact == "plane" else None,
        )
        self._every = given.convenience_every
        self._stop_asked_s = 0.0
        self._targets = self.resolve_topic_name("target_pose")  # graph queries do not remap
        self._messages = _Messages(self._arm_id)
        self._create_topics()
        if given.contact == "topic":
            self.create_subscription(WrenchStamped, "contact_wrench", self._on_wrench, 1)
        self.create_subscription(
            PoseStamped, "target_pose", self._on_target, self._lock_step.qos(LATEST_COMMAND)
        )
        self.create_service(InjectFault, "~/inject_fault", self._on_fault)
        if not self._lock_step.is_on:
            self.create_timer(
                STEP_PERIOD_S, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )

    def request_stop(self, _reason: str) -> None:
        """Go on while somebody commands the arm, who may want to retract first."""
        self._stop_asked_s = self._lock_step.monotonic_s()

    def is_finished(self) -> bool:
        """Whether nobody commands the arm any more, or has done so for long enough."""
        waited_s = self._lock_step.monotonic_s() - self._stop_asked_s
        long_s = self._lock_step.still_for_s() + max(0.0, waited_s)
        return long_s > MAX_FAREWELL_S or self.count_publishers(self._targets) == 0

    def _declare_floats(self, prefix: str, kind: type) -> dict[str, float]:
        values = {}
        for field in fields(kind):
            name = f"{prefix}.{field.name}"
            value = float(declare(self, name, field.default, field.name.replace("_", " ")))
            if not 0.0 <= value < 1e5:
                raise InputError(f"parameter '{name}' is {value:g}; expected 0 to 100000")
            values[field.name] = value
        return values

    def _create_topics(self) -> None:
        """The names of franka_ros2; its convenience topics are best effort with depth 1."""
        self._states = self.create_publisher(
            FrankaRobotState, f"{BROADCASTER}/robot_state", RELIABLE_STATES
        )

        def convenience(kind: type, name: str) -> Any:
            return self.create_publisher(kind, f"{BROADCASTER}/{name}", FRANKA_CONVENIENCE)

        self._poses = convenience(PoseStamped, "current_pose")
        self._desired = convenience(PoseStamped, "last_desired_pose")
        self._joints = convenience(JointState, "measured_joint_states")
        self._wrenches = convenience(WrenchStamped, "external_wrench_in_base_frame")
        self._torques = convenience(JointState, "external_joint_torques")
        self._true_indenter = self.create_publisher(
            PoseStamped, "ground_truth/indenter", RELIABLE_STATES
        )
        self._true_wrench = self.create_publisher(
            WrenchStamped, "ground_truth/contact_wrench", RELIABLE_STATES
        )

    def _advance(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if now_ns > 0:  # a clock that nobody publishes yet shows 0
            self._advance_to(now_ns)

    def _advance_to(self, now_ns: int) -> None:
        readings = self._rig.advance(now_ns)
        for reading in readings:
            convenience = reading.stamp_ns // STEP_NS % self._every == 0
            if reading.reported is not None:
                message = self._messages.fill(reading.arm, reading.reported)
                self._states.publish(message)
                if convenience:
                    self._publish_convenience(message)
                self._lock_step.published(reading.reported.stamp_ns)
            if convenience or (self._lock_step.is_on and reading is readings[-1]):
                self._publish_truth(reading)

    def _publish_convenience(self, state: FrankaRobotState) -> None:
        self._poses.publish(state.o_t_ee)
        self._desired.publish(state.o_t_ee_d)
        self._joints.publish(state.measured_joint_state)
        self._wrenches.publish(state.o_f_ext_hat_k)
        self._torques.publish(state.tau_ext_hat_filtered)

    def _publish_truth(self, reading: RigReading) -> None:
        """The true pose of the indenter in the frame `gel`, and the true external wrench."""
        stamp = to_time(reading.stamp_ns)
        pose = PoseStamped(pose=to_pose(reading.gel_to_indenter))
        pose.header.stamp, pose.header.frame_id = stamp, self._gel_frame
        self._true_indenter.publish(pose)
        wrench = WrenchStamped(wrench=to_wrench(reading.arm.force_n, reading.arm.torque_n_m))
        wrench.header.stamp, wrench.header.frame_id = stamp, f"{self._arm_id}_link0"
        self._true_wrench.publish(wrench)

    def _on_target(self, message: PoseStamped) -> None:
        try:
            self._rig.follow(from_pose(message.pose))
        finally:
            stamp_ns = to_nanoseconds(message.header.stamp)
            self._lock_step.received("acquisition", "target_pose", stamp_ns)

    def _on_wrench(self, message: WrenchStamped) -> None:
        self._rig.set_wrench_on_gel(*from_wrench(message.wrench))

    def _on_fault(
        self, request: InjectFault.Request, response: InjectFault.Response
    ) -> InjectFault.Response:
        fault = parse_fault(request.fault)
        if not 0.0 <= request.duration <= MAX_FAULT_S:
            raise InputError(f"duration {request.duration} s; expected 0 to 3600")
        self._rig.inject(fault, request.duration)
        response.success = True
        response.message = f"{request.fault} from now on" if fault else "no fault any more"
        return response


class _Messages:
    """One message, filled again for every state."""

    def __init__(self, arm_id: str) -> None:
        self._state = state = FrankaRobotState()
        base, tool = f"{arm_id}_link0", f"{arm_id}_hand_tcp"
        names = [f"{arm_id}_joint{number}" for number in range(1, 8)]
        self._joint_messages = (
            state.measured_joint_state,
            state.desired_joint_state,
            state.measured_joint_motor_state,
            state.tau_ext_hat_filtered,
        )
        for joint in self._joint_messages:
            joint.name = names
            joint.header.frame_id = base
        for part in (state.o_t_ee, state.o_t_ee_d, state.o_t_ee_c, state.o_f_ext_hat_k):
            part.header.frame_id = base
        for part in (state.k_f_ext_hat_k, state.ee_t_k, state.inertia_ee, state.inertia_total):
            part.header.frame_id = tool
        state.f_t_ee.header.frame_id = f"{arm_id}_link8"
        state.header.frame_id = base
        state.control_command_success_rate = 1.0
        self._identity(state)

    @staticmethod
    def _identity(state: FrankaRobotState) -> None:
        for part in (state.f_t_ee, state.ee_t_k):
            part.pose.orientation.w = 1.0

    def fill(self, arm: PandaState, reported: RobotState) -> FrankaRobotState:
        """The message for one millisecond."""
        state = self._state
        stamp = to_time(reported.stamp_ns)
        q, dq = arm.position_rad.tolist(), arm.velocity_rad_s.tolist()
        tau, external = arm.effort_n_m.tolist(), arm.external_torque_n_m.tolist()
        state.header.stamp = stamp
        values: tuple[tuple[list[float], ...], ...] = (
            (q, dq, tau),
            (q, dq, tau),
            (q, dq, tau),
            ([], [], external),
        )
        for joint, (position, velocity, effort) in zip(self._joint_messages, values, strict=True):
            joint.header.stamp = stamp
            joint.position, joint.velocity, joint.effort = position, velocity, effort
        measured = Pose.from_quaternion(reported.position_mm, reported.quaternion_xyzw)
        desired = to_pose(arm.desired)
        for part, pose in (
            (state.o_t_ee, to_pose(measured)),
            (state.o_t_ee_d, desired),
            (state.o_t_ee_c, desired),
        ):
            part.header.stamp, part.pose = stamp, pose
        wrench = to_wrench(reported.force_n, reported.torque_n_m)
        for part in (state.o_f_ext_hat_k, state.k_f_ext_hat_k):
            part.header.stamp, part.wrench = stamp, wrench
        state.time = 1e-9 * reported.stamp_ns
        state.robot_mode = reported.mode
        for name in state.current_errors.get_fields_and_field_types():
            if getattr(state.current_errors, name) != (name in reported.errors):
                setattr(state.current_errors, name, name in reported.errors)
        return state


def main() -> int:
    """Entry point."""
    return run(VirtualPandaNode)


if __name__ == "__main__":
    raise SystemExit(main())
