"""Parameters as arrays: there and back, and only what was asked changes."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import FlatField, MarkerDefect, Markers
from tacdiff_ros.virtual.random_sensors import random_sensor


@pytest.mark.parametrize("seed", range(5))
def test_all_values_put_back_give_the_same_model(seed):
    model = random_sensor(seed)
    again = with_parameter_values(model, parameter_values(model))
    before, after = parameter_values(model), parameter_values(again)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", list(parameter_values(random_sensor(0))))
def test_a_change_of_one_parameter_changes_that_and_nothing_else(name):
    model = random_sensor(0)
    before = parameter_values(model)
    wanted = before[name] * 1.001 + (1e-4 if name.startswith("camera") else 0.0)
    if name == "markers.darkness":
        wanted = before[name] * 0.99
    after = parameter_values(with_parameter_values(model, {name: wanted}))
    for other, value in before.items():
        assert after[other] == pytest.approx(wanted if other == name else value, rel=1e-9, abs=1e-9)


def test_angles_are_radians_here_and_degrees_in_the_file():
    model = random_sensor(1)
    values = {"camera.rotation_rad": np.array([0.1, -0.2, 0.05])}
    changed = with_parameter_values(model, values)
    assert changed.camera.rotation_deg == pytest.approx(np.degrees([0.1, -0.2, 0.05]))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"camera.zoom": np.array([1.0])}, "camera.zoom"),
        ({"camera.centre_px": np.array([1.0])}, "expected"),
        ({"gel.base_color": np.array([2.0, 0.5, 0.5])}, "base_color"),
        ({"camera.focal_px": np.array(np.nan)}, "focal_px"),
        ({"lights.centre_mm": np.zeros((3, 3))}, "behind the gel"),
    ],
)
def test_what_the_model_cannot_be_is_refused(values, reason):
    with pytest.raises(InputError, match=reason) as caught:
        with_parameter_values(random_sensor(0), values)
    assert "\n" not in str(caught.value)


def with_defects():
    """Two dots that differ, and a flat field."""
    first = MarkerDefect(row=1, column=2, offset_mm=(0.1, -0.2), scale=0.5, darkness=0.4)
    last = MarkerDefect(row=6, column=8, shape=(0.1, 0.2, -0.1, 0.05))
    field = FlatField(values=np.random.default_rng(0).uniform(0.9, 1.1, (3, 4, 3)).tolist())
    markers = Markers(dots=(last, first))
    return default_sensor().model_copy(update={"markers": markers, "flat_field": field})


def test_dots_are_in_row_major_order_and_perfect_where_none_is_listed():
    values = parameter_values(with_defects())
    first, last = 1 * 9 + 2, 62
    assert values["markers.offset_mm"][first].tolist() == [0.1, -0.2]
    assert values["markers.scale"][first] == 0.5
    assert values["markers.darkness"][[first, last]].tolist() == [0.4, 0.93]
    assert values["markers.shape"][last].tolist() == [0.1, 0.2, -0.1, 0.05]
    others = np.delete(np.arange(63), [first, last])
    for name, perfect in (("offset_mm", 0), ("scale", 1), ("darkness", 0.93), ("shape", 0)):
        assert (values[f"markers.{name}"][others] == perfect).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("offset_mm", (0.25, -0.125)),
        ("scale", 0.0),
        ("darkness", 0.5),
        ("shape", (0.2, 0.0, -0.1, 0.3)),
    ],
)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (4, 7), (6, 8)])
def test_a_changed_dot_is_listed_at_its_row_and_column(name, change, row, column):
    model = with_defects()
    values = parameter_values(model)[f"markers.{name}"]
    values[row * 9 + column] = change
    dots = with_parameter_values(model, {f"markers.{name}": values}).markers.dots
    listed = {(dot.row, dot.column): dot for dot in dots}
    assert set(listed) == {(1, 2), (6, 8), (row, column)}
    assert getattr(listed[row, column], name) == change
    for dot in model.markers.dots:
        if (dot.row, dot.column) != (row, column):
            assert listed[dot.row, dot.column] == dot


def test_dots_that_become_perfect_are_listed_no_more():
    perfect = parameter_values(default_sensor())
    dots = {name: perfect[name] for name in perfect if name.startswith("markers.")}
    assert with_parameter_values(with_defects(), dots).markers == default_sensor().markers


def test_lights_layers_and_the_flat_field_keep_their_places():
    model = with_defects()
    centre = [[1.0, 2.0, -3.0], [4.0, 5.0, -6.0], [7.0, 8.0, -9.0]]
    field = np.arange(1.0, 37.0).reshape(3, 4, 3)
    changed = with_parameter_values(
        model,
        {
            "lights.centre_mm": np.array(centre),
            "lights.tilt_rad": np.radians([10.0, 20.0, -30.0]),
            "layers.index": np.array([1.0, 1.25, 1.125]),
            "layers.thickness_mm": np.array([2.0, 5.0]),
            "flat_field.values": field,
        },
    )
    assert [list(light.centre_mm) for light in changed.lights] == centre
    assert [light.tilt_deg for light in changed.lights] == pytest.approx([10, 20, -30])
    assert [light.name for light in changed.lights] == [light.name for light in model.lights]
    assert [layer.index for layer in changed.layers] == [1.0, 1.25, 1.125]
    assert [layer.thickness_mm for layer in changed.layers] == [None, 2.0, 5.0]
    assert changed.flat_field.values[1][2] == tuple(field[1, 2])
    assert changed.camera == model.camera
    assert changed.markers == model.markers


def test_a_model_has_no_names_for_parts_that_it_lacks():
    bare = default_sensor().model_copy(update={"markers": None, "lights": ()})
    values = parameter_values(bare)
    assert {name.split(".")[0] for name in values} == {"camera", "layers", "gel", "response"}
    assert with_parameter_values(bare, values) == bare
    for name in ("markers.pitch_mm", "lights.radiance", "flat_field.values"):
        with pytest.raises(InputError, match=f"'{name}' does not exist"):
            with_parameter_values(bare, {name: np.zeros(2)})


@pytest.mark.parametrize("name", list(parameter_values(with_defects())))
def test_an_array_of_another_shape_is_refused_with_both_shapes(name):
    value = parameter_values(with_defects())[name]
    wrong = np.stack([value, value])
    with pytest.raises(InputError) as caught:
        with_parameter_values(with_defects(), {name: wrong})
    assert str(caught.value).endswith(f"'{name}' has shape {wrong.shape}, expected {value.shape}")


def test_arrays_are_copies_of_the_models_values():
    model = with_defects()
    before = model.checksum
    for value in parameter_values(model).values():
        value[...] = 7.0
    assert model.checksum == before
