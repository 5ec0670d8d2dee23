"""Checks of this machine: what each says of a machine that is right, and of one that is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.machine import checks, compute_checks, rig_checks, ros_checks, storage_checks
from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.compute_checks import check_cores, check_graphics_card, check_llvm
from tacdiff_ros.machine.python_checks import check_python
from tacdiff_ros.machine.ros_checks import check_dds, check_ros_packages, check_ros_variables
from tacdiff_ros.machine.storage_checks import check_disk, check_home, check_memory

GOOD = Check("any", "good", "")


def test_a_line_has_finding_and_advice():
    assert Check("disk", "bad", "0.1 GB\nfree", "free some").line == "disk: 0.1 GB free; free some"


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 9), "bad"), ((3, 10), "good"), ((3, 14), "good"), ((3, 15), "warning")],
)
def test_python_versions(version, state):
    assert check_python(version).state == state


def test_an_llvm_that_was_chosen_but_is_none_is_bad(monkeypatch):
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/nothing/libLLVM.so")
    check = check_llvm()
    assert check.state == "bad"
    assert "DRJIT_LIBLLVM_PATH=/nothing/libLLVM.so" in check.detail


def test_no_graphics_card_is_said_and_not_bad(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = check_graphics_card(tmp_path / "none")
    assert (check.state, "CPU" in check.detail) == ("good", True)


@pytest.mark.parametrize(
    ("prints", "code", "state", "found"),
    [
        ("NVIDIA H100, 550.54.15, 81559 MiB", 0, "good", "H100"),
        ("NVIDIA GTX, 470.1, 4096 MiB", 0, "bad", "470.1"),
        ("Failed to initialize NVML: Driver/library version mismatch", 9, "bad", "mismatch"),
    ],
)
def test_graphics_cards(tmp_path, monkeypatch, prints, code, state, found):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compute_checks.importlib.metadata, "version", lambda name: "2.13")
    check = check_graphics_card()
    assert (check.state, found in check.detail) == (state, True)


def test_torch_without_cuda_beside_a_card_is_a_warning(monkeypatch):
    monkeypatch.setattr(compute_checks.importlib.metadata, "version", lambda name: "2.13+cpu")
    assert compute_checks._check_card(["NVIDIA H100, 550.54.15, 81559 MiB"]).state == "warning"


def test_one_core_by_quota_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr(compute_checks, "CPU_QUOTA", tmp_path / "cpu.max")
    assert check_cores().state == "warning"


def test_memory_is_bounded_by_the_container(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 12000000 kB\n")
    monkeypatch.setattr(storage_checks, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(storage_checks, "MEMORY_GROUP", tmp_path)
    assert check_memory().state == "good"
    (tmp_path / "memory.max").write_text("max\n")
    assert check_memory().state == "good"
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    check = check_memory()
    assert (check.state, check.detail) == ("bad", "0.5 GB free")


def test_disk_of_a_folder_that_will_be_made(tmp_path, monkeypatch):
    assert check_disk(tmp_path / "a" / "b").state in ("good", "warning")
    monkeypatch.setattr(
        storage_checks.shutil, "disk_usage", lambda path: type("", (), {"free": 1e8})
    )
    assert check_disk(tmp_path).state == "bad"


@pytest.mark.parametrize("home", [None, "/proc/nothing"])
def test_a_home_that_cannot_be_written_to_is_said(monkeypatch, home):
    monkeypatch.delenv("HOME", raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    assert check_home().state == "warning"


@pytest.mark.parametrize(
    ("variables", "state", "says"),
    [
        ({}, "good", "domain 0"),
        ({"ROS_DOMAIN_ID": "42"}, "good", "domain 42"),
        ({"ROS_DOMAIN_ID": "robot"}, "bad", "ROS_DOMAIN_ID=robot"),
        ({"RMW_IMPLEMENTATION": "rmw_none_cpp"}, "bad", "unset RMW_IMPLEMENTATION"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "warning", "ROS_LOCALHOST_ONLY=1"),
        ({"ROS_DISCOVERY_SERVER": "10.0.0.1:11811"}, "warning", "ROS_DISCOVERY_SERVER"),
        (
            {
                "ROS_SECURITY_ENABLE": "true",
                "ROS_SECURITY_STRATEGY": "Enforce",
                "ROS_SECURITY_KEYSTORE": "/nothing",
            },
            "bad",
            "/nothing",
        ),
    ],
)
def test_ros_variables(variables, state, says):
    check = check_ros_variables(variables)
    assert (check.state, says in check.line) == (state, True)


def test_another_ros_on_the_path_is_named_with_what_to_unset(tmp_path, monkeypatch):
    (tmp_path / "rclpy").mkdir()
    monkeypatch.setattr(ros_checks, "bundled_ros", lambda: True)
    check = check_ros_variables({"PYTHONPATH": str(tmp_path)})
    assert check.state == "bad"
    assert "unset PYTHONPATH" in check.advice


@pytest.mark.parametrize("bundled", [True, False])
def test_dds_security_needs_an_installed_ros(tmp_path, monkeypatch, bundled):
    monkeypatch.setattr(ros_checks, "bundled_ros", lambda: bundled)
    check = check_ros_variables(
        {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_KEYSTORE": str(tmp_path)}
    )
    assert ("no DDS security" in check.line) == bundled


def test_ros_that_does_not_import_is_bad_with_the_reason(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("raise ImportError('made for Python 3.10')")
    check = check_ros_packages({"PYTHONPATH": str(tmp_path)})
    assert check.state == "bad"
    assert "made for Python 3.10" in check.detail


def test_images_get_from_one_process_to_another_whatever_the_shell_says(monkeypatch):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_none_cpp")
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", "127.0.0.1:9")
    monkeypatch.setenv("HOME", "/proc/nothing")
    assert check_dds().state == "good"


def test_a_dds_process_that_does_not_start_is_named(monkeypatch):
    monkeypatch.setattr(ros_checks, "isolated_environment", lambda: {"PYTHONPATH": "/nothing"})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert check_dds().state == "bad"


def test_require_demo_raises_the_first_thing_that_is_bad(tmp_path, monkeypatch):
    for name in ("check_python", "check_memory", "check_dds", "check_llvm", "check_ros_packages"):
        monkeypatch.setattr(checks, name, lambda *args: GOOD)
    checks.require_demo(tmp_path)
    monkeypatch.setattr(checks, "check_llvm", lambda: Check("LLVM", "bad", "none", "install it"))
    with pytest.raises(InputError, match="LLVM: none; install it"):
        checks.require_demo(tmp_path)


@pytest.mark.parametrize(("state", "code"), [("good", 0), ("warning", 0), ("bad", 1)])
def test_doctor_prints_a_line_a_check_or_one_json_object(monkeypatch, capsys, state, code):
    found = [Check("LLVM", "good", "19"), Check("camera", state, "x [y]", "do z")]
    monkeypatch.setattr("tacdiff_ros.cli.doctor.run_checks", lambda folder: iter(found))
    assert run(["doctor"]) == code
    assert capsys.readouterr().out.splitlines() == [
        "good    LLVM: 19",
        f"{state:8}camera: x [y]; do z",
    ]
    assert run(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {
        "ok": code == 0,
        "checks": [
            {"name": "LLVM", "state": "good", "found": "19", "advice": ""},
            {"name": "camera", "state": state, "found": "x [y]", "advice": "do z"},
        ],
    }


def test_all_checks_together_find_this_machine_able(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    states = {check.name: check.state for check in checks.run_checks(Path(tmp_path))}
    assert {"Python", "LLVM", "kernels", "ROS variables", "DDS", "disk", "cores"} <= set(states)
    assert states["DDS"] == "good"


def test_doctor_of_a_rig_whose_node_does_not_run_says_what_to_start(monkeypatch, capsys):
    monkeypatch.setattr(rig_checks, "_call_service", lambda ns: {"error": f"no node offers {ns}"})
    assert run(["doctor", "--rig", "--namespace", "left/"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("bad     rig: no node offers /left; start it with `ros2 launch")


def test_doctor_of_a_rig_prints_the_findings_of_its_node(monkeypatch, capsys):
    message = "good    target topic: one publisher\nwarning images: 10 Hz: too slow"
    response = {"success": True, "message": message, "error": ""}
    monkeypatch.setattr(rig_checks, "_call_service", lambda _ns: response)
    assert run(["doctor", "--rig"]) == 0
    assert capsys.readouterr().out.splitlines() == message.splitlines()


@pytest.mark.parametrize("arguments", [["--rig", "--namespace", "a b"], ["--namespace", "a"]])
def test_a_namespace_that_cannot_be_is_refused(arguments, capsys):
    assert run(["doctor", *arguments]) == 2
    assert "namespace" in capsys.readouterr().err
