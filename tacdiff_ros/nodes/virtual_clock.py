"""The clock of the virtual world: it advances when every participant is done with the step."""

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
DISCOVERY_S = 1.0  # between the last participant's readiness and the first step
REPEAT_S = 2.0  # a clock that stands still is published again
QUIET_S = 10.0
MAX_BEHIND_S = 0.2  # of a clock with a speed limit
FAREWELL_S = 20.0  # for an arm that retracts before all end


class VirtualClockNode(GuardedNode):
    """Publishes `/clock` and listens to who is ready and who is done."""

    def __init__(self) -> None:
        """Wait for the participants."""
        super().__init__("virtual_clock")
        given = declare_model(self, "", VirtualClockSettings)
        refuse_unknown(self)
        self._speed = given.speed_limit
        everybody = [name for name in (*given.participants, *given.followers) if name]
        if not everybody:
            raise InputError("parameter 'participants' is empty: give the names of the nodes")
        step_ns = 1_000_000 * given.step_ms
        lag_ns = round(1e9 * given.follower_lag_s)
        lags = {name: lag_ns if name in given.followers else 0 for name in everybody}
        start_ns = time.time_ns() // SECOND_NS * SECOND_NS
        self._conductor = StepConductor(start_ns, step_ns, lags)
        self._start_ns, self._unready = start_ns, set(everybody)
        self._met: set[str] = set()  # in the graph
        self._started_s: float | None = None
        self._moved_s = self._published_s = time.monotonic()
        self._asked_to_stop_s: float | None = None
        self._clock_messages = self.create_publisher(ClockMessage, "/clock", LOCK_STEP)
        self.create_subscription(StepDone, DONE_TOPIC, self._on_done, LOCK_STEP)
        self.create_subscription(Readiness, READINESS_TOPIC, self._on_readiness, LATCHED_FROM_MANY)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=steady)
        if self._speed > 0:
            self.create_timer(1e-3 * given.step_ms / self._speed, self._advance, clock=steady)

    def request_stop(self, _reason: str) -> None:
        """Go on while others need the time to end."""
        self._asked_to_stop_s = time.monotonic()

    def is_finished(self) -> bool:
        """Whether nobody is left, or they had long enough."""
        waited_s = time.monotonic() - (self._asked_to_stop_s or 0.0)
        nobody = self._started_s is None or not self._conductor.participants
        return waited_s > FAREWELL_S or nobody

    def _on_readiness(self, message: Readiness) -> None:
        name = message.node.rsplit("/", 1)[-1]
        if message.ready:
            self._unready.discard(name)
        elif message.failure and name in self._unready:
            self._give_up(name, f"will never be ready ({message.failure})")

    def _give_up(self, name: str, why: str) -> None:
        """Go on without a participant."""
        self.get_logger().error(f"{name} {why}: the clock goes on without it")
        self._unready.discard(name)
        self._conductor.drop(name)

    def _on_done(self, message: StepDone) -> None:
        self._conductor.participant_done(message.node, to_nanoseconds(message.time))
        self._advance()

    def _advance(self) -> None:
        if self._is_ahead() or not self._conductor.advance():
            return
        self._moved_s = time.monotonic()
        self._publish()

    def _is_ahead(self) -> bool:
        """Whether the clock would go faster than it may."""
        if self._speed <= 0 or self._started_s is None:
            return False
        passed_s = 1e-9 * (self._conductor.now_ns - self._start_ns)
        ahead_s = passed_s - self._speed * (time.monotonic() - self._started_s)
        if ahead_s < -MAX_BEHIND_S:  # what was slow is not made up for by haste
            self._started_s = time.monotonic() - passed_s / self._speed
        return ahead_s > 0.0

    def _publish(self) -> None:
        self._published_s = time.monotonic()
        self._clock_messages.publish(ClockMessage(clock=to_time(self._conductor.now_ns)))

    def _watch(self) -> None:
        """Start when all are ready; say who holds the clock; go on without who has left."""
        now_s = time.monotonic()
        if self._started_s is None:
            if self._unready:
                self._moved_s = now_s
                self._look_for_unready()
            elif now_s - self._moved_s > DISCOVERY_S:
                self._started_s = now_s
                self._conductor.start()
                self.get_logger().info("all participants are ready: the clock starts")
                self._publish()
            return
        if now_s - self._moved_s > WATCH_PERIOD_S:
            self._look_for(self._conductor.waits_for())
        if now_s - self._published_s > REPEAT_S:
            self._publish()

    def _look_for_unready(self) -> None:
        alive = set(self.get_node_names())
        self._met |= alive & self._unready
        for name in sorted(self._met & self._unready - alive):
            self._give_up(name, "has left before it was ready")
        if self._unready:
            self.get_logger().info(
                f"waiting for {', '.join(sorted(self._unready))}", throttle_duration_sec=QUIET_S
            )

    def _look_for(self, waiting: list[str]) -> None:
        alive = self.get_node_names()
        for name in waiting:
            if name not in alive:
                self.get_logger().warning(f"{name} has left: the clock goes on without it")
                self._conductor.drop(name)
        if time.monotonic() - self._moved_s > QUIET_S and waiting:
            self.get_logger().warning(
                f"the clock waits for {', '.join(waiting)}", throttle_duration_sec=QUIET_S
            )
        self._advance()


def main() -> int:
    """Entry point."""
    return run(VirtualClockNode)


if __name__ == "__main__":
    raise SystemExit(main())
