"""Noise reduction for the reflected light of a path-traced image.

Reflected light varies smoothly, so the reflected part of an image is nearly an affine function of
the surface's normal and height, multiplied by the paint. This function is fitted in windows by
least squares (as in the guided filter of He, Sun and Tang, 2013, with five guides). Its
coefficients of normal and height come from wide windows, because only few pixels determine them;
the remaining coefficient comes from narrow windows.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NARROW, WIDE = 0.07, 0.2  # side lengths of the windows, relative to the image's width
RIDGE = 1e-4  # relative to the guides' mean square; keeps the fit solvable in flat windows


def smooth_reflected(
    noisy: NDArray[np.float64], coarse_guides: NDArray[np.float64], guides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit reflected light by guides in a coarse image, and evaluate the fit in a fine one.

    Args:
        noisy: (h, w, 3) reflected RGB radiance.
        coarse_guides: (h, w, n) guides: the paint, and the paint times the shape's features.
        guides: (H, W, n) the same guides at the size of the result.

    Returns:
        (H, W, 3) float64 RGB radiance, not negative.
    """
    paint, painted_shape = coarse_guides[..., :1], coarse_guides[..., 1:]
    slopes = _fit(noisy, coarse_guides, WIDE)[..., 1:, :]
    remainder = noisy - np.einsum("hwg,hwgc->hwc", painted_shape, slopes)
    coefficients = np.concatenate([_fit(remainder, paint, NARROW), slopes], axis=-2)
    height, width = guides.shape[:2]
    fine = cv2.resize(
        coefficients.reshape(*noisy.shape[:2], -1), (width, height), interpolation=cv2.INTER_CUBIC
    ).reshape(height, width, guides.shape[-1], 3)
    return np.asarray(np.maximum(np.einsum("hwg,hwgc->hwc", guides, fine), 0.0))


def _fit(
    values: NDArray[np.float64], guides: NDArray[np.float64], window: float
) -> NDArray[np.float64]:
    """Fit values as linear combinations of guides in square windows.

    Args:
        values: (h, w, channels) values.
        guides: (h, w, guides) guides.
        window: side length of the windows, relative to the image's width.

    Returns:
        (h, w, guides, channels) coefficients.
    """
    count = guides.shape[-1]
    side = 2 * round(window * values.shape[1] / 2) + 1
    ridge = RIDGE * float(np.mean(guides**2)) * np.eye(count)
    ridge[0, 0] *= 0.01
    normal_matrix = _box_filter(guides[..., :, None] * guides[..., None, :], side) + ridge
    right_side = _box_filter(guides[..., :, None] * values[..., None, :], side)
    return _box_filter(np.linalg.solve(normal_matrix, right_side), side)


def _box_filter(values: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Return the means of (h, w, ...) values over square windows."""
    flat = values.reshape(*values.shape[:2], -1)
    channels = [
        cv2.blur(np.ascontiguousarray(flat[..., k]), (side, side), borderType=cv2.BORDER_REFLECT)
        for k in range(flat.shape[-1])
    ]
    return np.asarray(np.stack(channels, axis=-1).reshape(values.shape), np.float64)
