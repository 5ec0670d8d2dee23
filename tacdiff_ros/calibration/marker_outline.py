"""Centre of a disc of known diameter of which only a part can be seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_RAYS = 48
_STEPS = 28
#: An outline point belongs to the circle when it is this near to it, in diameters.
_TOLERANCE = 0.07
#: The centre is trusted when this fraction of the circle is seen.
_LEAST_ARC = 0.4


def fit_disc(
    darkness: NDArray[np.float32],
    start: NDArray[np.float64],
    level: float,
    diameter_px: float,
) -> tuple[NDArray[np.float64], bool]:
    """Fit the circle of `diameter_px` to the outline of a dark spot; (centre (2,) px, trusted).

    darkness: (H, W). start: (2,) px inside the visible part. level: darkness at the outline.
    The straight edge of a cover, a tail of ink or the frame's border lies off the circle: the
    centre with the most outline points on its circle wins, out of starts on every side, then
    those points alone decide (Gauss-Newton). Trusted when they span 0.4 of the circle.
    """
    points = _outline(darkness, start, level, diameter_px)
    radius = 0.5 * diameter_px
    angle = np.arange(12) * (2.0 * np.pi / 12)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    starts = start + np.concatenate(
        [np.zeros((1, 2)), 0.3 * radius * around, 0.6 * radius * around]
    )
    fitted = [_refine(points, begin, radius) for begin in starts]
    inliers = [_on_circle(points, centre, radius).sum() for centre in fitted]
    best = fitted[int(np.argmax(inliers))]
    return best, _arc(points, best, radius) >= _LEAST_ARC


def _outline(
    darkness: NDArray[np.float32], start: NDArray[np.float64], level: float, diameter_px: float
) -> NDArray[np.float64]:
    """First crossings of `level` along rays from `start`: (K, 2) px, none outside the frame."""
    angle = np.arange(_RAYS) * (2.0 * np.pi / _RAYS)
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = np.linspace(0.0, 1.1 * diameter_px, _STEPS)
    sample = start + distance[None, :, None] * ray[:, None, :]
    profile = cv2.remap(
        darkness,
        sample[..., 0].astype(np.float32),
        sample[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    below = profile < level
    crossing = np.argmax(below, axis=1)
    rays = np.flatnonzero(crossing > 0)
    step = crossing[rays]
    outer, inner = profile[rays, step], profile[rays, step - 1]
    part = (inner - level) / np.maximum(inner - outer, 1e-6)
    reach = (step - 1 + part) * (distance[1] - distance[0])
    points = start + reach[:, None] * ray[rays]
    limit = np.array([darkness.shape[1] - 1.0, darkness.shape[0] - 1.0])
    return np.asarray(points[np.all((points > 0.0) & (points < limit), axis=1)], dtype=np.float64)


def _on_circle(
    points: NDArray[np.float64], centre: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    off = np.hypot(*(points - centre).T) - radius
    return np.asarray(np.abs(off) < 2.0 * _TOLERANCE * radius)


def _refine(
    points: NDArray[np.float64], centre: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Gauss-Newton on the distances to the circle, with Cauchy weights."""
    scale = _TOLERANCE * radius
    for _ in range(8):
        away = points - centre
        distance = np.maximum(np.hypot(*away.T), 1e-6)
        normal = away / distance[:, None]
        off = distance - radius
        weight = 1.0 / (1.0 + (off / scale) ** 2)
        normal_matrix = (normal * weight[:, None]).T @ normal + 1e-9 * np.eye(2)
        step = np.linalg.solve(normal_matrix, (normal * weight[:, None]).T @ off)
        centre = centre + np.clip(step, -0.3 * radius, 0.3 * radius)
    return centre


def _arc(points: NDArray[np.float64], centre: NDArray[np.float64], radius: float) -> float:
    """Fraction of the circle, in 24 sectors, that has an outline point on it."""
    away = (points - centre)[_on_circle(points, centre, radius)]
    sector = np.floor((np.arctan2(away[:, 1], away[:, 0]) / (2.0 * np.pi) + 0.5) * 24.0)
    return len(np.unique(np.minimum(sector, 23.0))) / 24.0
