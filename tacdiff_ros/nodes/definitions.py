"""Texts of .msg files, which a bag carries so that anyone can read it."""

from __future__ import annotations

from pathlib import Path

from ament_index_python import PackageNotFoundError, get_package_share_directory

from tacdiff_ros.errors import InputError


def read_definitions(packages: list[str]) -> dict[str, str]:
    """Text of every message of some packages by full name, "franka_msgs/msg/Elbow".

    Raises:
        InputError: a package is not installed or has no .msg files.
    """
    definitions = {}
    for package in packages:
        try:
            folder = Path(get_package_share_directory(package)) / "msg"
        except (PackageNotFoundError, OSError) as error:
            raise InputError(
                f"the ROS package {package} is not installed or not sourced"
            ) from error
        files = sorted(folder.glob("*.msg"))
        if not files:
            raise InputError(f"{folder} holds no .msg files: install {package} again")
        for file in files:
            definitions[f"{package}/msg/{file.stem}"] = file.read_text(encoding="utf-8")
    return definitions
