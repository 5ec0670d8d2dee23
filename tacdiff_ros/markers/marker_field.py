"""Where the dots of a gel are in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError


@dataclass(frozen=True, eq=False)
class MarkerField:
    """Positions of the dots of one image, by their place on the grid.

    Row 0 is at the top, column 0 at the left. A dot that was not found is NaN, never a guess.
    Raises InputError when the arrays do not belong together.
    """

    position_px: NDArray[np.float64]
    """(rows, columns, 2) centre (x, y), px; the centre of the top-left pixel is (0, 0)."""
    found: NDArray[np.bool_]
    """(rows, columns) whether the dot was measured in this image."""
    diameter_px: NDArray[np.float64]
    """(rows, columns) diameter of the circle of the same dark area, px."""

    def __post_init__(self) -> None:
        if self.found.ndim != 2 or self.found.dtype != np.bool_:
            raise InputError(
                f"marker field: found is {self.found.dtype} {self.found.shape}, "
                "expected bool (rows, columns)"
            )
        self._check_like_found("position_px", self.position_px, (*self.found.shape, 2))
        self._check_like_found("diameter_px", self.diameter_px, self.found.shape)

    def _check_like_found(
        self, name: str, values: NDArray[np.float64], shape: tuple[int, ...]
    ) -> None:
        if values.shape != shape:
            raise InputError(f"marker field: {name} has shape {values.shape}, expected {shape}")
        finite = np.isfinite(values).reshape(*self.found.shape, -1)
        if not (finite == self.found[..., None]).all():
            raise InputError(f"marker field: {name} must be finite exactly where found is true")

    @classmethod
    def where(
        cls,
        found: NDArray[np.bool_],
        position_px: NDArray[np.float64],
        diameter_px: NDArray[np.float64],
    ) -> MarkerField:
        """Keep the positions and diameters of the found dots, NaN for the others."""
        return cls(
            position_px=np.where(found[..., None], position_px, np.nan),
            found=found,
            diameter_px=np.where(found, diameter_px, np.nan),
        )

    @property
    def expected(self) -> int:
        """Dots on the grid: rows * columns."""
        return int(self.found.size)

    @property
    def found_count(self) -> int:
        """Dots measured in this image."""
        return int(self.found.sum())

    def displacement_px(self, reference: MarkerField) -> NDArray[np.float64]:
        """Motion (rows, columns, 2) from `reference` to here, px; NaN where either lacks the dot.

        Raises InputError when the two grids differ.
        """
        if reference.found.shape != self.found.shape:
            raise InputError(
                "marker displacement: the reference has {} x {} dots, this field {} x {}".format(
                    *reference.found.shape, *self.found.shape
                )
            )
        return self.position_px - reference.position_px
