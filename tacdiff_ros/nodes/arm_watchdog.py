"""Retracts the sensor if `acquisition` is killed in contact; runs in a separate process."""

from __future__ import annotations

import time

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher

from tacdiff_ros.acquisition.arm_watchdog import ArmWatchdog, Contact
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.conversion.geometry import from_pose, to_pose
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.node_settings import ArmWatchdogSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, SENSOR_STATES
from tacdiff_ros.nodes.rig_parameters import declare_rig
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import ROBOT_STATE

TICK_S = 0.01
CLEAR_MM = 1.0  # measured gap from which a retracting sensor no longer touches the indenter
MAX_SHUTDOWN_S = 30.0  # maximum time that the node continues after a signal, if a run is in contact
CONTACT_PHASES = (
    AcquisitionState.PHASE_INDENT,
    AcquisitionState.PHASE_TRANSLATE,
    AcquisitionState.PHASE_ROTATE,
    AcquisitionState.PHASE_RETRACT,
    AcquisitionState.PHASE_STOPPED,
)


class ArmWatchdogNode(GuardedNode):
    """Publishes targets only while no other node does, because controllers refuse two publishers.

    A signal ends the node as soon as no run is in contact. A second signal shortly after the first,
    such as a repeated Ctrl-C, does not end it: it kills `acquisition`, and this node must then
    retract the sensor.
    """

    second_signal_after_s = MAX_SHUTDOWN_S

    def __init__(self) -> None:
        """Read the parameters, which are those of `acquisition`, and subscribe."""
        super().__init__("arm_watchdog")
        rig = declare_rig(self).rig
        limits = declare_model(self, "limits", SafetyLimits)
        self._base_frame = declare_model(self, "", ArmWatchdogSettings).base_frame
        refuse_unknown(self)
        self._watchdog = ArmWatchdog(rig.end_effector_to_gel, limits, self._base_frame)
        self._decoder = RobotStateDecoder()
        self._publisher: Publisher | None = None
        self._logged_report = ""
        self._stop_requested_s: float | None = None
        self._target_topic = self.resolve_topic_name("target_pose")  # graph queries do not remap
        self.create_subscription(AcquisitionState, "acquisition_state", self._on_activity, 10)
        self.create_subscription(
            FrankaRobotState, ROBOT_STATE, self._on_state, SENSOR_STATES, raw=True
        )
        # Steady clock: safety must not depend on a simulated clock.
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def request_stop(self, _reason: str) -> None:
        """Continue while a run is in contact."""
        self._stop_requested_s = time.monotonic()

    def is_finished(self) -> bool:
        """Return whether no run is in contact, or `MAX_SHUTDOWN_S` has passed."""
        waited_s = time.monotonic() - (self._stop_requested_s or 0.0)
        return not self._watchdog.is_armed or waited_s > MAX_SHUTDOWN_S

    def _on_activity(self, message: AcquisitionState) -> None:
        gap_mm = 1e3 * message.measured_indenter.position.z
        near_contact = message.phase in CONTACT_PHASES and gap_mm < CLEAR_MM
        if message.in_contact or near_contact:
            gel = from_pose(message.measured_gel)
            self._watchdog.on_contact(Contact(-gap_mm, gel, time.monotonic()))
        else:
            self._watchdog.on_clear()

    def _on_state(self, data: bytes) -> None:
        self._watchdog.on_state(self._decoder.decode(data), time.monotonic())

    def _tick(self) -> None:
        has_publisher = self._publisher is not None
        other_publishers = self.count_publishers(self._target_topic) - has_publisher
        subscribers = self.count_subscribers(self._target_topic)
        target = self._watchdog.tick(other_publishers, subscribers, time.monotonic())
        if self._watchdog.report != self._logged_report:
            self._logged_report = self._watchdog.report
            self.get_logger().warning(self._logged_report)
        if target is not None:
            self._send(target)
        elif has_publisher and not self._watchdog.is_retracting:
            self.destroy_publisher(self._publisher)
            self._publisher = None

    def _send(self, target: Pose) -> None:
        if self._publisher is None:
            self._publisher = self.create_publisher(PoseStamped, "target_pose", LATEST_COMMAND)
        message = PoseStamped(pose=to_pose(target))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._base_frame
        self._publisher.publish(message)


def main() -> int:
    """Run the node."""
    return run(ArmWatchdogNode)


if __name__ == "__main__":
    raise SystemExit(main())
