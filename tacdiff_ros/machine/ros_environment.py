"""Environment variables of ROS: those of this installation, and those that conflict with it."""

from __future__ import annotations

import functools
import os
import random
import socket
import sys
import sysconfig
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.resources import config_path

PARENT_VARIABLE = "TACDIFF_PARENT_PID"  # a node ends when this process (its parent) ends
LAST_DOMAIN = 100  # the ports of higher ones overlap Linux's ephemeral ports
MAX_RESERVATIONS = 8  # of ROS domains by one process, for as many graphs side by side
DDS_FIRST_PORT, DDS_PORTS_PER_DOMAIN = 7400, 250  # DDS-RTPS 2.2, section 9.6.1
SEARCH_PATHS = ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH")
# Variables of another ROS installation: its distribution, prefixes and middleware.
OTHER_ROS = (
    "ROS_DISTRO",
    "ROS_ETC_DIR",
    "ROS_PYTHON_VERSION",
    "ROS_VERSION",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "RMW_IMPLEMENTATION",
)
# Variables of discovery and transport; nodes on an isolated domain need none of them.
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
WHEELS_BOOTSTRAPPED = (
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE"  # set by the ROS wheels with the library paths
)
_reservations: deque[socket.socket] = deque()  # of ROS domains


@functools.cache
def bundled_ros() -> bool:
    """Return whether this Python environment has the ROS 2 wheels that `make setup` installs."""
    return (Path(sysconfig.get_path("purelib")) / "rclpy").is_dir()


def is_foreign(entry: str, prefix: str = sys.prefix) -> bool:
    """Return whether an entry of a search path belongs to another ROS installation.

    Args:
        entry: folder in a search path.
        prefix: installation prefix of our own ROS.
    """
    path = Path(entry)
    if not entry or path.is_relative_to(prefix):
        return False
    if path.is_relative_to("/opt/ros") or (path / "rclpy").is_dir():
        return True
    return any((folder / "share" / "ament_index").is_dir() for folder in (path, *path.parents))


def foreign_entries(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the search path entries of other ROS installations by variable name."""
    entries_of = {
        name: [entry for entry in environment.get(name, "").split(os.pathsep) if is_foreign(entry)]
        for name in SEARCH_PATHS
    }
    return {name: entries for name, entries in entries_of.items() if entries}


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for processes of this installation, without that of another ROS.

    If ROS comes from a sourced installation, its variables are retained, except for a middleware
    that it does not provide.

    Args:
        environment: environment variables of the shell.
    """
    result = {name: value for name, value in environment.items() if name not in CONNECTION}
    result["PYTHONUTF8"] = "1"
    if "ROS_LOG_DIR" not in result and not _can_log(result):
        result["ROS_LOG_DIR"] = str(cache_folder() / "ros_log")
    if not bundled_ros():
        if missing_middleware(environment):
            del result["RMW_IMPLEMENTATION"]
        return result
    foreign = foreign_entries(environment)
    for name, entries in foreign.items():
        own = [e for e in result[name].split(os.pathsep) if e and e not in entries]
        result[name] = os.pathsep.join(own)
    if foreign:
        result.pop(WHEELS_BOOTSTRAPPED, None)
    result = {name: value for name, value in result.items() if name not in OTHER_ROS}
    return {**result, "AMENT_PREFIX_PATH": sys.prefix}


def missing_middleware(environment: Mapping[str, str]) -> str | None:
    """Return the middleware named by `RMW_IMPLEMENTATION` if no prefix provides it, else None."""
    name = environment.get("RMW_IMPLEMENTATION", "")
    prefixes = [p for p in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if bundled_ros():
        prefixes = [sys.prefix]
    folders = [Path(p) / "share" / "ament_index" / "resource_index" for p in prefixes]
    is_installed = any((folder / "rmw_typesupport" / name).exists() for folder in folders)
    return name if name and not is_installed else None


def isolated_environment() -> dict[str, str]:
    """Return an environment with an unused ROS domain that is restricted to this machine.

    Nodes of a demonstration must not command a robot on the network, and must work with any ROS,
    middleware or discovery server configured in the shell. The discovery range alone would leave
    ports open on all interfaces, so a Fast DDS profile binds them to loopback.

    Raises:
        InputError: every domain of this machine is in use, or the installation is incomplete.
    """
    return {
        **own_environment(os.environ),
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(config_path("loopback_dds.xml")),
    }


def free_domain() -> int:
    """Reserve a random ROS domain whose ports are not bound on this machine, and return it.

    The reservation binds the last port of the domain, which DDS would use for its 120th process
    only: two programs that start at the same moment get different domains. It ends with this
    process, or with its ninth domain.

    Raises:
        InputError: every domain of this machine is in use.
    """
    if len(_reservations) == MAX_RESERVATIONS:
        _reservations.popleft().close()
    used = {(port - DDS_FIRST_PORT) // DDS_PORTS_PER_DOMAIN for port in _bound_udp_ports()}
    free = [domain for domain in range(1, LAST_DOMAIN + 1) if domain not in used]
    random.shuffle(free)
    for domain in free:
        last_port = DDS_FIRST_PORT + DDS_PORTS_PER_DOMAIN * (domain + 1) - 1
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", last_port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return domain
    raise InputError(f"the ROS domains 1 to {LAST_DOMAIN} are all in use: end some ROS nodes")


def _can_log(environment: Mapping[str, str]) -> bool:
    """Return whether rcl can create its log folder, without which a node does not start."""
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
