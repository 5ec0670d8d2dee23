"""A whole calibration of a virtual sensor."""

import numpy as np
import pytest

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_figures import fitted_numbers, residuals
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.calibration.stage_progress import STAGES
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor

BALL = build_indenter("sphere:diameter=5")


@pytest.fixture
def images(calibrated_unit):
    return calibrated_unit.images


@pytest.fixture
def told(calibrated_unit):
    return calibrated_unit.told


@pytest.fixture
def found(calibrated_unit):
    return calibrated_unit.found


def test_the_fitted_model_explains_its_images(found):
    figures = residuals(found)
    assert figures["dot_rms_px"] < 0.1
    assert figures["press_rms_grey"] < 2.0
    assert figures["press_correlation"] > 0.98
    assert figures["dots_broken"] <= 2
    assert figures["press_dot_rms_px"] < 0.5
    assert figures["texture_rms_grey"] < 4.0
    assert found.warnings == ()
    assert found.model.sensor_id == "unit_3"


def test_presses_are_found_where_they_were(found, unit_folder):
    """The pattern's centre is the origin of what is fitted."""
    x_mm, y_mm = unit_folder.truth.markers.centre_mm
    for press, place in zip(found.presses, unit_folder.places_mm, strict=True):
        fitted = press.fit.gel.press
        expected = (place[0] + 0.1 - x_mm, place[1] - y_mm)
        assert (fitted.x_mm, fitted.y_mm) == pytest.approx(expected, abs=0.08)
        assert fitted.depth_mm == pytest.approx(unit_folder.depth_mm, abs=0.12)


def test_the_camera_comes_out_and_its_deviations_cover_the_error(found, unit_folder):
    true, fitted = parameter_values(unit_folder.truth), parameter_values(found.model)
    assert fitted["camera.rotation_rad"] == pytest.approx(true["camera.rotation_rad"], abs=0.01)
    rows = {row.name: row for row in fitted_numbers(found, default_sensor())}
    height = rows["camera.position_mm[2]"]
    assert abs(height.value - true["camera.position_mm"][2]) < 3 * height.stddev
    focal = rows["camera.focal_px"]
    assert focal.stddev > 0.9 * focal.prior_stddev  # flat dots do not tell it from the distance
    assert rows["lights.azimuth_rad[0]"].stddev < rows["lights.azimuth_rad[0]"].prior_stddev


def test_lights_come_out_near_the_truth(found, unit_folder):
    true, fitted = (parameter_values(model) for model in (unit_folder.truth, found.model))

    def strength(values):
        """Of each light in its own colour."""
        return np.diag(
            values["lights.radiance"] * values["response.gain"] * values["gel.base_color"]
        )

    away = fitted["lights.azimuth_rad"] - true["lights.azimuth_rad"]
    assert np.abs(np.degrees(away)).max() < 6.0
    centre_mm = true["lights.centre_mm"] - np.append(true["markers.centre_mm"], 0.0)
    assert np.linalg.norm(fitted["lights.centre_mm"] - centre_mm, axis=1).max() < 1.5
    assert np.abs(np.log(strength(fitted) / strength(true))).max() < 0.4


def test_progress_rises_through_all_stages(found, told):
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert [stage for stage in STAGES if stage in dict(told)] == list(STAGES)
    assert sorted(found.seconds) == sorted(STAGES)


def test_what_progress_raises_ends_the_work(images):
    class EnoughError(Exception):
        pass

    def stop(_stage, share):
        if share > 0.05:
            raise EnoughError

    with pytest.raises(EnoughError):
        calibrate(default_sensor(), images[0], [PressImage(images[1], BALL)], None, stop)
