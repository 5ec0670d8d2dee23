"""In-plane motion of the gel, interpolated from marker displacements by a thin-plate spline.

Limits: motion finer than the marker pitch is not resolved; outside the outermost markers the motion
is extrapolated and decays to zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import intersect_planes, pixel_rays, unproject
from tacdiff_ros.sensor.parameters import Values

Floats = NDArray[np.float64]
HeightAt = Callable[[Floats], Floats]
MotionAt = Callable[[Floats], Floats]

MIN_MARKERS = 12
SMOOTHING = 1e-4  # mm^2, spline smoothing: allows for errors of single markers
ROUNDS = 3  # fixed-point iterations between a marker's position and the height there
MAX_CACHED_MATRICES = 8  # spline matrices, each for one set of visible markers
DECAY_LENGTH_MM = 2.0  # over which motion decays outside the outermost markers


class MarkerMotion:
    """Interpolates marker displacements on a grid of material points."""

    def __init__(self, values: Values, rest: MarkerField, x_mm: Floats, y_mm: Floats) -> None:
        """Store the marker positions of the undeformed gel and the grid.

        Args:
            values: sensor parameters from `sensor.parameters.parameter_values`.
            rest: markers of the reference image.
            x_mm: (columns,) x coordinates of the material points, mm.
            y_mm: (rows,) y coordinates of the material points, mm.
        """
        self._values = values
        self._detected_at_rest = rest.found
        self._rise = 0.5 * float(values["markers.height_mm"])
        self._rest = unproject(values, rest.position_px, -self._rise)[..., :2]
        x, y = np.meshgrid(x_mm, y_mm)
        self._grid = np.stack([x, y], axis=-1)
        known = self._rest[self._detected_at_rest]
        outside = np.maximum(known.min(axis=0) - self._grid, self._grid - known.max(axis=0))
        distance = np.linalg.norm(np.maximum(outside, 0.0), axis=-1) / DECAY_LENGTH_MM
        self._decay = np.exp(-(distance**2))[..., None]
        self._matrices: dict[bytes, Floats] = {}
        self._last_key = b""
        self._inside = np.clip(self._grid, known.min(axis=0), known.max(axis=0))

    def displacement(
        self, markers: MarkerField, height: HeightAt, predicted: MotionAt | None = None
    ) -> Floats:
        """Return the in-plane displacement of the grid's material points.

        Args:
            markers: markers of the current image.
            height: function that maps positions (n, 2) mm to gel heights (n,) mm.
            predicted: function that maps undeformed positions (n, 2) mm to predicted displacements
                (n, 2) mm, to which the spline adds what the markers differ; by default 0.

        Returns:
            (rows, columns, 2) displacement from rest, mm; 0 if fewer than `MIN_MARKERS` markers
            are detected in both images.
        """
        both = self._detected_at_rest & markers.found
        if int(both.sum()) < MIN_MARKERS:
            return np.zeros_like(self._grid)
        rays = pixel_rays(self._values, markers.position_px[both])
        position = intersect_planes(self._values, rays, -self._rise)
        for _ in range(ROUNDS):
            position = intersect_planes(self._values, rays, height(position[:, :2]) - self._rise)
        rest = self._rest[both]
        motion = position[:, :2] - rest
        shape = self._grid.shape
        if predicted is None:
            return np.asarray(self._spline(both, motion).reshape(shape) * self._decay)
        added = self._spline(both, motion - predicted(rest)).reshape(shape) * self._decay
        return np.asarray(added + predicted(self._grid.reshape(-1, 2)).reshape(shape))

    def observed_mm(self, markers: MarkerField) -> Floats:
        """Return the (n, 2) undeformed positions of markers whose motion is known, mm.

        Args:
            markers: markers of the current image.
        """
        both = self._detected_at_rest & markers.found
        return np.asarray(self._rest[both] if both.sum() >= MIN_MARKERS else self._rest[:0, 0])

    def _spline(self, both: NDArray[np.bool_], motion: Floats) -> Floats:
        """(points, 2) mm spline through the motion of the markers `both`, at the grid's points.

        The spline is linear in the motion. Its matrix is computed and cached once the same set of
        markers is detected in two images in a row.
        """
        key = both.tobytes()
        if key in self._matrices:
            return np.asarray(self._matrices[key] @ motion)
        rest, inside = self._rest[both], self._inside.reshape(-1, 2)
        if key != self._last_key:
            self._last_key = key
            return np.asarray(RBFInterpolator(rest, motion, smoothing=SMOOTHING)(inside))
        spline = RBFInterpolator(rest, np.eye(len(rest)), smoothing=SMOOTHING)
        if len(self._matrices) == MAX_CACHED_MATRICES:
            self._matrices.pop(next(iter(self._matrices)))
        self._matrices[key] = np.asarray(spline(inside))
        return np.asarray(self._matrices[key] @ motion)
