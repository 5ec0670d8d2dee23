"""A node's part in the virtual world's time: see `virtual.lock_step`.

Off by default: on a robot nothing waits for anything. With `lock_step: true` a node follows the
clock of `virtual_clock`, says when it is done with a step, and receives reliably.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage

from tacdiff_ros.errors import InputError
from tacdiff_ros.msg import StepDone
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds, to_time
from tacdiff_ros.nodes.node_settings import LockStepSettings
from tacdiff_ros.nodes.parameters import declare_model
from tacdiff_ros.nodes.qos import LOCK_STEP
from tacdiff_ros.virtual.lock_step import NEVER_NS, StepLedger

DONE_TOPIC = "lock_step/done"
SECOND_NS = 1_000_000_000  # clock, images and runs begin at whole ones: runs see the same phases
WATCH_PERIOD_S = 0.5
SILENCE_S = 10.0  # after which it is said who is waited for
LOST_S = 5.0  # a message that was announced comes within this, or never


class LockStep:
    """One node's ledger on DDS; does nothing and costs nothing where the parameter is false."""

    def __init__(
        self,
        node: Node,
        sources: Mapping[str, Iterable[str]],
        on_step: Callable[[int], None] = lambda _ns: None,
        feedback: Iterable[str] = (),
        may_lag: bool = False,
        required: Iterable[str] = (),
        on_lost: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Declare `lock_step` and take part where it is true.

        Args:
            node: that takes part.
            sources: topics by the name of the node that publishes them; none of them is waited
                for unless that node takes part as well.
            on_step: called with the time, ns, when all that belongs to a step is processed.
            feedback: names of sources that act on the step before.
            may_lag: the clock does not wait for it at every step, see `StepLedger`.
            required: names of nodes without which there is no virtual world: a robot's own topics
                never come from them.
            on_lost: called with the name of a required node that has left.

        Raises:
            InputError: `lock_step` without `use_sim_time`, or without a required node.
        """
        given = declare_model(node, "", LockStepSettings)
        self.is_on, others = given.lock_step, given.lock_step_nodes
        self._node, self._on_step = node, on_step
        if not self.is_on:
            return
        if not node.get_parameter("use_sim_time").value:
            raise InputError("parameter 'lock_step' is true without 'use_sim_time': set both")
        partners = {name: topics for name, topics in sources.items() if name in others}
        self._required, self._on_lost = tuple(required), on_lost
        if missing := [name for name in self._required if name not in others]:
            raise InputError(
                f"parameter 'lock_step' is true and 'lock_step_nodes' lacks {missing[0]}: "
                "lock step is for virtual hardware only"
            )
        self._last_done: StepDone | None = None
        self._ledger = StepLedger(partners, feedback, may_lag)
        self._now_ns = 0
        self._calling = threading.RLock()
        self._stalled_since_s = self._stepped_s = time.monotonic()
        self._done = node.create_publisher(StepDone, DONE_TOPIC, LOCK_STEP)
        node.create_subscription(ClockMessage, "/clock", self._on_clock, LOCK_STEP)
        node.create_subscription(StepDone, DONE_TOPIC, self._on_done, LOCK_STEP)
        node.create_timer(
            WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def qos(self, usual: QoSProfile) -> QoSProfile:
        """Quality of service of a subscription: reliable in lock step, else as usual."""
        return LOCK_STEP if self.is_on else usual

    def now_ns(self) -> int:
        """The node's time, in step with what it has received."""
        return self._now_ns if self.is_on else self._node.get_clock().now().nanoseconds

    def monotonic_s(self) -> float:
        """A time for timeouts: the virtual world's own in lock step, else the steady clock's."""
        return 1e-9 * self._now_ns if self.is_on else time.monotonic()

    def received(self, source: str, topic: str, stamp_ns: int) -> None:
        """A message of a source was processed."""
        if self.is_on:
            self._ledger.received(source, topic, stamp_ns)
            self._proceed()

    def published(self, stamp_ns: int) -> None:
        """A message with this stamp was published; called before the step's work ends."""
        if self.is_on:
            self._ledger.published(stamp_ns)

    def begin(self, stamp_ns: int) -> None:
        """Work for a time goes on in another thread."""
        if self.is_on:
            self._ledger.begin(stamp_ns)

    def end(self, stamp_ns: int) -> None:
        """That work is done; may be called from that thread."""
        if self.is_on:
            self._ledger.end(stamp_ns)
            self._announce()

    def still_for_s(self) -> float:
        """Wall-clock time since this node's last step, s; 0 where it does not take part."""
        return time.monotonic() - self._stepped_s if self.is_on else 0.0

    def _on_clock(self, message: ClockMessage) -> None:
        stamp_ns = to_nanoseconds(message.clock)
        if stamp_ns <= self._now_ns:
            self._repeat()
        self._now_ns = max(self._now_ns, stamp_ns)
        self._ledger.step(self._now_ns)
        self._proceed()

    def _on_done(self, message: StepDone) -> None:
        newest_ns = to_nanoseconds(message.newest) or NEVER_NS
        if self._ledger.source_done(message.node, to_nanoseconds(message.time), newest_ns):
            self._stalled_since_s = time.monotonic()  # what it announces may be on its way
        self._proceed()

    def _proceed(self) -> None:
        """Do the step's own work as soon as all of it has arrived; in the executor's thread."""
        step_ns = self._ledger.take_arrived()
        if step_ns is None:
            return
        self._stalled_since_s = self._stepped_s = time.monotonic()
        try:
            self._on_step(step_ns)
        finally:
            self._announce()

    def _announce(self) -> None:
        with self._calling:  # in order, whichever thread comes
            done_ns = self._ledger.take_done()
            if done_ns is None:
                return
            message = StepDone(node=self._node.get_name(), time=to_time(done_ns))
            message.newest = to_time(max(0, self._ledger.newest_ns))
            self._last_done = message
            self._done.publish(message)

    def _repeat(self) -> None:
        """The clock repeats itself where it stands: somebody may have missed the last word."""
        with self._calling:
            if self._last_done is not None:
                self._done.publish(self._last_done)

    def _watch(self) -> None:
        """Wait no more for who has left, or for what was lost."""
        waiting = self._ledger.waits_for()
        if not waiting:
            self._stalled_since_s = time.monotonic()
            return
        logger, still_s = self._node.get_logger(), time.monotonic() - self._stalled_since_s
        if self._node.count_publishers("/clock") > 1:
            logger.error(
                "two nodes publish /clock: end one of them", throttle_duration_sec=SILENCE_S
            )
        alive = self._node.get_node_names()
        for name in waiting:
            if name not in alive and still_s > WATCH_PERIOD_S:
                logger.warning(f"{name} has left: no more waiting for it")
                self._ledger.drop_source(name)
                if name in self._required:
                    self._on_lost(name)
            elif still_s > SILENCE_S:
                logger.warning(f"waiting for {name}", throttle_duration_sec=SILENCE_S)
        if time.monotonic() - self._stalled_since_s > LOST_S:
            for topic in self._ledger.skip_missing():
                self._node.get_logger().warning(f"a message of {topic} was lost in lock step")
        self._proceed()
