"""Defects that are drawn into an image of a gel are counted, and nothing else is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.inversion.gel_health import gel_health
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor

MODEL = default_sensor()
SIZE = (240, 320)
NO_CONTACT = np.zeros((0, 3))


def undeformed():
    y, x = np.mgrid[0 : 1 : SIZE[0] * 1j, 0 : 1 : SIZE[1] * 1j]
    return np.stack([0.3 + 0.3 * x, 0.5 - 0.2 * y, 0.35 + 0.2 * x * y], axis=-1)


def markers(lost=0):
    pixels = project(parameter_values(MODEL), marker_positions_mm(MODEL))
    found = np.ones(pixels.shape[:2], bool)
    found.ravel()[:lost] = False
    return MarkerField.where(found, pixels, np.full(found.shape, 15.0))


def photograph(value):
    noise = np.random.default_rng(1).normal(0.0, 1.0, value.shape)
    image = np.clip(255.0 * value + noise, 0, 255).astype(np.uint8)
    for x, y in markers().position_px.reshape(-1, 2):
        cv2.circle(image, (round(x), round(y)), 7, (20, 20, 20), -1)
    return image


def health(image, field=None, contact=NO_CONTACT):
    reference = FitImage(undeformed(), np.ones(SIZE, bool))
    return gel_health(MODEL, undeformed(), reference, image, field or markers(), contact)


def test_a_good_gel_has_no_defect_and_no_warning():
    result = health(photograph(undeformed()))
    assert (result.markers_expected, result.markers_detected, result.markers_lost) == (63, 63, 0.0)
    assert result.specks == 0
    assert result.undeformed_change < 0.01
    assert result.brightness == pytest.approx((1.0, 1.0, 1.0), abs=0.005)
    assert result.warnings == ()


def test_specks_are_counted_with_their_area():
    image, centres = (
        photograph(undeformed()),
        [(51, 47), (84, 110), (183, 79), (240, 140), (20, 200)],
    )
    for x, y in centres:
        image[y : y + 4, x : x + 4] = image[y : y + 4, x : x + 4] * 0.5
    result = health(image)
    assert result.specks == len(centres)
    pixels = 320 * 240 - 63 * np.pi * (0.5 * 1.45 * 15.0) ** 2
    assert result.speck_fraction == pytest.approx(len(centres) * 16 / pixels, rel=0.5)
    under_contact = np.array([[x, y, -0.3] for x in (-1.0, 0.0) for y in (-1.0, 0.0)])
    assert health(image, contact=under_contact).specks <= len(centres)


def test_lost_markers_count_outside_of_the_contact():
    image = photograph(undeformed())
    result = health(image, markers(lost=9))
    assert result.markers_detected == 54
    assert result.markers_lost == pytest.approx(9 / 63)
    assert "14 % of the markers are lost: clean the gel" in result.warnings[0]
    first_row = marker_positions_mm(MODEL)[0]
    assert health(image, markers(lost=9), first_row).markers_lost == 0.0


def test_a_worn_part_of_the_coating_is_a_change_and_drifting_light_is_none():
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    light = 1.0 + np.stack([0.08 * x, 0.0 * x - 0.06, 0.05 * y], axis=-1)
    drifted = health(photograph(undeformed() * light))
    assert drifted.undeformed_change < 0.015
    assert drifted.brightness_variation == pytest.approx(1.08 / 0.92 - 1.0, abs=0.02)
    assert drifted.warnings == ()
    worn = undeformed()
    patch = np.hypot(x - 0.3, y) < 0.4
    worn[patch] *= 1.3
    result = health(photograph(worn))
    expected = np.log(1.3) * np.sqrt(patch.mean())
    assert result.undeformed_change == pytest.approx(expected, rel=0.2)
    assert any("calibrate again" in line for line in result.warnings)


def test_a_gel_without_markers_has_none_to_lose():
    plain = MODEL.model_copy(update={"markers": None})
    reference = FitImage(undeformed(), np.ones(SIZE, bool))
    image = np.clip(255.0 * undeformed(), 0, 255).astype(np.uint8)
    result = gel_health(plain, undeformed(), reference, image, None, NO_CONTACT)
    assert (result.markers_expected, result.markers_detected, result.markers_lost) == (0, 0, 0.0)


def test_artefacts_of_jpeg_beside_markers_are_no_specks():
    value = undeformed()
    for x, y in markers().position_px.reshape(-1, 2):  # fringes of coloured light
        for colour, (dx, dy) in enumerate(((0, -10), (10, 0), (0, 10))):
            mask = np.zeros(SIZE, np.uint8)
            cv2.circle(mask, (round(x + dx), round(y + dy)), 5, 1, -1)
            value[mask > 0, colour] *= 1.8
    image = photograph(value)
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    compressed = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])
    reference = FitImage(value, np.ones(SIZE, bool))
    result = gel_health(MODEL, value, reference, compressed, markers(), NO_CONTACT)
    assert result.specks <= 5
