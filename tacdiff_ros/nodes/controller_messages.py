"""Message types of ros2_control and of franka_ros2's error recovery, where they are installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ControllerMessages:
    """Types of the services and of the action that recover an arm.

    Attributes:
        list_controllers: controller_manager_msgs/srv/ListControllers.
        list_hardware: controller_manager_msgs/srv/ListHardwareComponents.
        set_hardware: controller_manager_msgs/srv/SetHardwareComponentState.
        switch: controller_manager_msgs/srv/SwitchController.
        controller_state: controller_manager_msgs/msg/ControllerState.
        hardware_state: controller_manager_msgs/msg/HardwareComponentState.
        lifecycle_state: lifecycle_msgs/msg/State.
        error_recovery: franka_msgs/action/ErrorRecovery.
    """

    list_controllers: Any
    list_hardware: Any
    set_hardware: Any
    switch: Any
    controller_state: Any
    hardware_state: Any
    lifecycle_state: Any
    error_recovery: Any

    @staticmethod
    def load() -> ControllerMessages | None:
        """Import the types; None if controller_manager_msgs or franka_msgs' action is missing."""
        try:
            from controller_manager_msgs.msg import ControllerState, HardwareComponentState
            from controller_manager_msgs.srv import (
                ListControllers,
                ListHardwareComponents,
                SetHardwareComponentState,
                SwitchController,
            )
            from franka_msgs.action import ErrorRecovery
            from lifecycle_msgs.msg import State
        except ImportError:
            return None
        return ControllerMessages(
            ListControllers,
            ListHardwareComponents,
            SetHardwareComponentState,
            SwitchController,
            ControllerState,
            HardwareComponentState,
            State,
            ErrorRecovery,
        )
