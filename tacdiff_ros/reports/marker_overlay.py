"""Dots and their displacement drawn onto an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.marker_field import MarkerField

RING = (255, 255, 255)
ARROW = (255, 235, 60)
MISSING = (255, 60, 60)
SUBPIXEL_BITS = 4


def draw_markers(
    image: NDArray[np.uint8],
    field: MarkerField,
    reference: MarkerField,
    zoom: int = 2,
    arrow_gain: float = 3.0,
) -> NDArray[np.uint8]:
    """Image (zoom * H, zoom * W, 3) with a ring on each dot and its motion as an arrow.

    Args:
        image: (H, W, 3) uint8 RGB.
        field: dots of this image.
        reference: dots of the untouched sensor; missing dots get a cross there.
        zoom: enlargement of the image.
        arrow_gain: arrows are drawn so many times as long as the motion.
    """
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    canvas = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    moved = field.displacement_px(reference)
    for index in np.ndindex(field.found.shape):
        if field.found[index]:
            centre = _fixed(field.position_px[index], zoom)
            radius = round(0.5 * field.diameter_px[index] * zoom * 2**SUBPIXEL_BITS)
            cv2.circle(canvas, centre, radius, RING, 1, cv2.LINE_AA, SUBPIXEL_BITS)
            if np.all(np.isfinite(moved[index])):
                tip = _fixed(field.position_px[index] + arrow_gain * moved[index], zoom)
                _arrow(canvas, centre, tip)
        elif reference.found[index]:
            x, y = np.rint((reference.position_px[index] + 0.5) * zoom).astype(int)
            cv2.drawMarker(canvas, (int(x), int(y)), MISSING, cv2.MARKER_TILTED_CROSS, 8, 1)
    return canvas


def _arrow(canvas: NDArray[np.uint8], start: tuple[int, int], tip: tuple[int, int]) -> None:
    scale = 2**SUBPIXEL_BITS
    if np.hypot(tip[0] - start[0], tip[1] - start[1]) < 2 * scale:
        return
    cv2.arrowedLine(canvas, start, tip, ARROW, 1, cv2.LINE_AA, SUBPIXEL_BITS, 0.3)


def _fixed(place: NDArray[np.float64], zoom: int) -> tuple[int, int]:
    """Place in the enlarged image as OpenCV's fixed-point numbers."""
    x, y = ((place + 0.5) * zoom - 0.5) * 2**SUBPIXEL_BITS
    return round(float(x)), round(float(y))
