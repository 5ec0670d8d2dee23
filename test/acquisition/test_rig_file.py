"""The rig file: written, read, changed in place; its checksum is that of its values."""

from pathlib import Path

import pytest
import yaml

from tacdiff_ros.acquisition.rig_file import read_rig, write_rig
from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.errors import InputError

SHIPPED = Path(__file__).parents[2] / "config" / "tacdiff.yaml"
OWN = RigSettings(
    name="lab 3",
    mount_position_mm=(0.6, -0.4, 80.25),
    indenter="sphere:diameter=5",
    sensor_file="/home/me/my #1 sensor.yaml",
    base_frame="base",
)


def test_a_new_file_has_the_layout_of_ros_parameters(tmp_path):
    path = tmp_path / "rig.yaml"
    write_rig(path, OWN)
    assert read_rig(path) == OWN
    section = yaml.safe_load(path.read_text())["/**/*"]["ros__parameters"]["rig"]
    assert section["mount_position_mm"] == [0.6, -0.4, 80.25]
    assert section["sensor_file"] == "/home/me/my #1 sensor.yaml"


def test_in_a_parameter_file_only_the_rig_changes(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(SHIPPED.read_text())
    write_rig(path, OWN)
    assert read_rig(path) == OWN.model_copy(update={"name": "lab 3"})
    before, after = (yaml.safe_load(file.read_text()) for file in (SHIPPED, path))
    assert before["/**"] == after["/**"]
    lines = [file.read_text().splitlines() for file in (SHIPPED, path)]
    assert sum("#" in line for line in lines[0]) == sum(
        "# " in line for line in lines[1]
    )  # the comments stay
    write_rig(path, read_rig(path))
    assert path.read_text().splitlines() == lines[1]


def test_a_value_that_the_file_lacks_is_added(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("/**/*:\n  ros__parameters:\n    rig:\n      mount_rpy_rad: [0.0, 0.0, 0.1]\n")
    rig = read_rig(path).model_copy(update={"indenter": "cube"})
    write_rig(path, rig)
    assert read_rig(path) == rig
    assert read_rig(path).mount_rpy_rad == (0.0, 0.0, 0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no rig"),
        ("[", "not valid YAML"),
        ("/**/*: {ros__parameters: {rig: {mount_position_mm: [0, 0]}}}", "mount_position_mm"),
        ("/**/*: {ros__parameters: {rig: {mounting: [0, 0, 0]}}}", "mounting"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_rig(path)


def test_a_file_that_cannot_be_changed_in_place_stays_and_the_values_are_named(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(text := "/**/*: {ros__parameters: {rig: {mount_position_mm: [0, 0, 1]}}}")
    with pytest.raises(InputError, match=r"80\.25"):
        write_rig(path, OWN)
    assert path.read_text() == text


def test_the_checksum_is_that_of_the_values(tmp_path):
    path, copy = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write_rig(path, OWN)
    copy.write_text("# mine\n" + path.read_text())
    assert read_rig(copy).checksum == read_rig(path).checksum
    assert OWN.model_copy(update={"name": "lab 4"}).checksum != OWN.checksum
    assert OWN.describe()["checksum"] == OWN.checksum
