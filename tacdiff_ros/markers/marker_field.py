"""Positions and diameters of the markers of a gel in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError


@dataclass(frozen=True, eq=False)
class MarkerField:
    """Positions and diameters of the markers in one image, by row and column of the grid.

    Row 0 is at the top, column 0 at the left. Values of markers that were not found are NaN.

    Raises:
        InputError: the shapes are inconsistent, or values are not finite exactly where `found`
            is true.
    """

    position_px: NDArray[np.float64]
    """(rows, columns, 2) centres (x, y), px; the centre of the top left pixel is (0, 0)."""
    found: NDArray[np.bool_]
    """(rows, columns) whether the marker was measured in this image."""
    diameter_px: NDArray[np.float64]
    """(rows, columns) diameters of circles with the area of the markers, px."""

    def __post_init__(self) -> None:
        if self.found.ndim != 2 or self.found.dtype != np.bool_:
            raise InputError(
                f"marker field: found is {self.found.dtype} {self.found.shape}, "
                "expected bool (rows, columns)"
            )
        self._check_values("position_px", self.position_px, (*self.found.shape, 2))
        self._check_values("diameter_px", self.diameter_px, self.found.shape)

    def _check_values(self, name: str, values: NDArray[np.float64], shape: tuple[int, ...]) -> None:
        """Raise an InputError unless values have the shape and are finite exactly where found."""
        if values.shape != shape:
            raise InputError(f"marker field: {name} has shape {values.shape}, expected {shape}")
        is_finite = np.isfinite(values).reshape(*self.found.shape, -1)
        if not (is_finite == self.found[..., None]).all():
            raise InputError(f"marker field: {name} must be finite exactly where found is true")

    @classmethod
    def where(
        cls,
        found: NDArray[np.bool_],
        position_px: NDArray[np.float64],
        diameter_px: NDArray[np.float64],
    ) -> MarkerField:
        """Build a field whose values are NaN for the markers that were not found.

        Args:
            found: (rows, columns) bool, true for markers that were found.
            position_px: (rows, columns, 2) centres (x, y), px.
            diameter_px: (rows, columns) diameters, px.

        Returns:
            The marker field.
        """
        return cls(
            position_px=np.where(found[..., None], position_px, np.nan),
            found=found,
            diameter_px=np.where(found, diameter_px, np.nan),
        )

    @property
    def expected(self) -> int:
        """Expected number of markers, rows x columns."""
        return int(self.found.size)

    @property
    def found_count(self) -> int:
        """Number of markers that were measured in this image."""
        return int(self.found.sum())

    def displacement_px(self, reference: MarkerField) -> NDArray[np.float64]:
        """Return the displacements of the markers relative to a reference.

        Args:
            reference: field of the reference image, on the same grid.

        Returns:
            (rows, columns, 2) displacements (x, y), px; NaN where a marker is missing in either.

        Raises:
            InputError: the two grids differ.
        """
        if reference.found.shape != self.found.shape:
            raise InputError(
                "marker displacement: the reference has {} x {} markers, this field {} x {}; "
                "expected equal grids".format(*reference.found.shape, *self.found.shape)
            )
        return self.position_px - reference.position_px
