"""Sub-pixel measurement of centre and diameter of markers with known approximate positions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.outline import fit_discs

#: Radius of the largest window around a marker, in pitches; windows of neighbours do not overlap.
_WINDOW = 0.45
#: Minimum darkness of a marker; it also keeps divisions finite.
_MIN_CONTRAST = 0.02
#: Centroid passes; each centres the window at the result of the previous one.
_PASSES = 3
#: Bounds of the depth and area of a marker, relative to the median marker of the image.
_MIN_DEPTH, _MIN_AREA, _MAX_AREA = 0.35, 0.3, 2.5
#: Thresholds of the blend between centroid and outline: the first value of each pair has only the
#: centroid, the second only the outline. Real whole markers reach an asymmetry of 0.20 and at least
#: 0.82 of their neighbours' area; half of a disc has an asymmetry of 0.15 and an area of 0.5.
_WHOLE, _BROKEN = 0.22, 0.40  # asymmetry of broken markers
_FULL_AREA, _REDUCED_AREA = 0.82, 0.68  # area relative to the neighbours
_EVEN, _UNEVEN = 0.07, 0.11  # asymmetry of markers with a reduced area


@dataclass(frozen=True, eq=False)
class MeasuredMarkers:
    """Results of `measure_markers` at N positions."""

    position_px: NDArray[np.float64]
    """(N, 2) centres (x, y), px."""
    diameter_px: NDArray[np.float64]
    """(N,) diameters of circles with the area of the markers, px."""
    is_valid: NDArray[np.bool_]
    """(N,) whether there is a marker whose centre could be measured."""


def measure_markers(
    darkness: NDArray[np.float32], positions: NDArray[np.float64], pitch_px: float
) -> MeasuredMarkers:
    """Measure the markers near approximate positions.

    The centre of a whole marker is the centroid of its thresholded darkness, which averages over
    all of its pixels. The centroid of a marker that is cut by the frame or partly covered is
    biased: there, a circle of the typical diameter is fitted to the visible part of the outline.
    The two results are blended continuously, so that a marker does not jump from frame to frame.

    Limits: a marker whose centre is outside the frame is not valid.

    Args:
        darkness: (H, W) float32 result of `darkness_map`.
        positions: (N, 2) approximate positions (x, y), px, each within a third of a marker
            diameter of the centre.
        pitch_px: distance between markers, px.

    Returns:
        Centres, diameters and validity at the N positions.
    """
    if len(positions) == 0:
        return MeasuredMarkers(np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))
    depth, centre, area = _centroids(darkness, positions, pitch_px)
    typical_area, typical_depth = np.median(area), np.median(depth)
    is_valid = (depth > _MIN_DEPTH * typical_depth) & (area > _MIN_AREA * typical_area)
    is_valid &= area < _MAX_AREA * typical_area
    diameter = np.sqrt(4.0 / np.pi * area)
    cut = _cut_by_frame(centre, darkness.shape, float(np.median(diameter)))
    typical = _typical_diameters(centre, diameter, cut == 0.0)
    asymmetry = _asymmetry(darkness, centre, depth, diameter)
    outline_weight = np.maximum(cut, _brokenness(asymmetry, (diameter / typical) ** 2))
    rows = np.flatnonzero(is_valid & (outline_weight > 0.0))
    if rows.size:
        fitted, is_trusted = fit_discs(darkness, centre[rows], 0.5 * depth[rows], typical[rows])
        is_valid[rows] = is_trusted | (outline_weight[rows] < 1.0)
        weight = np.where(is_trusted, outline_weight[rows], 0.0)
        centre[rows] += weight[:, None] * (fitted - centre[rows])
        diameter[rows] += weight * (typical[rows] - diameter[rows])
    return MeasuredMarkers(
        position_px=centre,
        diameter_px=diameter,
        is_valid=is_valid & _inside(centre, darkness.shape),
    )


def _inside(position: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return whether positions (N, 2), px, lie inside an image of a shape (H, W)."""
    limit = np.array([shape[1] - 0.5, shape[0] - 0.5])
    return np.all((position >= -0.5) & (position <= limit), axis=1)


def _brokenness(asymmetry: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the degree (N,), 0 to 1, to which parts of markers are missing or added.

    A moderate asymmetry counts only together with a reduced area: a marker with a small area alone
    is a small marker, one with a moderate asymmetry alone has a textured surface.

    Args:
        asymmetry: (N,) result of `_asymmetry`.
        area: (N,) areas relative to the neighbours' area.
    """
    broken = np.clip((asymmetry - _WHOLE) / (_BROKEN - _WHOLE), 0.0, 1.0)
    reduced = np.clip((_FULL_AREA - area) / (_FULL_AREA - _REDUCED_AREA), 0.0, 1.0)
    uneven = np.clip((asymmetry - _EVEN) / (_UNEVEN - _EVEN), 0.0, 1.0)
    return np.asarray(np.maximum(broken, reduced * uneven))


def _cut_by_frame(
    position: NDArray[np.float64], shape: tuple[int, ...], diameter_px: float
) -> NDArray[np.float64]:
    """Return the degree (N,) to which the frame cuts markers: 0 well inside, 1 for cut ones."""
    last = np.array([shape[1] - 1.0, shape[0] - 1.0])
    distance = np.minimum(position, last - position).min(axis=1) / diameter_px
    return np.asarray(np.clip((0.65 - distance) / 0.15, 0.0, 1.0))


def _centroids(
    darkness: NDArray[np.float32], positions: NDArray[np.float64], pitch_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Measure the dark area within 0.45 pitch of each position.

    Args:
        darkness: (H, W) float32 darkness map.
        positions: (N, 2) approximate positions (x, y), px.
        pitch_px: distance between markers, px.

    Returns:
        Tuple of the depths (N,), the typical darkness of a marker's middle; the centroids (N, 2),
        px; and the dark areas (N,), px^2.
    """
    half = int(np.ceil(_WINDOW * pitch_px)) + 1
    span = np.arange(-half, half + 1, dtype=np.float32)
    pixel = np.rint(positions)
    patch = _patches(darkness, pixel.astype(int), half)
    middle = span**2 + span[:, None] ** 2 <= (0.15 * pitch_px) ** 2
    depth = np.percentile(patch[:, middle], 70.0, axis=1).astype(np.float32)
    depth = np.maximum(depth, _MIN_CONTRAST)
    ink = _ink(patch, depth[:, None, None])
    offset = (positions - pixel).astype(np.float32)
    radius = _WINDOW * pitch_px
    for _ in range(_PASSES):
        squared_x = (span - offset[:, :1]) ** 2
        squared_y = (span - offset[:, 1:]) ** 2
        distance = np.sqrt(squared_x[:, None, :] + squared_y[:, :, None])
        inside = ink * np.clip(np.float32(radius + 0.5) - distance, 0.0, 1.0)
        columns, rows = inside.sum(axis=1), inside.sum(axis=2)
        area = np.maximum(columns.sum(axis=1), 1e-6)
        offset = np.stack([columns @ span, rows @ span], axis=1) / area[:, None]
        # A smaller window excludes dark features beside the marker, such as scratches or shadows.
        radius = min(_WINDOW * pitch_px, 1.7 * float(np.sqrt(np.median(area) / np.pi)))
    return depth.astype(np.float64), pixel + offset, area.astype(np.float64)


def _ink(darkness: NDArray[np.float32], depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the fraction of ink in each pixel, from 0 at 1/4 of the depth to 1 at 3/4.

    A pixel at half of the depth counts half. Noise of the gel and texture of the ink have no
    effect.
    """
    return np.clip(darkness * (2.0 / depth) - np.float32(0.5), 0.0, 1.0)


def _patches(
    darkness: NDArray[np.float32], pixel: NDArray[np.int_], half: int
) -> NDArray[np.float32]:
    """Return squares (N, 2 half + 1, 2 half + 1) around pixels (N, 2), 0 outside the frame."""
    padded = cv2.copyMakeBorder(darkness, half, half, half, half, cv2.BORDER_CONSTANT, value=0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * half + 1, 2 * half + 1))
    x, y = np.clip(pixel, 0, np.array(darkness.shape[::-1]) - 1).T
    return np.asarray(windows[y, x], dtype=np.float32)


def _asymmetry(
    darkness: NDArray[np.float32],
    centre: NDArray[np.float64],
    depth: NDArray[np.float64],
    diameter: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the violation (N,) of point symmetry: 0 for an ellipse, 1 for disjoint halves.

    Point symmetry is invariant under tilt, shear and size. Therefore the measure detects missing
    parts of a marker without false alarms where the gel is stretched. Parts outside the frame
    count as missing.

    Args:
        darkness: (H, W) float32 darkness map.
        centre: (N, 2) centroids (x, y), px.
        depth: (N,) depths of the markers.
        diameter: (N,) diameters, px.
    """
    half_width = 0.7 * float(np.median(diameter))
    span = np.linspace(-half_width, half_width, 21, dtype=np.float32)
    x, y = (axis.ravel() for axis in np.meshgrid(span, span))
    sampled = cv2.remap(
        darkness,
        (centre[:, :1] + x).astype(np.float32),
        (centre[:, 1:] + y).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    ink = _ink(np.asarray(sampled, np.float32), depth.astype(np.float32)[:, None])
    difference = np.abs(ink - ink[:, ::-1]).sum(axis=1)
    return np.asarray(difference / np.maximum(2.0 * ink.sum(axis=1), 1e-6), dtype=np.float64)


def _typical_diameters(
    centre: NDArray[np.float64], diameter: NDArray[np.float64], is_uncut: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the median diameter (N,) of the nine uncut markers nearest to each marker, px.

    The marker itself is one of them. Only near ones are used, because the diameters vary over the
    image if the camera is tilted.
    """
    uncut = np.flatnonzero(is_uncut)
    if uncut.size == 0:
        return np.full(len(centre), np.median(diameter))
    offset = centre[:, None] - centre[uncut]
    nearest = np.argsort(np.hypot(offset[..., 0], offset[..., 1]), axis=1)[:, :9]
    return np.asarray(np.median(diameter[uncut][nearest], axis=1))
