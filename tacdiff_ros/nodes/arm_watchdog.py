"""Retracts the sensor when `acquisition` is killed in contact; a process of its own."""

from __future__ import annotations

import time

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher

from tacdiff_ros.acquisition.arm_watchdog import ArmWatchdog
from tacdiff_ros.acquisition.pose import Pose
from tacdiff_ros.acquisition.safety import SafetyLimits
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.conversion.geometry import to_pose
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.parameters import declare, declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATEST_COMMAND, SENSOR_STATES
from tacdiff_ros.nodes.rig_parameters import declare_rig
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import ROBOT_STATE

TICK_S = 0.01
TARGETS = "target_pose"


class ArmWatchdogNode(GuardedNode):
    """Publishes targets only while nobody else does: controllers refuse two publishers."""

    def __init__(self) -> None:
        """Read the parameters, those of `acquisition`, and watch."""
        super().__init__("arm_watchdog")
        rig = declare_rig(self)
        limits = declare_model(self, "limits", SafetyLimits)
        self._base_frame = declare(self, "base_frame", "fr3_link0", "frame of the robot base")
        refuse_unknown(self)
        self._watchdog = ArmWatchdog(rig.end_effector_to_gel, limits)
        self._decoder = RobotStateDecoder()
        self._publisher: Publisher | None = None
        self._said = ""
        self.create_subscription(AcquisitionState, "acquisition_state", self._on_activity, 10)
        self.create_subscription(
            FrankaRobotState, ROBOT_STATE, self._on_state, SENSOR_STATES, raw=True
        )
        # On the steady clock: safety must not wait for a simulated one.
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_activity(self, message: AcquisitionState) -> None:
        self._watchdog.on_activity(bool(message.in_contact), 1e3 * message.depth)

    def _on_state(self, data: bytes) -> None:
        self._watchdog.on_state(self._decoder.decode(data), time.monotonic())

    def _tick(self) -> None:
        own = self._publisher is not None
        target = self._watchdog.tick(self.count_publishers(TARGETS) - own, time.monotonic())
        if self._watchdog.report != self._said:
            self._said = self._watchdog.report
            self.get_logger().warning(self._said)
        if target is not None:
            self._send(target)
        elif own and not self._watchdog.is_retracting:
            self.destroy_publisher(self._publisher)
            self._publisher = None

    def _send(self, target: Pose) -> None:
        if self._publisher is None:
            self._publisher = self.create_publisher(PoseStamped, TARGETS, LATEST_COMMAND)
        message = PoseStamped(pose=to_pose(target))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._base_frame
        self._publisher.publish(message)


def main() -> int:
    """Entry point."""
    return run(ArmWatchdogNode)


if __name__ == "__main__":
    raise SystemExit(main())
