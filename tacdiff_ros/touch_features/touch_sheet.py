"""Overview image of a touch set."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.touch_features.touch_set import TouchSet


def contact_sheet(touch_set: TouchSet, rows: int = 8, columns: int = 6) -> NDArray[np.uint8]:
    """Return an overview: random images beside their change against the reference.

    Args:
        touch_set: touch set.
        rows: rows of images.
        columns: columns of images.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    random = np.random.default_rng(0)
    count = min(len(touch_set), rows * columns)
    chosen = random.choice(len(touch_set), count, replace=False)
    panels = []
    for k in chosen:
        image = touch_set.images[k].astype(np.int16)
        change = image - touch_set.references[touch_set.sensor[k]] + 128
        panels.append(np.concatenate([image, np.clip(change, 0, 255)], axis=1).astype(np.uint8))
    blank = np.full_like(panels[0], 255)
    panels += [blank] * (math.ceil(count / columns) * columns - count)
    lines = [panels[k : k + columns] for k in range(0, len(panels), columns)]
    return np.concatenate([np.concatenate(line, axis=1) for line in lines])
