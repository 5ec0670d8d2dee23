"""Reads the texts of .msg files, which a bag contains so that any reader can decode it."""

from __future__ import annotations

from pathlib import Path

from ament_index_python import PackageNotFoundError, get_package_share_directory

from tacdiff_ros.errors import InputError


def read_definitions(packages: list[str]) -> dict[str, str]:
    """Read the message definitions of ROS packages.

    Args:
        packages: names of installed ROS packages.

    Returns:
        Text of each definition by full type name, such as "franka_msgs/msg/Elbow".

    Raises:
        InputError: a package is not installed or has no .msg files.
    """
    definitions = {}
    for package in packages:
        try:
            folder = Path(get_package_share_directory(package)) / "msg"
        except (PackageNotFoundError, OSError) as error:
            raise InputError(
                f"the ROS package {package} is not installed or its workspace not sourced"
            ) from error
        files = sorted(folder.glob("*.msg"))
        if not files:
            raise InputError(f"{folder} contains no .msg files: reinstall {package}")
        for file in files:
            definitions[f"{package}/msg/{file.stem}"] = file.read_text(encoding="utf-8")
    return definitions
