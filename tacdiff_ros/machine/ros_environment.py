"""Environment variables of ROS: those that fit this installation, and those that clash with it."""

from __future__ import annotations

import functools
import os
import random
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.resources import config_path

PARENT_VARIABLE = "TACDIFF_PARENT_PID"  # a node ends when this process, its parent, has ended
LAST_DOMAIN = 100  # higher ones run into Linux's ephemeral ports
DDS_FIRST_PORT, DDS_PORTS_PER_DOMAIN = 7400, 250  # DDS-RTPS 2.2, section 9.6.1
SEARCH_PATHS = ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH")
# Of another ROS: they name its distribution, its prefixes or its middleware.
OTHER_ROS = (
    "ROS_DISTRO",
    "ROS_ETC_DIR",
    "ROS_PYTHON_VERSION",
    "ROS_VERSION",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "RMW_IMPLEMENTATION",
)
# They decide whom a node can find, or how it talks; nodes on a domain of their own need none.
CONNECTION = (
    "CYCLONEDDS_URI",
    "FASTDDS_BUILTIN_TRANSPORTS",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "RMW_FASTRTPS_USE_QOS_FROM_XML",
    "ROS_DISCOVERY_SERVER",
    "ROS_LOCALHOST_ONLY",
    "ROS_SECURITY_ENABLE",
    "ROS_SECURITY_ENCLAVE_OVERRIDE",
    "ROS_SECURITY_KEYSTORE",
    "ROS_SECURITY_STRATEGY",
    "ROS_STATIC_PEERS",
    "ROS_SUPER_CLIENT",
)
WHEELS_BOOTSTRAPPED = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"  # the ROS wheels have set library paths


@functools.cache
def bundled_ros() -> bool:
    """Whether this Python environment has ROS 2 from wheels, as `make setup` installs it."""
    return (Path(sysconfig.get_path("purelib")) / "rclpy").is_dir()


def is_foreign(entry: str, prefix: str = sys.prefix) -> bool:
    """Whether an entry of a search path belongs to another ROS than that of a prefix."""
    path = Path(entry)
    if not entry or path.is_relative_to(prefix):
        return False
    if path.is_relative_to("/opt/ros") or (path / "rclpy").is_dir():
        return True
    return any((folder / "share" / "ament_index").is_dir() for folder in (path, *path.parents))


def foreign_entries(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Entries of another ROS, by the name of their variable."""
    found = {
        name: [entry for entry in environment.get(name, "").split(os.pathsep) if is_foreign(entry)]
        for name in SEARCH_PATHS
    }
    return {name: entries for name, entries in found.items() if entries}


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables for processes of this installation, without those of another ROS.

    Where ROS comes from a sourced installation, its variables stay, but for a middleware that it
    does not have.
    """
    kept = {name: value for name, value in environment.items() if name not in CONNECTION}
    kept["PYTHONUTF8"] = "1"
    if "ROS_LOG_DIR" not in kept and not _can_log(kept):
        kept["ROS_LOG_DIR"] = str(cache_folder() / "ros_log")
    if not bundled_ros():
        if missing_middleware(environment):
            del kept["RMW_IMPLEMENTATION"]
        return kept
    foreign = foreign_entries(environment)
    for name, entries in foreign.items():
        rest = [e for e in kept[name].split(os.pathsep) if e and e not in entries]
        kept[name] = os.pathsep.join(rest)
    if foreign:
        kept.pop(WHEELS_BOOTSTRAPPED, None)
    kept = {name: value for name, value in kept.items() if name not in OTHER_ROS}
    return {**kept, "AMENT_PREFIX_PATH": sys.prefix}


def missing_middleware(environment: Mapping[str, str]) -> str | None:
    """The middleware that `RMW_IMPLEMENTATION` asks for, where no prefix has it."""
    name = environment.get("RMW_IMPLEMENTATION", "")
    prefixes = [p for p in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if bundled_ros():
        prefixes = [sys.prefix]
    folders = [Path(p) / "share" / "ament_index" / "resource_index" for p in prefixes]
    there = any((folder / "rmw_typesupport" / name).exists() for folder in folders)
    return name if name and not there else None


def isolated_environment() -> dict[str, str]:
    """Environment with a domain of its own on this machine only.

    What is started for a demonstration must not command a robot on the network, and must run
    whatever ROS, middleware or discovery server the shell was set up for. The discovery range
    alone would leave ports open on all interfaces: the profile of Fast DDS binds them to loopback.

    Raises:
        InputError: every domain of this machine is in use, or the installation is not complete.
    """
    return {
        **own_environment(os.environ),
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(config_path("loopback_dds.xml")),
    }


def free_domain() -> int:
    """A ROS domain whose ports nobody on this machine has bound.

    Raises:
        InputError: every domain of this machine is in use.
    """
    used = {(port - DDS_FIRST_PORT) // DDS_PORTS_PER_DOMAIN for port in _bound_udp_ports()}
    free = [domain for domain in range(1, LAST_DOMAIN + 1) if domain not in used]
    if not free:
        raise InputError(f"the ROS domains 1 to {LAST_DOMAIN} are all in use: end some ROS nodes")
    return random.choice(free)  # noqa: S311


def _can_log(environment: Mapping[str, str]) -> bool:
    """Whether rcl can make its log folder; a node does not start without it."""
    home = environment.get("HOME", "")
    folder = environment.get("ROS_HOME") or (f"{home}/.ros" if home and Path(home).is_dir() else "")
    if not Path(folder).is_absolute():
        return False
    try:
        (Path(folder) / "log").mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=Path(folder) / "log").close()
    except OSError:
        return False
    return True


def _bound_udp_ports() -> list[int]:
    tables = [Path("/proc/net/udp"), Path("/proc/net/udp6")]
    lines = [line for path in tables if path.exists() for line in path.read_text().splitlines()]
    return [int(line.split()[1].rsplit(":", 1)[1], 16) for line in lines if "sl" not in line]
