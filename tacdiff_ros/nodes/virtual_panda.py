"""A simulated Panda arm: the topics of franka_ros2, and the ground truth."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rclpy.clock import Clock, ClockType
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    from_wrench,
    to_nanoseconds,
    to_pose,
    to_time,
    to_wrench,
)
from tacdiff_ros.nodes.franka_state_message import FrankaStateMessage
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
from tacdiff_ros.nodes.virtual_controller_manager import create_controller_manager
from tacdiff_ros.srv import InjectFault
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.driver import BROADCASTER
from tacdiff_ros.virtual.faults import ArmFault, parse_fault
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import BASE_FRAME, STEP_NS, RigReading, VirtualRig

STEP_PERIOD_S = 1e-3
MAX_FAULT_S = 3600.0
MAX_SHUTDOWN_S = 10.0  # time that the arm keeps moving after a signal, so that a run can retract


class VirtualPandaNode(GuardedNode):
    """Simulates the arm in real time or in lock step and publishes its state at 1 kHz."""

    def __init__(self) -> None:
        """Read the parameters, place the arm above the indenter and start."""
        super().__init__("virtual_panda")
        rig = declare_rig(self).rig
        settings = declare_model(self, "", VirtualPandaSettings)
        self._gel_frame = settings.gel_frame_id
        impedance = self._declare_floats("impedance", ImpedanceParameters)
        plane = self._declare_floats("plane", StiffContactParameters)
        self._lock_step = LockStep(
            self, {"acquisition": ["target_pose"]}, self._advance_to, feedback=["acquisition"]
        )
        refuse_unknown(self)
        start = rig.base_to_indenter.shifted([0.0, 0.0, -settings.start_gap_mm])
        self._rig = VirtualRig(
            rig,
            start @ rig.end_effector_to_gel.inverse(),
            ImpedanceParameters(**impedance),
            StiffContactParameters(**plane) if settings.contact == "plane" else None,
        )
        self._convenience_every = settings.convenience_every
        self._stop_requested_s = 0.0
        self._target_topic = self.resolve_topic_name("target_pose")  # graph queries do not remap
        self._state_message = FrankaStateMessage(settings.arm_id)
        self._second_publisher: Any = None
        self._create_topics()
        create_controller_manager(self, self._rig)
        if settings.contact == "topic":
            self.create_subscription(WrenchStamped, "ground_truth/gel_wrench", self._on_wrench, 1)
        self.create_subscription(
            PoseStamped, "target_pose", self._on_target, self._lock_step.qos(LATEST_COMMAND)
        )
        self.create_service(InjectFault, "~/inject_fault", self._on_fault)
        if not self._lock_step.is_on:
            self.create_timer(
                STEP_PERIOD_S, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )

    def request_stop(self, _reason: str) -> None:
        """Continue while a node commands the arm, because it may have to retract first."""
        self._stop_requested_s = self._lock_step.monotonic_s()

    def is_finished(self) -> bool:
        """Return whether no node commands the arm, or `MAX_SHUTDOWN_S` has passed."""
        waited_s = self._lock_step.monotonic_s() - self._stop_requested_s
        total_s = self._lock_step.stalled_for_s() + max(0.0, waited_s)
        return total_s > MAX_SHUTDOWN_S or self.count_publishers(self._target_topic) == 0

    def _declare_floats(self, prefix: str, kind: type) -> dict[str, float]:
        """Declare the fields of a dataclass of numbers as parameters and return their values."""
        values = {}
        for field in fields(kind):
            name = f"{prefix}.{field.name}"
            value = float(declare(self, name, field.default, field.name.replace("_", " ")))
            if not 0.0 <= value < 1e5:
                raise InputError(f"parameter '{name}' is {value:g}; expected 0 to 100000")
            values[field.name] = value
        return values

    def _create_topics(self) -> None:
        """Create the topics of franka_ros2 and the ground truth.

        As in franka_ros2, the convenience topics are best effort with depth 1.
        """
        self._states = self.create_publisher(
            FrankaRobotState, f"{BROADCASTER}/robot_state", RELIABLE_STATES
        )

        def convenience(kind: type, name: str) -> Any:
            return self.create_publisher(kind, f"{BROADCASTER}/{name}", FRANKA_CONVENIENCE)

        self._poses = convenience(PoseStamped, "current_pose")
        self._desired = convenience(PoseStamped, "last_desired_pose")
        self._twists = convenience(TwistStamped, "desired_end_effector_twist")
        self._joints = convenience(JointState, "measured_joint_states")
        self._desired_joints = convenience(JointState, "desired_joint_states")
        self._wrenches = convenience(WrenchStamped, "external_wrench_in_base_frame")
        self._tool_wrenches = convenience(WrenchStamped, "external_wrench_in_stiffness_frame")
        self._torques = convenience(JointState, "external_joint_torques")
        self._true_indenter = self.create_publisher(
            PoseStamped, "ground_truth/indenter", RELIABLE_STATES
        )
        self._true_wrench = self.create_publisher(
            WrenchStamped, "ground_truth/contact_wrench", RELIABLE_STATES
        )

    def _advance(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if now_ns > 0:  # the time is 0 until a simulated clock is published
            self._advance_to(now_ns)

    def _advance_to(self, now_ns: int) -> None:
        readings = self._rig.advance(now_ns)
        self._update_second_publisher()
        for reading in readings:
            convenience = reading.stamp_ns // STEP_NS % self._convenience_every == 0
            if reading.reported is not None:
                data = self._state_message.fill(reading.arm, reading.reported)
                self._states.publish(data)
                if convenience:
                    self._publish_convenience(deserialize_message(data, FrankaRobotState))
                self._lock_step.published(reading.reported.stamp_ns)
            if convenience or (self._lock_step.is_on and reading is readings[-1]):
                self._publish_truth(reading)

    def _publish_convenience(self, state: FrankaRobotState) -> None:
        self._poses.publish(state.o_t_ee)
        self._desired.publish(state.o_t_ee_d)
        self._twists.publish(state.o_dp_ee_d)
        self._joints.publish(state.measured_joint_state)
        self._desired_joints.publish(state.desired_joint_state)
        self._wrenches.publish(state.o_f_ext_hat_k)
        self._tool_wrenches.publish(state.k_f_ext_hat_k)
        self._torques.publish(state.tau_ext_hat_filtered)

    def _publish_truth(self, reading: RigReading) -> None:
        """Publish the true pose of the indenter in the frame `gel` and the true external wrench."""
        stamp = to_time(reading.stamp_ns)
        pose = PoseStamped(pose=to_pose(reading.gel_to_indenter))
        pose.header.stamp, pose.header.frame_id = stamp, self._gel_frame
        self._true_indenter.publish(pose)
        wrench = WrenchStamped(wrench=to_wrench(reading.arm.force_n, reading.arm.torque_n_m))
        wrench.header.stamp, wrench.header.frame_id = stamp, BASE_FRAME
        self._true_wrench.publish(wrench)

    def _update_second_publisher(self) -> None:
        """Create or destroy the second target publisher, which is a fault on demand."""
        if self._rig.fault is ArmFault.SECOND_PUBLISHER:
            if self._second_publisher is None:
                self._second_publisher = self.create_publisher(
                    PoseStamped, "target_pose", LATEST_COMMAND
                )
        elif self._second_publisher is not None:
            self.destroy_publisher(self._second_publisher)
            self._second_publisher = None

    def _on_target(self, message: PoseStamped) -> None:
        """Follow a target, unless more than one node publishes targets, as crisp_controllers."""
        try:
            target = from_pose(message.pose)
            if self.count_publishers(self._target_topic) > 1:
                raise InputError("target_pose has more than one publisher: targets are ignored")
            self._rig.follow(target)
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
            raise InputError(f"duration is {request.duration} s, expected 0 to {MAX_FAULT_S:g}")
        self._rig.inject(fault, request.duration)
        response.success = True
        response.message = f"{request.fault} is active" if fault else "no fault is active"
        return response


def main() -> int:
    """Run the node."""
    return run(VirtualPandaNode)


if __name__ == "__main__":
    raise SystemExit(main())
