"""Result of the inversion of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.contact_summary import Contact
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inversion:
    """Deformed gel surface estimated from one image.

    Frame `gel`, mm: the origin is the centre of the undeformed surface, or the centre of the marker
    pattern if the sensor was calibrated from markers; z < 0 is indented toward the camera.

    Attributes:
        surface: gel surface on a regular grid of material points over the pad.
        height_stddev_mm: (rows, columns) standard deviation of the height, mm.
        valid: (rows, columns) bool, vertices that are visible to the camera.
        contact: summary of the contact.
        markers: markers of the image; None for a gel without markers.
        image_rms: weighted root mean square of the residuals, grey levels.
        inlier_fraction: mean weight of the marker-free pixels, 0 to 1.
        seconds: computation time, s.
        warnings: reasons to doubt the result, one sentence each.
        forces: forces of the contact; None where they are not computed.
    """

    surface: GelSurface
    height_stddev_mm: Floats
    valid: NDArray[np.bool_]
    contact: Contact
    markers: MarkerField | None
    image_rms: float
    inlier_fraction: float
    seconds: float
    warnings: tuple[str, ...]
    forces: ContactForces | None = None
