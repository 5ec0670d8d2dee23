"""Robust losses of standardised residuals.

The scale c is the residual, in standard deviations, at which the influence of a measurement begins
to vanish. A larger c at the beginning and a smaller one at the end is graduated non-convexity.

Source: Geman and McClure, 1987; Yang et al., "Graduated Non-Convexity for Robust Spatial
Perception", 2020.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def loss(residual: Floats, scale: float) -> float:
    """Return the sum of the Geman-McClure losses c^2 r^2 / (c^2 + r^2).

    Args:
        residual: (N,) residuals in standard deviations.
        scale: scale c; infinite for the sum of squares.
    """
    squared = residual**2
    if np.isinf(scale):
        return float(np.sum(squared))
    return float(np.sum(squared * scale**2 / (scale**2 + squared)))


def weight(residual: Floats, scale: float) -> Floats:
    """Return the weights (N,) of the squared residuals in iteratively reweighted least squares.

    Args:
        residual: (N,) residuals in standard deviations.
        scale: scale c; infinite for weights of 1.
    """
    if np.isinf(scale):
        return np.ones_like(residual)
    return np.asarray((scale**2 / (scale**2 + residual**2)) ** 2)
