"""Centres of discs of known diameter of which only a part can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_RAYS = 40
_STEPS = 24
_PASSES = 6
#: An outline point lies on the circle when it is this near to it, in radii.
_TOLERANCE = 0.14
#: The centre is trusted when this fraction of the circle is seen, counted in sectors.
_MIN_ARC, _SECTORS = 0.4, 20


@dataclass(frozen=True, eq=False)
class _Outline:
    """Points on the edges of D dots."""

    point: NDArray[np.float64]
    """(D, 1, K, 2) px."""
    seen: NDArray[np.bool_]
    """(D, 1, K) whether the ray met the edge inside the frame."""


def fit_discs(
    darkness: NDArray[np.float32],
    start: NDArray[np.float64],
    level: NDArray[np.float64],
    diameter_px: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit a circle of known diameter to each dark spot's outline: centres (D, 2) px, trusted (D,).

    darkness: (H, W). start: (D, 2) px inside the visible parts. level: (D,) darkness at the
    outline. diameter_px: (D,). The straight edge of a cover, a tail of ink or the frame's border
    lies off the circle: fits begin on every side, the one with the most outline points on its
    circle wins. Trusted when they span 0.4 of the circle.
    """
    outline = _outline(darkness, start, level, diameter_px)
    radius = 0.5 * diameter_px[:, None, None]
    angle = np.arange(6) * (2.0 * np.pi / 6)
    around = np.concatenate([np.zeros((1, 2)), np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    fitted = _refine(outline, start[:, None] + 0.45 * radius * around, radius)
    best = np.argmax(_on_circle(outline, fitted, radius).sum(axis=-1), axis=1)
    centre = fitted[np.arange(len(start)), best][:, None]
    return centre[:, 0], _arc(outline, centre, radius)[:, 0] >= _MIN_ARC


def _outline(
    darkness: NDArray[np.float32],
    start: NDArray[np.float64],
    level: NDArray[np.float64],
    diameter_px: NDArray[np.float64],
) -> _Outline:
    """First crossing of the level along each ray from the start."""
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
    part = (inner - level[:, None]) / np.maximum(inner - outer, 1e-6)
    point = start[:, None] + ((crossing[..., 0] - 1 + part) * step_px)[..., None] * ray
    limit = np.array([darkness.shape[1] - 1.0, darkness.shape[0] - 1.0])
    seen = (crossing[..., 0] > 0) & np.all((point > 0.0) & (point < limit), axis=-1)
    return _Outline(point[:, None], seen[:, None])


def _refine(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gauss-Newton on the distances to circles at (D, S, 2), with Cauchy weights."""
    for _ in range(_PASSES):
        away = outline.point - centre[:, :, None]
        distance = np.maximum(np.hypot(away[..., 0], away[..., 1]), 1e-6)
        off = distance - radius
        weight = outline.seen / (1.0 + (off / (_TOLERANCE * radius)) ** 2)
        nx, ny = away[..., 0] / distance, away[..., 1] / distance
        xx, xy, yy = ((weight * a * b).sum(-1) for a, b in ((nx, nx), (nx, ny), (ny, ny)))
        x, y = (weight * nx * off).sum(-1), (weight * ny * off).sum(-1)
        determinant = np.maximum(xx * yy - xy * xy, 1e-9)
        step = np.stack([yy * x - xy * y, xx * y - xy * x], axis=-1) / determinant[..., None]
        centre = centre + np.clip(step, -0.3 * radius, 0.3 * radius)
    return centre


def _on_circle(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which outline points lie on the circles at (D, S, 2): (D, S, K)."""
    away = outline.point - centre[:, :, None]
    off = np.hypot(away[..., 0], away[..., 1]) - radius
    return np.asarray(outline.seen & (np.abs(off) < _TOLERANCE * radius))


def _arc(
    outline: _Outline, centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fraction of the sectors of the circles at (D, S, 2) that have an outline point: (D, S)."""
    away = outline.point - centre[:, :, None]
    turn = np.arctan2(away[..., 1], away[..., 0]) / (2.0 * np.pi) + 0.5
    sector = np.minimum(np.floor(turn * _SECTORS), _SECTORS - 1)
    on_circle = _on_circle(outline, centre, radius)
    hit = (sector[..., None] == np.arange(_SECTORS)) & on_circle[..., None]
    return np.asarray(hit.any(axis=-2).mean(axis=-1))
