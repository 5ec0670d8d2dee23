"""The gel's coated surface, at rest and deformed: what mechanics makes and optics draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

UNSEEN_MM = 2e-4
MIN_LINES = 3
MAX_VERTICES = 4_000_000
MAX_UNEVEN_MM = 1e-4  # of a grid line at rest


@dataclass(frozen=True)
class GelSurface:
    """A regular grid of material points in the frame `gel` (x right, y down, z off the camera).

    Vertices are in row-major order: rows along y (down the image), columns along x. The chart is
    the rest position itself, so material coordinates are `rest[:, :2]` in mm.

    Attributes:
        rest: (N, 3) float32 mm, undeformed positions (z = 0 but for gels that are not flat); a grid
            with even or uneven spacing.
        position: (N, 3) float32 mm, current positions; indentation is toward -z.
        rows: number of grid lines along y.
        columns: number of grid lines along x.
        may_overhang: triangles may face away from the camera, as beside a steep wall that the gel
            bulges against; for surfaces from mechanics, which knows that no material is inverted.

    Raises:
        InputError: shapes do not fit, a value is not finite, the rest grid is not a grid, or a
            triangle is turned over (the surface folds onto itself as the camera sees it).
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
        """The untouched surface of a pad, centred at the origin."""
        x = np.linspace(-width_mm / 2, width_mm / 2, columns, dtype=np.float32)
        y = np.linspace(-height_mm / 2, height_mm / 2, rows, dtype=np.float32)
        grid_x, grid_y = np.meshgrid(x, y)
        rest = np.stack([grid_x, grid_y, np.zeros_like(grid_x)], axis=-1).reshape(-1, 3)
        return cls(rest, rest, rows, columns)

    def moved(self, position: NDArray[np.floating], may_overhang: bool = False) -> GelSurface:
        """The same material at other positions (N, 3) mm."""
        moved = np.asarray(position, np.float32)
        return GelSurface(self.rest, moved, self.rows, self.columns, may_overhang)

    @property
    def triangles(self) -> NDArray[np.int32]:
        """(M, 3) int32 vertex indices; their normals point toward the camera."""
        return grid_triangles(self.rows, self.columns)

    @property
    def x_mm(self) -> NDArray[np.float32]:
        """(columns,) rest x of the grid lines."""
        return self.rest[: self.columns, 0]

    @property
    def y_mm(self) -> NDArray[np.float32]:
        """(rows,) rest y of the grid lines."""
        return self.rest[:: self.columns, 1]

    def renders_like(self, other: GelSurface) -> bool:
        """Whether no vertex is so far from another surface's that an image would tell them apart.

        A tenth of a camera's noise: 0.2 micrometres between vertices change a slope by 0.001 at
        the grids in use.
        """
        if self.position.shape != other.position.shape:
            return False
        return float(np.abs(self.position - other.position).max()) < UNSEEN_MM

    def _check_shape(self) -> None:
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
        grid = self.rest.reshape(self.rows, self.columns, 3)
        uneven_mm = max(
            float(np.abs(grid[:, :, 0] - grid[:1, :, 0]).max()),
            float(np.abs(grid[:, :, 1] - grid[:, :1, 1]).max()),
        )
        even = uneven_mm <= MAX_UNEVEN_MM
        rising = (np.diff(grid[0, :, 0]) > 0).all() and (np.diff(grid[:, 0, 1]) > 0).all()
        if not (even and rising):
            raise InputError(
                "gel surface: the rest positions are no grid with x rising along its columns "
                "and y along its rows"
            )

    def _check_folds(self) -> None:
        x, y = self.position[:, :2].T.reshape(2, self.rows, self.columns).astype(np.float64)
        right_x, right_y = np.diff(x, axis=1), np.diff(y, axis=1)
        down_x, down_y = np.diff(x, axis=0), np.diff(y, axis=0)
        first = right_x[:-1] * down_y[:, :-1] - right_y[:-1] * down_x[:, :-1]
        second = right_x[1:] * down_y[:, 1:] - right_y[1:] * down_x[:, 1:]
        folded = int(np.count_nonzero(first <= 0) + np.count_nonzero(second <= 0))
        if folded:
            raise InputError(
                f"gel surface: {folded} of {2 * first.size} triangles are turned over or have no "
                "area: it folds onto itself; use a smaller step or a finer mesh"
            )


def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """(M, 3) int32 triangles of a row-major grid; normals toward -z for x right and y down."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
