"""In-plane motion of the gel from its dots: a thin-plate spline through what they show.

Limits: nothing finer than the dots' pitch is seen; beyond the outermost dots the motion is a guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import pixel_rays, reach, unproject
from tacdiff_ros.sensor.parameters import Values

Floats = NDArray[np.float64]
HeightAt = Callable[[Floats], Floats]

MIN_MARKERS = 12
SMOOTHING = 1e-4  # mm^2 against a bent plate: trust in single dots
ROUNDS = 3  # of finding the height that a dot has now
KEPT_MATRICES = 8  # of splines, each for the dots that an image shows
BEYOND_MM = 2.0  # outside the dots, over which motion dies away


class MarkerMotion:
    """Turns dots of images into motion on a grid of material points."""

    def __init__(self, values: Values, rest: MarkerField, x_mm: Floats, y_mm: Floats) -> None:
        """A sensor.

        Args:
            values: of `sensor.parameters.parameter_values`.
            rest: dots of the untouched gel.
            x_mm: (columns,) of the grid.
            y_mm: (rows,).
        """
        self._values = values
        self._seen = rest.found
        self._rise = 0.5 * float(values["markers.height_mm"])
        self._rest = unproject(values, rest.position_px, -self._rise)[..., :2]
        x, y = np.meshgrid(x_mm, y_mm)
        self._grid = np.stack([x, y], axis=-1)
        known = self._rest[self._seen]
        outside = np.maximum(known.min(axis=0) - self._grid, self._grid - known.max(axis=0))
        beyond = np.linalg.norm(np.maximum(outside, 0.0), axis=-1) / BEYOND_MM
        self._trust = np.exp(-(beyond**2))[..., None]
        self._matrices: dict[bytes, Floats] = {}
        self._last_found = b""
        self._inside = np.clip(self._grid, known.min(axis=0), known.max(axis=0))

    def displacement(self, dots: MarkerField, height: HeightAt) -> Floats:
        """(rows, columns, 2) mm motion from rest of the grid's material points.

        Args:
            dots: of the image.
            height: of the gel by current place.
        """
        both = self._seen & dots.found
        if int(both.sum()) < MIN_MARKERS:
            return np.zeros_like(self._grid)
        rays = pixel_rays(self._values, dots.position_px[both])
        place = reach(self._values, rays, -self._rise)
        for _ in range(ROUNDS):
            place = reach(self._values, rays, height(place[:, :2]) - self._rise)
        rest = self._rest[both]
        moved = place[:, :2] - rest
        shape = self._grid.shape
        return np.asarray(self._spline(both, moved).reshape(shape) * self._trust)

    def _spline(self, both: NDArray[np.bool_], moved: Floats) -> Floats:
        """(points, 2) spline through the motion of some dots, at the grid's points.

        It is linear in the motion: dots that are found in a second image get a matrix.
        """
        key = both.tobytes()
        if key in self._matrices:
            return np.asarray(self._matrices[key] @ moved)
        rest, inside = self._rest[both], self._inside.reshape(-1, 2)
        if key != self._last_found:
            self._last_found = key
            return np.asarray(RBFInterpolator(rest, moved, smoothing=SMOOTHING)(inside))
        spline = RBFInterpolator(rest, np.eye(len(rest)), smoothing=SMOOTHING)
        if len(self._matrices) == KEPT_MATRICES:
            self._matrices.pop(next(iter(self._matrices)))
        self._matrices[key] = np.asarray(spline(inside))
        return np.asarray(self._matrices[key] @ moved)
