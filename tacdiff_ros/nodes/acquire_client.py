"""Send one `acquire` goal, show its progress and print the result as JSON, for scripts."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from tacdiff_ros.action import Acquire
from tacdiff_ros.msg import AcquisitionState
from tacdiff_ros.nodes.readiness_watch import ReadinessWatch

# DDS knows a server before that knows its client: what is answered meanwhile is lost.
SETTLE_S = 0.5
ANSWER_S = 30.0  # to a goal
ASK_AGAIN_S = 10.0  # for a result
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
    """Send a goal, once topics are published and nodes are ready, and wait for its result.

    A signal in `interrupts` cancels it.

    Returns:
        The fields of the result. `success` is false with a message when no server answers.
    """
    client = ActionClient(node, Acquire, "acquire")
    end_s = time.monotonic() + server_timeout_s
    watch = watch or ReadinessWatch(node, [])
    while missing := watch.missing() or _missing(node, client, topics):
        if interrupts:
            return {"success": False, "message": "interrupted before the goal was sent"}
        if failures := watch.failures():
            return {"success": False, "message": "; ".join(failures)}
        if time.monotonic() < end_s:
            continue
        return {"success": False, "message": missing}
    handle = _send(node, client, goal, interrupts)
    if isinstance(handle, str):
        return {"success": False, "message": handle}
    result = _wait(node, client, handle, interrupts)
    if isinstance(result, str):
        return {"success": False, "message": result}
    return {name: getattr(result, name) for name in result.get_fields_and_field_types()}


def _send(node: Node, client: Any, goal: Acquire.Goal, interrupts: list[int]) -> Any:
    """The accepted goal's handle, or why there is none."""
    _spin(node, SETTLE_S)
    sending = client.send_goal_async(goal, feedback_callback=_Show())
    end_s = time.monotonic() + ANSWER_S
    while not sending.done():
        rclpy.spin_until_future_complete(node, sending, timeout_sec=0.2)
        lost = interrupts or not client.server_is_ready() or time.monotonic() > end_s
        if not sending.done() and lost:
            return "the action server did not answer the goal"
    handle = sending.result()
    if handle is None or not handle.accepted:
        return "the action server refused the goal"
    return handle


def _wait(node: Node, client: Any, handle: Any, interrupts: list[int]) -> Any:
    """The goal's result, asked for again now and then; or why there is none."""
    asked = [handle.get_result_async()]
    asked_s = time.monotonic()
    cancelled = False
    while not any(future.done() for future in asked):
        rclpy.spin_until_future_complete(node, asked[-1], timeout_sec=0.2)
        if interrupts and not cancelled:
            handle.cancel_goal_async()
            cancelled = True
        if not client.server_is_ready() and not any(future.done() for future in asked):
            return "the action server went away during the run"
        if time.monotonic() - asked_s > ASK_AGAIN_S:
            asked.append(handle.get_result_async())
            asked_s = time.monotonic()
    return next(future for future in asked if future.done()).result().result


def _spin(node: Node, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.1)


def _missing(node: Node, client: Any, topics: Sequence[str]) -> str:
    """What is not there yet; empty where nothing is missing."""
    if not client.wait_for_server(timeout_sec=0.2):
        return "no action server `acquire` is running"
    silent = [topic for topic in topics if not node.count_publishers(topic)]
    return f"nobody publishes {silent[0]}" if silent else ""


class _Show:
    """A line of JSON on stderr when the step changes, and twice a second."""

    def __init__(self) -> None:
        self._shown: tuple[Any, ...] = ()

    def __call__(self, message: Any) -> None:
        state = message.feedback.state
        current = (state.trial, state.step, state.motion, int(2 * time.monotonic()))
        if current != self._shown:
            self._shown = current
            _print_feedback(message.feedback)


def _print_feedback(feedback: Acquire.Feedback) -> None:
    state = feedback.state
    line = {
        "progress": round(feedback.progress, 3),
        "trial": state.trial,
        "phase": PHASES[state.phase],
        "step": state.step,
        "motion": state.motion,
        "depth_mm": round(1e3 * state.depth, 3),
        "sample": state.sample,
    }
    print(json.dumps(line), file=sys.stderr, flush=True)


def main() -> int:
    """Entry point; 0 when the run succeeded."""
    interrupts: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, remember)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", default="")
    parser.add_argument("--indenter", default="")
    parser.add_argument("--output", default="")
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--seed", type=int, default=-1)
    parser.add_argument("--await-topic", action="append", default=[])
    parser.add_argument("--await-ready", action="append", default=[])
    parser.add_argument("--await-ready-if-there", action="append", default=[])
    parser.add_argument("--server-timeout", type=float, default=20.0)
    options, ros_arguments = parser.parse_known_args()
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


if __name__ == "__main__":
    raise SystemExit(main())
