"""Takes the noise out of the reflected part of a path-traced image.

Reflected light arrives smoothly, so within a small window it is an affine function of the
surface's normal, times the paint. That function is fitted in every window by least squares
(as the guided filter of He, Sun and Tang, 2013, with three guides and no offset).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW_SHARE = 0.07  # of the image's width
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
    side = 2 * round(WINDOW_SHARE * noisy.shape[1] / 2) + 1
    size = (side, side)
    products = coarse_guides[..., :, None] * coarse_guides[..., None, :]
    normal = _box(products.reshape(*noisy.shape[:2], 9), size).reshape(*noisy.shape[:2], 3, 3)
    ridge = RIDGE * float(np.mean(coarse_guides**2))
    normal += ridge * np.diag([0.01, 1.0, 1.0])
    result = []
    for channel in range(3):
        right = _box(coarse_guides * noisy[..., channel, None], size)
        factors = np.linalg.solve(normal, right[..., None])[..., 0]
        fine = cv2.resize(_box(factors, size), guides.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        result.append(np.maximum(np.sum(fine * guides, axis=-1), 0.0))
    return np.stack(result, axis=-1)


def _box(values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    channels = [
        cv2.blur(np.ascontiguousarray(values[..., k]), size, borderType=cv2.BORDER_REFLECT)
        for k in range(values.shape[-1])
    ]
    return np.stack(channels, axis=-1)
