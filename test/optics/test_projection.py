"""Projection through the layers against OpenCV, Snell's law and itself."""

import cv2
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.virtual.random_sensors import random_sensor


def points(count=200):
    return np.random.default_rng(2).uniform([-9, -7, -1.5], [9, 7, 0.5], (count, 3))


@pytest.mark.parametrize("seed", range(6))
def test_points_come_back_from_their_pixels(seed):
    values = parameter_values(random_sensor(seed))
    pixels = project(values, points())
    assert unproject(values, pixels, points()[:, 2]) == pytest.approx(points(), abs=1e-7)


def test_without_refraction_it_is_opencvs_pinhole_camera():
    values = parameter_values(random_sensor(3))
    values["layers.index"] = np.ones(3)
    turn = Rotation.from_rotvec(values["camera.rotation_rad"]).inv()
    focal, centre = float(values["camera.focal_px"]), values["camera.centre_px"]
    expected, _ = cv2.projectPoints(
        points(),
        turn.as_rotvec(),
        -turn.apply(values["camera.position_mm"]),
        np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]),
        np.array([*values["camera.distortion"], 0.0, 0.0]),
    )
    assert project(values, points()) == pytest.approx(expected[:, 0], abs=1e-6)


def test_the_ray_obeys_snells_law_at_every_interface():
    """Its points at the interfaces, found by unprojecting one pixel to their heights."""
    values = parameter_values(random_sensor(5))
    values["camera.distortion"] = np.zeros(2)
    pixel = np.array([20.0, 30.0])
    thickness = values["layers.thickness_mm"]
    bottom = unproject(values, pixel, 0.0)
    top_of_gel = unproject(values, pixel, -thickness[1])
    plane = (pixel - values["camera.centre_px"]) / values["camera.focal_px"]
    turn = Rotation.from_rotvec(values["camera.rotation_rad"])
    in_air = turn.apply(np.append(plane, 1.0))
    sine = [np.hypot(*in_air[:2]) / np.linalg.norm(in_air)]
    camera = values["camera.position_mm"]
    top_of_glass = camera + in_air * (-thickness.sum() - camera[2]) / in_air[2]
    for way in (top_of_gel - top_of_glass, bottom - top_of_gel):
        sine.append(np.hypot(*way[:2]) / np.linalg.norm(way))
    optical = values["layers.index"] * sine
    assert optical == pytest.approx(optical[0], rel=1e-6)


def test_layers_lift_what_lies_under_them():
    """Apparent depth t / n of a point near the axis (paraxial)."""
    values = parameter_values(random_sensor(0))
    values["camera.rotation_rad"] = np.zeros(3)
    values["camera.position_mm"] = np.array([0.0, 0.0, -21.0])
    index, thickness = values["layers.index"], values["layers.thickness_mm"]
    apparent = 21.0 - thickness.sum() + np.sum(thickness / index[1:])
    x = project(values, [0.01, 0.0, 0.0])[0] - values["camera.centre_px"][0]
    assert x == pytest.approx(float(values["camera.focal_px"]) * 0.01 / apparent, rel=1e-4)


def test_what_only_a_grazing_ray_would_reach_is_nan():
    values = parameter_values(random_sensor(0))
    values["layers.index"] = np.array([1.5, 1.0, 1.41])
    values["layers.thickness_mm"] = np.array([0.2, 3.0])
    values["camera.rotation_rad"] = np.zeros(3)
    values["camera.position_mm"] = np.array([0.0, 0.0, -10.0])
    assert np.isfinite(project(values, [5.0, 0.0, 0.0])).all()
    assert np.isnan(project(values, [100.0, 0.0, 0.0])).all()


def test_what_no_ray_reaches_is_nan():
    values = parameter_values(random_sensor(0))
    assert np.isnan(project(values, [0.0, 0.0, -4.5])).all()
    assert np.isfinite(project(values, [0.0, 0.0, 0.0])).all()
    values["camera.rotation_rad"] = np.array([np.pi, 0.0, 0.0])
    assert np.isnan(project(values, [0.0, 0.0, 0.0])).all()
    assert np.isnan(unproject(values, [160.0, 120.0])).all()


def random_view(seed, bend=0.03):
    """A turned and shifted camera over 2 to 4 layers of any glass, with a lens."""
    random = np.random.default_rng(seed)
    thickness = random.uniform(0.5, 4.0, random.integers(1, 4))
    height = thickness.sum() + random.uniform(9.0, 20.0)
    return {
        "camera.position_mm": np.array([*random.normal(0.0, 1.0, 2), -height]),
        "camera.rotation_rad": random.normal(0.0, 0.1, 3),
        "camera.focal_px": np.array(random.uniform(200.0, 500.0)),
        "camera.centre_px": random.uniform([120, 80], [200, 160]),
        "camera.distortion": random.uniform(-bend, bend, 2),
        "layers.index": np.array([1.0, *random.uniform(1.2, 1.8, len(thickness))]),
        "layers.thickness_mm": thickness,
    }


def inside(count=100):
    return np.random.default_rng(7).uniform([-6, -5, -0.4], [6, 5, 1.5], (count, 3))


def traced(values, point):
    """Pixel of a point: its ray's angle by bisection of Snell's law, its image by OpenCV."""
    camera, index = values["camera.position_mm"], values["layers.index"]
    paths = [-camera[2] - values["layers.thickness_mm"].sum(), *values["layers.thickness_mm"]]
    paths[-1] += point[2]
    offset = point[:2] - camera[:2]
    distance = np.hypot(*offset)

    def miss(angle):
        bent = [np.arcsin(index[0] * np.sin(angle) / n) for n in index]
        return sum(t * np.tan(a) for t, a in zip(paths, bent, strict=True)) - distance

    angle = brentq(miss, 0.0, np.radians(89.0), xtol=1e-14)
    way = np.array([*(np.sin(angle) * offset / distance), np.cos(angle)])
    turn = Rotation.from_rotvec(values["camera.rotation_rad"]).inv()
    focal, centre = float(values["camera.focal_px"]), values["camera.centre_px"]
    pixel, _ = cv2.projectPoints(
        way[None],
        turn.as_rotvec(),
        np.zeros(3),
        np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]),
        np.array([*values["camera.distortion"], 0.0, 0.0]),
    )
    return pixel[0, 0]


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_the_ray_that_bisection_finds(seed):
    values = random_view(seed)
    pixels = project(values, inside(20))
    assert pixels == pytest.approx(np.array([traced(values, p) for p in inside(20)]), abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_there_and_back_is_exact_for_any_layers(seed):
    values = random_view(seed)
    pixels = project(values, inside())
    assert unproject(values, pixels, inside()[:, 2]) == pytest.approx(inside(), abs=1e-8)
    assert project(values, unproject(values, pixels, -0.3)) == pytest.approx(pixels, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_layers_of_air_of_any_number_are_opencvs_pinhole_camera(seed):
    values = random_view(seed)
    values["layers.index"] = np.ones_like(values["layers.index"])
    turn = Rotation.from_rotvec(values["camera.rotation_rad"]).inv()
    focal, centre = float(values["camera.focal_px"]), values["camera.centre_px"]
    expected, _ = cv2.projectPoints(
        inside(),
        turn.as_rotvec(),
        -turn.apply(values["camera.position_mm"]),
        np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]),
        np.array([*values["camera.distortion"], 0.0, 0.0]),
    )
    assert project(values, inside()) == pytest.approx(expected[:, 0], abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_of_a_layer_in_two_of_the_same_glass_changes_nothing(seed):
    values = random_view(seed)
    cut = dict(values)
    first = values["layers.thickness_mm"][0]
    cut["layers.thickness_mm"] = np.concatenate(
        [[0.3 * first, 0.7 * first], values["layers.thickness_mm"][1:]]
    )
    cut["layers.index"] = np.insert(values["layers.index"], 1, values["layers.index"][1])
    shallow = inside() * [1.0, 1.0, 0.2]
    assert project(cut, shallow) == pytest.approx(project(values, shallow), abs=1e-8)


def test_a_thing_under_glass_appears_larger_than_in_air():
    values = random_view(0, bend=0.0)
    values["camera.rotation_rad"] = np.zeros(3)
    air = values | {"layers.index": np.ones_like(values["layers.index"])}
    centre = values["camera.centre_px"]
    glass_radius = np.hypot(*(project(values, inside()) - centre).T)
    air_radius = np.hypot(*(project(air, inside()) - centre).T)
    assert (glass_radius > air_radius).all()


@pytest.mark.parametrize("seed", range(5))
def test_only_points_under_the_last_layers_top_have_pixels(seed):
    values = random_view(seed)
    top = -values["layers.thickness_mm"][-1]
    xy = inside()[:, :2]
    above = np.column_stack([xy, np.linspace(top - 3.0, top - 1e-6, len(xy))])
    below = np.column_stack([xy, np.linspace(top + 1e-6, 2.0, len(xy))])
    assert np.isnan(project(values, above)).all()
    assert np.isfinite(project(values, below)).all()


def test_arrays_of_any_shape_keep_it():
    values = random_view(1)
    grid = inside(24).reshape(2, 3, 4, 3)
    pixels = project(values, grid)
    assert pixels.shape == (2, 3, 4, 2)
    assert np.array_equal(pixels[1, 2, 3], project(values, grid[1, 2, 3]))
    back = unproject(values, pixels, grid[..., 2])
    assert back.shape == grid.shape
    assert back == pytest.approx(grid, abs=1e-8)
    under = project(values, [*values["camera.position_mm"][:2], 0.0])
    assert np.isfinite(under).all()
