"""What a sensor model refuses, and the numbers that it derives from what it accepts."""

import copy

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import (
    MIN_LIGHT_HEIGHT_MM,
    Camera,
    FlatField,
    Layer,
    Light,
    MarkerDefect,
    Markers,
    SensorModel,
)

LAYERS = (
    Layer(name="air", index=1.0),
    Layer(name="glass", index=1.5, thickness_mm=2.5),
    Layer(name="glue", index=1.3, thickness_mm=0.25),
    Layer(name="gel", index=1.4, thickness_mm=3.75),
)


def complete_model():
    """The default sensor with something in every optional part."""
    content = default_sensor().model_dump()
    dots = (
        MarkerDefect(row=1, column=2),
        MarkerDefect(row=3, column=4, darkness=0.5, shape=(0.1, 0.0, 0.0, 0.1)),
    )
    field = np.random.default_rng(0).uniform(0.8, 1.2, (2, 3, 3)).tolist()
    return SensorModel(
        **content | {"markers": Markers(dots=dots), "flat_field": FlatField(values=field)}
    )


def leaves(part, path=()):
    """Paths of all numbers, texts and nulls in nested dictionaries and sequences."""
    if isinstance(part, dict):
        return [leaf for name, value in part.items() for leaf in leaves(value, (*path, name))]
    if isinstance(part, list):
        return [leaf for i, value in enumerate(part) for leaf in leaves(value, (*path, i))]
    return [path]


def neighbour(value):
    """The value that differs the least from another."""
    if value is None:
        return 0.25
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int):
        return value + 1
    return 1e-12 if value == 0.0 else float(np.nextafter(value, np.inf))


CONTENT = complete_model().model_dump(mode="json")
FIXED = {("version",), ("layers", 0, "thickness_mm"), ("material",)}
CHANGEABLE = [p for p in leaves(CONTENT) if p not in FIXED and p[-1] != "kind"]


def with_leaf(path, change):
    content = copy.deepcopy(CONTENT)
    part = content
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = change(part[path[-1]])
    return SensorModel.model_validate(content)


def test_the_checksum_changes_with_the_last_bit_of_any_parameter():
    """Every changed model differs from every other as well, so the place counts too."""
    checksums = [with_leaf(path, neighbour).checksum for path in CHANGEABLE]
    checksums += [with_leaf(path, lambda value: value).checksum for path in CHANGEABLE[:1]]
    assert len(CHANGEABLE) > 100
    assert len(set(checksums)) == len(CHANGEABLE) + 1


def test_the_checksum_does_not_care_for_the_order_or_kind_of_numbers_in_which_it_was_given():
    turned = {name: CONTENT[name] for name in reversed(CONTENT)}
    turned["camera"] = {**CONTENT["camera"], "focal_px": 300}
    assert CONTENT["camera"]["focal_px"] == 300.0
    assert SensorModel.model_validate(turned).checksum == complete_model().checksum


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_scale_is_the_slope_of_the_projection_on_the_axis(count):
    layers = (LAYERS[0], *LAYERS[1:count])
    camera = Camera(position_mm=(0.4, -0.3, -19.0), focal_px=281.0, distortion=(0.03, -0.01))
    model = default_sensor().model_copy(update={"layers": layers, "camera": camera})
    points = [[0.4 - 1e-3, -0.3, 0.0], [0.4 + 1e-3, -0.3, 0.0]]
    left, right = project(parameter_values(model), points)
    assert model.mm_per_px == pytest.approx(2e-3 / (right[0] - left[0]), rel=1e-6)


def test_the_stack_leaves_out_the_cameras_own_layer():
    assert default_sensor().model_copy(update={"layers": LAYERS}).stack_mm == 6.5


@pytest.mark.parametrize(("height", "fits"), [(-6.5001, True), (-6.5, False), (-6.4, False)])
def test_the_camera_is_above_all_layers(height, fits):
    content = CONTENT | {"layers": LAYERS, "camera": {"position_mm": (0.0, 0.0, height)}}
    if fits:
        assert SensorModel.model_validate(content).camera.position_mm[2] == height
        return
    with pytest.raises(ValidationError, match=r"z < -6\.5 \(millimetres") as caught:
        SensorModel.model_validate(content)
    assert f"z = {height:g}" in str(caught.value)


def lowest_corner(centre_z, azimuth, tilt, roll, half_length, half_width):
    """Largest z of a rectangle that faces its aim; roll turns its level long side about it."""
    aim = Rotation.from_euler("ZY", [azimuth, -tilt], degrees=True).apply([1.0, 0.0, 0.0])
    level = Rotation.from_euler("Z", azimuth, degrees=True).apply([0.0, 1.0, 0.0])
    along = Rotation.from_rotvec(np.radians(roll) * aim).apply(level)
    across = np.cross(aim, along)
    assert np.sign(aim[2]) == np.sign(tilt)
    corners = [i * half_length * along + j * half_width * across for i in (-1, 1) for j in (-1, 1)]
    return centre_z + max(corner[2] for corner in corners)


@pytest.mark.parametrize("seed", range(20))
def test_a_light_is_refused_once_one_of_its_corners_reaches_the_gel(seed):
    random = np.random.default_rng(seed)
    azimuth, roll = random.uniform(-360, 360, 2)
    tilt = random.uniform(-89, 89)
    half_length, half_width = random.uniform(0.1, 6.0, 2)
    reach = lowest_corner(0.0, azimuth, tilt, roll, half_length, half_width)
    given = {
        "azimuth_deg": azimuth,
        "tilt_deg": tilt,
        "roll_deg": roll,
        "half_length_mm": half_length,
        "half_width_mm": half_width,
        "radiance": (1.0, 1.0, 1.0),
    }
    touching = -MIN_LIGHT_HEIGHT_MM - reach
    assert Light(centre_mm=(1.0, 2.0, touching - 1e-6), **given)
    with pytest.raises(ValidationError, match="behind the gel's surface"):
        Light(centre_mm=(1.0, 2.0, touching + 1e-6), **given)


def test_dots_are_counted_from_0_to_the_last_line():
    assert Markers(rows=4, columns=5, dots=[MarkerDefect(row=3, column=4)]).dots[0].scale == 1.0
    for row, column in ((4, 4), (3, 5)):
        with pytest.raises(ValidationError, match=f"row {row}, column {column}.*4 x 5 grid"):
            Markers(rows=4, columns=5, dots=[MarkerDefect(row=row, column=column)])


@pytest.mark.parametrize("seed", range(5))
def test_an_allowed_dot_keeps_a_radius_above_0_all_around(seed):
    """The outline of the least round dots that are allowed, and what is just beyond refused."""
    random = np.random.default_rng(seed)
    parts = random.normal(size=4)
    parts *= 0.8 / np.abs(parts).sum()
    a2, b2, a3, b3 = MarkerDefect(row=0, column=0, shape=tuple(parts * (1 - 1e-9))).shape
    phi = np.linspace(0.0, 2 * np.pi, 721)
    radius = 1 + a2 * np.cos(2 * phi) + b2 * np.sin(2 * phi)
    radius += a3 * np.cos(3 * phi) + b3 * np.sin(3 * phi)
    assert radius.min() > 0.19
    with pytest.raises(ValidationError, match="no blob"):
        MarkerDefect(row=0, column=0, shape=tuple(parts * 1.001))


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("layers", LAYERS[:1], "at least 2"),
        ("layers", LAYERS[:1] + LAYERS[1:2] * 8, "at most 8"),
        ("layers", (LAYERS[1], LAYERS[3]), "'glass' is the camera's"),
        ("layers", (LAYERS[0], LAYERS[0]), "'air' needs thickness_mm"),
        ("lights", default_sensor().lights[:1] * 2, "two lights have one name"),
        ("flat_field", {"values": [[[1, 1, 1]] * 2]}, "at least 2"),
        ("flat_field", {"values": [[[1, 1, 1]], [[1, 1, 1]]]}, "one length"),
        ("flat_field", {"values": [[[1, 1, 0]] * 2] * 2}, "greater than 0"),
        ("flat_field", {"values": [[[1, 1, "1"]] * 2] * 2}, "without a unit"),
        ("camera", {"focal_px": False}, "without a unit"),
        ("camera", {"zoom": 2.0}, "Extra inputs"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(part, change, reason):
    with pytest.raises(ValidationError, match=reason):
        SensorModel.model_validate(CONTENT | {part: change})


def test_a_model_cannot_be_changed_behind_its_back():
    model = complete_model()
    before = model.checksum
    for part, name in ((model, "sensor_id"), (model.camera, "focal_px"), (model.lights[0], "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, getattr(part, name))
    assert model.checksum == before
