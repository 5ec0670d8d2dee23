"""Camera and dots from images of sharp discs that are traced with 16 rays a pixel."""

from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.calibration.camera_pose import CameraPriors, fit_camera
from tacdiff_ros.calibration.rendered_mask import refine_by_mask
from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.random_sensors import random_sensor

LENS_KNOWN = CameraPriors(focal_fraction=None, distortion=None)
SIDE = 4


def image_of(unit, offset_mm, diameter_mm, seed=0):
    """Discs of ink on a gel whose brightness falls off, with a grey level of noise."""
    across, down = np.arange(320 * SIDE), np.arange(240 * SIDE)
    pixels = np.stack(np.meshgrid((across + 0.5) / SIDE - 0.5, (down + 0.5) / SIDE - 0.5), axis=-1)
    place = unproject(parameter_values(unit), pixels.astype(np.float32))[..., :2]
    ink = np.zeros(place.shape[:2], bool)
    for centre in (lattice_positions_mm(unit.markers)[..., :2] + offset_mm).reshape(-1, 2):
        ink |= diameter_mm / 2 > np.hypot(*(place - centre).T).T
    gel = 140.0 - 1.5 * place[..., 0] + 0.8 * place[..., 1]
    seen = np.where(ink, 0.2 * gel, gel).reshape(240, SIDE, 320, SIDE).mean(axis=(1, 3))
    noisy = seen[..., None] + np.random.default_rng(seed).normal(0.0, 1.0, (240, 320, 3))
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def unit():
    return random_sensor(2)


@pytest.fixture(scope="module")
def offset_mm():
    return np.random.default_rng(1).normal(0.0, 0.012, (7, 9, 2))


@pytest.fixture(scope="module")
def image(unit, offset_mm):
    return image_of(unit, offset_mm, 0.8)


@pytest.fixture(scope="module")
def fit(unit, image):
    pose = default_sensor().camera
    known = {"position_mm": pose.position_mm, "rotation_deg": pose.rotation_deg}
    start = unit.model_copy(update={"camera": unit.camera.model_copy(update=known)})
    dots = detect_markers(image, unit.markers.grid)
    return refine_by_mask(fit_camera(start, dots, LENS_KNOWN), image, dots, LENS_KNOWN)


def test_dots_are_where_the_mask_puts_them(fit):
    assert fit.rms_px < 0.05
    assert fit.camera.rms_px > 3 * fit.rms_px  # printed beside their lattice
    assert fit.mask_error < 0.03


def test_the_camera_is_found_as_well_as_the_print_allows(fit, unit):
    camera = fit.camera.model.camera
    assert np.linalg.norm(np.subtract(camera.position_mm, unit.camera.position_mm)) < 0.12
    assert np.linalg.norm(np.subtract(camera.rotation_deg, unit.camera.rotation_deg)) < 0.3


def test_each_dots_own_place_is_found(fit, offset_mm):
    # What all dots have in common is a camera's doing.
    left = fit.offset_mm - offset_mm
    assert left.std() < 0.6 * offset_mm.std()
    assert np.corrcoef(fit.offset_mm.ravel(), offset_mm.ravel())[0, 1] > 0.85


def test_the_size_of_dots_is_found(fit):
    assert fit.diameter_mm == pytest.approx(0.8, rel=0.02)
    assert np.abs(fit.size_mm).max() < 0.05


def test_exact_dots_give_the_camera_to_hundredths(unit):
    image = image_of(unit, np.zeros((7, 9, 2)), 0.9, seed=5)
    dots = detect_markers(image, unit.markers.grid)
    fit = refine_by_mask(fit_camera(unit, dots, LENS_KNOWN), image, dots, LENS_KNOWN)
    off_mm = np.subtract(fit.camera.model.camera.position_mm, unit.camera.position_mm)
    off_deg = np.subtract(fit.camera.model.camera.rotation_deg, unit.camera.rotation_deg)
    assert np.linalg.norm(off_mm) < 0.03
    assert np.linalg.norm(off_deg) < 0.05
    assert fit.camera.rms_px < 0.1


def test_without_markers_there_is_nothing_to_fit(fit, image, unit):
    bare = replace(fit.camera, model=unit.model_copy(update={"markers": None}))
    with pytest.raises(InputError, match="no markers"):
        refine_by_mask(bare, image, detect_markers(image, unit.markers.grid))
