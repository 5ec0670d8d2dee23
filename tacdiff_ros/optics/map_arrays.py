"""Maps of a gel surface as arrays, from either renderer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SurfaceMaps:
    """Properties of the surface at the centre of each pixel; 0 where the pixel misses the surface.

    Attributes:
        nocs: (H, W, 3) float32 coordinates in [0, 1]: rest x over the pad's width, rest y over its
            height, and current height, 1 at rest and 0 at full indentation.
        depth_mm: (H, W) float32 distance from the camera along its optical axis, mm.
        indentation_mm: (H, W) float32 indentation toward the camera, >= 0, mm.
        shear_mm: (H, W, 2) float32 in-plane displacement of the material point, mm.
        normal: (H, W, 3) float32 unit normals in the frame `gel`, toward the camera.
        hit: (H, W) bool mask of the pixels whose rays hit the surface.
    """

    nocs: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    indentation_mm: NDArray[np.float32]
    shear_mm: NDArray[np.float32]
    normal: NDArray[np.float32]
    hit: NDArray[np.bool_]
