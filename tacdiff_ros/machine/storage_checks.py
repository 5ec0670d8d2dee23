"""Checks of memory, disks and the folders that programs write to."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.machine.check import Check, State
from tacdiff_ros.machine.process_setup import home_is_writable

GB = 1e9
MINIMUM_DISK_GB, USUAL_DISK_GB = 0.5, 5.0
MINIMUM_MEMORY_GB, USUAL_MEMORY_GB = 2.0, 4.0
MEMORY = Path("/proc/meminfo")
MEMORY_GROUP = Path("/sys/fs/cgroup")


def check_disk(folder: Path) -> Check:
    """Free space where results, kernels and temporary files go."""
    there = _existing(folder.absolute())
    if not there.is_dir():
        return Check("disk", "bad", f"{there} is no folder", "choose another folder for results")
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("disk", "bad", f"{there} cannot be written to", "choose another folder")
    folders = [there, cache_folder(), Path(tempfile.gettempdir())]
    free = {path: shutil.disk_usage(path).free / GB for path in folders}
    least = min(free, key=lambda path: free[path])
    found = f"{free[least]:.1f} GB free at {least}"
    if free[least] < MINIMUM_DISK_GB:
        return Check("disk", "bad", found, f"free at least {MINIMUM_DISK_GB:g} GB")
    if free[least] < USUAL_DISK_GB:
        return Check("disk", "warning", found, "recordings and datasets take gigabytes")
    return Check("disk", "good", found)


def check_memory() -> Check:
    """Memory that is free, within the limit of a container."""
    available = _available_memory_gb(MEMORY.read_text(), MEMORY_GROUP)
    found, state = f"{available:.1f} GB free", _memory_state(available)
    if state == "good":
        return Check("memory", state, found)
    advice = f"close programs, or raise the container's limit: {USUAL_MEMORY_GB:g} GB are usual"
    return Check("memory", state, found, advice)


def check_home() -> Check:
    """Whether settings and logs can be kept in `HOME`."""
    home = os.environ.get("HOME")
    if home_is_writable():
        return Check("home folder", "good", str(home))
    return Check(
        "home folder",
        "warning",
        f"HOME={home} cannot be written to" if home else "HOME is not set",
        "set HOME to a folder of yours; for ROS nodes set ROS_LOG_DIR",
    )


def check_cache_folder() -> Check:
    """Folder that keeps compiled kernels."""
    folder = cache_folder()
    if folder.is_relative_to(tempfile.gettempdir()) and "TACDIFF_CACHE_DIR" not in os.environ:
        return Check(
            "cache folder",
            "warning",
            f"{folder}, a temporary folder: lost when the machine restarts",
            "set TACDIFF_CACHE_DIR to a folder of yours",
        )
    return Check("cache folder", "good", str(folder))


def check_kernels() -> Check:
    """Whether the first run compiles."""
    from tacdiff_ros.warm_up import cold_jobs

    cold = cold_jobs()
    if not cold:
        return Check("kernels", "good", "all compiled for this user")
    return Check(
        "kernels",
        "warning",
        f"not compiled yet: {', '.join(cold)}",
        "nothing to do; the first run compiles for one to two minutes on two cores",
    )


def _available_memory_gb(meminfo: str, group: Path) -> float:
    """Free memory from the text of /proc/meminfo, bounded by the limit of a control group."""
    values = {line.split(":")[0]: line.split()[1] for line in meminfo.splitlines() if ":" in line}
    available = int(values.get("MemAvailable", values.get("MemFree", "0"))) * 1024
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no group, or "max"
        return available / GB
    return min(available, max(limit - used, 0)) / GB


def _memory_state(available_gb: float) -> State:
    if available_gb < MINIMUM_MEMORY_GB:
        return "bad"
    return "warning" if available_gb < USUAL_MEMORY_GB else "good"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
