"""Derivatives of the light fit's residuals against differences; no renderer."""

import numpy as np
import pytest

from tacdiff_ros.calibration.light_images import LightImageSet
from tacdiff_ros.calibration.light_prediction import Prediction, light_changes
from tacdiff_ros.calibration.light_residuals import ComparedImage, LightResiduals
from tacdiff_ros.calibration.light_vector import KINDS, LightVector
from tacdiff_ros.sensor.sensor_file import default_sensor

SHAPE = (5, 7)
STEP = 1e-6
LIGHTS = LightVector.around(default_sensor())
RANDOM = np.random.default_rng(2)
VECTOR = 0.3 * RANDOM.standard_normal(LIGHTS.size)
REFERENCE = RANDOM.uniform(0.2, 0.8, (*SHAPE, 3))


def light_images():
    light = RANDOM.uniform(0.1, 0.9, (LIGHTS.light_count, *SHAPE))
    return LightImageSet(light, RANDOM.uniform(0.1, 0.9, SHAPE))


IMAGES = (light_images(), light_images(), light_images())


@pytest.fixture(params=[True, False], ids=["tone-mapped", "linear"])
def residuals(request):
    compared = [
        ComparedImage(
            RANDOM.uniform(0.1, 0.9, (*SHAPE, 3)), RANDOM.uniform(size=SHAPE) > 0.2, strength, 0.02
        )
        for strength in (300.0, 100.0, 200.0)
    ]
    found = LightResiduals(compared, request.param)
    found.set_weights([RANDOM.uniform(0.2, 2.0, SHAPE) for _ in compared])
    return found


def predicted(vector, images=IMAGES):
    return Prediction.of(LIGHTS, vector, REFERENCE, images)


def test_derivatives_by_radiance_ambient_light_and_gamma_are_those_of_differences(residuals):
    unmoved = [[image.light for image in IMAGES]] * KINDS
    changes = list(light_changes(LIGHTS, VECTOR, IMAGES, unmoved, STEP))
    found = residuals.by_light(predicted(VECTOR), changes)
    for index in range(LIGHTS.radiance_slice.start, LIGHTS.size):
        step = STEP * np.eye(LIGHTS.size)[index]
        pairs = zip(
            residuals.values(predicted(VECTOR + step)),
            residuals.values(predicted(VECTOR - step)),
            strict=True,
        )
        for columns, (after, before) in zip(found, pairs, strict=True):
            np.testing.assert_allclose(columns[index], (after - before) / (2 * STEP), atol=1e-5)


def test_a_moved_light_changes_presses_and_the_undeformed_gel(residuals):
    others = [light_images().light for _ in IMAGES]
    moved = [
        [image.light + STEP * other for image, other in zip(IMAGES, others, strict=True)]
    ] * KINDS
    changes = list(light_changes(LIGHTS, VECTOR, IMAGES, moved, STEP))
    found = residuals.by_light(predicted(VECTOR), changes)
    for kind in (0, KINDS - 1):
        for light in range(LIGHTS.light_count):
            only = np.arange(LIGHTS.light_count)[:, None, None] == light
            sets = [
                LightImageSet(image.light + STEP * only * other, image.ambient)
                for image, other in zip(IMAGES, others, strict=True)
            ]
            after = residuals.values(predicted(VECTOR, sets))
            before = residuals.values(predicted(VECTOR))
            index = LIGHTS.placement_slice(kind).start + light
            for k in range(len(IMAGES)):
                expected = (after[k] - before[k]) / STEP
                np.testing.assert_allclose(found[k][index], expected, rtol=1e-3, atol=1e-3)


def test_a_press_changes_its_own_image_only(residuals):
    change = RANDOM.uniform(-1.0, 1.0, (*SHAPE, 3))
    prediction = predicted(VECTOR)
    (found,) = residuals.by_press(prediction, 2, [change])
    reference, first, second = prediction.shading
    ratio = ((second + STEP * change) / reference) ** (1.0 / LIGHTS.gamma(VECTOR))
    value = (*prediction.value[:2], REFERENCE * ratio)
    moved = Prediction(LIGHTS, VECTOR, (reference, first, second + STEP * change), value)
    expected = (residuals.values(moved)[2] - residuals.values(prediction)[2]) / STEP
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
