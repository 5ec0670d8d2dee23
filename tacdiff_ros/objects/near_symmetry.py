"""Rotations that nearly map an object onto itself: only small parts tell such poses apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]

POINTS = 2000  # on the surface
SYMMETRY_STEPS = 24  # rotations that stand for an axis of revolution
TURNS = 12  # about each principal axis of the surface
SAME_SURFACE = 0.006  # mean distance of two surfaces that sensors hardly tell apart, m
OTHER_POSE = 0.1  # mean motion of the points of another pose, over the diameter
MAX_FRACTION = 0.15  # of the surfaces' distance in that motion: any object is close to itself when
# it turns by little


@dataclass(frozen=True)
class NearSymmetry:
    """A rotation that nearly maps an object onto itself.

    Attributes:
        angle_deg: angle of the rotation, degrees.
        axis: (3,) axis in the object's frame.
        distance: mean distance of the turned surface from the surface, m.
    """

    angle_deg: float
    axis: Floats
    distance: float


def near_symmetry(item: RigidObject) -> NearSymmetry | None:
    """Return the rotation after which an object looks most alike; None if it would look different.

    Rotations about the principal axes of the surface by multiples of 30 degrees are tried, without
    those near the object's symmetries.

    Args:
        item: object.
    """
    points, _ = item.surface_points(POINTS)
    centred = points - points.mean(axis=0)
    tree, axes = KDTree(centred), np.linalg.eigh(np.cov(centred.T))[1].T
    copies = item.symmetry_transforms(SYMMETRY_STEPS)[:, :3, :3]
    symmetric = centred @ np.swapaxes(copies, -1, -2)
    alike: list[NearSymmetry] = []
    for axis in axes:
        for turn in range(1, TURNS):
            angle = 2.0 * math.pi * turn / TURNS
            turned = centred @ Rotation.from_rotvec(angle * axis).as_matrix().T
            moved = np.linalg.norm(symmetric - turned, axis=-1).mean(axis=-1).min()
            if moved > OTHER_POSE * item.diameter:
                distance = float(tree.query(turned)[0].mean())
                if distance < min(SAME_SURFACE, MAX_FRACTION * moved):
                    alike.append(NearSymmetry(math.degrees(angle), axis, distance))
    return min(alike, key=lambda each: each.distance, default=None)
