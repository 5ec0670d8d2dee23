"""Goals of an action: one at a time, each cancelled only by its own cancel request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.guarded_node import GuardedNode, refusal
from tacdiff_ros.nodes.qos import REQUESTS

# rclpy stores the request, which may contain images, as long as the result.
RESULT_TIMEOUT_S = 60


class SingleGoal:
    """An action server that executes one goal and refuses others meanwhile.

    A refused goal ends immediately as aborted, with the reason in its result. A cancel request for
    a goal that was refused or has ended does not affect the active goal.
    """

    def __init__(
        self,
        node: GuardedNode,
        action_type: Any,
        name: str,
        begin: Callable[[Any], None],
        cancel: Callable[[], None],
    ) -> None:
        """Create the action server.

        Args:
            node: node of the action server.
            action_type: action type with `success` and `message` in its result.
            name: name of the action.
            begin: function that starts the work of a request, or raises InputError if it cannot;
                the node calls `end` later.
            cancel: function that requests the early end of the work; the node then calls `end`.
        """
        self._node, self._name, self._result = node, name, action_type.Result
        self._begin, self._cancel = begin, cancel
        self._active: Any = None
        self._server = ActionServer(
            node,
            action_type,
            name,
            execute_callback=lambda _goal: action_type.Result(),  # never called: see `_on_accepted`
            goal_callback=lambda _request: GoalResponse.ACCEPT,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
            goal_service_qos_profile=REQUESTS,
            result_service_qos_profile=REQUESTS,
            cancel_service_qos_profile=REQUESTS,
            result_timeout=RESULT_TIMEOUT_S,
        )

    @property
    def is_active(self) -> bool:
        """Whether a goal is being executed."""
        return self._active is not None

    def feedback(self, message: Any) -> None:
        """Publish feedback of the active goal, if there is one."""
        if self._active is not None:
            self._active.publish_feedback(message)

    def end(self, result: Any) -> None:
        """End the active goal, if there is one, with this result."""
        goal, self._active = self._active, None
        if goal is not None:
            self._finish(goal, result)

    def _on_accepted(self, goal: Any) -> None:
        """Begin the work of a goal without executing the goal.

        rclpy's executors poll an execute callback that waits, which occupies a whole core. A goal
        is therefore executed, in rclpy's sense, only when its result is known.
        """
        if self._active is not None:
            line = "another goal is active: wait for its end or cancel it"
            self._finish(goal, self._refusal(line))
            return
        self._active = goal
        self.attempt(lambda: self._begin(goal.request))

    def attempt(self, work: Callable[[], None]) -> None:
        """Execute a part of the active goal's work; an exception ends the goal.

        Args:
            work: function that raises InputError to refuse the goal with a reason.
        """
        try:
            work()
        except InputError as error:
            self.end(self._refusal(str(error)))
        except Exception as error:
            line = self._node.report_unexpected(f"a goal of {self._name} failed", error)
            self.end(refusal(self._result(), line))

    def _refusal(self, line: str) -> Any:
        result = refusal(self._result(), line)
        if hasattr(result, "cause"):
            result.cause = "refused"
        return result

    def _on_cancel(self, goal: Any) -> CancelResponse:
        if goal is not self._active:
            return CancelResponse.REJECT
        try:
            self._cancel()
        except Exception as error:
            self._node.report_unexpected(f"cancelling a goal of {self._name} failed", error)
        return CancelResponse.ACCEPT

    def _finish(self, goal: Any, result: Any) -> None:
        def set_state(handle: Any) -> Any:
            if handle.is_cancel_requested:
                handle.canceled()
            elif result.success:
                handle.succeed()
            else:
                handle.abort()
            return result

        goal.execute(set_state)
