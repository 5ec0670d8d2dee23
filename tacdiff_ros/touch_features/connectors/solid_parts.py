"""Parts of parametric solids along the x axis, in mm: revolved, prismatic and rectangular."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import ArrayLike
from trimesh import Trimesh

SECTIONS = 48  # facets around the axis: a 7 mm cylinder is off by at most 0.008 mm
CORNER_POINTS = 13  # points of a rounded corner
THREAD_DEPTH = 1.0825  # ISO 68-1: depth of both flanks of a basic profile, in pitches
CREST, ROOT = 1 / 8, 1 / 4  # ISO 68-1: widths of crest and root, in pitches
X_FROM_Z = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])


def revolved(profile: Sequence[tuple[float, float]], sections: int = SECTIONS) -> Trimesh:
    """Return a solid of revolution about the x axis.

    Args:
        profile: points (x, radius), mm, along the axis; end faces are closed.
        sections: number of facets around the axis; 6 for a hexagon, whose radius is that of its
            corners.
    """
    first, last = profile[0][0], profile[-1][0]
    line = [(0.0, first), *((radius, x) for x, radius in profile), (0.0, last)]
    angle = math.pi / sections  # a flat is below: the lowest line of a hexagon is a face
    solid = trimesh.creation.revolve(np.array(line), sections=sections)
    solid.apply_transform(trimesh.transformations.rotation_matrix(angle, (0, 0, 1)))
    solid.apply_transform(X_FROM_Z)
    return solid


def cylinder(first: float, last: float, diameter: float) -> Trimesh:
    """Return a cylinder about the x axis from x = `first` to `last`, mm."""
    return revolved([(first, diameter / 2), (last, diameter / 2)])


def hexagon(first: float, last: float, across_flats: float) -> Trimesh:
    """Return a hexagonal prism about the x axis that lies on one of its flats, mm."""
    corner = across_flats / math.sqrt(3)
    return revolved([(first, corner), (last, corner)], sections=6)


def thread(first: float, last: float, diameter: float, pitch: float) -> Trimesh:
    """Return a rod with rings in the profile of an ISO metric thread (no helix), mm.

    Args:
        first: x of one end.
        last: x of the other end.
        diameter: major diameter.
        pitch: distance of the rings.
    """
    crest, root = diameter / 2, diameter / 2 - THREAD_DEPTH * pitch / 2
    flank = (1 - CREST - ROOT) / 2
    profile = [(first, root)]
    for k in range(int((last - first) / pitch)):
        start = first + (k + ROOT) * pitch
        ring = [(0.0, root), (flank, crest), (flank + CREST, crest), (2 * flank + CREST, root)]
        profile += [(start + offset * pitch, radius) for offset, radius in ring]
    return revolved([*profile, (last, root)])


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Trimesh:
    """Return a box between lower and upper x, y and z, mm."""
    return trimesh.creation.box(bounds=np.array([x, y, z]).T)


def rounded_bar(first: float, last: float, width: float, height: float, radius: float) -> Trimesh:
    """Return a bar along x whose cross-section is a rectangle with rounded corners, mm.

    Args:
        first: x of one end.
        last: x of the other end.
        width: extent along y.
        height: extent along z.
        radius: radius of the corners, up to half of the smaller side.
    """
    return bar(first, last, rounded_outline(width, height, radius))


def rounded_outline(width: float, height: float, radius: float) -> np.ndarray:
    """Return points (N, 2) of a rectangle with rounded corners about the origin, mm."""
    angles = np.linspace(0, math.pi / 2, CORNER_POINTS)
    arc = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corner = arc + np.array([width / 2 - radius, height / 2 - radius])
    return np.concatenate([corner * signs for signs in ((1, 1), (-1, 1), (-1, -1), (1, -1))])


def bar(
    first: float, last: float, outline: ArrayLike, last_outline: ArrayLike | None = None
) -> Trimesh:
    """Return a convex bar along x.

    Args:
        first: x of one end, mm.
        last: x of the other end, mm.
        outline: (N, 2) points y, z of the cross-section at `first`, mm.
        last_outline: (N, 2) points of the cross-section at `last`; None for the same.
    """
    faces = [(first, outline), (last, outline if last_outline is None else last_outline)]
    points = [np.insert(np.asarray(face, float), 0, x, axis=1) for x, face in faces]
    return trimesh.convex.convex_hull(np.concatenate(points))


def plate(outline: ArrayLike, z: tuple[float, float]) -> Trimesh:
    """Return a convex plate with outline (N, 2) in x and y between two heights, mm."""
    points = np.asarray(outline, float)
    layers = [np.insert(points, 2, height, axis=1) for height in z]
    return trimesh.convex.convex_hull(np.concatenate(layers))
