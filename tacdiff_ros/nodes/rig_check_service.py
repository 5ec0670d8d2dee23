"""Service `check_rig`: the findings of the checks before a run, without a motion."""

from __future__ import annotations

from collections.abc import Callable

from std_srvs.srv import Trigger

from tacdiff_ros.acquisition.finding import Finding
from tacdiff_ros.acquisition.preflight import describe, refusal_reason
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.rig_observer import RigObserver


class RigCheckService:
    """Responds with one finding per line as soon as the observer has them.

    It refuses during a run: an arm that moves is a bad finding, and the checks would take the time
    of the targets.
    """

    def __init__(
        self,
        node: GuardedNode,
        observer: RigObserver,
        rig: RigSettings,
        is_running: Callable[[], bool],
    ) -> None:
        """Offer the service.

        Args:
            node: node of the service.
            observer: observer of the rig.
            rig: rig of the node's parameters.
            is_running: function that returns whether a run is active.
        """
        self._observer, self._is_running = observer, is_running
        self._rig = Finding("rig", "good", rig.line)
        self._service = DeferredService(node, Trigger, "check_rig", self._on_request)

    def _on_request(self, _request: Trigger.Request, ticket: Ticket) -> Trigger.Response | None:
        if self._is_running():
            line = "a run is active, and its rig was checked before it: wait for its end"
            return Trigger.Response(success=False, message=f"bad     rig: {line}")

        def respond(findings: tuple[Finding, ...]) -> None:
            is_ready = not refusal_reason(findings)
            lines = describe((self._rig, *findings))
            response = Trigger.Response(success=is_ready, message=lines)
            self._service.respond(ticket, response)

        self._observer.check(respond)
        return None
