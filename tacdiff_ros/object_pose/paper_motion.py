"""Small motions of an object and losses that are differentiated by them, for `paper_method`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss at one pose.

    Attributes:
        value: the loss.
        gradient: (6,) derivatives by the translation (per m) and by the rotation vector about the
            object's centre (per rad), both along the axes of the hand's root link.
    """

    value: float
    gradient: Array


def moved(pose: Array, centre: Array, motion: Array) -> Array:
    """Return a pose (4, 4) after a motion (6,) about the object's centre (3,) in its own frame."""
    result = pose.copy()
    pivot = pose[:3, :3] @ centre + pose[:3, 3]
    result[:3, :3] = Rotation.from_rotvec(motion[3:]).as_matrix() @ pose[:3, :3]
    result[:3, 3] = pivot + motion[:3] - result[:3, :3] @ centre
    return result


def gather(force: Array, arm: Array) -> Array:
    """Return the gradient (6,) of a loss with derivatives (N, 3) by points at arms (N, 3).

    The points belong to the object; the arms go from its centre to them.
    """
    return np.concatenate([force.sum(axis=0), np.cross(arm, force).sum(axis=0)])
