"""The stream of comparisons, in whatever order its images come."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.evaluation.agreement import Agreement, compare_images
from tacdiff_ros.evaluation.image_comparison import MAX_AHEAD, ImageComparison

PERIOD_NS = 40_000_000
PATIENT_S = 10.0


def images(count: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(count)]


def scores(agreement: Agreement) -> tuple[object, ...]:
    """All but the markers, of which there are none here."""
    return (
        agreement.whole,
        agreement.contact,
        agreement.background_whole,
        agreement.background_contact,
        agreement.contact_pixels,
    )


@pytest.fixture
def comparison() -> ImageComparison:
    made = ImageComparison(None, patience_s=PATIENT_S)
    made.take_reference(images(1, 9)[0])
    return made


def test_comparisons_are_the_same_whichever_image_comes_first(comparison: ImageComparison) -> None:
    (reference,), real, simulated = images(1, 9), images(6, 1), images(6, 2)
    expected = [
        scores(compare_images(*pair, reference)) for pair in zip(simulated, real, strict=True)
    ]
    found = []
    for k in range(6):  # all real images wait
        found += comparison.add_real(k * PERIOD_NS, real[k])
    assert not found and len(real) > MAX_AHEAD
    for k in range(6):
        found += comparison.add_simulated(k * PERIOD_NS, simulated[k])
    assert [scores(each.agreement) for each in found] == expected
    later = ImageComparison(None, patience_s=PATIENT_S)
    later.take_reference(reference)
    found = []
    for k in range(6):
        found += later.add_simulated(k * PERIOD_NS, simulated[k])
        found += later.add_real(k * PERIOD_NS, real[k])
    assert [scores(each.agreement) for each in found] == expected


def test_a_second_image_of_a_stamp_is_the_one_that_is_compared(comparison: ImageComparison) -> None:
    (reference,), (first, second), (simulated,) = images(1, 9), images(2, 3), images(1, 4)
    assert not [*comparison.add_real(7, first), *comparison.add_real(7, second)]
    (found,) = comparison.add_simulated(7, simulated)
    assert found.pair.real is second
    assert scores(found.agreement) == scores(compare_images(simulated, second, reference))


def test_a_new_reference_holds_for_images_that_wait(comparison: ImageComparison) -> None:
    (real,), (simulated,), (other,) = images(1, 5), images(1, 6), images(1, 7)
    assert not list(comparison.add_real(7, real))
    comparison.take_reference(other)
    (found,) = comparison.add_simulated(7, simulated)
    assert scores(found.agreement) == scores(compare_images(simulated, real, other))


def test_a_clock_that_went_back_does_not_end_the_comparisons(comparison: ImageComparison) -> None:
    (reference,), real, (simulated,) = images(1, 9), images(4, 8), images(1, 4)
    for k in range(3):
        assert not list(comparison.add_real((100 + k) * PERIOD_NS, real[k]))
    comparison.pairing.clear()
    assert not list(comparison.add_real(PERIOD_NS, real[3]))
    (found,) = comparison.add_simulated(PERIOD_NS, simulated)
    assert scores(found.agreement) == scores(compare_images(simulated, real[3], reference))
