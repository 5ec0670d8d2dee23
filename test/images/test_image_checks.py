"""Checks that find a contact in the wrong image."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.images.image_checks import (
    check_order,
    check_press,
    contact_warnings,
    order_warnings,
)

SHAPE = (120, 160)


def seen(contact_px: float | None) -> FitImage:
    """A gel with a slow gradient and noise, and a contact with a lit and a dark flank."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    value = 0.4 + 0.001 * x + random.normal(0, 0.002, SHAPE)
    if contact_px is not None:
        away = np.hypot(x - 80, y - 60) / contact_px
        value = value + 0.6 * (x - 80) / contact_px * np.exp(-2 * away**2)
    return FitImage(np.repeat(value[..., None], 3, axis=2), np.ones(SHAPE, bool))


def test_an_exchanged_pair_is_named() -> None:
    untouched, pressed = seen(None), seen(25.0)
    assert not order_warnings(untouched, pressed, "the image")
    assert not order_warnings(untouched, seen(None), "the image")
    (line,) = order_warnings(pressed, untouched, "the image")
    assert "exchanged" in line
    with pytest.raises(InputError, match="exchanged"):
        check_order(pressed, untouched, "press 1")


def test_a_reference_that_shows_a_contact_is_named() -> None:
    undeformed = seen(None).value
    assert not contact_warnings(undeformed, seen(None))
    (line,) = contact_warnings(undeformed, seen(25.0))
    assert "touch the gel" in line
    other_lights = undeformed * np.linspace(0.6, 1.4, SHAPE[1])[:, None]
    assert not contact_warnings(other_lights, seen(None))


@pytest.mark.parametrize(("untouched", "refused"), [(0.3, False), (0.1, True)])
def test_a_press_on_most_of_the_gel_leaves_some_of_it_as_it_was(untouched, refused) -> None:
    reference, random = seen(None), np.random.default_rng(1)
    change = np.exp(random.normal(0.0, 0.5, (*SHAPE, 3)))
    change[: round(untouched * SHAPE[0])] = 1.0
    pressed = FitImage(reference.value * change, reference.free)
    if refused:
        with pytest.raises(InputError, match="does not belong"):
            check_press(reference, pressed, 1.0, "the image", 0.2)
    else:
        assert check_press(reference, pressed, 1.0, "the image", 0.2) == []
