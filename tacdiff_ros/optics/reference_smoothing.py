"""Takes the noise out of the reflected part of a path-traced image.

Reflected light arrives smoothly, so it is nearly an affine function of the surface's normal, times
the paint. The function is fitted in windows by least squares (as the guided filter of He, Sun and
Tang, 2013, with three guides): its slopes in wide ones, as only few pixels tell of them; what is
left in narrow ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NARROW, WIDE = 0.07, 0.2  # windows' sides, of the image's width
RIDGE = 1e-4  # of the guides' mean square, keeps flat windows solvable


def smooth_reflected(
    noisy: NDArray[np.float64], coarse_guides: NDArray[np.float64], guides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit reflected light by guides at a coarse size, and draw it at a fine one.

    Args:
        noisy: (h, w, 3) reflected radiance.
        coarse_guides: (h, w, 3) paint, and paint times the normal's x and y.
        guides: (H, W, 3) the same at the size that is wanted.

    Returns:
        (H, W, 3) radiance, not negative.
    """
    paint, tilts = coarse_guides[..., :1], coarse_guides[..., 1:]
    slopes = _fit(noisy, coarse_guides, WIDE)[..., 1:, :]
    rest = noisy - np.einsum("hwg,hwgc->hwc", tilts, slopes)
    factors = np.concatenate([_fit(rest, paint, NARROW), slopes], axis=-2)
    height, width = guides.shape[:2]
    fine = cv2.resize(
        factors.reshape(*noisy.shape[:2], -1), (width, height), interpolation=cv2.INTER_CUBIC
    ).reshape(height, width, 3, 3)
    return np.asarray(np.maximum(np.einsum("hwg,hwgc->hwc", guides, fine), 0.0))


def _fit(
    values: NDArray[np.float64], guides: NDArray[np.float64], window: float
) -> NDArray[np.float64]:
    """(h, w, guides, channels) factors that make values (h, w, channels) of guides."""
    count = guides.shape[-1]
    side = 2 * round(window * values.shape[1] / 2) + 1
    ridge = RIDGE * float(np.mean(guides**2)) * np.eye(count)
    ridge[0, 0] *= 0.01
    normal = _box(guides[..., :, None] * guides[..., None, :], side) + ridge
    right = _box(guides[..., :, None] * values[..., None, :], side)
    return _box(np.linalg.solve(normal, right), side)


def _box(values: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Means over square windows of (h, w, ...)."""
    flat = values.reshape(*values.shape[:2], -1)
    channels = [
        cv2.blur(np.ascontiguousarray(flat[..., k]), (side, side), borderType=cv2.BORDER_REFLECT)
        for k in range(flat.shape[-1])
    ]
    return np.asarray(np.stack(channels, axis=-1).reshape(values.shape), np.float64)
