"""A touch is told from noise by the change of the image."""

import cv2
import numpy as np
import pytest

from tacdiff_ros.acquisition.contact import ImageContact
from tacdiff_ros.acquisition.protocol import Approach

THRESHOLD = Approach().contact_image_change
MM_PER_PX = 0.0634
NOISE_GREY = 1.5
PIXELS_A_CELL = 16  # of the reduced image


def gel(random: np.random.Generator, radius_mm=0.0, grey=0.0, place_px=(160, 120)):
    """A tinted gel with sensor noise, and a disc-shaped imprint of known contrast."""
    image = np.full((240, 320, 3), (120.0, 110.0, 130.0))
    if radius_mm:
        imprint = np.zeros((240, 320), np.float32)
        cv2.circle(imprint, place_px, round(radius_mm / MM_PER_PX), 1.0, -1)
        image += grey * imprint[..., None]
    return np.clip(image + NOISE_GREY * random.standard_normal(image.shape), 0, 255).astype(
        np.uint8
    )


@pytest.fixture
def watcher():
    random = np.random.default_rng(1)
    contact = ImageContact()
    for _ in range(10):
        contact.add_reference(gel(random))
    return contact, random


def test_noise_alone_is_no_touch(watcher):
    """The 99th percentile of averaged Gaussian noise lies 2.58 of its standard deviations out."""
    contact, random = watcher
    changes = [contact.change(gel(random)) for _ in range(60)]
    scatter = NOISE_GREY * np.sqrt((1 + 1 / 10) / PIXELS_A_CELL)
    assert np.mean(changes) == pytest.approx(2.58 * scatter, rel=0.1)
    assert max(changes) < THRESHOLD


@pytest.mark.parametrize("place_px", [(160, 120), (40, 40), (290, 200), (5, 120)])
def test_an_imprint_counts_wherever_it_is(watcher, place_px):
    contact, random = watcher
    assert contact.change(gel(random, 2.0, 8.0, place_px)) > THRESHOLD


@pytest.mark.parametrize("sign", [1, -1])
def test_change_is_the_contrast_of_the_imprint_in_grey_levels(watcher, sign):
    contact, random = watcher
    for grey in (5.0, 10.0, 20.0, 40.0):
        measured = contact.change(gel(random, 3.0, sign * grey))
        assert measured == pytest.approx(grey, abs=2.5)


def test_a_reference_of_many_images_is_their_mean():
    contact = ImageContact()
    for grey in (90, 100, 110):
        contact.add_reference(np.full((240, 320, 3), grey, np.uint8))
    assert contact.change(np.full((240, 320, 3), 107, np.uint8)) == pytest.approx(7.0, abs=1e-4)


def test_without_a_reference_nothing_has_changed(watcher):
    contact, random = watcher
    contact.clear()
    assert contact.change(gel(random, 3.0, 60.0)) == 0.0
    assert ImageContact().change(gel(random)) == 0.0
