"""Rotations from which searches start: even grids of all rotations, fewer for symmetric objects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.rigid_object import Symmetry

Floats = NDArray[np.float64]
CANDIDATES = 1500
PHI, PSI = math.sqrt(2.0), 1.533751168755204288118041  # constants of the spirals


def super_fibonacci(count: int) -> Floats:
    """Return evenly spread rotations (count, 3, 3).

    Source: Alexa, "Super-Fibonacci Spirals: Fast, Low-Discrepancy Sampling of SO(3)", CVPR 2022.
    """
    step = np.arange(count) + 0.5
    t = step / count
    inner, outer = np.sqrt(t), np.sqrt(1.0 - t)
    alpha, beta = 2.0 * np.pi * step / PHI, 2.0 * np.pi * step / PSI
    quaternion = np.stack(
        [
            inner * np.sin(alpha),
            inner * np.cos(alpha),
            outer * np.sin(beta),
            outer * np.cos(beta),
        ],
        axis=1,
    )
    return np.asarray(Rotation.from_quat(quaternion).as_matrix())


def global_rotations(symmetries: Sequence[Symmetry], spacing_rad: float) -> Floats:
    """Return rotations (N, 3, 3) that lie at least a spacing apart, up to the object's symmetries.

    Args:
        symmetries: symmetries of the object.
        spacing_rad: least angle between two rotations, rad.
    """
    candidates = super_fibonacci(CANDIDATES)
    open_angles = np.full(CANDIDATES, np.inf)
    chosen = []
    index = 0
    while open_angles[index] > spacing_rad:
        chosen.append(index)
        angles = symmetric_angles(candidates[index], candidates, symmetries)
        open_angles = np.minimum(open_angles, angles)
        index = int(np.argmax(open_angles))
    return candidates[chosen]


def local_rotations(angle_rad: float) -> Floats:
    """Return the identity and turns by an angle about 6 half axes and 8 diagonals, (15, 3, 3)."""
    axes = [np.zeros(3), *np.eye(3), *-np.eye(3)]
    diagonals = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T / math.sqrt(3.0)
    return np.stack([se3.rotation(angle_rad * axis) for axis in (*axes, *diagonals)])


def symmetric_angles(rotation: Floats, others: Floats, symmetries: Sequence[Symmetry]) -> Floats:
    """Return the least angles (N,) between rotations of a symmetric object, rad.

    Args:
        rotation: (3, 3) rotation of the object.
        others: (N, 3, 3) other rotations of the object.
        symmetries: symmetries of the object.
    """
    relative = np.einsum("ji,njk->nik", rotation, others)  # from the object to the object
    best = _angles(relative)
    for copy in discrete_copies(symmetries):
        turned = np.einsum("ij,njk->nik", copy, relative)
        best = np.minimum(best, _angles(turned))
        for symmetry in symmetries:
            if symmetry.order == 0:
                axis = np.asarray(symmetry.axis, float)
                cosine = np.einsum("i,nij,j->n", axis, turned, axis)
                best = np.minimum(best, np.arccos(np.clip(cosine, -1.0, 1.0)))
    return np.asarray(best)


def discrete_copies(symmetries: Sequence[Symmetry]) -> list[Floats]:
    """Return the rotations (3, 3) of the group that the discrete symmetries generate."""
    generators = [
        se3.rotation(2.0 * np.pi / symmetry.order * np.asarray(symmetry.axis, float))
        for symmetry in symmetries
        if symmetry.order > 1
    ]
    group = [np.eye(3)]
    for element in group:  # grows meanwhile: the closure
        for generator in generators:
            product = generator @ element
            if len(group) < 64 and all(np.abs(product - other).max() > 1e-3 for other in group):
                group.append(product)
    return group


def _angles(matrices: Floats) -> Floats:
    trace = np.einsum("nii->n", matrices)
    return np.asarray(np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0)))
