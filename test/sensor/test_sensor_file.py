"""Sensor files: they read back exactly, and what is wrong in them is named in one line."""

import numpy as np
import pytest
import yaml

from tacdiff_ros.errors import InputError
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.sensor_file import (
    default_sensor,
    format_sensor,
    parse_sensor,
    read_sensor,
    write_sensor,
)
from tacdiff_ros.virtual.units import random_unit


def changed(path, value):
    """The default file with one value replaced; `path` is names and indices."""
    content = yaml.safe_load(config_path("sensors/gelsight_mini.yaml").read_text("utf-8"))
    part = content
    for step in path[:-1]:
        part = part[step]
    if value is KeyError:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return yaml.safe_dump(content)


@pytest.mark.parametrize("seed", range(5))
def test_a_file_reads_back_as_the_same_model_to_the_last_bit(seed, tmp_path):
    model = random_unit(seed)
    tiny = model.camera.model_copy(update={"distortion": (1e-7, -3e-12)})
    model = model.model_copy(update={"camera": tiny})
    write_sensor(model, tmp_path / "unit.yaml")
    again = read_sensor(tmp_path / "unit.yaml")
    assert again == model
    assert again.checksum == model.checksum


def test_a_flat_field_and_a_gel_without_dots_read_back():
    rows = [[[1.0, 0.9, 1.1]] * 3, [[0.8, 1.0, 1.25]] * 3]
    text = changed(["flat_field"], {"values": rows})
    model = parse_sensor(text).model_copy(update={"markers": None})
    assert model.flat_field is not None
    assert np.array(model.flat_field.values).tolist() == rows
    assert parse_sensor(format_sensor(model)) == model


def test_every_number_of_the_shipped_file_says_what_it_is():
    """A comment on the line, or a name that carries the unit or explains itself."""
    plain = ("rows", "columns", "index", "diameter_mm", "name", "lights:", "- {")
    lines = config_path("sensors/gelsight_mini.yaml").read_text("utf-8").splitlines()
    bare = [line for line in lines if "#" not in line and not any(w in line for w in plain)]
    assert bare == ["flat_field: null"]


BAD = [
    (["camera", "positon_mm"], [0, 0, -20], "camera.positon_mm"),
    (["camera", "position_mm"], [0.0, 0.0, -0.0212], "millimetres"),
    (["camera", "position_mm"], ["0 mm", 0, -20], "camera.position_mm"),
    (["camera", "focal_px"], "300 px", "camera.focal_px"),
    (["camera", "focal_px"], float("nan"), "camera.focal_px"),
    (["camera", "focal_px"], True, "camera.focal_px"),
    (["camera", "focal_px"], -300.0, "camera.focal_px"),
    (["gel", "base_color"], [0.5, 0.5, 1.5], "gel.base_color.2"),
    (["gel", "base_color"], [0.5, 0.5], "gel.base_color"),
    (["layers", 0, "thickness_mm"], 14.0, "air"),
    (["layers", 1, "thickness_mm"], KeyError, "glass"),
    (["layers", 1, "index"], 0.7, "layers.1.index"),
    (["lights", 0, "centre_mm"], [0.0, -10.0, 0.5], "behind the gel's surface"),
    (["lights", 0, "half_width_mm"], 4.0, "lights.0"),
    (["lights", 0, "kind"], "lamp", "lights.0.kind"),
    (["lights", 0, "radiance"], [1.0, -1.0, 0.0], "lights.0.radiance"),
    (["lights", 1, "name"], "red", "two lights"),
    (["lights", 1, "kind"], "rectangle", "exponent 1"),
    (["markers", "dots"], [{"row": 7, "column": 0}], "row 7, column 0"),
    (["markers", "dots"], [{"row": 1, "column": 1}] * 2, "listed twice"),
    (["markers", "dots"], [{"row": 1, "column": 1, "shape": [0.5, 0.5, 0, 0]}], "no blob"),
    (["markers", "diameter_mm"], 3.0, "diameter_mm"),
    (["flat_field"], {"values": [[[1, 1, 1]] * 2, [[1, 1, 1]] * 3]}, "one length"),
    (["version"], 2, "version"),
    (["sensor_id"], 'mini"', "sensor_id"),
]


@pytest.mark.parametrize(("path", "value", "named"), BAD)
def test_an_impossible_value_is_refused_by_name_in_one_line(path, value, named):
    with pytest.raises(InputError) as caught:
        parse_sensor(changed(path, value))
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "version: 1", "x: &a [*a]", "\x00"])
def test_text_that_is_no_sensor_file_is_refused(text, tmp_path):
    path = tmp_path / "sensor.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)) as caught:
        read_sensor(path)
    assert "\n" not in str(caught.value)


def test_missing_large_and_binary_files_are_refused(tmp_path):
    (tmp_path / "large").write_bytes(b"#" * 2_000_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("none", "No such file"), ("large", "is over"), ("binary", "no UTF-8")):
        with pytest.raises(InputError, match=reason):
            read_sensor(tmp_path / name)


def test_a_file_that_cannot_be_replaced_stays_as_it_is(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "kept").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_sensor(default_sensor(), tmp_path / "folder.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.yaml"]
    with pytest.raises(InputError, match="cannot write"):
        write_sensor(default_sensor(), tmp_path / "absent" / "sensor.yaml")


def test_the_checksum_tells_models_apart_and_not_files():
    model = default_sensor()
    same = parse_sensor(yaml.safe_dump(yaml.safe_load(format_sensor(model))))
    assert same.checksum == model.checksum
    other = parse_sensor(changed(["lights", 2, "roll_deg"], 1e-6))
    assert other.checksum != model.checksum


def test_the_scale_is_that_of_the_middle_pixel():
    """0.0634 mm per pixel is the manufacturer's figure for images of this size."""
    assert default_sensor().mm_per_px == pytest.approx(0.0634, rel=0.01)
