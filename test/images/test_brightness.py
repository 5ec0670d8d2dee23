"""The brightness of an image relative to its reference, whatever is pressed into the gel."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.brightness import (
    BrightnessChange,
    at_brightness,
    brightness_change,
    check_brightness,
    check_brightness_change,
    refined_brightness,
    relative_brightness,
)
from tacdiff_ros.images.fit_image import FitImage


def gel(pressed: float) -> tuple[FitImage, FitImage]:
    """Reference and image; a fraction of the rows is pressed to other brightness."""
    random = np.random.default_rng(4)
    value = 0.3 + 0.2 * np.linspace(0.0, 1.0, 160)[None, :, None] * np.ones((120, 160, 3))
    change = np.ones((120, 160, 3))
    rows = round(120 * pressed)
    change[:rows] = np.exp(random.normal(0.0, 0.4, (rows, 160, 3)))
    noise = random.normal(0.0, 0.004, value.shape)
    free = np.ones((120, 160), bool)
    return FitImage(value, free), FitImage(value * change + noise, free)


@pytest.mark.parametrize("pressed", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("gain", [(1.0, 1.0, 1.0), (0.9, 1.0, 1.1), (1.04, 1.04, 1.04)])
def test_the_gain_of_each_colour_is_that_of_the_untouched_gel(pressed, gain):
    reference, image = gel(pressed)
    brighter = FitImage(image.value * gain, image.free)
    result = relative_brightness(reference, brighter)
    assert result == pytest.approx(gain, rel=0.005)
    compensated = at_brightness(brighter, result).value
    np.testing.assert_allclose(compensated, np.minimum(image.value, 1.0), rtol=0.01)


def test_a_contact_that_covers_the_gel_leaves_the_brightness_as_it_is():
    reference, image = gel(0.95)
    assert relative_brightness(reference, image).tolist() == [1.0, 1.0, 1.0]


def test_a_small_drift_is_silent_a_larger_one_warned_of_and_a_large_one_refused():
    assert check_brightness(np.array([1.09, 1.0, 0.92]), "press") == []
    (line,) = check_brightness(np.array([1.15, 1.0, 1.0]), "press")
    assert "press: exposure" in line and "red +15 %" in line
    with pytest.raises(InputError, match="expected at most 25 %"):
        check_brightness(np.array([1.0, 0.7, 1.0]), "press")


X, Y = np.meshgrid(np.linspace(-1.0, 1.0, 160), np.linspace(-1.0, 1.0, 120))
DRIFTS = {
    "none": (0.0, 0.0, 0.0),
    "even": (0.1, -0.08, 0.05),
    "a lamp moved": (0.1 * X, 0.0, -0.06 * Y),
    "towards the corners": (-0.06 * (X**2 + Y**2), -0.04 * X * Y, 0.03 + 0.05 * Y**2),
}


@pytest.mark.parametrize("pressed", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("drift", DRIFTS)
def test_brightness_that_changes_slowly_over_the_image_is_that_of_the_untouched_gel(pressed, drift):
    reference, image = gel(pressed)
    gain = 1.0 + np.stack([np.broadcast_to(part, X.shape) for part in DRIFTS[drift]], axis=-1)
    change = brightness_change(reference, FitImage(image.value * gain, image.free))
    assert change.is_known
    assert change.fraction == pytest.approx(1.0 - pressed, abs=0.08)
    untouched = change.gain[round(120 * pressed) :]
    np.testing.assert_allclose(untouched, gain[round(120 * pressed) :], rtol=0.012)
    assert change.variation == pytest.approx(
        (gain.max(axis=(0, 1)) / gain.min(axis=(0, 1))).max() - 1.0, abs=0.1 * pressed + 0.01
    )


def test_a_drift_under_a_press_that_covers_the_gel_is_refused_and_no_drift_is_warned_of():
    reference, image = gel(0.95)
    change = brightness_change(reference, image)
    assert not change.is_known
    (line,) = check_brightness_change(change, "press")
    assert "cannot be told from it" in line
    assert (change.gain == 1.0).all()
    brighter = FitImage(1.2 * image.value, image.free)
    with pytest.raises(InputError, match="cannot be told from the press"):
        check_brightness_change(brightness_change(reference, brighter), "press")


def test_a_drift_that_is_one_somewhere_is_not_taken_for_unchanged_light():
    reference, image = gel(0.8)
    gain = 1.0 + 0.12 * np.repeat(X[..., None], 3, axis=-1)
    change = brightness_change(reference, FitImage(image.value * gain, image.free))
    assert not change.is_known


def test_a_drift_at_one_border_is_warned_of():
    (line,) = check_brightness(1.0 + 0.12 * np.stack([X, 0.1 * X, 0.0 * X], axis=-1), "press")
    assert "red +12 %" in line or "red -12 %" in line
    assert "blue +0 %" in line


def test_images_without_a_usable_pixel_have_no_known_brightness():
    reference, image = gel(0.0)
    change = brightness_change(reference, FitImage(image.value, np.zeros((120, 160), bool)))
    assert not change.is_known
    assert (change.gain == 1.0).all()


def test_shadows_of_a_press_are_no_change_of_brightness_once_they_are_predicted():
    reference, _ = gel(0.0)
    shade = 1.0 - 0.05 * np.exp(-2.0 * ((X - 0.2) ** 2 + Y**2))[..., None] * np.ones(3)
    predicted = reference.value * shade
    taken = FitImage(predicted * (1.02, 1.0, 0.97), reference.free)
    first = brightness_change(reference, taken)
    refined = refined_brightness(first, predicted, taken)
    assert np.abs(first.gain - (1.02, 1.0, 0.97)).max() > 0.01
    assert np.abs(refined.gain - (1.02, 1.0, 0.97)).max() < 2e-3


def test_brightness_that_is_unknown_or_unwanted_is_not_refined():
    reference, image = gel(0.95)
    unknown = brightness_change(reference, image)
    assert refined_brightness(unknown, image.value, image) is unknown
    known = brightness_change(reference, reference)
    assert refined_brightness(known, 0.9 * reference.value, reference) is known
    unwanted = BrightnessChange.none(image)
    assert refined_brightness(unwanted, 0.9 * image.value, image) is unwanted
