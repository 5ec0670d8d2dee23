"""Projection through the layers against OpenCV, Snell's law and itself."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.virtual.units import random_unit


def points(count=200):
    return np.random.default_rng(2).uniform([-9, -7, -1.5], [9, 7, 0.5], (count, 3))


@pytest.mark.parametrize("seed", range(6))
def test_points_come_back_from_their_pixels(seed):
    values = parameter_values(random_unit(seed))
    pixels = project(values, points())
    assert unproject(values, pixels, points()[:, 2]) == pytest.approx(points(), abs=1e-7)


def test_without_refraction_it_is_opencvs_pinhole_camera():
    values = parameter_values(random_unit(3))
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
    values = parameter_values(random_unit(5))
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
    values = parameter_values(random_unit(0))
    values["camera.rotation_rad"] = np.zeros(3)
    values["camera.position_mm"] = np.array([0.0, 0.0, -21.0])
    index, thickness = values["layers.index"], values["layers.thickness_mm"]
    apparent = 21.0 - thickness.sum() + np.sum(thickness / index[1:])
    x = project(values, [0.01, 0.0, 0.0])[0] - values["camera.centre_px"][0]
    assert x == pytest.approx(float(values["camera.focal_px"]) * 0.01 / apparent, rel=1e-4)


def test_what_no_ray_reaches_is_nan():
    values = parameter_values(random_unit(0))
    assert np.isnan(project(values, [0.0, 0.0, -4.5])).all()
    assert np.isfinite(project(values, [0.0, 0.0, 0.0])).all()
    values["camera.rotation_rad"] = np.array([np.pi, 0.0, 0.0])
    assert np.isnan(project(values, [0.0, 0.0, 0.0])).all()
    assert np.isnan(unproject(values, [160.0, 120.0])).all()
