"""Fit of circles with known diameter to the visible parts of markers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_RAYS = 40
_STEPS = 24
_PASSES = 6
_STARTS = 6  # starting points around the centre, besides the centre itself
#: Radial distance within which an outline point counts as lying on the circle, in radii.
_TOLERANCE = 0.14
#: Fraction of the circle's sectors that must have an outline point for a trusted centre.
_MIN_ARC, _SECTORS = 0.4, 20


@dataclass(frozen=True, eq=False)
class _Outline:
    """Outline points of D markers along K rays each."""

    point: NDArray[np.float64]
    """(D, 1, K, 2) positions (x, y), px."""
    visible: NDArray[np.bool_]
    """(D, 1, K) whether the ray crossed the outline inside the frame."""


def fit_discs(
    darkness: NDArray[np.float32],
    start: NDArray[np.float64],
    level: NDArray[np.float64],
    diameter_px: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit a circle of known diameter to the outline of each of D dark blobs.

    The straight edge of a cover, a smear of ink and the border of the frame lie off the circle.
    Therefore the fit starts at several positions around the blob, and the circle with the most
    outline points wins.

    Args:
        darkness: (H, W) float32 darkness map.
        start: (D, 2) positions inside the visible parts, px.
        level: (D,) darkness at the outline.
        diameter_px: (D,) diameters of the circles, px.

    Returns:
        Tuple of the centres (D, 2), px, and a mask (D,) of the trusted ones, whose outline points
        span at least 0.4 of the circle.
    """
    outline = _outline(darkness, start, level, diameter_px)
    radius = 0.5 * diameter_px[:, None, None]
    angle = np.arange(_STARTS) * (2.0 * np.pi / _STARTS)
    around = np.concatenate([np.zeros((1, 2)), np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    fitted = _refine(outline, start[:, None] + 0.45 * radius * around, radius)
    best = np.argmax(_on_circle(outline, fitted, radius).sum(axis=-1), axis=1)
    centre = fitted[np.arange(len(start)), best][:, None]
    return centre[:, 0], _arc_fraction(outline, centre, radius)[:, 0] >= _MIN_ARC


def _outline(
    darkness: NDArray[np.float32],
    start: NDArray[np.float64],
    level: NDArray[np.float64],
    diameter_px: NDArray[np.float64],
) -> _Outline:
    """Return the first crossing of the darkness level along each ray from the start positions.

    The crossing is interpolated linearly between the two samples around it. Rays that start
    outside the blob, do not cross the level or leave the frame are marked as not visible.
    """
    angle = np.arange(_RAYS) * (2.0 * np.pi / _RAYS)
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    step_px = 1.1 * diameter_px[:, None] / (_STEPS - 1)
    reach = step_px[..., None] * np.arange(_STEPS)
    sample = start[:, None, None] + reach[..., None] * ray[:, None]
    flat = sample.astype(np.float32).reshape(len(start), -1, 2)
    profile = cv2.remap(
        darkness, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    profile = profile.reshape(len(start), _RAYS, _STEPS)
    crossing = np.argmax(profile < level[:, None, None], axis=-1)[..., None]
    outer = np.take_along_axis(profile, crossing, -1)[..., 0]
    inner = np.take_along_axis(profile, np.maximum(crossing - 1, 0), -1)[..., 0]
    fraction = (inner - level[:, None]) / np.maximum(inner - outer, 1e-6)
    point = start[:, None] + ((crossing[..., 0] - 1 + fraction) * step_px)[..., None] * ray
    limit = np.array([darkness.shape[1] - 1.0, darkness.shape[0] - 1.0])
    visible = (crossing[..., 0] > 0) & np.all((point > 0.0) & (point < limit), axis=-1)
    return _Outline(point[:, None], visible[:, None])


def _refine(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the centres (D, S, 2) of circles to outline points by Gauss-Newton, Cauchy weights."""
    for _ in range(_PASSES):
        offset = outline.point - centre[:, :, None]
        distance = np.maximum(np.hypot(offset[..., 0], offset[..., 1]), 1e-6)
        residual = distance - radius
        weight = outline.visible / (1.0 + (residual / (_TOLERANCE * radius)) ** 2)
        nx, ny = offset[..., 0] / distance, offset[..., 1] / distance
        xx, xy, yy = ((weight * a * b).sum(-1) for a, b in ((nx, nx), (nx, ny), (ny, ny)))
        x, y = (weight * nx * residual).sum(-1), (weight * ny * residual).sum(-1)
        determinant = np.maximum(xx * yy - xy * xy, 1e-9)
        step = np.stack([yy * x - xy * y, xx * y - xy * x], axis=-1) / determinant[..., None]
        centre = centre + np.clip(step, -0.3 * radius, 0.3 * radius)
    return centre


def _on_circle(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether outline points lie on the circles with centres (D, S, 2), as (D, S, K)."""
    offset = outline.point - centre[:, :, None]
    residual = np.hypot(offset[..., 0], offset[..., 1]) - radius
    return np.asarray(outline.visible & (np.abs(residual) < _TOLERANCE * radius))


def _arc_fraction(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the fraction (D, S) of the sectors of each circle that have an outline point."""
    offset = outline.point - centre[:, :, None]
    revolution = np.arctan2(offset[..., 1], offset[..., 0]) / (2.0 * np.pi) + 0.5
    sector = np.minimum(np.floor(revolution * _SECTORS), _SECTORS - 1)
    on_circle = _on_circle(outline, centre, radius)
    is_hit = (sector[..., None] == np.arange(_SECTORS)) & on_circle[..., None]
    return np.asarray(is_hit.any(axis=-2).mean(axis=-1))
