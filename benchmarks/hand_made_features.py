"""Hand-made features of tactile images: gradients, local binary patterns, energies by scale."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog, local_binary_pattern

SCALES_PX = (1, 2, 4, 8, 16)
RADII_PX = (1, 3)
POINTS, PATTERNS = 8, 10  # of the uniform local binary patterns
GREY_GAIN = 2.0  # of the change that is coded in a byte

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]


def hand_made(images: Images, references: Images, earlier: Images) -> Floats:
    """Return (N, F) features of images, references and earlier images (N, H, W, 3)."""
    changes = images.astype(np.float32) - references
    motions = images.astype(np.float32) - earlier
    return np.stack([_one(c, m) for c, m in zip(changes, motions, strict=True)])


def _one(change: Floats, motion: Floats) -> Floats:
    grey = change.mean(2)
    byte = np.clip(128 + GREY_GAIN * grey, 0, 255).astype(np.uint8)
    gradients = hog(grey, orientations=8, pixels_per_cell=(30, 40), cells_per_block=(1, 1))
    patterns = [
        np.bincount(
            local_binary_pattern(byte, POINTS, radius, "uniform").astype(int).ravel(),
            minlength=PATTERNS,
        )
        / byte.size
        for radius in RADII_PX
    ]
    energies = [_energies(part[..., k]) for part in (change, motion) for k in range(3)]
    return np.concatenate([gradients, *patterns, *energies]).astype(np.float32)


def _energies(values: Floats) -> list[float]:
    """Return the logarithmic energy of the bands between the scales, and the mean size."""
    result = []
    finer = values
    for scale in SCALES_PX:
        coarser = cv2.GaussianBlur(finer, (0, 0), scale)
        result.append(float(np.log1p((finer - coarser).std())))
        finer = coarser
    return [*result, float(np.log1p(np.abs(values).mean()))]
