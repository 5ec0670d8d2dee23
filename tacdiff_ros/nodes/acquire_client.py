"""Send one `acquire` goal, print its progress and its result as JSON, for scripts.

The node `acquisition` checks the rig, moves the arm through the protocol and records a bag; its
log has the expected duration and size. Each line on stderr has the progress and the time left, the
last line on stdout the result. Ctrl-C cancels: the arm stops and retracts, and the recording is
closed. Without this client (closed terminal) a run continues; Ctrl-C in the terminal of
bringup.launch.py stops it in the same way. Exit code 0 if the run succeeded, otherwise 1.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from types import FrameType
from typing import Any

import rclpy
from action_msgs.msg import GoalStatusArray
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.qos import qos_profile_action_status_default
from rclpy.signals import SignalHandlerOptions
from unique_identifier_msgs.msg import UUID

from tacdiff_ros.action import Acquire
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.readiness_watch import ReadinessWatch

# A client discovers a server before the server discovers the client; a response sent in between is
# lost.
SETTLE_S = 0.5
LOST_RESPONSE_S = 3.0
GOAL_RESPONSE_TIMEOUT_S = 60.0
RESULT_REQUEST_PERIOD_S = 10.0
HOW_TO_STOP = "Ctrl-C stops the run: the arm retracts, and the recording is closed"
PHASES = {
    getattr(AcquisitionState, name): name.removeprefix("PHASE_").lower()
    for name in dir(AcquisitionState)
    if name.startswith("PHASE_")
}


def acquire(
    node: Node,
    goal: Acquire.Goal,
    server_timeout_s: float,
    interrupts: list[int],
    topics: Sequence[str] = (),
    watch: ReadinessWatch | None = None,
) -> dict[str, Any]:
    """Send a goal once all topics are published and all nodes are ready; wait for its result.

    Args:
        node: node of the action client.
        goal: goal to send.
        server_timeout_s: maximum time to wait for the server, the topics and the nodes, s.
        interrupts: received signals; as soon as there is one, the goal is cancelled.
        topics: topics that must be published before the goal is sent.
        watch: readiness of the awaited nodes; None to await no node.

    Returns:
        Fields of the result. If no server responds, only `success`, which is false, and `message`.
    """
    client = ActionClient(node, Acquire, "acquire")
    end_s = time.monotonic() + server_timeout_s
    watch = watch or ReadinessWatch(node, [])
    while pending := watch.describe_pending() or _missing_server_or_topic(node, client, topics):
        if interrupts:
            return {"success": False, "message": "interrupted before the goal was sent"}
        if failures := watch.failures():
            return {"success": False, "message": "; ".join(failures)}
        if time.monotonic() < end_s:
            continue
        return {"success": False, "message": pending}
    print(HOW_TO_STOP, file=sys.stderr, flush=True)
    handle = _send(node, client, goal, interrupts)
    if isinstance(handle, str):
        return {"success": False, "message": handle}
    result = _wait(node, client, handle, interrupts)
    if isinstance(result, str):
        return {"success": False, "message": result}
    return {name: getattr(result, name) for name in result.get_fields_and_field_types()}


def _send(node: Node, client: Any, goal: Acquire.Goal, interrupts: list[int]) -> Any:
    """Return the handle of the accepted goal, or the reason of the failure as text.

    A response that is lost is replaced by the server's list of goals.
    """
    _spin(node, SETTLE_S)
    goal_id = UUID(uuid=list(uuid.uuid4().bytes))
    accepted = _AcceptedGoals(node)
    sending = client.send_goal_async(goal, _FeedbackPrinter(), goal_id)
    sent_s = time.monotonic()
    while not sending.done():
        rclpy.spin_until_future_complete(node, sending, timeout_sec=0.2)
        waited_s = time.monotonic() - sent_s
        if sending.done():
            break
        if waited_s > LOST_RESPONSE_S and goal_id in accepted:
            response = Acquire.Impl.SendGoalService.Response(accepted=True)
            return ClientGoalHandle(client, goal_id, response)
        if interrupts or not client.server_is_ready() or waited_s > GOAL_RESPONSE_TIMEOUT_S:
            return "the action server did not respond to the goal"
    handle = sending.result()
    if handle is None or not handle.accepted:
        return "the action server refused the goal"
    return handle


class _AcceptedGoals:
    """Goals that the action server has accepted, by its latched list."""

    def __init__(self, node: Node) -> None:
        self._ids: set[bytes] = set()
        topic = "acquire/_action/status"
        node.create_subscription(
            GoalStatusArray, topic, self._on_list, qos_profile_action_status_default
        )

    def __contains__(self, goal_id: UUID) -> bool:
        return bytes(goal_id.uuid) in self._ids

    def _on_list(self, message: GoalStatusArray) -> None:
        self._ids = {bytes(status.goal_info.goal_id.uuid) for status in message.status_list}


def _wait(node: Node, client: Any, handle: Any, interrupts: list[int]) -> Any:
    """Return the result of a goal, or the reason of the failure as text.

    The result is requested repeatedly, because a response can be lost.
    """
    requests = [handle.get_result_async()]
    requested_s = time.monotonic()
    cancelled = False
    while not any(future.done() for future in requests):
        rclpy.spin_until_future_complete(node, requests[-1], timeout_sec=0.2)
        if interrupts and not cancelled:
            handle.cancel_goal_async()
            cancelled = True
        if not client.server_is_ready() and not any(future.done() for future in requests):
            return "the action server ended during the run"
        if time.monotonic() - requested_s > RESULT_REQUEST_PERIOD_S:
            requests.append(handle.get_result_async())
            requested_s = time.monotonic()
    return next(future for future in requests if future.done()).result().result


def _spin(node: Node, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.1)


def _missing_server_or_topic(node: Node, client: Any, topics: Sequence[str]) -> str:
    """Return which of action server and topics is missing; empty if none is."""
    if not client.wait_for_server(timeout_sec=0.2):
        return "no action server `acquire` is running"
    unpublished = [topic for topic in topics if not node.count_publishers(topic)]
    return f"nobody publishes {unpublished[0]}" if unpublished else ""


class _FeedbackPrinter:
    """Prints the feedback as JSON on stderr when the step changes, and twice per second."""

    def __init__(self) -> None:
        self._printed: tuple[Any, ...] = ()
        self._started_s = time.monotonic()

    def __call__(self, message: Any) -> None:
        state = message.feedback.state
        current = (state.trial, state.step, state.motion, int(2 * time.monotonic()))
        if current != self._printed:
            self._printed = current
            _print_feedback(message.feedback, time.monotonic() - self._started_s)


def _print_feedback(feedback: Acquire.Feedback, elapsed_s: float) -> None:
    done = feedback.progress
    state = feedback.state
    line = {
        "progress": round(done, 3),
        "seconds_left": round(elapsed_s * (1.0 - done) / done) if done > 0 else None,
        "trial": state.trial,
        "phase": PHASES[state.phase],
        "step": state.step,
        "motion": state.motion,
        "depth_mm": round(1e3 * state.depth, 3),
        "sample": state.sample,
    }
    print(json.dumps(line), file=sys.stderr, flush=True)


def main() -> int:
    """Run the command line program; the exit code is 0 if the run succeeded."""
    interrupts: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    options, ros_arguments = _parser().parse_known_args()
    rclpy.init(args=[sys.argv[0], *ros_arguments], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("acquire_client")
    goal = Acquire.Goal(
        protocol=options.protocol,
        indenter=options.indenter,
        output=options.output,
        trials=options.trials,
        seed=options.seed,
    )
    watch = ReadinessWatch(node, options.await_ready, options.await_ready_if_there)
    result = acquire(node, goal, options.server_timeout, interrupts, options.await_topic, watch)
    print(json.dumps(result))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0 if result["success"] else 1


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the options besides the ROS arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--protocol",
        default="",
        help="protocol file; default: default.yaml",
    )
    add(
        "--indenter",
        default="",
        help="mounted indenter, such as sphere:diameter=5; recorded; default: that of the rig",
    )
    add("--output", default="", help="name of the recording; default: time of day")
    add("--trials", type=int, default=0, help="number of trials; 0: number in the protocol")
    add("--seed", type=int, default=-1, help="seed of the start poses; -1: seed in the protocol")
    add(
        "--await-topic",
        action="append",
        default=[],
        help="topic that must be published before the goal is sent; can be repeated",
    )
    add(
        "--await-ready",
        action="append",
        default=[],
        help="node that must be ready before the goal is sent; can be repeated",
    )
    add(
        "--await-ready-if-there",
        action="append",
        default=[],
        help="node that must be ready if it runs; can be repeated",
    )
    add("--server-timeout", type=float, default=20.0, help="maximum time to wait for all these, s")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
