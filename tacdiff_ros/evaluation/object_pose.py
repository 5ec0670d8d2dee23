"""Metrics of an estimated object pose: accuracy, and plausibility with respect to the hand.

Position, orientation, contact area and intersection volume are those of the pose refinement
literature (equation 3 for the orientation; contact within 5 mm of 1e5 points); ADD-S is that of
PoseCNN (Xiang et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError

Array = NDArray[np.float64]
Mesh = tuple[NDArray[Any], NDArray[Any]]

CONTACT_DISTANCE_M = 0.005
CONTACT_POINTS = 100_000


@dataclass(frozen=True)
class PoseScores:
    """Errors of one estimated pose.

    Attributes:
        position_cm: distance of the object's origins, of the best symmetric pose, cm.
        orientation_deg: angle between the orientations, of the best symmetric pose, degrees.
        plain_orientation_deg: the same without regard to symmetry (equation 3), degrees.
        contact_area_cm2: object surface within 5 mm of the hand at the estimated pose, cm2.
        contact_area_error_cm2: absolute difference from that at the true pose, cm2.
        intersection_cm3: volume shared by object and hand at the estimated pose, cm3.
        intersection_error_cm3: absolute difference from that at the true pose, cm3.
        adds_mm: mean distance of model points to the nearest point of the true model, mm.
    """

    position_cm: float
    orientation_deg: float
    plain_orientation_deg: float
    contact_area_cm2: float
    contact_area_error_cm2: float
    intersection_cm3: float
    intersection_error_cm3: float
    adds_mm: float


def position_error(estimate: Array, truth: Array) -> float:
    """Return the distance between the origins of two poses (4, 4), m."""
    return float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3]))


def orientation_error_deg(estimate: Array, truth: Array) -> float:
    """Return the angle between two poses (4, 4), degrees: acos(2 <q, q'>^2 - 1)."""
    a, b = (Rotation.from_matrix(pose[:3, :3]).as_quat() for pose in (estimate, truth))
    return math.degrees(math.acos(min(1.0, max(-1.0, 2 * float(a @ b) ** 2 - 1))))


def closest_symmetric_truth(estimate: Array, truth: Array, symmetries: Array) -> Array:
    """Return the pose, among those that look like the true one, with the nearest orientation.

    Args:
        estimate: (4, 4) estimated pose.
        truth: (4, 4) true pose.
        symmetries: (S, 4, 4) transforms in the object's frame that do not change its surface.
    """
    equivalent = truth @ symmetries
    traces = np.einsum("ij,nij->n", estimate[:3, :3], equivalent[:, :3, :3])
    return np.asarray(equivalent[int(traces.argmax())])


def adds(points: Array, estimate: Array, truth: Array) -> float:
    """Return the mean distance of points to the nearest point of the true model (ADD-S), m.

    Args:
        points: (N, 3) points of the model, m.
        estimate: (4, 4) estimated pose.
        truth: (4, 4) true pose.
    """
    tree = cKDTree(transformed(points, truth))
    return float(tree.query(transformed(points, estimate))[0].mean())


def contact_area(
    points: Array, area: float, hand_distance: Callable[[Array], Array], pose: Array
) -> float:
    """Return the area of an object's surface within 5 mm of the hand, m2.

    Args:
        points: (N, 3) points that cover the surface evenly, m.
        area: area of the whole surface, m2.
        hand_distance: signed distances (N,) in m of points (N, 3) to the hand.
        pose: (4, 4) pose of the object in the frame of the hand's distance.
    """
    near = np.abs(hand_distance(transformed(points, pose))) < CONTACT_DISTANCE_M
    return float(near.mean() * area)


class IntersectionVolume:
    """Volume that an object shares with the parts of a hand, by exact booleans of meshes."""

    def __init__(self, item: Mesh, hand: Sequence[Mesh]) -> None:
        """Build the solids.

        Args:
            item: watertight mesh of the object in its frame, m.
            hand: watertight meshes of the hand's parts in its frame, m.

        Raises:
            InputError: a mesh is not watertight, or manifold3d is not installed.
        """
        self._library = _import_manifold()
        self._item = self._solid(item, "object")
        parts = [self._solid(mesh, "hand") for mesh in hand]
        self._hand = self._library.Manifold.batch_boolean(parts, self._library.OpType.Add)

    def at(self, pose: Array) -> float:
        """Return the shared volume with the object at a pose (4, 4) in the hand's frame, m3."""
        # Millimetres: the library merges vertices within a tolerance that suits larger numbers.
        moved = self._item.transform(np.vstack([pose[:3, :3].T, 1e3 * pose[:3, 3]]).T)
        return float((moved ^ self._hand).volume() * 1e-9)

    def _solid(self, mesh: Mesh, kind: str) -> Any:
        vertices, faces = mesh
        data = self._library.Mesh(
            np.ascontiguousarray(1e3 * np.asarray(vertices), np.float32),
            np.ascontiguousarray(faces, np.uint32),
        )
        solid = self._library.Manifold(data)
        if solid.status() != self._library.Error.NoError or solid.volume() <= 0:
            raise InputError(f"mesh of the {kind} is not watertight: close it first")
        return solid


@dataclass(frozen=True)
class PoseEvaluation:
    """What is compared with the estimates of one grasp.

    Attributes:
        truth: (4, 4) true pose of the object in the hand's frame.
        symmetries: (S, 4, 4) transforms that do not change the object's surface.
        points: (N, 3) points that cover the object's surface evenly, m.
        area: area of the object's surface, m2.
        hand_distance: signed distances (N,) of points (N, 3) to the hand at its true joints.
        intersection: shared volume with the hand at its true joints.
    """

    truth: Array
    symmetries: Array
    points: Array
    area: float
    hand_distance: Callable[[Array], Array]
    intersection: IntersectionVolume

    def scores(self, estimate: Array) -> PoseScores:
        """Return the errors of an estimated pose (4, 4) in the hand's frame."""
        nearest = closest_symmetric_truth(estimate, self.truth, self.symmetries)
        areas = [self._contact_area(pose) for pose in (estimate, self.truth)]
        volumes = [self.intersection.at(pose) for pose in (estimate, self.truth)]
        subset = self.points[:: max(1, len(self.points) // 2000)]
        return PoseScores(
            position_cm=100 * position_error(estimate, nearest),
            orientation_deg=orientation_error_deg(estimate, nearest),
            plain_orientation_deg=orientation_error_deg(estimate, self.truth),
            contact_area_cm2=1e4 * areas[0],
            contact_area_error_cm2=1e4 * abs(areas[0] - areas[1]),
            intersection_cm3=1e6 * volumes[0],
            intersection_error_cm3=1e6 * abs(volumes[0] - volumes[1]),
            adds_mm=1e3 * adds(subset, estimate, self.truth),
        )

    def _contact_area(self, pose: Array) -> float:
        return contact_area(self.points, self.area, self.hand_distance, pose)


def transformed(points: Array, pose: Array) -> Array:
    """Return points (N, 3) after a transform (4, 4)."""
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3])


def _import_manifold() -> Any:
    try:
        import manifold3d
    except ImportError as error:
        raise InputError(
            "intersection volumes need the package manifold3d: pip install 'tacdiff_ros[pose]'"
        ) from error
    return manifold3d
