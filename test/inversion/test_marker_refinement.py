"""Dots laid over an image of a surface that is known."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics import llvm
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor

pytestmark = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)

SHEAR_MM = np.array([0.08, -0.06])


@pytest.fixture(scope="module")
def model():
    return default_sensor()


@pytest.fixture(scope="module")
def pressed(model):
    """A ball, and the surface that was fitted: the same, but for the motion in the plane."""
    return imprint_surface(model.gel, Imprint("sphere", 5.0, at_mm=(1.0, 0.4), depth_mm=0.7), 0.1)


@pytest.fixture(scope="module")
def image(model, pressed):
    from tacdiff_ros.optics.renderer import Renderer

    renderer = Renderer(
        model.model_copy(
            update={
                "markers": model.markers.model_copy(update={"centre_mm": tuple(SHEAR_MM.tolist())})
            }
        )
    )
    renderer.set_surface(pressed)
    return np.clip(np.rint(255.0 * renderer.image()), 0, 255).astype(np.uint8)


def places(model, surface, shear):
    """Pixels of the dots on the ball's surface."""
    from scipy.interpolate import RegularGridInterpolator

    motion = (surface.position - surface.rest).reshape(surface.rows, surface.columns, 3)
    at = RegularGridInterpolator((surface.y_mm, surface.x_mm), motion)
    dots = marker_positions_mm(model) + np.append(shear, 0.0)
    return project(parameter_values(model), dots + at(dots[..., 1::-1]))


def test_dots_are_moved_from_where_they_are_drawn_to_where_they_are_seen(model, pressed, image):
    from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

    true = places(model, pressed, SHEAR_MM)
    found = np.ones(true.shape[:2], bool)
    found[2, 3] = False
    tracked = true + np.random.default_rng(0).normal(0.0, 0.8, true.shape)
    dots = MarkerField.where(found, tracked, np.full(found.shape, 11.0))
    refined = MarkerRefiner(model).refine(pressed, image, dots)
    away = np.linalg.norm(refined.position_px - true, axis=-1)[found]
    assert np.linalg.norm(tracked - true, axis=-1)[found].mean() > 0.8
    assert np.median(away) < 0.08
    assert away.max() < 0.4
    assert np.isnan(refined.position_px[2, 3]).all()


def test_dots_that_the_image_does_not_show_stay_where_they_were(model):
    from tacdiff_ros.inversion.marker_refinement import MarkerRefiner
    from tacdiff_ros.optics.renderer import Renderer

    bare = Renderer(model.model_copy(update={"markers": None}))
    image = np.clip(np.rint(255.0 * bare.image()), 0, 255).astype(np.uint8)
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 21, 25)
    tracked = project(parameter_values(model), marker_positions_mm(model)) + np.array([0.5, 0.3])
    found = np.ones(tracked.shape[:2], bool)
    dots = MarkerField.where(found, tracked, np.full(found.shape, 11.0))
    refined = MarkerRefiner(model).refine(flat, image, dots)
    assert np.array_equal(refined.position_px, tracked)


def test_a_gel_without_dots_is_refused(model):
    from tacdiff_ros.inversion.marker_refinement import MarkerRefiner

    with pytest.raises(InputError, match="no markers"):
        MarkerRefiner(model.model_copy(update={"markers": None}))
