"""Sub-pixel centre and diameter of dots whose places are roughly known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.outline import fit_discs

#: Largest window around a dot, in pitches: nearly to where its neighbour's begins.
_WINDOW = 0.45
#: Darkness below which nothing is a dot (and that keeps divisions finite).
_MIN_CONTRAST = 0.02
#: Centroid passes: each moves the window to the centre the last one found.
_PASSES = 3
#: Least depth and area of a dot, and largest area, relative to the median dot of the image.
_MIN_DEPTH, _MIN_AREA, _MAX_AREA = 0.35, 0.3, 2.5
#: Below the first value a dot's shape is trusted as it is, above the second only its outline.
#: Real whole dots reach a lopsidedness of 0.20 and never less than 0.82 of their neighbours'
#: area; half a disc has 0.15 and 0.5.
_WHOLE, _BROKEN = 0.22, 0.40
_FULL_AREA, _SHORT_AREA = 0.82, 0.68
_EVEN, _UNEVEN = 0.07, 0.11


@dataclass(frozen=True, eq=False)
class MeasuredMarkers:
    """What `measure_markers` found at each of N places."""

    position_px: NDArray[np.float64]
    """(N, 2) centres (x, y), px."""
    diameter_px: NDArray[np.float64]
    """(N,) diameter of the circle of the same dark area, px."""
    good: NDArray[np.bool_]
    """(N,) whether there is a dot whose centre can be told."""


def measure_markers(
    darkness: NDArray[np.float32], places: NDArray[np.float64], pitch_px: float
) -> MeasuredMarkers:
    """Measure the dots near `places`.

    darkness: (H, W) of `darkness_map`. places: (N, 2) px, each within a third of a dot of its
    centre. A whole dot is the centroid of its thresholded darkness, which averages over all of
    its pixels. A dot cut by the frame or half covered has a centroid beside its centre: there
    a circle of the usual diameter is fitted to what is left of its outline. Between the two
    kinds the answer changes continuously, so that a dot does not jump from frame to frame.
    Limit: a dot with its centre outside the frame is not good.
    """
    count = len(places)
    if count == 0:
        return MeasuredMarkers(np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool))
    depth, centre, area = _centroids(darkness, places, pitch_px)
    usual_area, usual_depth = np.median(area), np.median(depth)
    good = (depth > _MIN_DEPTH * usual_depth) & (area > _MIN_AREA * usual_area)
    good &= area < _MAX_AREA * usual_area
    diameter = np.sqrt(4.0 / np.pi * area)
    cut = _cut_by_frame(centre, darkness.shape, float(np.median(diameter)))
    usual = _usual_diameters(centre, diameter, cut == 0.0)
    lopsided = _lopsidedness(darkness, centre, depth, diameter)
    share = np.maximum(cut, _brokenness(lopsided, (diameter / usual) ** 2))
    part = np.flatnonzero(good & (share > 0.0))
    if part.size:
        outline, trusted = fit_discs(darkness, centre[part], 0.5 * depth[part], usual[part])
        good[part] = trusted | (share[part] < 1.0)
        moved = np.where(trusted, share[part], 0.0)
        centre[part] += moved[:, None] * (outline - centre[part])
        diameter[part] += moved * (usual[part] - diameter[part])
    return MeasuredMarkers(centre, diameter, good & _inside(centre, darkness.shape))


def _inside(position: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    limit = np.array([shape[1] - 0.5, shape[0] - 0.5])
    return np.all((position >= -0.5) & (position <= limit), axis=1)


def _brokenness(lopsided: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a part is missing or added: (N,) from 0 to 1. area: relative to the neighbours'.

    Short of area alone is a small dot, and uneven alone is a textured one.
    """
    odd = np.clip((lopsided - _WHOLE) / (_BROKEN - _WHOLE), 0.0, 1.0)
    short = np.clip((_FULL_AREA - area) / (_FULL_AREA - _SHORT_AREA), 0.0, 1.0)
    uneven = np.clip((lopsided - _EVEN) / (_UNEVEN - _EVEN), 0.0, 1.0)
    return np.asarray(np.maximum(odd, short * uneven))


def _cut_by_frame(
    position: NDArray[np.float64], shape: tuple[int, ...], diameter_px: float
) -> NDArray[np.float64]:
    """How far each dot reaches out of the frame: (N,), 0 well inside, 1 when it is cut."""
    last = np.array([shape[1] - 1.0, shape[0] - 1.0])
    room = np.minimum(position, last - position).min(axis=1) / diameter_px
    return np.asarray(np.clip((0.65 - room) / 0.15, 0.0, 1.0))


def _centroids(
    darkness: NDArray[np.float32], places: NDArray[np.float64], pitch_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Depth (N,), centre (N, 2) and dark area (N,) px^2 within 0.45 pitch of each place."""
    half = int(np.ceil(_WINDOW * pitch_px)) + 1
    span = np.arange(-half, half + 1, dtype=np.float32)
    corner = np.rint(places)
    patch = _patches(darkness, corner.astype(int), half)
    near = span**2 + span[:, None] ** 2 <= (0.15 * pitch_px) ** 2
    depth = np.percentile(patch[:, near], 70.0, axis=1).astype(np.float32)
    depth = np.maximum(depth, _MIN_CONTRAST)
    ink = _ink(patch, depth[:, None, None])
    offset = (places - corner).astype(np.float32)
    radius = _WINDOW * pitch_px
    for _ in range(_PASSES):
        across = (span - offset[:, :1]) ** 2
        down = (span - offset[:, 1:]) ** 2
        reach = np.sqrt(across[:, None, :] + down[:, :, None])
        inside = ink * np.clip(np.float32(radius + 0.5) - reach, 0.0, 1.0)
        columns, rows = inside.sum(axis=1), inside.sum(axis=2)
        area = np.maximum(columns.sum(axis=1), 1e-6)
        offset = np.stack([columns @ span, rows @ span], axis=1) / area[:, None]
        # What is dark beside the dot (a scratch, a shadow's edge) leaves the window.
        radius = min(_WINDOW * pitch_px, 1.7 * float(np.sqrt(np.median(area) / np.pi)))
    return depth.astype(np.float64), corner + offset, area.astype(np.float64)


def _ink(darkness: NDArray[np.float32], depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of ink from 0 at a quarter of a dot's depth to 1 at three quarters.

    The half-depth edge counts half, so that noise of the gel and texture of the ink drop out.
    """
    return np.clip(darkness * (2.0 / depth) - np.float32(0.5), 0.0, 1.0)


def _patches(
    darkness: NDArray[np.float32], corner: NDArray[np.int_], half: int
) -> NDArray[np.float32]:
    """Squares (N, 2 half + 1, 2 half + 1) around whole pixels (N, 2), 0 outside the frame."""
    framed = cv2.copyMakeBorder(darkness, half, half, half, half, cv2.BORDER_CONSTANT, value=0)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (2 * half + 1, 2 * half + 1))
    x, y = np.clip(corner, 0, np.array(darkness.shape[::-1]) - 1).T
    return np.asarray(windows[y, x], dtype=np.float32)


def _lopsidedness(
    darkness: NDArray[np.float32],
    centre: NDArray[np.float64],
    depth: NDArray[np.float64],
    diameter: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far each dot is from point symmetry: (N,), 0 for an ellipse, 1 for two disjoint halves.

    Symmetry does not change under tilt, shear or a dot's own size, so it finds what is missing
    from a dot without a wrong alarm where the gel is stretched. Cut by the frame counts as
    missing.
    """
    reach = 0.7 * float(np.median(diameter))
    span = np.linspace(-reach, reach, 21, dtype=np.float32)
    x, y = (part.ravel() for part in np.meshgrid(span, span))
    flat = cv2.remap(
        darkness,
        (centre[:, :1] + x).astype(np.float32),
        (centre[:, 1:] + y).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    ink = _ink(np.asarray(flat, np.float32), depth.astype(np.float32)[:, None])
    difference = np.abs(ink - ink[:, ::-1]).sum(axis=1)
    return np.asarray(difference / np.maximum(2.0 * ink.sum(axis=1), 1e-6), dtype=np.float64)


def _usual_diameters(
    centre: NDArray[np.float64], diameter: NDArray[np.float64], uncut: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Median diameter of the nine uncut dots nearest to each dot, itself included: (N,) px.

    Near ones only, since dots grow across the image where the camera is tilted.
    """
    others = np.flatnonzero(uncut)
    if others.size == 0:
        return np.full(len(centre), np.median(diameter))
    away = centre[:, None] - centre[others]
    near = np.argsort(np.hypot(away[..., 0], away[..., 1]), axis=1)[:, :9]
    return np.asarray(np.median(diameter[others][near], axis=1))
