"""Finds out why the robot states of a run fell silent."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.session import AcquisitionSession
from tacdiff_ros.acquisition.silence import DriverEvidence, explain_silence
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.controller_messages import ControllerMessages
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.timed_call import call_service
from tacdiff_ros.nodes.topics import CONTROLLER_MANAGER, ROBOT_STATE

RESPONSE_S = 1.0  # maximum waiting time for each response of the controller manager


class DriverWatch:
    """Asks the ROS graph once per run, when the robot states have fallen silent."""

    def __init__(self, node: GuardedNode) -> None:
        """Ask nothing yet.

        Args:
            node: node that asks.
        """
        self._node = node
        self._state_topic = node.resolve_topic_name(ROBOT_STATE)  # graph queries do not remap
        self._inquiry: Generator[None, None, DriverEvidence] | None = None
        self._is_settled = False

    def explain(self, session: AcquisitionSession) -> bool:
        """Replace the cause `stale_state` of a stopped run by the true one; call it at every tick.

        Args:
            session: session of the run.

        Returns:
            Whether the run may end: its cause is known, or nothing more can be found out.
        """
        fault = session.fault
        if self._is_settled or fault is None or fault.cause is not Cause.STALE_STATE:
            return True
        if self._inquiry is None:
            self._inquiry = self._ask()
        try:
            next(self._inquiry)
        except StopIteration as end:
            session.explain(explain_silence(fault, end.value))
            self._is_settled = True
        except Exception as error:
            self._node.report_unexpected("asking the controller manager failed", error)
            self._is_settled = True
        return self._is_settled

    def _ask(self) -> Generator[None, None, DriverEvidence]:
        yield  # the session reacts to its fault first
        publishers = self._node.count_publishers(self._state_topic)
        messages = ControllerMessages.load()
        if messages is None:
            return DriverEvidence(publishers)
        try:
            hardware = yield from self._list(messages.list_hardware, "list_hardware_components")
            controllers = yield from self._list(messages.list_controllers, "list_controllers")
        except InputError:  # no controller manager, or it does not respond
            return DriverEvidence(publishers)
        return DriverEvidence(
            publishers,
            controllers={each.name: each.state for each in controllers.controller},
            hardware={each.name: each.state.label for each in hardware.component},
        )

    def _list(self, service_type: Any, name: str) -> Generator[None, None, Any]:
        return call_service(
            self._node,
            service_type,
            f"{CONTROLLER_MANAGER}/{name}",
            service_type.Request(),
            RESPONSE_S,
        )
