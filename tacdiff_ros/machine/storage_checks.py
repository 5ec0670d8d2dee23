"""Checks of memory, disks and writable folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.machine.check import Check, State
from tacdiff_ros.machine.process_setup import home_is_writable

GB = 1e9
MINIMUM_DISK_GB, RECOMMENDED_DISK_GB = 0.5, 5.0
MINIMUM_MEMORY_GB, RECOMMENDED_MEMORY_GB = 2.0, 4.0
MEMORY = Path("/proc/meminfo")
MEMORY_GROUP = Path("/sys/fs/cgroup")


def check_disk(folder: Path) -> Check:
    """Check the free disk space for results, compiled kernels and temporary files.

    Args:
        folder: output folder of results, which need not exist.
    """
    target = _existing(folder.absolute())
    if not target.is_dir():
        return Check(
            "disk", "bad", f"{target} is not a folder", "choose another folder for results"
        )
    if not os.access(target, os.W_OK | os.X_OK):
        return Check("disk", "bad", f"{target} is not writable", "choose another folder")
    folders = [target, cache_folder(), Path(tempfile.gettempdir())]
    free = {path: shutil.disk_usage(path).free / GB for path in folders}
    fullest = min(free, key=lambda path: free[path])
    detail = f"{free[fullest]:.1f} GB free at {fullest}"
    if free[fullest] < MINIMUM_DISK_GB:
        return Check("disk", "bad", detail, f"free at least {MINIMUM_DISK_GB:g} GB")
    if free[fullest] < RECOMMENDED_DISK_GB:
        return Check("disk", "warning", detail, "recordings and datasets take gigabytes")
    return Check("disk", "good", detail)


def check_memory() -> Check:
    """Check the free memory, within the limit of a container."""
    available = _available_memory_gb(MEMORY.read_text(), MEMORY_GROUP)
    detail, state = f"{available:.1f} GB free", _memory_state(available)
    if state == "good":
        return Check("memory", state, detail)
    required = f"{RECOMMENDED_MEMORY_GB:g} GB are recommended"
    advice = f"{required}: close programs, or raise the container's limit"
    return Check("memory", state, detail, advice)


def check_home() -> Check:
    """Check that settings and logs can be written to `HOME`."""
    home = os.environ.get("HOME")
    if home_is_writable():
        return Check("home folder", "good", str(home))
    return Check(
        "home folder",
        "warning",
        f"HOME={home} is not writable" if home else "HOME is not set",
        "set HOME to a writable folder; for ROS nodes set ROS_LOG_DIR",
    )


def check_cache_folder() -> Check:
    """Check that the cache folder of compiled kernels is permanent."""
    folder = cache_folder()
    if folder.is_relative_to(tempfile.gettempdir()) and "TACDIFF_CACHE_DIR" not in os.environ:
        return Check(
            "cache folder",
            "warning",
            f"{folder}, a temporary folder, lost when the machine restarts",
            "set TACDIFF_CACHE_DIR to a permanent folder",
        )
    return Check("cache folder", "good", str(folder))


def check_kernels() -> Check:
    """Check whether the first run of a command has to compile kernels."""
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
    """Return the free memory by /proc/meminfo, bounded by the limit of a control group, GB."""
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
    return "warning" if available_gb < RECOMMENDED_MEMORY_GB else "good"


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    while not folder.exists():
        folder = folder.parent
    return folder
