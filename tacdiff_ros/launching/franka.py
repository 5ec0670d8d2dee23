"""Franka arms: names of their links, and the arguments that each release of franka_ros2 takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tacdiff_ros.errors import InputError

# Folders of franka_description/robots with one arm.
ROBOT_TYPES = ("fr3", "fr3v2", "fr3v2_1", "fp3", "fer")
REFUSED_TYPES = {
    "panda": "franka_description calls this arm fer: set robot_type:=fer",
    "fr3_duo": "franka_ros2 publishes no robot state for two arms: set robot_type to the type of "
    "one of them, with its own robot_ip and arm_prefix",
}
JOINTS = 7
# First releases whose state broadcaster knows arm_prefix: Humble, Jazzy.
PREFIX_RELEASES = ((2, 3, 0), (3, 2, 1))
PREFIX = re.compile(r"([A-Za-z]\w*)?")


@dataclass(frozen=True)
class Arm:
    """Names that franka_description gives to the links and joints of one arm.

    Attributes:
        robot_type: type of the arm, one of `ROBOT_TYPES`.
        prefix: prefix of all names, without the underscore that follows it; may be empty.
        gripper: whether the Franka Hand is mounted.

    Raises:
        InputError: an unknown type, or a prefix that is not a name.
    """

    robot_type: str
    prefix: str = ""
    gripper: bool = True

    def __post_init__(self) -> None:
        if self.robot_type not in ROBOT_TYPES:
            advice = REFUSED_TYPES.get(self.robot_type, f"use one of {', '.join(ROBOT_TYPES)}")
            raise InputError(f"robot_type {self.robot_type!r} is not supported: {advice}")
        if not PREFIX.fullmatch(self.prefix) or self.prefix.endswith("_"):
            raise InputError(
                f"arm_prefix {self.prefix!r} is not a name: use letters and digits, such as left; "
                "franka_description appends the underscore"
            )

    @property
    def name(self) -> str:
        """Beginning of all names, without the underscore that follows it."""
        return f"{self.prefix}_{self.robot_type}" if self.prefix else self.robot_type

    @property
    def end_effector_frame(self) -> str:
        """Link at the pose O_T_EE: TCP of the hand, or the flange without a hand."""
        return f"{self.name}_hand_tcp" if self.gripper else f"{self.name}_link8"

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints, from the base."""
        return tuple(f"{self.name}_joint{number}" for number in range(1, JOINTS + 1))


@dataclass(frozen=True)
class Driver:
    """An installed franka_bringup.

    Attributes:
        version: version in its package.xml, such as 3.4.0.
        arguments: names of the arguments that its franka.launch.py declares.
    """

    version: str
    arguments: frozenset[str]

    @property
    def release(self) -> tuple[int, ...]:
        """Numbers of the version."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version))

    @property
    def supports_prefix(self) -> bool:
        """Whether the robot states are those of an arm with a prefix."""
        humble, jazzy = PREFIX_RELEASES
        return humble <= self.release < (3,) or self.release >= jazzy


def driver_arguments(
    arm: Arm, driver: Driver, robot_ip: str, namespace: str, fake_hardware: bool
) -> dict[str, str]:
    """Return the arguments of franka.launch.py in the installed release.

    Args:
        arm: type, prefix and hand of the arm.
        driver: installed release.
        robot_ip: address of the arm; empty with fake hardware.
        namespace: namespace of all nodes.
        fake_hardware: whether the hardware is simulated by franka_ros2.

    Returns:
        Values by name of the argument.

    Raises:
        InputError: the release does not have an argument that is needed.
    """
    wanted = {
        "robot_ip": robot_ip,
        "namespace": namespace,
        "arm_prefix": arm.prefix,
        "load_gripper": str(arm.gripper).lower(),
        "use_fake_hardware": str(fake_hardware).lower(),
    }
    if "arm_id" in driver.arguments:  # before v2.2.0 and v3.2.0
        description = f"{arm.robot_type}/{arm.robot_type}.urdf.xacro"
        wanted |= {"arm_id": arm.robot_type, "urdf_file": description}
    else:
        wanted["robot_type"] = arm.robot_type
    _check_support(arm, driver, wanted)
    return {name: text for name, text in wanted.items() if text and name in driver.arguments}


def _check_support(arm: Arm, driver: Driver, wanted: dict[str, str]) -> None:
    for name, text in wanted.items():
        if text not in ("", "false") and name not in driver.arguments:
            raise InputError(
                f"franka_bringup {driver.version} has no argument {name}, which {name}:={text} "
                "needs: install franka_ros2 v2.2.0 (Humble) or v3.2.0 (Jazzy), or later"
            )
    if arm.prefix and not driver.supports_prefix:
        raise InputError(
            f"the robot states of franka_bringup {driver.version} ignore arm_prefix:={arm.prefix}: "
            "install franka_ros2 v2.3.0 (Humble) or v3.2.1 (Jazzy), or later, or leave it empty"
        )
