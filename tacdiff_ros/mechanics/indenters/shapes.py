"""Analytic indenters and the meaning of their sizes.

Each has its lowest point at the origin and its axis along z; see `Indenter`. All builders take a
parsed specification and raise an InputError for unknown keys, sizes out of bounds and sizes that
do not fit each other. Lengths are in mm, angles in degrees; `round` is the radius of the edges.
"""

from __future__ import annotations

import math

import numpy as np

from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, format_indenter
from tacdiff_ros.mechanics.indenters.extrusion import Extrusion
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.indenters.outline import Outline, rectangle_outline, wedge_outline
from tacdiff_ros.mechanics.indenters.plane_field import PlanePoint
from tacdiff_ros.mechanics.indenters.polyhedron import ConvexPolyhedron
from tacdiff_ros.mechanics.indenters.revolution import Revolution
from tacdiff_ros.mechanics.indenters.rounded import Core, RoundedIndenter
from tacdiff_ros.mechanics.indenters.sizes import bounded_sizes, require, require_rounding

ROUND_MM = 0.2  # default radius of edges
TIP_ROUND_MM = 0.5  # default radius of tips
HEIGHT_MM = 8.0
QUARTERS = tuple(i * math.pi / 2 for i in range(4))


def sphere(spec: IndenterSpec) -> Indenter:
    """Returns a whole ball of a `diameter`, so that presses must not be deeper than that."""
    sizes, _ = bounded_sizes(spec, {"diameter": 5.0})
    radius = sizes["diameter"] / 2
    core = Revolution(PlanePoint((0.0, radius)))
    return _rounded(spec, sizes, core, radius, (radius, radius, 2 * radius))


def cylinder(spec: IndenterSpec) -> Indenter:
    """Returns an upright cylinder of a `diameter` and `height` with a flat end."""
    sizes, _ = bounded_sizes(spec, {"diameter": 6.0, "height": HEIGHT_MM, "round": ROUND_MM})
    radius, height, rounding = sizes["diameter"] / 2, sizes["height"], sizes["round"]
    require_rounding(spec, rounding, min(2 * radius, height), "smallest extent")
    core = Revolution(rectangle_outline(radius - rounding, rounding, height - rounding))
    return _rounded(spec, sizes, core, rounding, (radius, radius, height))


def cube(spec: IndenterSpec) -> Indenter:
    """Returns an upright square bar of width `size` and `height`."""
    sizes, _ = bounded_sizes(spec, {"size": 6.0, "height": HEIGHT_MM, "round": ROUND_MM})
    half, rounding = sizes["size"] / 2, sizes["round"]
    require_rounding(spec, rounding, min(2 * half, sizes["height"]), "smallest extent")
    inner = half - rounding
    core = _upright(rectangle_outline(inner, -inner, inner), sizes)
    return _rounded(spec, sizes, core, rounding, (half, half, sizes["height"]))


def cross(spec: IndenterSpec) -> Indenter:
    """Returns an upright cross that measures `size` along x and y, with arms of width `arm`.

    Its concave corners have a radius of `fillet`: the field is smooth within that distance of
    them; farther away it has the kink of a sharp cross.
    """
    sizes, _ = bounded_sizes(
        spec,
        {"size": 8.0, "arm": 2.0, "height": HEIGHT_MM, "round": ROUND_MM, "fillet": 0.3},
    )
    size, arm, rounding, fillet = (sizes[key] for key in ("size", "arm", "round", "fillet"))
    require_rounding(spec, rounding, min(arm, sizes["height"]), "width of an arm")
    max_fillet = (size - arm) / 2 - rounding
    require(
        spec,
        fillet <= max_fillet,
        f"size is {size:g} mm, arm {arm:g} mm, round {rounding:g} mm and fillet {fillet:g} mm",
        "round and fillet together to be up to (size - arm) / 2",
    )
    a, b = arm / 2 - rounding, size / 2 - rounding
    quarter = np.array([(b, -a), (b, a), (a, a)])
    rotations = [
        np.array([[math.cos(t), math.sin(t)], [-math.sin(t), math.cos(t)]]) for t in QUARTERS
    ]
    corners = np.concatenate([quarter @ rotation for rotation in rotations])
    core = _upright(Outline.polygon(corners, fillet + rounding), sizes)
    return _rounded(spec, sizes, core, rounding, (size / 2, size / 2, sizes["height"]))


def cone(spec: IndenterSpec) -> Indenter:
    """Returns a cone of full `angle` that widens to `diameter` and continues as a cylinder.

    The radius of the tip is `round`.
    """
    sizes, _ = bounded_sizes(
        spec, {"diameter": 8.0, "angle": 90.0, "height": HEIGHT_MM, "round": TIP_ROUND_MM}
    )
    half = sizes["diameter"] / 2
    core = Revolution(wedge_outline(*_wedge(spec, half, sizes)))
    return _rounded(spec, sizes, core, sizes["round"], (half, half, sizes["height"]))


def torus(spec: IndenterSpec) -> Indenter:
    """Returns a ring that lies flat: a tube of diameter `tube` around a circle of a `diameter`.

    Its height is that of the tube. On the axis of the ring the field has a kink.
    """
    sizes, _ = bounded_sizes(spec, {"diameter": 7.0, "tube": 2.0})
    radius, tube = sizes["diameter"] / 2, sizes["tube"] / 2
    require(
        spec,
        tube <= 0.9 * radius,
        f"tube is {2 * tube:g} mm",
        f"up to {1.8 * radius:g} mm, 0.9 of the diameter of the circle",
    )
    core = Revolution(PlanePoint((radius, tube)))
    return _rounded(spec, sizes, core, tube, (radius + tube, radius + tube, 2 * tube))


def edge(spec: IndenterSpec) -> Indenter:
    """Returns a blade of a `length` along x, whose flanks widen to `width` below upright walls.

    The full angle between the flanks is `angle`. The radius of the ridge and its ends is `round`.
    """
    sizes, _ = bounded_sizes(
        spec,
        {
            "length": 12.0,
            "angle": 60.0,
            "width": 6.0,
            "height": HEIGHT_MM,
            "round": TIP_ROUND_MM,
        },
    )
    length, half, rounding = sizes["length"] / 2, sizes["width"] / 2, sizes["round"]
    require_rounding(spec, rounding, 2 * length, "length")
    inner = length - rounding
    core = Extrusion(wedge_outline(*_wedge(spec, half, sizes)), -inner, inner, axis=0)
    return _rounded(spec, sizes, core, rounding, (length, half, sizes["height"]))


def hexagon(spec: IndenterSpec) -> Indenter:
    """Returns an upright hexagonal bar, `size` between its flat sides along y, corners along x."""
    sizes, _ = bounded_sizes(spec, {"size": 6.0, "height": HEIGHT_MM, "round": ROUND_MM})
    half, rounding = sizes["size"] / 2, sizes["round"]
    require_rounding(spec, rounding, min(2 * half, sizes["height"]), "smallest extent")
    corner = (half - rounding) / math.cos(math.pi / 6)
    angles = np.arange(6) * math.pi / 3
    outline = Outline.polygon(corner * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    core = _upright(outline, sizes)
    return _rounded(spec, sizes, core, rounding, (corner + rounding, half, sizes["height"]))


def pyramid(spec: IndenterSpec) -> Indenter:
    """Returns a square pyramid that widens to `size` and continues as a square bar.

    The angle between opposite flanks is `angle`. The radius of the tip and the edges is `round`.
    """
    sizes, _ = bounded_sizes(
        spec, {"size": 8.0, "angle": 90.0, "height": HEIGHT_MM, "round": TIP_ROUND_MM}
    )
    half = sizes["size"] / 2
    inner, angle, low, high = _wedge(spec, half, sizes)
    flank_top = low + inner / math.tan(math.radians(angle) / 2)
    square = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * inner
    corners = np.zeros((9, 3))
    corners[0, 2] = low
    corners[1:5, :2], corners[1:5, 2] = square, flank_top
    corners[5:9, :2], corners[5:9, 2] = square, high
    sides = [(1 + i, 1 + (i + 1) % 4) for i in range(4)]
    faces = [(0, b, a) for a, b in sides] + [(a, b, b + 4, a + 4) for a, b in sides]
    core = ConvexPolyhedron.from_faces(corners, [*faces, (5, 6, 7, 8)])
    return _rounded(spec, sizes, core, sizes["round"], (half, half, sizes["height"]))


def _upright(outline: Outline, sizes: dict[str, float]) -> Extrusion:
    """Returns the core of a bar with a given cross-section, between the roundings of its ends."""
    return Extrusion(outline, sizes["round"], sizes["height"] - sizes["round"])


def _wedge(
    spec: IndenterSpec, half_width: float, sizes: dict[str, float]
) -> tuple[float, float, float, float]:
    """Returns the arguments of `wedge_outline` for the core of a body with a given half width.

    Returns:
        Tuple of the core's half width, mm; the full angle, degrees; and the heights of the core's
        tip and top, mm.

    Raises:
        InputError: the rounding exceeds the width, or the flanks are higher than the body.
    """
    rounding, height, angle = sizes["round"], sizes["height"], sizes["angle"]
    require_rounding(spec, rounding, min(2 * half_width, height), "width")
    inner = half_width - rounding
    flank_height = 2 * rounding + inner / math.tan(math.radians(angle) / 2)
    require(
        spec,
        flank_height < height,
        f"the flanks of {angle:g} degrees are {flank_height:.3g} mm high",
        f"less than the height of {height:g} mm: give a larger angle or height, or less width",
    )
    return inner, angle, rounding, height - rounding


def _rounded(
    spec: IndenterSpec,
    sizes: dict[str, float],
    core: Core,
    rounding: float,
    extent: tuple[float, float, float],
) -> RoundedIndenter:
    """Returns a core dilated by its rounding.

    Args:
        spec: specification that provides the name.
        sizes: all sizes of the shape, for the canonical specification.
        core: solid with sharp edges.
        rounding: radius of the edges, mm.
        extent: half widths along x and y and height of the whole body, mm.

    Returns:
        The indenter.
    """
    box = np.array([(-extent[0], -extent[1], 0.0), extent])
    return RoundedIndenter(format_indenter(spec.name, sizes), core, rounding, box)
