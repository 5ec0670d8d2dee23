"""The brightness of an image relative to its reference, whatever is pressed into the gel."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.brightness import at_brightness, check_brightness, relative_brightness
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
    assert at_brightness(brighter, result).value == pytest.approx(image.value, rel=0.01)


def test_a_contact_that_covers_the_gel_leaves_the_brightness_as_it_is():
    reference, image = gel(0.95)
    assert relative_brightness(reference, image).tolist() == [1.0, 1.0, 1.0]


def test_a_small_drift_is_silent_a_larger_one_warned_of_and_a_large_one_refused():
    assert check_brightness(np.array([1.09, 1.0, 0.92]), "press") == []
    (line,) = check_brightness(np.array([1.15, 1.0, 1.0]), "press")
    assert "press: exposure" in line and "red +15 %" in line
    with pytest.raises(InputError, match="expected at most 25 %"):
        check_brightness(np.array([1.0, 0.7, 1.0]), "press")
