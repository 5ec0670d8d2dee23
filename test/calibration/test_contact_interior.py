"""The part of a pressed surface that is the indenter's own shape, and the pixels that see it."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from tacdiff_ros.calibration.contact_interior import PixelSampler
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor

RADIUS_MM = 2.5
PRESS = Press(3.0, -2.0, 1.0)


@pytest.fixture(scope="module")
def surfaces():
    return PressSurfaces(default_sensor(), build_indenter("sphere:diameter=5"))


@pytest.fixture(scope="module")
def gel(surfaces):
    return surfaces.solve(PRESS)


def test_under_a_ball_the_surface_is_the_ball(surfaces, gel):
    inside = surfaces.interior(gel).ravel() > 0.5
    points = gel.surface.position[inside].astype(np.float64)
    assert len(points) > 60
    centre = [PRESS.x_mm, PRESS.y_mm, RADIUS_MM - PRESS.depth_mm]
    away = np.abs(np.linalg.norm(points - centre, axis=1) - RADIUS_MM)
    assert away.max() < 5e-4
    fit = least_squares(
        lambda s: np.linalg.norm(points - s[:3], axis=1) - s[3], [*centre, RADIUS_MM]
    )
    assert fit.x[3] == pytest.approx(RADIUS_MM, rel=5e-3)


def test_the_interior_of_a_ball_is_a_disc_around_its_tip_within_the_contact(surfaces, gel):
    inside = surfaces.interior(gel).ravel()
    away = np.linalg.norm(gel.surface.position[:, :2] - [PRESS.x_mm, PRESS.y_mm], axis=1)
    assert (inside[away < 0.8] == 1.0).all()
    assert (inside[away > 1.7] == 0.0).all()
    assert inside.min() >= 0.0


def test_a_raised_indenter_has_no_interior(surfaces):
    lifted = surfaces.solve(Press(0.0, 0.0, -0.5))
    assert not surfaces.interior(lifted).any()


def test_pixels_see_the_interior_where_the_camera_projects_it(surfaces, gel):
    model = default_sensor()
    shape = (120, 160)
    seen = PixelSampler(model, shape).sample(gel.surface, surfaces.interior(gel))
    row, column = (np.average(axis, weights=seen) for axis in np.indices(shape))
    tip = [PRESS.x_mm, PRESS.y_mm, -PRESS.depth_mm]
    expected = (project(parameter_values(model), tip) + 0.5) / 2.0 - 0.5
    assert (column, row) == pytest.approx(tuple(expected), abs=0.5)
    away_px = np.hypot(np.indices(shape)[1] - expected[0], np.indices(shape)[0] - expected[1])
    assert not seen[away_px * 2.0 * model.mm_per_px > 2.2].any()
