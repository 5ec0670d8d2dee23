"""Recovery of the arm after a reflex, on request only: the three steps of franka_ros2.

Error recovery, activation of the hardware component, activation of the controllers. The Cartesian
controller is activated last, after it has received the measured pose as target: crisp_controllers
stores targets while it is inactive and would otherwise move to an old one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.silence import BROADCASTER
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.controller_messages import ControllerMessages
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.deferred_service import DeferredService, Ticket
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.timed_call import call_action, call_service
from tacdiff_ros.nodes.topics import CONTROLLER_MANAGER, ERROR_RECOVERY

POLL_S = 0.05
ERROR_RECOVERY_S, HARDWARE_S, SWITCH_S, LIST_S = 30.0, 30.0, 10.0, 5.0  # time limits of the calls
STATE_S = 5.0  # maximum waiting time for a robot state
TARGET_S = 0.2  # time for the new target to reach the inactive controller
ACTIVE = 3  # lifecycle_msgs/msg/State.PRIMARY_STATE_ACTIVE
STRICT = 2  # controller_manager_msgs/srv/SwitchController
Steps = Generator[None, None, Any]


class Recovery:
    """Service `recover`: does the steps, each with a time limit, and names the one that failed."""

    def __init__(
        self,
        node: GuardedNode,
        hardware: str,
        controller: str,
        refusal: Callable[[], str],
        send_target: Callable[[Pose], None],
    ) -> None:
        """Offer the service.

        Args:
            node: node of the service, which passes its robot states to `on_state`.
            hardware: name of the arm's hardware component.
            controller: name of the Cartesian controller; empty for the one that subscribes to the
                targets.
            refusal: function that returns why no recovery may begin now; empty if it may.
            send_target: function that publishes a target of the end effector.
        """
        self._node, self._hardware, self._controller = node, hardware, controller
        self._refusal, self._send_target = refusal, send_target
        self._target_topic = node.resolve_topic_name("target_pose")  # graph queries do not remap
        self._decoder = RobotStateDecoder()
        self._state: RobotState | None = None
        self._steps: Steps | None = None
        self._ticket: Ticket | None = None
        self._timer: Any = None
        self._service = DeferredService(node, Trigger, "recover", self._on_request)

    @property
    def is_active(self) -> bool:
        """Whether a recovery is in progress."""
        return self._steps is not None

    def on_state(self, data: bytes) -> None:
        """Handle a serialised robot state."""
        if self._steps is not None:
            self._state = self._decoder.decode(data)

    def _on_request(self, _request: Trigger.Request, ticket: Ticket) -> Trigger.Response | None:
        reason = "a recovery is in progress" if self.is_active else self._refusal()
        if reason:
            return Trigger.Response(success=False, message=reason)
        self._steps, self._ticket, self._state = self._recover(), ticket, None
        self._timer = self._node.create_timer(
            POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        return None

    def _poll(self) -> None:
        if self._steps is None:
            return
        try:
            next(self._steps)
        except StopIteration as end:
            self._end(True, end.value)
        except InputError as error:
            self._end(False, str(error))
        except Exception as error:
            self._end(False, self._node.report_unexpected("the recovery failed", error))

    def _end(self, success: bool, message: str) -> None:
        self._steps = None
        self._node.destroy_timer(self._timer)
        self._node.get_logger().info(message)
        if self._ticket is not None:
            self._service.respond(self._ticket, Trigger.Response(success=success, message=message))

    def _recover(self) -> Steps:
        messages = ControllerMessages.load()
        if messages is None:
            raise InputError("controller_manager_msgs is not installed: install ros2_control")
        yield from _named("step 1, error recovery", self._clear_error(messages))
        yield from _named("step 2, hardware", self._activate_hardware(messages))
        name = yield from _named("step 3, controllers", self._activate_controllers(messages))
        return f"recovered: {self._hardware}, {BROADCASTER} and {name} are active"

    def _clear_error(self, messages: ControllerMessages) -> Steps:
        action = messages.error_recovery
        status = yield from call_action(
            self._node, action, ERROR_RECOVERY, action.Goal(), ERROR_RECOVERY_S
        )
        if status != GoalStatus.STATUS_SUCCEEDED:
            raise InputError(f"{ERROR_RECOVERY} failed: see the log of the driver, and Desk")

    def _activate_hardware(self, messages: ControllerMessages) -> Steps:
        request = messages.set_hardware.Request(name=self._hardware)
        request.target_state = messages.lifecycle_state(id=ACTIVE, label="active")
        name = "set_hardware_component_state"
        response = yield from self._call(messages.set_hardware, name, request, HARDWARE_S)
        if not response.ok:
            raise InputError(
                f"{self._hardware} is '{response.state.label}', expected active: see the log of "
                "the driver, and the parameter hardware_component"
            )

    def _activate_controllers(self, messages: ControllerMessages) -> Steps:
        """Activate the broadcaster, hold the measured pose, activate the Cartesian controller."""
        listing = messages.list_controllers
        response = yield from self._call(listing, "list_controllers", listing.Request(), LIST_S)
        states = {each.name: each.state for each in response.controller}
        if BROADCASTER not in states:
            raise InputError(f"{BROADCASTER} is not loaded, loaded are {', '.join(states)}")
        steering = self._steering_controller(states)
        if states[BROADCASTER] != "active":
            yield from self._activate(messages, BROADCASTER)
        self._state = None
        state = yield from self._wait_for_state(None)
        if states[steering] != "active":
            self._send_target(Pose.from_quaternion(state.position_mm, state.quaternion_xyzw))
            yield from _pause(TARGET_S)
            yield from self._activate(messages, steering)
        yield from self._wait_for_state(RobotMode.MOVE)
        return steering

    def _steering_controller(self, states: dict[str, str]) -> str:
        """Return the name of the Cartesian controller.

        Raises:
            InputError: it is not loaded, or several controllers subscribe to the targets.
        """
        infos = self._node.get_subscriptions_info_by_topic(self._target_topic)
        names = [self._controller] if self._controller else sorted({i.node_name for i in infos})
        loaded = [name for name in names if name in states]
        active = [name for name in loaded if states[name] == "active"]
        if len(active or loaded) == 1:
            return (active or loaded)[0]
        raise InputError(
            f"{', '.join(loaded) or 'no loaded controller'} can follow {self._target_topic}, "
            f"loaded are {', '.join(states)}: name the Cartesian controller by the parameter "
            "controller"
        )

    def _activate(self, messages: ControllerMessages, name: str) -> Steps:
        request = messages.switch.Request(activate_controllers=[name], strictness=STRICT)
        request.activate_asap, request.timeout = True, Duration(sec=5)
        response = yield from self._call(messages.switch, "switch_controller", request, SWITCH_S)
        if not response.ok:
            reason = getattr(response, "message", "") or "see the log of the controller manager"
            raise InputError(f"{name} was not activated: {reason}")

    def _wait_for_state(self, mode: RobotMode | None) -> Generator[None, None, RobotState]:
        """Wait for a usable robot state without errors, and with a mode if there is one."""
        end_s = time.monotonic() + STATE_S
        while True:
            state = self._state
            is_fit = state is not None and state.is_usable and not state.errors
            if state is not None and is_fit and mode in (None, state.mode):
                return state
            if time.monotonic() > end_s:
                last = "no robot state" if state is None else f"mode {state.mode} {state.errors}"
                wanted = "a robot state" if mode is None else f"mode {mode.name}"
                raise InputError(f"{last} after {STATE_S:g} s, expected {wanted} without errors")
            yield

    def _call(self, service_type: Any, name: str, request: Any, timeout_s: float) -> Steps:
        path = f"{CONTROLLER_MANAGER}/{name}"
        return call_service(self._node, service_type, path, request, timeout_s)


def _named(step: str, steps: Steps) -> Steps:
    """Name the step in the reason of its failure."""
    try:
        return (yield from steps)
    except InputError as error:
        raise InputError(f"{step}: {error}") from error


def _pause(seconds: float) -> Steps:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        yield
