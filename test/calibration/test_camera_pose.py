"""The camera from dots that are projected by known cameras."""

import numpy as np
import pytest

from tacdiff_ros.calibration.camera_pose import CameraPriors, fit_camera
from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.random_sensors import random_sensor

SEEDS = range(8)
LENS_KNOWN = CameraPriors(focal_fraction=None, distortion=None)


def dots_of(unit, noise_px=0.0, seed=0):
    pixels = project(parameter_values(unit), lattice_positions_mm(unit.markers))
    pixels = pixels + np.random.default_rng(seed).normal(0.0, noise_px, pixels.shape)
    found = np.isfinite(pixels).all(axis=-1)
    found &= (pixels > 0).all(axis=-1) & (pixels[..., 0] < 319) & (pixels[..., 1] < 239)
    return MarkerField.where(found, pixels, np.full(found.shape, 12.0))


def without_pose(unit):
    """The unit's file with the pose of the default one."""
    pose = default_sensor().camera
    known = {"position_mm": pose.position_mm, "rotation_deg": pose.rotation_deg}
    return unit.model_copy(update={"camera": unit.camera.model_copy(update=known)})


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_dots_give_the_exact_pose(seed):
    unit = random_sensor(seed)
    fit = fit_camera(without_pose(unit), dots_of(unit), LENS_KNOWN)
    assert fit.rms_px < 1e-6
    assert fit.model.camera.position_mm == pytest.approx(unit.camera.position_mm, abs=1e-5)
    assert fit.model.camera.rotation_deg == pytest.approx(unit.camera.rotation_deg, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_noisy_dots_give_the_pose_within_its_deviation(seed):
    unit = random_sensor(seed)
    fit = fit_camera(without_pose(unit), dots_of(unit, 0.05, seed), LENS_KNOWN)
    off_mm = np.subtract(fit.model.camera.position_mm, unit.camera.position_mm)
    off_deg = np.subtract(fit.model.camera.rotation_deg, unit.camera.rotation_deg)
    assert np.linalg.norm(off_mm) < 0.03
    assert np.linalg.norm(off_deg) < 0.08
    assert (np.abs(off_mm) < 4.0 * fit.stddev["camera.position_mm"]).all()


def test_no_start_is_needed_and_false_and_missing_dots_do_no_harm():
    unit = random_sensor(3)
    dots = dots_of(unit, 0.03)
    pixels, found = dots.position_px.copy(), dots.found.copy()
    pixels[2, 3] += [14.0, -9.0]
    pixels[5, 7] -= [6.0, 11.0]
    found[0, :4] = found[4, 4:6] = False
    start = without_pose(unit)
    camera = start.camera.model_copy(
        update={"position_mm": (9.0, -7.0, -60.0), "rotation_deg": (40.0, -20.0, 90.0)}
    )
    fit = fit_camera(
        start.model_copy(update={"camera": camera}),
        MarkerField.where(found, pixels, np.full(found.shape, 12.0)),
        LENS_KNOWN,
    )
    assert not fit.used[2, 3]
    assert not fit.used[5, 7]
    assert fit.rms_px < 0.1
    assert fit.model.camera.position_mm == pytest.approx(unit.camera.position_mm, abs=0.03)


def test_what_a_flat_pattern_cannot_tell_stays_at_the_file_and_says_so():
    unit = random_sensor(1)
    wide, narrow = (
        fit_camera(without_pose(unit), dots_of(unit, 0.05), CameraPriors(share, None))
        for share in (0.05, 0.001)
    )
    assert wide.rms_px == pytest.approx(narrow.rms_px, abs=0.01)
    assert wide.stddev["camera.position_mm"][2] > 4 * narrow.stddev["camera.position_mm"][2]
    held = narrow.stddev["camera.focal_px"] / narrow.prior_stddev["camera.focal_px"]
    assert held == pytest.approx(1.0, abs=0.05)


def test_without_glass_the_stack_is_taken_for_distance():
    unit = default_sensor()
    fit = fit_camera(unit, dots_of(unit), LENS_KNOWN, glass=False)
    assert fit.rms_px > 0.02
    missed_mm = fit.model.camera.position_mm[2] - unit.camera.position_mm[2]
    assert 1.5 < missed_mm < 3.0  # 3 (1 - 1/1.5) + 4 (1 - 1/1.41) = 2.16 for a narrow view


def test_the_wrong_pitch_is_refused_where_no_camera_sees_it():
    unit = default_sensor()
    bent = dots_of(unit).position_px
    bent = bent + 6.0 * np.sin(bent / 9.0)
    dots = MarkerField.where(dots_of(unit).found, bent, np.full((7, 9), 12.0))
    with pytest.raises(InputError, match="flat pattern"):
        fit_camera(unit, dots)


def test_too_few_dots_are_refused():
    unit = default_sensor()
    dots = dots_of(unit)
    found = dots.found & (np.arange(63).reshape(7, 9) < 15)
    with pytest.raises(InputError, match="15 markers were found, at least 20"):
        fit_camera(unit, MarkerField.where(found, dots.position_px, dots.diameter_px))


def test_a_grid_of_another_size_is_refused():
    unit = default_sensor()
    with pytest.raises(InputError, match="8 x 10 grid"):
        nothing = np.zeros((8, 10), bool)
        field = MarkerField.where(nothing, np.zeros((8, 10, 2)), np.zeros((8, 10)))
        fit_camera(unit, field)


def test_a_sensor_without_dots_is_refused():
    unit = default_sensor()
    with pytest.raises(InputError, match="no markers"):
        fit_camera(unit.model_copy(update={"markers": None}), dots_of(unit))
