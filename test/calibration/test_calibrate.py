"""A whole calibration of a virtual unit, and images that must be refused."""

import cv2
import numpy as np
import pytest

from tacdiff_ros.calibration.calibrate import (
    STAGES,
    PressImage,
    calibrate,
    fitted_numbers,
    residuals,
)
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor

pytestmark = pytest.mark.slow  # the images, and their calibration
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


def refused(reference, press, model=None):
    with pytest.raises(InputError) as error:
        calibrate(model or default_sensor(), reference, [PressImage(press, BALL)])
    return str(error.value)


def test_bad_images_are_refused_with_the_evidence(images):
    reference, press, _ = images
    blank = np.full_like(reference, 90)
    assert "the reference is blank" in refused(blank, press)
    assert "press is blank" in refused(reference, blank)
    glaring = np.clip(reference.astype(int) * 4, 0, 255).astype(np.uint8)
    assert "saturated" in refused(glaring, press)
    larger = cv2.resize(reference, (640, 480))
    assert "640 x 480" in refused(larger, press)
    assert "320 x 240" in refused(larger, press)
    assert "no contact" in refused(reference, reference)


def test_a_rotated_press_does_not_belong_to_the_reference(images):
    assert "does not belong" in refused(images[0], np.rot90(images[1], 2).copy())


def test_a_rotated_pair_is_refused_by_where_its_light_comes_from(images):
    turned = [np.rot90(image, 2).copy() for image in images[:2]]
    assert "rotated" in refused(*turned)


def test_a_blurred_reference_is_refused(images):
    blurred = [cv2.GaussianBlur(image, (0, 0), 4.0) for image in images[:2]]
    assert "blurred" in refused(*blurred)


def test_the_wrong_grid_is_refused(images):
    model = default_sensor()
    markers = model.markers.model_copy(update={"rows": 8, "columns": 10})
    message = refused(images[0], images[1], model.model_copy(update={"markers": markers}))
    assert "7 x 9" in message or "63" in message


def test_too_few_dots_are_refused(images):
    covered = images[0].copy()
    covered[:, 60:] = cv2.GaussianBlur(covered, (0, 0), 12.0)[:, 60:]
    assert "markers" in refused(covered, images[1])


def test_no_or_too_many_presses_are_refused(images):
    for presses in ([], [PressImage(images[1], BALL)] * 17):
        with pytest.raises(InputError, match="expected 1 to 16"):
            calibrate(default_sensor(), images[0], presses)
