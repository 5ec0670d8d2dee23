"""Signed distances of a closed or nearly closed surface, tabulated on a regular grid.

The sign comes from generalised winding numbers (Barill et al., Fast Winding Numbers for Soups and
Clouds, 2018), which small holes do not upset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cached_njit

Array = NDArray[np.float64]

DEFAULT_NODES = 500_000
MAX_NODES = 20_000_000
MARGIN_M = 0.015  # distance from the surface to the grid's boundary
MIN_SPACING_M = 2e-4


@dataclass(frozen=True)
class DistanceField:
    """Signed distances on a regular grid, negative inside, interpolated trilinearly.

    Outside of the grid the distance is that of the nearest point of the grid's box plus the
    distance to that point: continuous, never below the distance to the box, at most `MARGIN_M`
    times two too large.

    Attributes:
        values: (X, Y, Z) float32 distances, m.
        origin: (3,) float64 position of node (0, 0, 0), m.
        spacing: distance between nodes, m.
    """

    values: NDArray[np.float32]
    origin: Array
    spacing: float

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or min(self.values.shape) < 2:
            raise InputError(f"distance field of shape {self.values.shape}: expected a 3-D grid")
        if not (np.isfinite(self.values).all() and self.spacing > 0):
            raise InputError("distance field with infinite distances or without a spacing")

    @classmethod
    def from_mesh(
        cls,
        vertices: ArrayLike,
        faces: ArrayLike,
        spacing: float | None = None,
        margin: float = MARGIN_M,
    ) -> DistanceField:
        """Tabulate the signed distances of a triangle mesh.

        Args:
            vertices: (V, 3) positions, m.
            faces: (F, 3) vertex indices, counter-clockwise as seen from outside.
            spacing: distance between nodes, m; None for about `DEFAULT_NODES` nodes.
            margin: distance from the surface to the grid's boundary, m.

        Returns:
            The field, in the frame of the vertices.

        Raises:
            InputError: the grid would have more than `MAX_NODES` nodes, or libigl is missing.
        """
        points = np.asarray(vertices, float)
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        if spacing is None:
            spacing = max(MIN_SPACING_M, float(np.prod(high - low) / DEFAULT_NODES) ** (1 / 3))
        shape = tuple(math.ceil(length / spacing) + 1 for length in high - low)
        if math.prod(shape) > MAX_NODES:
            raise InputError(
                f"distance field of {' x '.join(map(str, shape))} nodes: expected up to "
                f"{MAX_NODES}; use a spacing above {spacing:.3g} m"
            )
        axes = [start + spacing * np.arange(n) for start, n in zip(low, shape, strict=True)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        values = signed_distance(nodes, points, faces).reshape(shape).astype(np.float32)
        return cls(values, low, spacing)

    def distance(self, points: ArrayLike) -> Array:
        """Return the signed distances (N,) of points (N, 3), m."""
        return self.distance_and_gradient(points)[0]

    def distance_and_gradient(self, points: ArrayLike) -> tuple[Array, Array]:
        """Return signed distances and their exact derivatives.

        Args:
            points: (N, 3) positions in the frame of the field, m.

        Returns:
            distance: (N,) signed distances, m.
            gradient: (N, 3) derivatives of the interpolated distances by the positions.
        """
        queries = np.ascontiguousarray(points, float).reshape(-1, 3)
        distance, gradient = np.empty(len(queries)), np.empty((len(queries), 3))
        interpolate(queries, self.values, self.origin, self.spacing, distance, gradient)
        return distance, gradient

    def interior(self) -> tuple[Array, Array]:
        """Return the nodes inside the surface and the volumes that they stand for.

        Returns:
            nodes: (N, 3) positions, m.
            volumes: (N,) volumes, m3; partial for nodes less than half a spacing inside or outside.
        """
        fraction = np.clip(0.5 - self.values / self.spacing, 0.0, 1.0)
        index = np.argwhere(fraction > 0)
        volumes = fraction[tuple(index.T)].astype(float) * self.spacing**3
        return self.origin + self.spacing * index, volumes


def signed_distance(points: ArrayLike, vertices: ArrayLike, faces: ArrayLike) -> Array:
    """Return the exact signed distances of points to a triangle mesh, negative inside.

    Args:
        points: (N, 3) positions, m.
        vertices: (V, 3) positions, m.
        faces: (F, 3) vertex indices.

    Returns:
        (N,) signed distances, m.
    """
    igl = import_igl()
    return igl.signed_distance(
        np.ascontiguousarray(points, float),
        np.ascontiguousarray(vertices, float),
        np.ascontiguousarray(faces, np.int64),
        igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER,
    )[0]


def import_igl() -> Any:
    """Return libigl's Python module.

    Raises:
        InputError: the package is not installed.
    """
    try:
        import igl
    except ImportError as error:
        raise InputError(
            "distance fields need the package libigl: pip install 'tacdiff_ros[pose]'"
        ) from error
    return igl


@cached_njit(nogil=True, error_model="numpy")
def interpolate(
    points: Any, values: Any, origin: Any, spacing: float, distance: Any, gradient: Any
) -> None:
    """Interpolate a grid of distances, and differentiate the interpolation.

    Args:
        points: (N, 3) float64 positions, m.
        values: (X, Y, Z) float32 distances at the nodes, m.
        origin: (3,) float64 position of the first node, m.
        spacing: distance between nodes, m.
        distance: (N,) float64 output, m.
        gradient: (N, 3) float64 output.
    """
    cell = np.empty(3, np.int64)
    part = np.empty(3)
    excess = np.empty(3)
    for n in range(points.shape[0]):
        outside = 0.0
        for a in range(3):
            position = (points[n, a] - origin[a]) / spacing
            clamped = min(max(position, 0.0), values.shape[a] - 1.0)
            excess[a] = position - clamped
            outside += excess[a] * excess[a]
            cell[a] = min(int(clamped), values.shape[a] - 2)
            part[a] = clamped - cell[a]
        i, j, k = cell
        x, y, z = part
        # Interpolation along z on the four edges of the cell, then along y, then along x.
        d00, d01 = (
            values[i, j, k + 1] - values[i, j, k],
            values[i, j + 1, k + 1] - values[i, j + 1, k],
        )
        d10 = values[i + 1, j, k + 1] - values[i + 1, j, k]
        d11 = values[i + 1, j + 1, k + 1] - values[i + 1, j + 1, k]
        v00, v01 = values[i, j, k] + z * d00, values[i, j + 1, k] + z * d01
        v10, v11 = values[i + 1, j, k] + z * d10, values[i + 1, j + 1, k] + z * d11
        v0, v1 = v00 + y * (v01 - v00), v10 + y * (v11 - v10)
        distance[n] = v0 + x * (v1 - v0)
        e0, e1 = d00 + y * (d01 - d00), d10 + y * (d11 - d10)
        gradient[n, 0] = (v1 - v0) / spacing
        gradient[n, 1] = ((1 - x) * (v01 - v00) + x * (v11 - v10)) / spacing
        gradient[n, 2] = (e0 + x * (e1 - e0)) / spacing
        if outside > 0.0:
            length = math.sqrt(outside)
            distance[n] += length * spacing
            for a in range(3):
                if excess[a] != 0.0:
                    gradient[n, a] = excess[a] / length
