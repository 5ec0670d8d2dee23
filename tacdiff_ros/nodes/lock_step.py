"""Synchronisation of a node with the virtual clock; see `virtual.lock_step`.

It is off by default: on a robot no node waits for another one. With `lock_step: true` a node
follows the clock of `virtual_clock`, reports when it has completed a step, and subscribes with
reliable quality of service.
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
# Clock, images and runs begin at whole seconds, so that all runs have the same phase.
SECOND_NS = 1_000_000_000
WATCH_PERIOD_S = 0.5
LOG_AFTER_S = 10.0  # waiting time after which the log names the missing nodes
LOST_MESSAGE_S = 5.0  # time after which an announced message counts as lost


class LockStep:
    """Ledger of one node, connected by DDS; without effect if the parameter is false.

    Attributes:
        is_on: whether the node takes part in lock step.
    """

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
        """Declare the parameters of lock step, and join it if `lock_step` is true.

        Args:
            node: node that takes part.
            sources: topics by the name of the node that publishes them; the node waits only for
                sources that take part as well.
            on_step: callback with the time of a step, ns, once all its messages are processed.
            feedback: names of sources that act on the previous step.
            may_lag: whether the node may lag behind the clock; see `StepLedger`.
            required: names of nodes without which lock step is refused; only virtual hardware has
                them, so that a real robot never runs in lock step.
            on_lost: callback with the name of a required node that has left.

        Raises:
            InputError: `lock_step` is true without `use_sim_time` or without a required node.
        """
        settings = declare_model(node, "", LockStepSettings)
        self.is_on, participants = settings.lock_step, settings.lock_step_nodes
        self._node, self._on_step = node, on_step
        if not self.is_on:
            return
        if not node.get_parameter("use_sim_time").value:
            raise InputError("parameter 'lock_step' is true without 'use_sim_time': set both")
        partners = {name: topics for name, topics in sources.items() if name in participants}
        self._required, self._on_lost = tuple(required), on_lost
        if missing := [name for name in self._required if name not in participants]:
            raise InputError(
                f"parameter 'lock_step' is true and 'lock_step_nodes' lacks {missing[0]}: "
                "lock step is for virtual hardware only"
            )
        self._last_done: StepDone | None = None
        self._ledger = StepLedger(partners, feedback, may_lag)
        self._now_ns = 0
        self._publish_lock = threading.RLock()
        self._stalled_since_s = self._stepped_s = time.monotonic()
        self._met: set[str] = set()  # names of nodes that were in the graph
        self._done = node.create_publisher(StepDone, DONE_TOPIC, LOCK_STEP)
        node.create_subscription(ClockMessage, "/clock", self._on_clock, LOCK_STEP)
        node.create_subscription(StepDone, DONE_TOPIC, self._on_done, LOCK_STEP)
        node.create_timer(
            WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def qos(self, usual: QoSProfile) -> QoSProfile:
        """Return the quality of service of a subscription.

        Args:
            usual: profile outside lock step.

        Returns:
            Reliable profile in lock step, otherwise the usual one.
        """
        return LOCK_STEP if self.is_on else usual

    def now_ns(self) -> int:
        """Return the node's time, ns: in lock step that of the last received clock message."""
        return self._now_ns if self.is_on else self._node.get_clock().now().nanoseconds

    def monotonic_s(self) -> float:
        """Return a time for timeouts, s: that of the virtual clock in lock step, else monotonic."""
        return 1e-9 * self._now_ns if self.is_on else time.monotonic()

    def received(self, source: str, topic: str, stamp_ns: int) -> None:
        """Record that a message of a source was processed.

        Args:
            source: name of the node that published it.
            topic: topic of the message.
            stamp_ns: stamp of the message, ns.
        """
        if self.is_on:
            self._ledger.received(source, topic, stamp_ns)
            self._proceed()

    def published(self, stamp_ns: int) -> None:
        """Record that a message with this stamp (ns) was published, before the step's work ends."""
        if self.is_on:
            self._ledger.published(stamp_ns)

    def begin(self, stamp_ns: int) -> None:
        """Register work for a time (ns) that continues in another thread."""
        if self.is_on:
            self._ledger.begin(stamp_ns)

    def end(self, stamp_ns: int) -> None:
        """Record the end of work registered by `begin`; can be called by any thread."""
        if self.is_on:
            self._ledger.end(stamp_ns)
            self._announce()

    def stalled_for_s(self) -> float:
        """Return the wall-clock time since this node's last step, s; 0 outside lock step."""
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
            self._stalled_since_s = time.monotonic()  # the announced message may still arrive
        self._proceed()

    def _proceed(self) -> None:
        """Process a step once all its messages have arrived; runs in the executor's thread."""
        step_ns = self._ledger.take_arrived()
        if step_ns is None:
            return
        self._stalled_since_s = self._stepped_s = time.monotonic()
        try:
            self._on_step(step_ns)
        finally:
            self._announce()

    def _announce(self) -> None:
        with self._publish_lock:  # reports of different threads must stay in order
            done_ns = self._ledger.take_done()
            if done_ns is None:
                return
            message = StepDone(node=self._node.get_name(), time=to_time(done_ns))
            message.newest = to_time(max(0, self._ledger.newest_ns))
            self._last_done = message
            self._done.publish(message)

    def _repeat(self) -> None:
        """Publish the last report again.

        A clock that stands still repeats its time, because a participant may have missed a report.
        """
        with self._publish_lock:
            if self._last_done is not None:
                self._done.publish(self._last_done)

    def _watch(self) -> None:
        """Stop waiting for nodes that have left and for messages that were lost."""
        waiting = self._ledger.waits_for()
        if not waiting:
            self._stalled_since_s = time.monotonic()
            return
        logger, stalled_s = self._node.get_logger(), time.monotonic() - self._stalled_since_s
        if self._node.count_publishers("/clock") > 1:
            logger.error(
                "several nodes publish /clock: stop all but one", throttle_duration_sec=LOG_AFTER_S
            )
        alive = self._node.get_node_names()
        self._met |= set(alive)
        for name in waiting:
            # DDS may discover topics of a node long before its name.
            patience_s = WATCH_PERIOD_S if name in self._met else LOG_AFTER_S
            if name not in alive and stalled_s > patience_s:
                logger.warning(f"{name} has left: lock step continues without it")
                self._ledger.drop_source(name)
                if name in self._required:
                    self._on_lost(name)
            elif stalled_s > LOG_AFTER_S:
                logger.warning(f"waiting for {name}", throttle_duration_sec=LOG_AFTER_S)
        if time.monotonic() - self._stalled_since_s > LOST_MESSAGE_S:
            for topic in self._ledger.skip_missing():
                logger.warning(f"a message of {topic} was lost in lock step")
        self._proceed()
