"""Publishes the virtual clock, which advances when every participant has completed the step."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMessage

from tacdiff_ros.errors import InputError
from tacdiff_ros.msg import Readiness, StepDone
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds, to_time
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import DONE_TOPIC, SECOND_NS
from tacdiff_ros.nodes.node_settings import VirtualClockSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import LATCHED_FROM_MANY, LOCK_STEP
from tacdiff_ros.nodes.readiness import READINESS_TOPIC
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.virtual.lock_step import StepConductor

WATCH_PERIOD_S = 0.5
DISCOVERY_S = 1.0  # time between the readiness of the last participant and the first step
REPEAT_S = 2.0  # period with which a clock that stands still is published again
LOG_PERIOD_S = 10.0
MAX_BEHIND_S = 0.2  # maximum delay that a clock with a speed limit may catch up
MAX_SHUTDOWN_S = 20.0  # time for the arm to retract before all nodes end


class VirtualClockNode(GuardedNode):
    """Publishes `/clock`, and receives the readiness and the completed steps of participants."""

    def __init__(self) -> None:
        """Read the parameters and wait for the participants."""
        super().__init__("virtual_clock")
        settings = declare_model(self, "", VirtualClockSettings)
        refuse_unknown(self)
        self._speed_limit = settings.speed_limit
        names = [name for name in (*settings.participants, *settings.followers) if name]
        if not names:
            raise InputError("parameter 'participants' is empty: give the names of the nodes")
        step_ns = 1_000_000 * settings.step_ms
        lag_ns = round(1e9 * settings.follower_lag_s)
        lags_ns = {name: lag_ns if name in settings.followers else 0 for name in names}
        start_ns = time.time_ns() // SECOND_NS * SECOND_NS
        self._conductor = StepConductor(start_ns, step_ns, lags_ns)
        self._start_ns, self._unready = start_ns, set(names)
        self._discovered: set[str] = set()  # participants that were present in the ROS graph
        self._started_s: float | None = None
        self._advanced_s = self._published_s = time.monotonic()
        self._stop_requested_s: float | None = None
        self._clock_messages = self.create_publisher(ClockMessage, "/clock", LOCK_STEP)
        self.create_subscription(StepDone, DONE_TOPIC, self._on_done, LOCK_STEP)
        self.create_subscription(Readiness, READINESS_TOPIC, self._on_readiness, LATCHED_FROM_MANY)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=steady)
        if self._speed_limit > 0:
            period_s = 1e-3 * settings.step_ms / self._speed_limit
            self.create_timer(period_s, self._advance, clock=steady)

    def request_stop(self, _reason: str) -> None:
        """Continue while participants need the clock to end."""
        self._stop_requested_s = time.monotonic()

    def is_finished(self) -> bool:
        """Return whether no participant is left, or `MAX_SHUTDOWN_S` has passed."""
        waited_s = time.monotonic() - (self._stop_requested_s or 0.0)
        unused = self._started_s is None or not self._conductor.participants
        return waited_s > MAX_SHUTDOWN_S or unused

    def _on_readiness(self, message: Readiness) -> None:
        name = message.node.rsplit("/", 1)[-1]
        if message.ready:
            self._unready.discard(name)
        elif message.failure and name in self._unready:
            self._drop_unready(name, f"cannot become ready ({message.failure})")

    def _drop_unready(self, name: str, reason: str) -> None:
        """Continue without a participant."""
        self.get_logger().error(f"{name} {reason}: the clock continues without it")
        self._unready.discard(name)
        self._conductor.drop(name)

    def _on_done(self, message: StepDone) -> None:
        self._conductor.participant_done(message.node, to_nanoseconds(message.time))
        self._advance()

    def _advance(self) -> None:
        if self._is_ahead() or not self._conductor.advance():
            return
        self._advanced_s = time.monotonic()
        self._publish()

    def _is_ahead(self) -> bool:
        """Return whether the clock would exceed its speed limit."""
        if self._speed_limit <= 0 or self._started_s is None:
            return False
        elapsed_s = 1e-9 * (self._conductor.now_ns - self._start_ns)
        ahead_s = elapsed_s - self._speed_limit * (time.monotonic() - self._started_s)
        if ahead_s < -MAX_BEHIND_S:  # a longer delay is not caught up above the speed limit
            self._started_s = time.monotonic() - elapsed_s / self._speed_limit
        return ahead_s > 0.0

    def _publish(self) -> None:
        self._published_s = time.monotonic()
        self._clock_messages.publish(ClockMessage(clock=to_time(self._conductor.now_ns)))

    def _watch(self) -> None:
        """Start the clock when all are ready, log who delays it, and drop nodes that have left."""
        now_s = time.monotonic()
        if self._started_s is None:
            if self._unready:
                self._advanced_s = now_s
                self._check_unready()
            elif now_s - self._advanced_s > DISCOVERY_S:
                self._started_s = now_s
                self._conductor.start()
                self.get_logger().info("all participants are ready: the clock starts")
                self._publish()
            return
        if now_s - self._advanced_s > WATCH_PERIOD_S:
            self._check_delaying(self._conductor.waits_for())
        if now_s - self._published_s > REPEAT_S:
            self._publish()

    def _check_unready(self) -> None:
        """Drop participants that left before they were ready, and log those that are pending."""
        alive = set(self.get_node_names())
        self._discovered |= alive & self._unready
        for name in sorted(self._discovered & self._unready - alive):
            self._drop_unready(name, "has left before it was ready")
        if self._unready:
            self.get_logger().info(
                f"waiting for {', '.join(sorted(self._unready))}",
                throttle_duration_sec=LOG_PERIOD_S,
            )

    def _check_delaying(self, names: list[str]) -> None:
        """Drop those of the delaying participants that have left, and log the delay."""
        alive = self.get_node_names()
        for name in names:
            if name not in alive:
                self.get_logger().warning(f"{name} has left: the clock continues without it")
                self._conductor.drop(name)
        if time.monotonic() - self._advanced_s > LOG_PERIOD_S and names:
            self.get_logger().warning(
                f"the clock waits for {', '.join(names)}", throttle_duration_sec=LOG_PERIOD_S
            )
        self._advance()


def main() -> int:
    """Run the node."""
    return run(VirtualClockNode)


if __name__ == "__main__":
    raise SystemExit(main())
