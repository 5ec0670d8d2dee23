"""Checks of a rig file, and whether the running nodes use it."""

import json

import pytest

from tacdiff_ros.acquisition.rig_file import write_rig
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.cli.application import run
from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.rig_checks import check_rig_file, compare_checksums
from tacdiff_ros.sensor.sensor_file import default_sensor, write_sensor


@pytest.fixture
def rig(tmp_path):
    write_sensor(default_sensor(), tmp_path / "mini.yaml")
    return RigSettings(
        name="lab",
        mount_position_mm=(0.6, -0.4, 80.0),
        indenter="sphere:diameter=5",
        sensor_file=str(tmp_path / "mini.yaml"),
        base_frame="base",
        end_effector_frame="fr3_link8",
    )


def states(path) -> dict[str, str]:
    return {check.name: check.state for check in check_rig_file(path)}


def test_a_complete_rig_is_good(rig, tmp_path):
    path = tmp_path / "rig.yaml"
    write_rig(path, rig)
    found = states(path)
    assert list(found) == ["rig file", "mount", "indenter", "sensor file", "frames"]
    assert set(found.values()) == {"good"}


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"mount_position_mm": (0.0, 0.0, 40.0)}, "mount", "warning"),
        ({"mount_position_mm": (0.0, 0.0, 8000.0)}, "mount", "bad"),
        ({"indenter": ""}, "indenter", "warning"),
        ({"indenter": "bal"}, "indenter", "bad"),
        ({"sensor_file": "missing.yaml"}, "sensor file", "bad"),
        ({"base_frame": ""}, "frames", "warning"),
    ],
)
def test_what_is_missing_or_wrong_is_named(rig, tmp_path, change, name, state):
    path = tmp_path / "rig.yaml"
    write_rig(path, rig.model_copy(update=change))
    found = states(path)
    assert found.pop(name) == state
    assert set(found.values()) == {"good"}


def test_nodes_with_another_rig_are_bad(rig, tmp_path):
    path = tmp_path / "rig.yaml"
    write_rig(path, rig)
    assert compare_checksums(path, [Check("rig", "good", rig.line)]).state == "good"
    other = rig.model_copy(update={"mount_position_mm": (0.0, 0.0, 79.0)})
    compared = compare_checksums(path, [Check("rig", "good", other.line)])
    assert compared.state == "bad"
    assert "rig_file:=" in compared.line
    assert compare_checksums(path, []).state == "bad"


def test_commands_write_change_and_check_a_rig(rig, tmp_path, capsys):
    path = str(tmp_path / "lab.yaml")
    sensor = ["--sensor", str(tmp_path / "mini.yaml")]
    given = ["--mount", "0.6", "-0.4", "80", "--indenter", "cube", *sensor]
    assert run(["rig", "write", path, *given]) == 0
    assert run(["rig", "write", path, "--indenter", "sphere:diameter=6", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (printed["name"], printed["indenter"]) == ("lab", "sphere:diameter=6")
    assert printed["mount_position_mm"] == [0.6, -0.4, 80.0]
    assert run(["doctor", "--rig-file", path, "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert printed["checksum"][:16] in checks[0]["found"]
    assert run(["rig", "write", path, "--indenter", "bal"]) == 2
    assert run(["doctor", "--rig-file", str(tmp_path / "none.yaml")]) == 1
