"""Reference images of the sensors in a set of recordings that begin in contact.

Recordings of one sensor show the same grid of markers. The median over many grasps, which touch
different parts of the gel, is close to its untouched gel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

Images = NDArray[np.uint8]

MARKER_PX = (2.0, 12.0)  # scales between which markers are dark
BLUR_PX, STEP_PX = 4.0, 4  # of the grid of markers that is compared
SAME_SENSOR = 0.2  # cosine distance
MIN_RECORDINGS = 10  # of a sensor: fewer show the same contact


def sensor_references(medians: Sequence[Images]) -> tuple[Images, NDArray[np.int64]]:
    """Return the reference image of each sensor, and the sensor of each recording.

    Args:
        medians: (240, 320, 3) median image of each recording.
    """
    grids = np.stack([_marker_grid(image) for image in medians])
    if len(medians) < MIN_RECORDINGS:
        return np.median(medians, axis=0).astype(np.uint8)[None], np.zeros(len(medians), np.int64)
    cluster = fcluster(linkage(grids, "average", metric="cosine"), SAME_SENSOR, "distance")
    names, counts = np.unique(cluster, return_counts=True)
    sensors = names[counts >= min(MIN_RECORDINGS, counts.max())]
    references = [
        np.median([medians[k] for k in np.flatnonzero(cluster == name)], axis=0).astype(np.uint8)
        for name in sensors
    ]
    known = np.stack([_marker_grid(reference) for reference in references])
    return np.stack(references), (grids @ known.T).argmax(1)


def _marker_grid(image: Images) -> NDArray[np.float64]:
    """Return where an image is darker than around it, as a vector of length 1."""
    grey = image.astype(np.float32).mean(axis=-1)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in MARKER_PX)
    dark = cv2.GaussianBlur(np.maximum(coarse - fine, 0.0), (0, 0), BLUR_PX)
    grid = dark[::STEP_PX, ::STEP_PX].astype(np.float64).ravel()
    return np.asarray(grid / max(float(np.linalg.norm(grid)), 1e-9))
