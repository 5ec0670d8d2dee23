"""Irradiance of lights against brute-force sums over their surface."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("mitsuba_runs")

CENTRE = np.array([1.0, -10.0, -3.0])
ANGLES_DEG = (80.0, 10.0, 15.0)
HALF_LENGTH, HALF_WIDTH = 7.0, 0.5


def light_axes():
    """Length, width and aim of the test light, from rotations by SciPy."""
    from scipy.spatial.transform import Rotation

    azimuth, tilt, roll = np.radians(ANGLES_DEG)
    # Aim +x, length +y at rest; tilted toward +z about -y, then turned about z.
    turn = Rotation.from_rotvec([0, 0, azimuth]) * Rotation.from_rotvec([0, -tilt, 0])
    aim, level = turn.apply([1, 0, 0]), turn.apply([0, 1, 0])
    along = Rotation.from_rotvec(roll * aim).apply(level)
    return along, np.cross(aim, along), aim


def brute_force(position, normal, exponent, fine=400):
    """Sum over small patches of the light: L cos^(m - 1) cos cos / r^2 dA."""
    along, across, aim = light_axes()
    s = (np.arange(fine) + 0.5) / fine * 2 - 1
    t = (np.arange(40) + 0.5) / 40 * 2 - 1
    patches = (
        CENTRE + (s[:, None, None] * HALF_LENGTH) * along + (t[None, :, None] * HALF_WIDTH) * across
    )
    way = patches - position
    r = np.linalg.norm(way, axis=-1)
    emitted = np.maximum(-(way @ aim) / r, 0)
    received = np.maximum((way @ normal) / r, 0)
    area = 4 * HALF_LENGTH * HALF_WIDTH / s.size / t.size
    return float(np.sum(emitted**exponent * received / r**2) * area)


def frame(exponent):
    import mitsuba as mi

    from tacdiff_ros.optics.area_lights import light_frame
    from tacdiff_ros.optics.parameters import Parameters

    azimuth, tilt, roll = np.radians(ANGLES_DEG)
    values = {
        "lights.centre_mm": CENTRE[None],
        "lights.azimuth_rad": np.array([azimuth]),
        "lights.tilt_rad": np.array([tilt]),
        "lights.roll_rad": np.array([roll]),
        "lights.half_length_mm": np.array([HALF_LENGTH]),
        "lights.half_width_mm": np.array([HALF_WIDTH]),
        "lights.exponent": np.array([exponent]),
    }
    assert mi.variant()
    return light_frame(Parameters(values).view(1), 0)


def receivers(count=60):
    """Points on and above the gel with normals up to 60 degrees off the vertical."""
    random = np.random.default_rng(3)
    points = np.stack(
        [
            random.uniform(-8, 8, count),
            random.uniform(-5, 9, count),
            random.uniform(-1.0, 0.0, count),
        ],
        axis=-1,
    )
    tilt, azimuth = random.uniform(0, np.pi / 3, count), random.uniform(0, 2 * np.pi, count)
    normals = np.stack(
        [np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), -np.cos(tilt)], axis=-1
    )
    return points, normals


def test_rectangle_in_closed_form_equals_the_sum_over_its_patches_even_below_the_horizon():
    import mitsuba as mi

    from tacdiff_ros.optics.area_lights import rectangle_irradiance

    points, normals = receivers()
    found = np.array(
        rectangle_irradiance(
            frame(1.0), mi.Point3f(points.T.astype("f")), mi.Vector3f(normals.T.astype("f"))
        )
    )
    expected = np.array([brute_force(p, n, 1.0) for p, n in zip(points, normals, strict=True)])
    below = [(n @ (CENTRE - p)) < 0 for p, n in zip(points, normals, strict=True)]
    assert 3 < np.count_nonzero(below) < 40  # the horizon is really crossed
    assert np.abs(found - expected).max() < 2e-3 * expected.max()


@pytest.mark.parametrize("exponent", [1.0, 2.5, 6.0])
def test_strip_quadrature_equals_the_sum_over_its_patches(exponent):
    import mitsuba as mi

    from tacdiff_ros.optics.area_lights import strip_panels

    points, normals = receivers()
    found = np.array(
        strip_panels(
            frame(exponent), mi.Point3f(points.T.astype("f")), mi.Vector3f(normals.T.astype("f"))
        ).total
    )
    expected = np.array([brute_force(p, n, exponent) for p, n in zip(points, normals, strict=True)])
    assert np.abs(found - expected).max() < 0.01 * expected.max()
    lit = expected > 0.05 * expected.max()
    assert np.median(np.abs(found[lit] / expected[lit] - 1)) < 5e-3  # a strip is a line


def test_nothing_shines_behind_a_light():
    import mitsuba as mi

    from tacdiff_ros.optics.area_lights import rectangle_irradiance, strip_panels

    behind = mi.Point3f([1.0, 3.0], [-14.0, -20.0], [0.0, -0.5])
    up = mi.Vector3f(0.0, 0.0, -1.0)
    assert np.all(np.array(rectangle_irradiance(frame(1.0), behind, up)) == 0.0)
    assert np.all(np.array(strip_panels(frame(3.0), behind, up).total) == 0.0)
