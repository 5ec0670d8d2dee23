"""Undeformed and deformed geometry of the gel's coated surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

MAX_INVISIBLE_MM = 2e-4  # largest displacement of a vertex that does not change an image
MIN_LINES = 3
MAX_VERTICES = 4_000_000
MAX_UNEVEN_MM = 1e-4  # permitted deviation of a rest vertex from its grid line


@dataclass(frozen=True)
class GelSurface:
    """A grid of N material points in the frame `gel` (x right, y down, z away from the camera).

    Vertices are in row-major order: rows along y (down the image), columns along x. Material
    coordinates are the undeformed positions `rest[:, :2]`, mm.

    Attributes:
        rest: (N, 3) float32 undeformed positions, mm; a grid with even or uneven spacing, z = 0
            except for gels that are not flat.
        position: (N, 3) float32 current positions, mm; indentation is toward -z.
        rows: number of grid points along y.
        columns: number of grid points along x.
        may_overhang: whether triangles may face away from the camera, as next to a steep wall that
            the gel bulges against; for surfaces from a simulation, which excludes inverted
            material.

    Raises:
        InputError: the shapes are inconsistent, a value is not finite, the rest positions are no
            grid, or a triangle is flipped (the surface folds onto itself in the camera's view).
    """

    rest: NDArray[np.float32]
    position: NDArray[np.float32]
    rows: int
    columns: int
    may_overhang: bool = False

    def __post_init__(self) -> None:
        self._check_shape()
        for name in ("rest", "position"):
            values = np.array(getattr(self, name), np.float32)
            if not np.isfinite(values).all():
                row = int(np.argwhere(~np.isfinite(values))[0, 0])
                raise InputError(f"gel surface: {name} of vertex {row} is not finite")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        self._check_rest_grid()
        if not self.may_overhang:
            self._check_folds()

    @classmethod
    def flat(cls, width_mm: float, height_mm: float, rows: int, columns: int) -> GelSurface:
        """Builds the undeformed surface of a flat pad that is centred at the origin.

        Args:
            width_mm: extent along x, mm.
            height_mm: extent along y, mm.
            rows: number of grid points along y.
            columns: number of grid points along x.

        Returns:
            Surface whose current positions are the undeformed ones.
        """
        x = np.linspace(-width_mm / 2, width_mm / 2, columns, dtype=np.float32)
        y = np.linspace(-height_mm / 2, height_mm / 2, rows, dtype=np.float32)
        grid_x, grid_y = np.meshgrid(x, y)
        rest = np.stack([grid_x, grid_y, np.zeros_like(grid_x)], axis=-1).reshape(-1, 3)
        return cls(rest, rest, rows, columns)

    def moved(self, position: NDArray[np.floating], may_overhang: bool = False) -> GelSurface:
        """Returns a surface of the same material points at other current positions.

        Args:
            position: (N, 3) current positions, mm.
            may_overhang: whether triangles may face away from the camera.

        Returns:
            The deformed surface.

        Raises:
            InputError: the positions are invalid, as for the class.
        """
        return GelSurface(
            rest=self.rest,
            position=np.asarray(position, np.float32),
            rows=self.rows,
            columns=self.columns,
            may_overhang=may_overhang,
        )

    @property
    def triangles(self) -> NDArray[np.int32]:
        """(M, 3) int32 vertex indices of triangles whose normals point toward the camera."""
        return grid_triangles(self.rows, self.columns)

    @property
    def x_mm(self) -> NDArray[np.float32]:
        """(columns,) undeformed x of the grid's columns, mm."""
        return self.rest[: self.columns, 0]

    @property
    def y_mm(self) -> NDArray[np.float32]:
        """(rows,) undeformed y of the grid's rows, mm."""
        return self.rest[:: self.columns, 1]

    def renders_like(self, other: GelSurface) -> bool:
        """Returns whether two surfaces are so close that their images are indistinguishable.

        The limit of 0.2 micrometres changes a slope by 0.001 at the grids in use, which changes an
        image by a tenth of the camera's noise.

        Args:
            other: surface to compare with.

        Returns:
            True if both have the same shape and no vertex differs by `MAX_INVISIBLE_MM` or more.
        """
        if self.position.shape != other.position.shape:
            return False
        return float(np.abs(self.position - other.position).max()) < MAX_INVISIBLE_MM

    def _check_shape(self) -> None:
        """Raises an InputError for numbers of vertices that are out of bounds or inconsistent."""
        lines = min(self.rows, self.columns)
        if lines < MIN_LINES or self.rows * self.columns > MAX_VERTICES:
            raise InputError(
                f"gel surface: {self.rows} x {self.columns} vertices, expected at least "
                f"{MIN_LINES} each way and {MAX_VERTICES} in all"
            )
        expected = (self.rows * self.columns, 3)
        for name in ("rest", "position"):
            shape = np.shape(getattr(self, name))
            if shape != expected:
                raise InputError(f"gel surface: {name} has shape {shape}, expected {expected}")

    def _check_rest_grid(self) -> None:
        """Raises an InputError unless the rest positions are a grid with increasing x and y."""
        grid = self.rest.reshape(self.rows, self.columns, 3)
        uneven_mm = max(
            float(np.abs(grid[:, :, 0] - grid[:1, :, 0]).max()),
            float(np.abs(grid[:, :, 1] - grid[:, :1, 1]).max()),
        )
        is_straight = uneven_mm <= MAX_UNEVEN_MM
        is_increasing = (np.diff(grid[0, :, 0]) > 0).all() and (np.diff(grid[:, 0, 1]) > 0).all()
        if not (is_straight and is_increasing):
            raise InputError(
                "gel surface: the rest positions are no grid, expected x to increase with columns "
                "and y with rows"
            )

    def _check_folds(self) -> None:
        """Raises an InputError if a triangle has no positive area in the camera's view."""
        x, y = self.position[:, :2].T.reshape(2, self.rows, self.columns).astype(np.float64)
        right_x, right_y = np.diff(x, axis=1), np.diff(y, axis=1)
        down_x, down_y = np.diff(x, axis=0), np.diff(y, axis=0)
        first = right_x[:-1] * down_y[:, :-1] - right_y[:-1] * down_x[:, :-1]
        second = right_x[1:] * down_y[:, 1:] - right_y[1:] * down_x[:, 1:]
        folded = int(np.count_nonzero(first <= 0) + np.count_nonzero(second <= 0))
        if folded:
            raise InputError(
                f"gel surface: {folded} of {2 * first.size} triangles are flipped or have no area: "
                "the surface folds onto itself; use a smaller step or a finer mesh"
            )


def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Returns the triangles of a row-major grid, with normals toward -z for x right and y down.

    Args:
        rows: number of grid points along y.
        columns: number of grid points along x.

    Returns:
        (M, 3) int32 vertex indices.
    """
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
