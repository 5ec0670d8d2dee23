"""Closing of holes in triangle meshes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trimesh import Trimesh


def close_holes(mesh: Trimesh) -> list[int]:
    """Closes every hole by triangles between its border and the border's mean point, in place.

    The new triangles are oriented as their neighbours are. That is right for holes that are flat
    and convex, such as a missing face; others become smaller or larger than they should be.

    Limits: holes that meet in a vertex are closed as one; triangles are not reoriented.

    Args:
        mesh: mesh whose coincident vertices are merged.

    Returns:
        Number of border edges of each hole.
    """
    edges = np.asarray(mesh.faces)[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    known = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in known if (b, a) not in known}
    vertices, faces = [np.asarray(mesh.vertices)], [np.asarray(mesh.faces)]
    counts: list[int] = []
    while following:
        start, at = next(iter(following.items()))
        border = [start]
        del following[start]
        while at in following:
            border.append(at)
            at = following.pop(at)
        middle = len(mesh.vertices) + len(counts)
        vertices.append(np.asarray(mesh.vertices)[border].mean(axis=0)[None])
        ring = zip(border, [*border[1:], start], strict=True)
        faces.append(np.array([(b, a, middle) for a, b in ring]))
        counts.append(len(border))
    mesh.vertices, mesh.faces = np.concatenate(vertices), np.concatenate(faces)
    return counts
