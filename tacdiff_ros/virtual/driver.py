"""Life cycle of the arm's driver under ros2_control, as franka_ros2 since v2.4.0 and v3.3.0.

After a reflex the hardware component is unconfigured and all controllers are inactive: the state
broadcaster publishes nothing and the Cartesian controller ignores targets. Three steps in this
order bring the arm back: error recovery, activation of the hardware, activation of the controllers.
"""

from __future__ import annotations

from collections.abc import Iterable

HARDWARE = "FrankaHardwareInterface"
BROADCASTER = "franka_robot_state_broadcaster"
CONTROLLER = "virtual_panda"  # the node that subscribes to the targets, as in ros2_control
HARDWARE_STATES = ("unconfigured", "inactive", "active")


class VirtualDriver:
    """Hardware component with two controllers.

    Attributes:
        has_error: whether the robot waits for error recovery.
        hardware: state of the hardware component, one of `HARDWARE_STATES`.
        active: whether each controller is active, by name.
    """

    def __init__(self) -> None:
        """Start with everything active."""
        self.has_error = False
        self.hardware = "active"
        self.active = {BROADCASTER: True, CONTROLLER: True}

    @property
    def publishes_states(self) -> bool:
        """Whether the state broadcaster is active."""
        return self.active[BROADCASTER]

    @property
    def follows_targets(self) -> bool:
        """Whether the Cartesian controller is active."""
        return self.active[CONTROLLER]

    def fail(self) -> None:
        """React to a control error of the robot, such as a reflex."""
        self.has_error = True
        self._deactivate("unconfigured")

    def recover_error(self) -> None:
        """Clear the error of the robot."""
        self.has_error = False

    def set_hardware(self, state: str) -> bool:
        """Change the state of the hardware component.

        Args:
            state: one of `HARDWARE_STATES`.

        Returns:
            Whether the component has this state now; it cannot be activated with an error.
        """
        if state not in HARDWARE_STATES or (state == "active" and self.has_error):
            return False
        if state == "active":
            self.hardware = state
        else:
            self._deactivate(state)
        return True

    def switch(self, activate: Iterable[str], deactivate: Iterable[str]) -> str:
        """Activate and deactivate controllers, all or none.

        Args:
            activate: names of the controllers to activate.
            deactivate: names of the controllers to deactivate.

        Returns:
            Reason of a refusal; empty if the controllers were switched.
        """
        activate, deactivate = list(activate), list(deactivate)
        for name in (*activate, *deactivate):
            if name not in self.active:
                return f"controller '{name}' is not loaded"
        if activate and self.hardware != "active":
            return f"{HARDWARE} is {self.hardware}"
        self.active |= dict.fromkeys(activate, True) | dict.fromkeys(deactivate, False)
        return ""

    def restore(self) -> None:
        """Return to the initial state."""
        self.recover_error()
        self.set_hardware("active")
        self.switch(self.active, ())

    def _deactivate(self, hardware: str) -> None:
        self.hardware = hardware
        self.active = dict.fromkeys(self.active, False)
