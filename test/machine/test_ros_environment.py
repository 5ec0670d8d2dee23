"""Variables that our processes inherit, whatever ROS the shell was set up for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tacdiff_ros.machine import ros_environment
from tacdiff_ros.machine.ros_environment import (
    DDS_FIRST_PORT,
    DDS_PORTS_PER_DOMAIN,
    is_foreign,
    isolated_environment,
    missing_middleware,
    own_environment,
)

SOCKETS = """
for socket in psutil.Process().net_connections(kind="inet"):
    print(socket.laddr.port, socket.laddr.ip)
"""


@pytest.fixture
def humble(tmp_path):
    """Prefix of another ROS, and its folder of Python packages."""
    prefix = tmp_path / "humble"
    (prefix / "share" / "ament_index" / "resource_index" / "rmw_typesupport").mkdir(parents=True)
    packages = prefix / "lib" / "python3.10" / "site-packages"
    (packages / "rclpy").mkdir(parents=True)
    return prefix, packages


def test_what_lies_in_another_prefix_is_foreign(humble, tmp_path):
    prefix, packages = humble
    assert is_foreign(str(packages))
    assert is_foreign(str(prefix / "lib"))
    assert is_foreign("/opt/ros/humble/lib")
    assert not is_foreign(str(packages), prefix=str(prefix))
    assert not is_foreign(str(tmp_path))
    assert not is_foreign("")


def test_with_our_own_ros_another_one_is_left_out(humble, monkeypatch, tmp_path):
    prefix, packages = humble
    monkeypatch.setattr(ros_environment, "bundled_ros", lambda: True)
    environment = own_environment(
        {
            "HOME": str(tmp_path),
            "PYTHONPATH": f"{packages}:/home/me/code",
            "LD_LIBRARY_PATH": f"{prefix}/lib:{sys.prefix}/lib",
            "AMENT_PREFIX_PATH": str(prefix),
            "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
            "ROS_DISTRO": "humble",
            "ROS_LOCALHOST_ONLY": "1",
            "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
        }
    )
    assert environment == {
        "HOME": str(tmp_path),
        "PYTHONPATH": "/home/me/code",
        "LD_LIBRARY_PATH": f"{sys.prefix}/lib",
        "AMENT_PREFIX_PATH": sys.prefix,
        "PYTHONUTF8": "1",
    }


def test_with_a_sourced_ros_its_variables_stay(humble, monkeypatch, tmp_path):
    prefix, packages = humble
    index = prefix / "share" / "ament_index" / "resource_index" / "rmw_typesupport"
    (index / "rmw_cyclonedds_cpp").touch()
    monkeypatch.setattr(ros_environment, "bundled_ros", lambda: False)
    sourced = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(packages),
        "AMENT_PREFIX_PATH": str(prefix),
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "ROS_DISTRO": "humble",
    }
    assert own_environment(sourced) == {**sourced, "PYTHONUTF8": "1"}
    missing = {**sourced, "RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}
    assert missing_middleware(missing) == "rmw_zenoh_cpp"
    assert "RMW_IMPLEMENTATION" not in own_environment(missing)


def test_isolated_processes_hear_nobody_else(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "0")
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", "10.0.0.1:11811")
    environment = isolated_environment()
    assert 1 <= int(environment["ROS_DOMAIN_ID"]) <= ros_environment.LAST_DOMAIN
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_DISCOVERY_SERVER" not in environment


def test_programs_that_start_together_get_different_domains(monkeypatch):
    monkeypatch.setattr(ros_environment, "_bound_udp_ports", list)  # as both read them
    monkeypatch.setattr(ros_environment.random, "shuffle", list.sort)
    domains = [ros_environment.free_domain() for _ in range(3)]
    assert len(set(domains)) == 3


def test_domains_are_given_back():
    for _ in range(2 * ros_environment.LAST_DOMAIN):
        assert 1 <= ros_environment.free_domain() <= ros_environment.LAST_DOMAIN


def test_isolated_nodes_listen_on_loopback_only():
    pytest.importorskip("rclpy")
    environment = isolated_environment()
    node = "import rclpy, psutil\nrclpy.init()\nnode = rclpy.create_node('probe')\n" + SOCKETS
    told = subprocess.run(
        [sys.executable, "-c", node], env=environment, capture_output=True, text=True, check=True
    )
    first = DDS_FIRST_PORT + DDS_PORTS_PER_DOMAIN * int(environment["ROS_DOMAIN_ID"])
    domain = range(first, first + DDS_PORTS_PER_DOMAIN)
    sockets = dict(line.split() for line in told.stdout.splitlines())
    receiving = {host for port, host in sockets.items() if int(port) in domain}
    assert receiving == {"127.0.0.1"}  # other sockets are those that it sends from


@pytest.mark.parametrize("home", [None, "/proc/nothing"])
def test_logs_go_elsewhere_without_a_home(monkeypatch, home, tmp_path):
    environment = {"HOME": home} if home else {}
    assert "ROS_LOG_DIR" in own_environment(environment)
    assert "ROS_LOG_DIR" not in own_environment({"HOME": str(tmp_path)})
    assert own_environment({"ROS_LOG_DIR": "/mine"})["ROS_LOG_DIR"] == "/mine"
