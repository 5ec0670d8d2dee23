"""Overlay of markers and their displacement on an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.marker_field import MarkerField

# RGB colours.
RING = (255, 255, 255)
ARROW = (255, 235, 60)
MISSING = (255, 60, 60)
SUBPIXEL_BITS = 4  # fractional bits of OpenCV's fixed-point coordinates


def draw_markers(
    image: NDArray[np.uint8],
    field: MarkerField,
    reference: MarkerField,
    zoom: int = 2,
    arrow_gain: float = 3.0,
) -> NDArray[np.uint8]:
    """Draw a ring around each marker, its displacement as an arrow, and crosses for missing ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        field: markers of this image.
        reference: markers of the reference image, which are the positions of the crosses.
        zoom: factor of the image size.
        arrow_gain: ratio of an arrow's length to the displacement.

    Returns:
        (zoom * H, zoom * W, 3) uint8 RGB.
    """
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    canvas = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    displacement_px = field.displacement_px(reference)
    for index in np.ndindex(field.found.shape):
        if field.found[index]:
            centre = _fixed_point(field.position_px[index], zoom)
            radius = round(0.5 * field.diameter_px[index] * zoom * 2**SUBPIXEL_BITS)
            cv2.circle(canvas, centre, radius, RING, 1, cv2.LINE_AA, SUBPIXEL_BITS)
            arrow_px = arrow_gain * displacement_px[index]
            if np.all(np.isfinite(arrow_px)):
                tip = _fixed_point(field.position_px[index] + arrow_px, zoom)
                _draw_arrow(canvas, centre, tip)
        elif reference.found[index]:
            x, y = np.rint((reference.position_px[index] + 0.5) * zoom).astype(int)
            cv2.drawMarker(canvas, (int(x), int(y)), MISSING, cv2.MARKER_TILTED_CROSS, 8, 1)
    return canvas


def _draw_arrow(canvas: NDArray[np.uint8], start: tuple[int, int], tip: tuple[int, int]) -> None:
    """Draw an arrow between fixed-point positions, unless it is shorter than 2 pixels."""
    scale = 2**SUBPIXEL_BITS
    if np.hypot(tip[0] - start[0], tip[1] - start[1]) < 2 * scale:
        return
    cv2.arrowedLine(canvas, start, tip, ARROW, 1, cv2.LINE_AA, SUBPIXEL_BITS, 0.3)


def _fixed_point(position: NDArray[np.float64], zoom: int) -> tuple[int, int]:
    """Position in the enlarged image as OpenCV's fixed-point coordinates."""
    x, y = ((position + 0.5) * zoom - 0.5) * 2**SUBPIXEL_BITS
    return round(float(x)), round(float(y))
