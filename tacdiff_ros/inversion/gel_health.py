"""Condition of the gel and its light: lost markers, specks, a worn coating, drift.

All figures are of the gel outside of the contact. They say what to clean or replace before the
estimated surfaces get worse; a trend over time says more than one figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.images.brightness import at_brightness, brightness_change
from tacdiff_ros.images.fit_image import MIN_BRIGHTNESS, FitImage, fit_image
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MARGIN_MM = 1.5  # around the contact, where the gel is deformed too
SCALE_MM = 0.6  # standard deviation of the blur that specks stand out from
MIN_SPECK, SPECK_NOISE = 0.1, 6.0  # relative change, and in standard deviations of the pixels
MIN_SPECK_PX, MAX_SPECK_MM2 = 2, 0.4  # larger blobs are markers, or parts of a contact
COARSE_MM = 0.4  # standard deviation of the blur under which the coating is compared
MAX_LOST, MAX_SPECKS, MAX_CHANGE = 0.1, 15, 0.05


@dataclass(frozen=True)
class GelHealth:
    """Condition of the gel in one image, outside of the contact.

    Attributes:
        markers_expected: markers that the image should show.
        markers_detected: those that were detected.
        markers_lost: lost fraction of the markers outside of the contact, 0 to 1.
        specks: number of small blobs.
        speck_fraction: fraction of the examined pixels that they cover, 0 to 1.
        undeformed_change: RMS relative change of the coating's image since calibration, without
            brightness and markers.
        brightness: (red, green, blue) ratio to the reference image.
        brightness_variation: range of this ratio over the image, largest / smallest - 1.
    """

    markers_expected: int
    markers_detected: int
    markers_lost: float
    specks: int
    speck_fraction: float
    undeformed_change: float
    brightness: tuple[float, float, float]
    brightness_variation: float

    @property
    def figures(self) -> dict[str, Any]:
        """Rounded figures by name."""
        return {
            "markers_expected": self.markers_expected,
            "markers_detected": self.markers_detected,
            "markers_lost": round(self.markers_lost, 4),
            "specks": self.specks,
            "speck_fraction": round(self.speck_fraction, 6),
            "undeformed_change": round(self.undeformed_change, 4),
            "brightness": [round(part, 4) for part in self.brightness],
            "brightness_variation": round(self.brightness_variation, 4),
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong and what to do, one sentence each."""
        lines = []
        if self.markers_lost > MAX_LOST:
            lines.append(
                f"{100 * self.markers_lost:.0f} % of the markers are lost: clean the gel; replace "
                "it and calibrate if they are worn off"
            )
        if self.specks > MAX_SPECKS:
            lines.append(f"{self.specks} specks on the gel: clean it; replace it if they stay")
        if self.undeformed_change > MAX_CHANGE:
            lines.append(
                f"the undeformed gel has changed by {100 * self.undeformed_change:.0f} % since its "
                "calibration: if nothing touches it in the reference image, calibrate again, and "
                "replace the gel if its coating is worn"
            )
        return tuple(lines)


def gel_health(
    model: SensorModel,
    undeformed: Floats,
    reference: FitImage,
    image: NDArray[np.uint8],
    markers: MarkerField | None,
    contact_mm: NDArray[np.floating],
) -> GelHealth:
    """Assess the gel in one image.

    Args:
        model: sensor model.
        undeformed: (h, w, 3) pixel values of the undeformed gel by the sensor file, without
            markers, 1 for white.
        reference: reference image.
        image: (H, W, 3) uint8 RGB image.
        markers: markers of the image; None for a gel without markers.
        contact_mm: (n, 3) surface points in contact, mm.
    """
    current = fit_image(image, markers)
    size = current.free.shape[::-1]
    calibrated = FitImage(_resized(undeformed, size), np.ones(size[::-1], bool))
    before = FitImage(
        _resized(reference.value, size), _resized(reference.free.astype(float), size) > 0.99
    )
    brightness = brightness_change(before, current)
    mm_per_px = model.mm_per_px * model.image.width_px / size[0]
    off_contact = ~_contact_pixels(model, contact_mm, size, mm_per_px)
    examined = current.free & off_contact
    ratio = _log_ratio(calibrated, current)
    specks, covered = _specks(ratio, examined, mm_per_px)
    expected, detected, lost = _marker_counts(model, markers, off_contact)
    red, green, blue = brightness.mean.tolist()
    return GelHealth(
        markers_expected=expected,
        markers_detected=detected,
        markers_lost=lost,
        specks=specks,
        speck_fraction=covered,
        undeformed_change=_rms(ratio, examined, mm_per_px),
        brightness=(red, green, blue),
        brightness_variation=brightness.variation,
    )


def _resized(values: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def _contact_pixels(
    model: SensorModel, contact_mm: NDArray[np.floating], size: tuple[int, int], mm_per_px: float
) -> Mask:
    """(h, w) pixels of the contact and a margin around it."""
    mask = np.zeros(size[::-1], np.uint8)
    pixels = project(parameter_values(model), contact_mm) * (size[0] / model.image.width_px)
    inside = np.all((pixels >= 0) & (pixels <= np.array(size) - 1), axis=-1)
    column, row = np.rint(pixels[inside]).astype(int).T
    mask[row, column] = 1
    radius = round(MARGIN_MM / mm_per_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, disc), bool)


def _blurred(values: Floats, weight: Mask, sigma_px: float) -> Floats:
    """Gaussian mean (h, w, 3) of the values with a weight; 0 where there is none."""
    total = cv2.GaussianBlur(weight.astype(np.float64), (0, 0), sigma_px)
    mean = cv2.GaussianBlur(values * weight[..., None], (0, 0), sigma_px)
    return np.asarray(mean / np.maximum(total, 1e-6)[..., None])


def _log_ratio(before: FitImage, after: FitImage) -> Floats:
    """(h, w, 3) logarithm of the ratio of two images, without brightness."""
    after = at_brightness(after, brightness_change(before, after).gain)
    log_after, log_before = (
        np.log(np.maximum(image.value, MIN_BRIGHTNESS)) for image in (after, before)
    )
    return np.asarray(log_after - log_before)


def _specks(ratio: Floats, examined: Mask, mm_per_px: float) -> tuple[int, float]:
    """Number of small blobs, and the fraction of the examined pixels that they cover.

    Dust changes all three colours alike; the artefacts of JPEG beside markers change them unlike.
    """
    if not examined.any():
        return 0, 0.0
    detail = np.abs((ratio - _blurred(ratio, examined, SCALE_MM / mm_per_px)).mean(axis=-1))
    noise = 1.4826 * np.median(detail[examined])
    blobs = (detail > max(SPECK_NOISE * noise, MIN_SPECK)) & examined
    count, _, stats, _ = cv2.connectedComponentsWithStats(blobs.astype(np.uint8), connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    areas = areas[(areas >= MIN_SPECK_PX) & (areas * mm_per_px**2 < MAX_SPECK_MM2)]
    return len(areas), float(areas.sum() / examined.sum())


def _rms(ratio: Floats, examined: Mask, mm_per_px: float) -> float:
    """RMS of the coarse part of the ratio at the examined pixels."""
    if not examined.any():
        return 0.0
    coarse = _blurred(ratio, examined, COARSE_MM / mm_per_px)
    return float(np.sqrt(np.mean(coarse[examined] ** 2)))


def _marker_counts(
    model: SensorModel, markers: MarkerField | None, off_contact: Mask
) -> tuple[int, int, float]:
    """Expected and detected markers, and the lost fraction of those off the contact."""
    if markers is None:
        return 0, 0, 0.0
    pixels = project(parameter_values(model), marker_positions_mm(model))
    size = np.array([model.image.width_px, model.image.height_px])
    visible = np.all((pixels > 0) & (pixels < size - 1), axis=-1)
    scale = off_contact.shape[1] / model.image.width_px
    column, row = np.moveaxis(np.where(visible[..., None], scale * pixels, 0).astype(int), -1, 0)
    assessed = visible & off_contact[row, column]
    lost = assessed & ~markers.found
    detected = int((visible & markers.found).sum())
    return int(visible.sum()), detected, float(lost.sum() / max(int(assessed.sum()), 1))
