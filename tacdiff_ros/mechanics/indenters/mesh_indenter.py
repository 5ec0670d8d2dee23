"""Indenters from mesh files: any watertight body."""

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
from tacdiff_ros.mechanics.indenters.mesh_file import Placement, read_solid
from tacdiff_ros.mechanics.indenters.sizes import bounded_sizes, require
from tacdiff_ros.mechanics.indenters.spline_field import SplineField
from tacdiff_ros.mechanics.indenters.tilt import tilt_angles, tilt_text, without_tilt
from tacdiff_ros.mechanics.indenters.triangle_distance import grid_distance

if TYPE_CHECKING:
    from trimesh import Trimesh

SPACING_MM = 0.1
MAX_CONTACT_HEIGHT_MM = 4.0  # only the part of the body below this height can touch the gel
REACH_MM = 14.0  # half the width of the part that can touch the gel of 25 x 21 mm
MARGIN_MM = 1.0
MIN_MARGIN_CELLS = 4  # around the body, for the smoothing and the rim of the spline
SMOOTHING_CELLS = 1.0  # sigma of the Gaussian
NEAR_CELLS = 4.0  # distance from the surface within which distances are corrected
MIN_GRADIENT = 0.2  # of the smoothed field, on the medial axis inside a thin wall
MAX_POINTS = 6_000_000


@dataclass(frozen=True, eq=False)
class MeshIndenter(Indenter):
    """A body from a mesh file, whose distance is sampled on a grid around its lowest 4 mm.

    The samples are smoothed by a Gaussian with a sigma of one cell and interpolated by a tricubic
    spline: the field is twice continuously differentiable in the whole grid, and its gradient has
    approximately unit length. With cells of h = 0.1 mm, the smoothing moves the surface of a sphere
    of 5 mm inward by h^2 / R = 0.004 mm, rounds sharp edges to a radius of about 2 h and shortens a
    sharp cone of 90 degrees by 1.2 h. Flat faces are not displaced.

    Limits: above the grid, and beyond `REACH_MM` at the sides, the field is not the distance to the
    body. Parts of the body must not intersect each other.

    Attributes:
        text: canonical specification.
        body: triangles of the file, with the lowest point at z = 0, mm.
        field: smoothed signed distance, mm.
    """

    text: str
    body: Trimesh
    field: SplineField

    @property
    def spec(self) -> str:
        """Canonical specification, with the path of the mesh file."""
        return self.text

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) lowest and highest corner of the axis-aligned box around the triangles, mm."""
        return np.array(self.body.bounds)

    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Returns the smoothed signed distance (N,) of points (N, 3), mm, positive outside."""
        return self.derivatives(points).distance

    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Returns the smoothed signed distance of points (N, 3), mm, with gradient and Hessian."""
        return _as_distance(self.field.derivatives(as_points(points)), self.field.spacing)

    def mesh(self, spacing_mm: float = SPACING_MM) -> Trimesh:
        """Returns the triangles of the file, mm; the spacing is checked but not used."""
        if not spacing_mm > 0:
            raise InputError(f"mesh spacing is {spacing_mm:g} mm, expected above 0")
        return self.body.copy()


def _as_distance(field: Derivatives, spacing_mm: float) -> Derivatives:
    """Returns a smoothed field as a distance, with unit gradients and no curvature along them.

    Smoothing makes the field of an edge flatter: its gradient is as short as 0.7. To first order,
    the distance to its zero level is the value over the length of the gradient (Taubin, IEEE
    Trans. Pattern Anal. 13, 1991). That correction ends at `NEAR_CELLS` from the surface.

    Args:
        field: smoothed signed distance.
        spacing_mm: cell size of its grid, mm.
    """
    length = np.maximum(np.linalg.norm(field.gradient, axis=1), MIN_GRADIENT)
    normal = field.gradient / length[:, None]
    nearness = np.maximum(1.0 - (field.distance / (NEAR_CELLS * spacing_mm)) ** 2, 0.0) ** 2
    projection = np.eye(3) - normal[:, :, None] * normal[:, None, :]
    return Derivatives(
        field.distance * (1.0 + nearness * (1.0 / length - 1.0)),
        normal,
        projection @ (field.hessian / length[:, None, None]) @ projection,
    )


def mesh(spec: IndenterSpec) -> Indenter:
    """Returns the body of a mesh `file`, enlarged by `scale` and turned by `roll` and `pitch`.

    Sampling takes about 2 s per million grid points, and longer for more than 100 000 triangles.

    Args:
        spec: specification with `file`, `scale`, the cell size `spacing` of the grid in mm,
            `roll` and `pitch` in degrees, and `repair`, which is `yes` to close holes.

    Returns:
        Indenter with its lowest point at z = 0.

    Raises:
        InputError: no file is given, the file cannot be used (see `read_solid`), or the grid would
            have more than `MAX_POINTS` points.
    """
    angles = tilt_angles(spec)
    sizes, texts = bounded_sizes(
        without_tilt(spec), {"scale": 1.0, "spacing": SPACING_MM}, {"file": "", "repair": "no"}
    )
    require(spec, bool(texts["file"]), "no file is given", "mesh:file=PATH")
    repair = texts["repair"]
    require(spec, repair in ("yes", "no"), f"repair is {repair!r}", "yes or no")
    if repair == "no":
        del texts["repair"]
    placement = Placement(sizes["scale"], *angles)
    body, spacing = read_solid(texts["file"], placement, repair == "yes"), sizes["spacing"]
    low, high = np.array(body.bounds)
    low[:2], high[:2] = np.maximum(low[:2], -REACH_MM), np.minimum(high[:2], REACH_MM)
    high[2] = min(high[2], MAX_CONTACT_HEIGHT_MM)
    margin = max(MARGIN_MM, MIN_MARGIN_CELLS * spacing)
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
    field = SplineField.from_samples(distance, origin, spacing)
    return MeshIndenter(format_indenter("mesh", sizes, texts) + tilt_text(*angles), body, field)
