"""How far a simulated image is from a real one; the one place where the metrics are defined.

Images are (H, W, 3) uint8 RGB, data range 255, all three channels alike.

- MSE: mean of squared differences over pixels and channels, in grey levels squared.
- PSNR: 10 log10(255^2 / MSE) in dB; infinite for equal images.
- SSIM: Wang et al. (2004), per channel and averaged, with their Gaussian window of standard
  deviation 1.5 and population statistics (`gaussian_weights` of scikit-image).
- SMAPE: mean of |a - b| / ((|a| + |b|) / 2), 0 where both are 0; from 0 to 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

DATA_RANGE = 255.0
WINDOW_SIGMA = 1.5
WINDOW_PX = 11
SSIM_FRACTIONS = (0.01, 0.03)  # K1, K2


@dataclass(frozen=True)
class ImageScore:
    """Metrics of one pair of images, see the module.

    Attributes:
        mse: grey levels squared.
        psnr_db: dB.
        ssim: 1 for equal images.
        smape: a fraction, 0 to 2.
    """

    mse: float
    psnr_db: float
    ssim: float
    smape: float


def score_images(
    image: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    pixels: NDArray[np.bool_] | None = None,
    alike: NDArray[np.float32] | None = None,
) -> ImageScore:
    """Metrics over the whole image, or over some pixels of it.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W, 3) uint8.
        pixels: (H, W), those that count. SSIM's windows look beyond them.
        alike: the `ssim_map` of both, where it is known already.

    Raises:
        InputError: no two RGB images of one size, too small for SSIM, or no pixel counts.
    """
    check_pair(image, truth)
    alike = ssim_map(image, truth) if alike is None else alike
    if pixels is None:
        error = mse(image, truth)
        return ImageScore(error, psnr_db(error), _inner_mean(alike), smape(image, truth))
    if pixels.shape != image.shape[:2] or not pixels.any():
        raise InputError(
            f"mask of shape {pixels.shape} with {np.count_nonzero(pixels)} pixels, expected "
            f"{image.shape[:2]} with some"
        )
    a, b = image[pixels], truth[pixels]
    error = mse(a, b)
    return ImageScore(error, psnr_db(error), float(alike[pixels].mean()), smape(a, b))


def check_pair(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    """InputError unless both are uint8 RGB images of one size, large enough for all metrics."""
    for name, values in (("image", image), ("truth", truth)):
        if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8:
            raise InputError(
                f"{name} has shape {values.shape} and type {values.dtype}, expected (H, W, 3) uint8"
            )
    if image.shape != truth.shape:
        sizes = [f"{values.shape[1]} x {values.shape[0]}" for values in (image, truth)]
        raise InputError(f"images of {sizes[0]} and {sizes[1]} pixels: expected one size")
    if min(image.shape[:2]) < WINDOW_PX:
        raise InputError(f"images of less than {WINDOW_PX} pixels a side cannot be scored")


def mse(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Over all values given; arrays of one shape."""
    difference = np.subtract(image, truth, dtype=np.float32).ravel()
    return float(np.dot(difference, difference)) / max(difference.size, 1)


def psnr_db(error: float) -> float:
    """From a mean squared error."""
    return math.inf if error == 0 else 10.0 * math.log10(DATA_RANGE**2 / error)


def smape(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Over all values given; arrays of one shape."""
    a, b = (np.asarray(values, np.float32) for values in (image, truth))
    middle = 0.5 * (np.abs(a) + np.abs(b))
    relative = np.abs(a - b) / np.where(middle > 0, middle, np.float32(1.0))
    return float(relative.mean(dtype=np.float64))


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean structural similarity, borders of half a window left out."""
    return _inner_mean(ssim_map(image, truth))


def ssim_map(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) structural similarity of the windows around all pixels.

    Wang et al. (2004), equation 13, in single precision, as the live comparison has not
    got the time of double; the same as scikit-image's to 1e-5.
    """
    x, y = image.astype(np.float32), truth.astype(np.float32)
    mean_x, mean_y = _windowed(x), _windowed(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _windowed(x * y) - product
    variances = _windowed(x * x) + _windowed(y * y) - squares
    c1, c2 = (np.float32((share * DATA_RANGE) ** 2) for share in SSIM_FRACTIONS)
    return np.asarray(
        (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    )


def _inner_mean(alike: NDArray[np.float32]) -> float:
    edge = WINDOW_PX // 2
    return float(alike[edge:-edge, edge:-edge].mean(dtype=np.float64))


def _windowed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian means of the windows around all pixels."""
    window = (WINDOW_PX, WINDOW_PX)
    blurred = cv2.GaussianBlur(values, window, WINDOW_SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)
