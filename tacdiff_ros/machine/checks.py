"""All checks of this machine, and the subset that `tacdiff demo` requires."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.machine.camera_checks import check_cameras
from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.compute_checks import check_cores, check_graphics_card, check_llvm
from tacdiff_ros.machine.python_checks import check_locale, check_python
from tacdiff_ros.machine.ros_checks import check_dds, check_ros_packages, check_ros_variables
from tacdiff_ros.machine.ros_environment import own_environment
from tacdiff_ros.machine.storage_checks import (
    check_cache_folder,
    check_disk,
    check_home,
    check_kernels,
    check_memory,
)

DEMO_TIMEOUT_S = 60.0  # generous: a slow machine only makes the demo take longer


def run_checks(folder: Path) -> Iterator[Check]:
    """Run all checks and yield each result as soon as it is available; under 20 s in total.

    Args:
        folder: output folder of results, which need not exist.
    """
    yield check_python()
    yield check_locale()
    yield check_llvm()
    yield check_graphics_card()
    yield check_cores()
    yield check_memory()
    yield check_disk(folder)
    yield check_home()
    yield check_cache_folder()
    yield check_kernels()
    yield check_ros_variables()
    packages = check_ros_packages()
    yield packages
    if packages.state == "warning":
        yield Check("DDS", "warning", "not checked without ROS", "install ROS first")
    else:
        yield check_dds()
    yield from check_cameras()


def require_demo(folder: Path) -> None:
    """Check that this machine can run the demonstration.

    Environment variables of another ROS installation are ignored: the processes of the
    demonstration do not inherit them.

    Args:
        folder: output folder of the demonstration.

    Raises:
        InputError: a requirement is not met; the message says which one and what to do.
    """
    checks = (
        check_python,
        check_llvm,
        check_memory,
        lambda: check_disk(folder),
        lambda: check_ros_packages(own_environment(os.environ), DEMO_TIMEOUT_S),
        lambda: check_dds(DEMO_TIMEOUT_S),
    )
    for check in checks:
        result = check()
        if result.state == "bad" or (result.name == "ROS packages" and result.state != "good"):
            raise InputError(f"the demo cannot run here: {result.line} (see `tacdiff doctor`)")
