"""Sensor files: they read back exactly, and what is wrong in them is named in one line."""

import errno
import json
import math
import time

import numpy as np
import pytest
import yaml

from tacdiff_ros import output_files
from tacdiff_ros.errors import InputError
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.sensor_file import (
    default_sensor,
    format_sensor,
    parse_sensor,
    read_sensor,
    write_sensor,
)
from tacdiff_ros.sensor.sensor_model import FlatField, MarkerDefect, Markers, Material
from tacdiff_ros.virtual.random_sensors import random_sensor


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
    model = random_sensor(seed)
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


def test_a_parameter_file_of_nodes_is_named_as_one():
    with pytest.raises(InputError, match="parameter file of nodes"):
        read_sensor(config_path("tacdiff.yaml"))


def test_missing_large_and_binary_files_are_refused(tmp_path):
    (tmp_path / "large").write_bytes(b"#" * 5_000_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("none", "No such file"), ("large", "is over"), ("binary", "UTF-8")):
        with pytest.raises(InputError, match=reason):
            read_sensor(tmp_path / name)


def test_a_file_that_cannot_be_replaced_stays_as_it_is(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "kept").touch()
    with pytest.raises(InputError, match="is a folder"):
        write_sensor(default_sensor(), tmp_path / "folder.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.yaml"]
    with pytest.raises(InputError, match="cannot write"):
        write_sensor(default_sensor(), tmp_path / "absent" / "sensor.yaml")


@pytest.mark.parametrize(
    "line",
    [
        "lights: &a [*a]",
        "camera: {position_mm: &a [*a]}",
        'camera: {focal_px: !!int ""}',
        "camera: {focal_px: !!bool maybe}",
        "camera: {focal_px: !!timestamp foo}",
        '"a\\nb": 1',
        "lights: 2026-99-99",
    ],
)
def test_traps_of_yaml_are_refused_in_one_line(line):
    with pytest.raises(InputError) as caught:
        parse_sensor(line + "\n")
    assert "\n" not in str(caught.value)


def test_an_alias_bomb_of_numbers_is_refused_at_once():
    levels = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 10)]
    start = time.monotonic()
    with pytest.raises(InputError):
        parse_sensor("\n".join([*levels, "lights: *a9"]))
    assert time.monotonic() - start < 2.0


def test_the_identified_material_reads_back_and_leaves_the_checksum_as_it_is():
    model = default_sensor()
    material = Material(young_modulus_mpa=0.31, young_modulus_stddev_mpa=0.02)
    known = model.model_copy(update={"material": material})
    assert parse_sensor(format_sensor(known)).material == material
    assert known.checksum == model.checksum
    without = format_sensor(model).replace("material: null", "")
    assert parse_sensor(without) == model


def test_the_checksum_tells_models_apart_and_not_files():
    model = default_sensor()
    same = parse_sensor(yaml.safe_dump(yaml.safe_load(format_sensor(model))))
    assert same.checksum == model.checksum
    other = parse_sensor(changed(["lights", 2, "roll_deg"], 1e-6))
    assert other.checksum != model.checksum
    plus, minus = (parse_sensor(changed(["camera", "distortion"], [z, 0.0])) for z in (0.0, -0.0))
    assert plus == minus
    assert plus.checksum == minus.checksum


def test_the_scale_is_that_of_the_middle_pixel():
    """0.0634 mm per pixel is the manufacturer's figure for images of this size."""
    assert default_sensor().mm_per_px == pytest.approx(0.0634, rel=0.01)


def extreme(seed):
    """A model with numbers of any size, every optional part in it or not, names as they come."""
    random = np.random.default_rng(seed)

    def number():
        return float(random.choice([-1, 1]) * 10 ** random.uniform(-12, 5.9))

    model = random_sensor(seed)
    dots = [
        MarkerDefect(
            row=int(place) // 9,
            column=int(place) % 9,
            offset_mm=(number(), number()),
            darkness=random.choice([None, 1e-7]),
        )
        for place in random.permutation(63)[: seed * 10]
    ]
    field = 10 ** random.uniform(-7, 1.9, (2 + seed, 5 - seed // 2, 3))
    return model.model_copy(
        update={
            "sensor_id": ["1.5", "null", "true", "- a", "unit 7_b", "\u00e4 \u7a2e"][seed],
            "camera": model.camera.model_copy(
                update={"centre_px": (number(), number()), "distortion": (number(), number())}
            ),
            "markers": None if seed == 3 else Markers(centre_mm=(number(), 1e-7), dots=dots),
            "lights": () if seed == 4 else model.lights,
            "flat_field": None if seed == 5 else FlatField(values=field.tolist()),
        }
    )


@pytest.mark.parametrize("seed", range(6))
def test_any_yaml_reader_finds_the_models_values_under_their_names(seed):
    """Also as numbers and not as text: YAML 1.1 takes 1e-07 for a word."""
    model = extreme(seed)
    read = yaml.safe_load(format_sensor(model))
    expected = json.loads(model.model_dump_json())
    for part in (expected["layers"][0], *(expected["markers"] or {}).get("dots", ())):
        for name in [name for name, value in part.items() if value is None]:
            del part[name]
    assert read == expected
    assert parse_sensor(format_sensor(model)) == model


def test_the_shipped_file_is_what_would_be_written():
    text = config_path("sensors/gelsight_mini.yaml").read_text("utf-8")
    assert format_sensor(default_sensor()) == text


def test_every_commented_value_has_its_comment_in_one_column():
    """So that a person finds them; only long values push theirs to the right."""
    lines = [line for line in format_sensor(random_sensor(0)).splitlines() if line[0] != "#"]
    columns = [(line.index("#"), len(line.split("#")[0].rstrip())) for line in lines if "#" in line]
    assert len(columns) > 40
    assert all(column == max(44, width) or width > 44 for column, width in columns)


def test_nested_aliases_do_not_fill_the_memory_or_the_message(tmp_path):
    """Each line names the one before nine times: 9^9 words when written out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    for line in ("lights: *a8", "camera: {position_mm: *a8}", "sensor_id: *a8", "unknown: *a8"):
        path = tmp_path / "bomb.yaml"
        path.write_text("\n".join([*lines, line]))
        with pytest.raises(InputError, match=str(path)) as caught:
            read_sensor(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600 + len(str(path))


@pytest.mark.parametrize("given", ["3 mm", "3", True, [1.0], {"value": 1.0}, None, math.inf, 1e9])
def test_what_is_no_number_in_range_is_quoted(given):
    with pytest.raises(InputError) as caught:
        parse_sensor(changed(["gel", "width_mm"], given))
    assert f"'gel.width_mm' is {given!r}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_wherever_it_is():
    for path in (
        ["colour"],
        ["image", "colour"],
        ["layers", 2, "colour"],
        ["lights", 1, "colour"],
        ["markers", "colour"],
        ["response", "colour"],
    ):
        with pytest.raises(InputError, match=".".join(str(step) for step in path) + "'"):
            parse_sensor(changed(path, 1))


def test_a_write_on_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "unit.yaml"
    write_sensor(random_sensor(0), path)
    before = path.read_bytes()

    def half(path, content):
        path.write_bytes(content.encode()[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output_files, "_write_durably", half)
    with pytest.raises(InputError, match="cannot write"):
        write_sensor(random_sensor(1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    write_sensor(random_sensor(1), path)
    assert read_sensor(path) == random_sensor(1)
