"""Images that a calibration refuses, with the evidence."""

import cv2
import numpy as np
import pytest

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import default_sensor

BALL = build_indenter("sphere:diameter=5")


@pytest.fixture
def images(calibrated_unit):
    return calibrated_unit.images


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


def test_exchanged_colours_are_named(images):
    assert "BGR" in refused(*(image[..., ::-1].copy() for image in images[:2]))


def test_an_exchanged_reference_is_named(images):
    assert "exchanged? The reference is an image" in refused(images[1], images[0])


def test_a_grey_image_is_named(images):
    grey = np.repeat(images[0].mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    assert "the reference is grey" in refused(grey, images[1])


def test_another_exposure_is_named(images):
    assert "exposure or light changed" in refused(images[0], (images[1] * 0.6).astype(np.uint8))


def test_a_gel_with_markers_needs_them_in_its_sensor_file(images):
    plain = default_sensor().model_copy(update={"markers": None})
    assert "shows a gel with markers" in refused(images[0], images[1], plain)


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
