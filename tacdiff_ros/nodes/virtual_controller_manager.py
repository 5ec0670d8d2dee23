"""Services of the virtual arm's driver: those of ros2_control, and franka_ros2's error recovery."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionServer

from tacdiff_ros.nodes.controller_messages import ControllerMessages
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.qos import REQUESTS
from tacdiff_ros.nodes.topics import CONTROLLER_MANAGER, ERROR_RECOVERY
from tacdiff_ros.virtual.driver import HARDWARE, HARDWARE_STATES
from tacdiff_ros.virtual.rig import VirtualRig

STATE_IDS = {name: number for number, name in enumerate(HARDWARE_STATES, 1)}  # lifecycle_msgs/State


def create_controller_manager(node: GuardedNode, rig: VirtualRig) -> None:
    """Offer the services and the action by which an arm is recovered after a reflex.

    Without the packages of their messages nothing is offered, as on a graph without ros2_control.

    Args:
        node: node of the virtual arm.
        rig: virtual set-up whose driver they act on.
    """
    messages = ControllerMessages.load()
    if messages is None:
        return
    manager = _ControllerManager(messages, rig)
    for service_type, name, callback in (
        (messages.list_controllers, "list_controllers", manager.list_controllers),
        (messages.list_hardware, "list_hardware_components", manager.list_hardware),
        (messages.set_hardware, "set_hardware_component_state", manager.set_hardware),
        (messages.switch, "switch_controller", manager.switch),
    ):
        node.create_service(service_type, f"{CONTROLLER_MANAGER}/{name}", callback)
    result = messages.error_recovery.Result
    ActionServer(
        node,
        messages.error_recovery,
        ERROR_RECOVERY,
        execute_callback=lambda _goal: result(),  # never called: see `SingleGoal`
        handle_accepted_callback=lambda goal: goal.execute(manager.recover_error),
        goal_service_qos_profile=REQUESTS,
        result_service_qos_profile=REQUESTS,
        cancel_service_qos_profile=REQUESTS,
    )


class _ControllerManager:
    """Callbacks of the services; they act on the driver of a virtual set-up."""

    def __init__(self, messages: ControllerMessages, rig: VirtualRig) -> None:
        self._messages, self._rig = messages, rig

    def list_controllers(self, _request: Any, response: Any) -> Any:
        for name, active in self._rig.driver.active.items():
            state = "active" if active else "inactive"
            response.controller.append(self._messages.controller_state(name=name, state=state))
        return response

    def list_hardware(self, _request: Any, response: Any) -> Any:
        component = self._messages.hardware_state(name=HARDWARE, type="system")
        component.state = self._lifecycle_state()
        response.component.append(component)
        return response

    def set_hardware(self, request: Any, response: Any) -> Any:
        label = request.target_state.label
        response.ok = request.name == HARDWARE and self._rig.driver.set_hardware(label)
        response.state = self._lifecycle_state()
        return response

    def switch(self, request: Any, response: Any) -> Any:
        driver = self._rig.driver
        reason = driver.switch(request.activate_controllers, request.deactivate_controllers)
        response.ok = not reason
        if hasattr(response, "message"):  # since jazzy
            response.message = reason
        return response

    def recover_error(self, goal: Any) -> Any:
        self._rig.error_recovery()
        goal.succeed()
        return self._messages.error_recovery.Result()

    def _lifecycle_state(self) -> Any:
        label = self._rig.driver.hardware
        return self._messages.lifecycle_state(id=STATE_IDS[label], label=label)
