"""Maps of the surface against geometry that is known exactly."""

import numpy as np
import pytest

from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values

pytestmark = pytest.mark.usefixtures("mitsuba_runs")


def maps_of(model, surface):
    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(model)
    renderer.set_surface(surface)
    return renderer.maps()


def pixels(model):
    x, y = np.meshgrid(np.arange(model.image.width_px), np.arange(model.image.height_px))
    return np.stack([x, y], axis=-1)


def test_nocs_of_the_untouched_gel_is_the_place_that_each_pixel_sees(rich_sensor):
    """The renderer's rays and the projection in NumPy are one optical model."""
    maps = maps_of(rich_sensor, GelSurface.flat(25.25, 20.75, 21, 25))
    seen = unproject(parameter_values(rich_sensor), pixels(rich_sensor))
    gel = rich_sensor.gel
    found = (maps.nocs[..., :2] - 0.5) * [gel.width_mm, gel.height_mm]
    assert maps.hit.all()
    assert np.abs(found - seen[..., :2]).max() < 2e-3
    assert maps.nocs[..., 2] == pytest.approx(1.0, abs=1e-5)
    assert maps.indentation_mm == pytest.approx(0.0, abs=1e-5)
    assert np.abs(maps.shear_mm).max() < 2e-3


def test_depth_of_the_untouched_gel_is_its_distance_along_the_optical_axis(rich_sensor):
    from scipy.spatial.transform import Rotation

    maps = maps_of(rich_sensor, GelSurface.flat(25.25, 20.75, 21, 25))
    camera = rich_sensor.camera
    axis = Rotation.from_rotvec(np.radians(camera.rotation_deg)).apply([0.0, 0.0, 1.0])
    seen = unproject(parameter_values(rich_sensor), pixels(rich_sensor))
    assert maps.depth_mm == pytest.approx((seen - camera.position_mm) @ axis, abs=3e-3)


def test_a_tilted_lowered_and_shifted_surface_has_its_normal_height_and_shear(plain_sensor):
    flat = GelSurface.flat(25.25, 20.75, 41, 51)
    moved = flat.rest.astype(np.float64).copy()
    moved[:, 2] = -0.5 - 0.02 * moved[:, 0]
    moved[:, 0] += 0.3
    maps = maps_of(plain_sensor, flat.moved(moved))
    middle = (slice(60, 180), slice(80, 240))
    # z = -0.5 - 0.02 x: the normal toward the camera is (-0.02, 0, -1), scaled.
    expected = np.array([-0.02, 0.0, -1.0]) / np.hypot(1.0, 0.02)
    assert np.abs(maps.normal[middle] - expected).max() < 1e-4
    assert np.abs(maps.shear_mm[middle] - [0.3, 0.0]).max() < 2e-3
    x = (maps.nocs[..., 0] - 0.5) * plain_sensor.gel.width_mm
    assert maps.indentation_mm[middle] == pytest.approx((0.5 + 0.02 * x)[middle], abs=2e-3)
    height = 1.0 - maps.indentation_mm / plain_sensor.gel.full_indentation_mm
    assert maps.nocs[middle][..., 2] == pytest.approx(height[middle], abs=1e-5)


def test_types_and_shapes_are_as_documented(plain_sensor):
    touch = Imprint("sphere", 5.0, depth_mm=0.7)
    maps = maps_of(plain_sensor, imprint_surface(plain_sensor.gel, touch))
    shapes = {
        "nocs": (240, 320, 3),
        "depth_mm": (240, 320),
        "indentation_mm": (240, 320),
        "shear_mm": (240, 320, 2),
        "normal": (240, 320, 3),
    }
    for name, shape in shapes.items():
        values = getattr(maps, name)
        assert values.shape == shape
        assert values.dtype == np.float32
    assert maps.hit.dtype == np.bool_
    assert maps.nocs.min() >= 0.0
    assert maps.nocs.max() <= 1.0
    assert np.linalg.norm(maps.normal, axis=-1) == pytest.approx(1.0, abs=1e-5)
    assert maps.indentation_mm.max() == pytest.approx(0.7, abs=0.05)


def test_points_of_pixels_lie_on_the_surface_and_project_to_their_pixels(rich_sensor):
    from tacdiff_ros.optics.projection import project
    from tacdiff_ros.optics.surface_points import surface_points

    flat = GelSurface.flat(25.25, 20.75, 42, 51)
    moved = flat.rest.astype(np.float64).copy()
    moved[:, 2] = -0.5 - 0.02 * moved[:, 0] + 0.03 * moved[:, 1]
    moved[:, 0] += 0.3
    surface = flat.moved(moved)
    observed = (flat.rest[:, 1] < 4.0).reshape(42, 51)
    points = surface_points(rich_sensor, maps_of(rich_sensor, surface), surface, observed)
    known = np.isfinite(points).all(axis=-1)
    x, y, z = points[known].astype(np.float64).T
    assert np.abs(z - (-0.5 - 0.02 * (x - 0.3) + 0.03 * y)).max() < 5e-3
    away = project(parameter_values(rich_sensor), points[known]) - pixels(rich_sensor)[known]
    assert np.abs(away).max() < 0.05
    assert (y < 4.3).all()
    assert 0.5 < known.mean() < 0.95
