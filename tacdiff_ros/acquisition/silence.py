"""Why the robot states fell silent: a reflex, an inactive broadcaster, or a lost stream.

After a reflex or another control error, franka_ros2 since v2.4.0 and v3.3.0 leaves its hardware
component unconfigured and its controllers inactive; the publisher of the states remains and is
silent. Older versions end, and so does their publisher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tacdiff_ros.acquisition.faults import Cause, Fault

BROADCASTER = "franka_robot_state_broadcaster"
HARDWARE = "FrankaHardwareInterface"
RECOVERY = (
    "with the arm clear, call the service `recover`, or do its steps: 1. `ros2 action send_goal "
    "/action_server/error_recovery franka_msgs/action/ErrorRecovery {}`, 2. `ros2 control "
    f"set_hardware_component_state {HARDWARE} active`, 3. `ros2 control switch_controllers "
    f"--activate {BROADCASTER} CARTESIAN_CONTROLLER`"
)


@dataclass(frozen=True)
class DriverEvidence:
    """What the ROS graph tells of the arm's driver.

    Attributes:
        publishers: number of publishers of the robot states.
        controllers: state of each loaded controller by name; None if nobody answers.
        hardware: state of each hardware component by name; None if nobody answers.
    """

    publishers: int
    controllers: Mapping[str, str] | None = None
    hardware: Mapping[str, str] | None = None


def explain_silence(silence: Fault, evidence: DriverEvidence) -> Fault:
    """Find the cause of the silence of the robot states.

    Args:
        silence: fault of the silence, with cause `STALE_STATE`.
        evidence: state of the ROS graph, asked for after the silence began.

    Returns:
        Fault with the cause `REFLEX` if the hardware is not active, else `STALE_STATE` with what
        is known.
    """
    stopped = [f"{n} is {s}" for n, s in (evidence.hardware or {}).items() if s != "active"]
    broadcaster = (evidence.controllers or {}).get(BROADCASTER, "active")
    if stopped:
        detail = f"{', '.join(stopped)} after a reflex, a user stop or another control error"
        return Fault(Cause.REFLEX, f"{silence.detail}; {detail}: {RECOVERY}")
    if not evidence.publishers:
        reason = (
            "nobody publishes it any more, the driver has ended (franka_ros2 before v2.4.0 and "
            "v3.3.0 also ends at a reflex): start the driver again"
        )
    elif broadcaster != "active":
        reason = (
            f"{BROADCASTER} is {broadcaster}: `ros2 control switch_controllers --activate "
            f"{BROADCASTER}`"
        )
    elif evidence.hardware is None:
        reason = (
            "its publisher is there, and no controller_manager can be asked: a lost connection, or "
            f"a reflex, see `ros2 control list_hardware_components`; after a reflex {RECOVERY}"
        )
    else:
        reason = "hardware and broadcaster are active: check network and processor load"
    return Fault(silence.cause, f"{silence.detail}; {reason}")
