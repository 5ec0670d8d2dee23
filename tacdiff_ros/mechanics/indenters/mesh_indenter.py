"""Indenters from files: any watertight body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, format_indenter
from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.indenter import Indenter, as_points
from tacdiff_ros.mechanics.indenters.mesh_file import read_solid
from tacdiff_ros.mechanics.indenters.sizes import bounded_sizes, require
from tacdiff_ros.mechanics.indenters.spline_field import SplineField
from tacdiff_ros.mechanics.indenters.triangle_distance import grid_distance

if TYPE_CHECKING:
    from trimesh import Trimesh

SPACING_MM = 0.1
TOUCHING_MM = 4.0  # height over the lowest point of what can touch the gel
MARGIN_MM = 1.0
MIN_CELLS = 4  # around the body, which the smoothing and the spline's rim need
SMOOTHING_CELLS = 1.0
MAX_POINTS = 6_000_000


@dataclass(frozen=True, eq=False)
class MeshIndenter(Indenter):
    """A body from a file, with its distance sampled on a grid around its lowest 4 mm.

    The samples are smoothed by a Gaussian of one cell and interpolated by a tricubic spline: the
    field is twice continuously differentiable everywhere in the grid, its gradient is about but
    not exactly of unit length. With cells of h = 0.1 mm, smoothing moves a sphere of 5 mm inward
    by h^2 / R = 0.004 mm, rounds sharp edges to a radius of about 2 h and takes 1.2 h from the
    tip of a sharp cone of 90 degrees. Flat faces stay where they are.

    Limits: above the grid, and at its sides if the body goes on there, the field is no distance
    to the body. Body parts must not pass through each other.

    Attributes:
        text: canonical spec.
        body: the triangles, moved onto the tip.
        field: the smoothed distance.
    """

    text: str
    body: Trimesh
    field: SplineField

    @property
    def spec(self) -> str:
        """The text that builds it again from the same file."""
        return self.text

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) mm, lowest and highest corner of the axis-aligned box around the triangles."""
        return np.array(self.body.bounds)

    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N,) mm, smoothed signed distance of points (N, 3) mm, above 0 outside."""
        return self.derivatives(points).distance

    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Smoothed signed distance of points (N, 3) mm with gradient and Hessian."""
        return self.field.derivatives(as_points(points))

    def mesh(self, spacing_mm: float = SPACING_MM) -> Trimesh:
        """The triangles of the file, moved onto the tip, mm; the spacing is not used."""
        if not spacing_mm > 0:
            raise InputError(f"mesh spacing is {spacing_mm:g} mm, expected above 0")
        return self.body.copy()


def mesh(spec: IndenterSpec) -> Indenter:
    """The body in a `file`, times a `scale`, on a grid of a `spacing`; z points off the gel.

    It takes about 2 s per million points of the grid, and more for more than 100 000 triangles.

    Raises:
        InputError: no file is given, it cannot be used (see `read_solid`), or the grid would have
            more than `MAX_POINTS`.
    """
    sizes, texts = bounded_sizes(spec, {"scale": 1.0, "spacing": SPACING_MM}, {"file": ""})
    require(spec, bool(texts["file"]), "no file is given", "mesh:file=PATH")
    body, spacing = read_solid(texts["file"], sizes["scale"]), sizes["spacing"]
    low, high = np.array(body.bounds)
    high[2] = min(high[2], TOUCHING_MM)
    margin = max(MARGIN_MM, MIN_CELLS * spacing)
    origin = low - margin
    shape = tuple(int(n) for n in np.ceil((high + margin - origin) / spacing) + 1)
    points = int(np.prod(shape))
    require(
        spec,
        points <= MAX_POINTS,
        f"spacing of {spacing:g} mm makes a grid of {points} points",
        f"up to {MAX_POINTS}: give a coarser spacing",
    )
    distance = gaussian_filter(
        grid_distance(body, origin, shape, spacing), SMOOTHING_CELLS, mode="nearest"
    )
    field = SplineField.through(distance, origin, spacing)
    return MeshIndenter(format_indenter("mesh", sizes, texts), body, field)
