"""Metrics of the difference between a simulated and a real image.

All parts of the package use these definitions. Images are (H, W, 3) uint8 RGB with a data range of
255; all three channels have the same weight.

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

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ImageScore:
    """Metrics of one pair of images, as the module defines them.

    Attributes:
        mse: mean squared error, grey levels squared.
        psnr_db: peak signal-to-noise ratio, dB; infinite for equal images.
        ssim: structural similarity; 1 for equal images.
        smape: symmetric mean absolute percentage error as a ratio, 0 to 2.
    """

    mse: float
    psnr_db: float
    ssim: float
    smape: float


@dataclass(frozen=True)
class WindowMeans:
    """An image with the statistics of its windows that all its comparisons need.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        values: (H, W, 3) float32 the same, grey levels.
        mean: (H, W, 3) float32 weighted mean in the window around each pixel.
        variance: (H, W, 3) float32 weighted variance in this window.
    """

    image: NDArray[np.uint8]
    values: Floats
    mean: Floats
    variance: Floats

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> WindowMeans:
        """Compute the statistics of an image (H, W, 3) uint8 RGB."""
        values = image.astype(np.float32)
        mean = _gaussian_means(values)
        variance = _gaussian_means(values * values) - mean * mean
        return cls(image, values, mean, variance)


@dataclass(frozen=True)
class PairScores:
    """Errors of one pair of images, of which scores of any pixels are computed."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    similarity: Floats
    relative: Floats

    @classmethod
    def of(cls, image: WindowMeans, truth: WindowMeans) -> PairScores:
        """Compare two images of one size."""
        return cls(
            image.image,
            truth.image,
            _similarity(image, truth),
            _relative(image.values, truth.values),
        )

    def whole(self) -> ImageScore:
        """Return the metrics over all pixels."""
        return self._score(None, _inner_mean(self.similarity))

    def over(self, pixels: NDArray[np.bool_]) -> ImageScore:
        """Return the metrics over pixels (H, W), of which at least one is true."""
        mask = pixels.view(np.uint8)
        return self._score(mask, _mean(self.similarity, mask))

    def _score(self, mask: NDArray[np.uint8] | None, similarity: float) -> ImageScore:
        squares = cv2.norm(self.image, self.truth, cv2.NORM_L2SQR, mask)
        count = self.image[..., 0].size if mask is None else cv2.countNonZero(mask)
        error = squares / (3 * count)
        return ImageScore(
            mse=error,
            psnr_db=psnr_db(error),
            ssim=similarity,
            smape=_mean(self.relative, mask),
        )


def score_images(
    image: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    pixels: NDArray[np.bool_] | None = None,
) -> ImageScore:
    """Compute all metrics over the whole image or over selected pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W, 3) uint8 RGB.
        pixels: (H, W) bool mask of the selected pixels; None for all. The windows of SSIM extend
            beyond the mask.

    Returns:
        Metrics of the pair.

    Raises:
        InputError: the images are no RGB images of one size, are too small for SSIM, or no pixel is
            selected.
    """
    check_pair(image, truth)
    scores = PairScores.of(WindowMeans.of(image), WindowMeans.of(truth))
    if pixels is None:
        return scores.whole()
    if pixels.shape != image.shape[:2] or not pixels.any():
        raise InputError(
            f"mask of shape {pixels.shape} with {np.count_nonzero(pixels)} pixels, expected shape "
            f"{image.shape[:2]} with at least 1 pixel"
        )
    return scores.over(pixels)


def check_pair(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    """Check that two arrays are RGB images of one size that all metrics can be computed for.

    Args:
        image: array that should be (H, W, 3) uint8.
        truth: array that should be (H, W, 3) uint8.

    Raises:
        InputError: shape or type differ, or a side has less than `WINDOW_PX` pixels.
    """
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
    """Return the mean squared error over all values.

    Args:
        image: array of any shape, grey levels.
        truth: array of the same shape, grey levels.

    Returns:
        Mean squared error, grey levels squared.
    """
    difference = np.subtract(image, truth, dtype=np.float32).ravel()
    return float(np.dot(difference, difference)) / max(difference.size, 1)


def psnr_db(error: float) -> float:
    """Return the peak signal-to-noise ratio, dB, of a mean squared error in grey levels squared."""
    return math.inf if error == 0 else 10.0 * math.log10(DATA_RANGE**2 / error)


def smape(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the symmetric mean relative error over all values.

    Args:
        image: array of any shape, grey levels.
        truth: array of the same shape, grey levels.

    Returns:
        Ratio from 0 to 2.
    """
    a, b = (np.asarray(values, np.float32) for values in (image, truth))
    return float(_relative(a, b).mean(dtype=np.float64))


def _relative(image: Floats, truth: Floats) -> Floats:
    """Return the relative differences of grey levels that are not negative, 0 where both are 0."""
    total = image + truth
    np.maximum(total, np.float32(1e-30), out=total)
    difference = image - truth
    np.abs(difference, out=difference)
    difference *= np.float32(2.0)
    difference /= total
    return difference


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity over the pixels whose window lies inside the image.

    Args:
        image: (H, W, 3) uint8, with sides of at least `WINDOW_PX` (see `check_pair`).
        truth: (H, W, 3) uint8, of the same shape.

    Returns:
        Mean similarity, from -1 to 1; 1 for equal images.
    """
    return _inner_mean(ssim_map(image, truth))


def ssim_map(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the structural similarity of the windows around all pixels.

    Wang et al. (2004), equation 13. It is computed in single precision, because double precision is
    too slow for the live comparison; it equals the result of scikit-image to 1e-5.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W, 3) uint8.

    Returns:
        (H, W, 3) float32.
    """
    return _similarity(WindowMeans.of(image), WindowMeans.of(truth))


def _similarity(x: WindowMeans, y: WindowMeans) -> Floats:
    """Return the result of `ssim_map`."""
    c1, c2 = (np.float32((fraction * DATA_RANGE) ** 2) for fraction in SSIM_FRACTIONS)
    product = x.mean * y.mean
    covariance = _gaussian_means(x.values * y.values) - product
    product *= np.float32(2.0)
    covariance *= np.float32(2.0)
    # Equal to x.mean^2 + y.mean^2, with fewer arrays.
    squares = x.mean - y.mean
    squares *= squares
    squares += product
    variances = x.variance + y.variance
    for values, constant in ((product, c1), (covariance, c2), (squares, c1), (variances, c2)):
        values += constant
    product *= covariance
    squares *= variances
    product /= squares
    return np.asarray(product, np.float32)


def _inner_mean(similarity: Floats) -> float:
    """Mean over the pixels whose window lies inside the image."""
    edge = WINDOW_PX // 2
    return _mean(similarity[edge:-edge, edge:-edge])


def _mean(values: Floats, mask: NDArray[np.uint8] | None = None) -> float:
    """Mean over the pixels of a mask (H, W) and the channels."""
    return sum(cv2.mean(values, mask)[:3]) / 3.0


def _gaussian_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) Gaussian-weighted means over the windows around all pixels."""
    window = (WINDOW_PX, WINDOW_PX)
    blurred = cv2.GaussianBlur(values, window, WINDOW_SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)
