"""A hand of two boxes, an L-shaped object and its distances, all in closed form."""

from dataclasses import dataclass

import numpy as np
import pytest

from tacdiff_ros.object_pose import se3

FINGER = np.array([0.01, 0.03, 0.01])  # half sides, m


@dataclass(frozen=True)
class TwoFingers:
    """A revolute joint about x at (0, 0, 0.05), on whose link a prismatic joint slides along y."""

    shape_links = np.array([1, 2])

    def link_transforms(self, joint_positions):
        turn, slide = joint_positions
        first = se3.pose_of([0.0, 0.0, 0.05], se3.rotation([turn, 0.0, 0.0]))
        second = first @ se3.pose_of([0.0, slide, 0.04], np.eye(3))
        return np.stack([np.eye(4), first, second])

    def link_jacobians(self, joint_positions):
        _, first, second = self.link_transforms(joint_positions)
        axis = first[:3, 0]
        result = np.zeros((3, 6, 2))
        result[1, 3:, 0] = result[2, 3:, 0] = axis
        result[2, :3, 0] = np.cross(axis, second[:3, 3] - first[:3, 3])
        result[2, :3, 1] = first[:3, 1]
        return result

    def distance(self, points, joint_positions):
        found = []
        for pose in self.link_transforms(joint_positions)[1:]:
            local = (points - pose[:3, 3]) @ pose[:3, :3]
            distance, gradient = box_distance(local, FINGER)
            found.append((distance, gradient @ pose[:3, :3].T))
        nearest = (found[1][0] < found[0][0]).astype(int)
        rows = np.arange(len(points))
        distance = np.stack([d for d, _ in found])[nearest, rows]
        gradient = np.stack([g for _, g in found])[nearest, rows]
        return distance, gradient, nearest


@dataclass(frozen=True)
class BoxField:
    """Distances of a box in closed form, with the interface of a distance field."""

    half: np.ndarray

    def distance_and_gradient(self, points):
        return box_distance(points, self.half)


def box_distance(points, half):
    excess = np.abs(points) - half
    outside = np.maximum(excess, 0.0)
    length = np.linalg.norm(outside, axis=1)
    nearest = np.argmax(excess, axis=1)
    sign = np.where(points < 0.0, -1.0, 1.0)
    inner = np.eye(3)[nearest] * sign
    outer = sign * outside / np.maximum(length, 1e-12)[:, None]
    is_outside = length > 0.0
    distance = np.where(is_outside, length, excess.max(axis=1))
    return distance, np.where(is_outside[:, None], outer, inner)


@pytest.fixture
def two_fingers():
    return TwoFingers()
