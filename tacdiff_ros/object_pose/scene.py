"""What is estimated, and the frames that follow from it.

All poses are in the base frame of the hand, called `hand`. The unknowns form one vector of
perturbations: object twist (6), camera twist (6), depth bias (1), joint offsets (J).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.hand_model import HandModel
from tacdiff_ros.object_pose.link_frames import LinkFrames

Floats = NDArray[np.float64]
OBJECT = slice(0, 6)
CAMERA = slice(6, 12)
DEPTH_BIAS = 12
FIRST_JOINT = 13


@dataclass(frozen=True)
class Unknowns:
    """Everything that is estimated.

    Attributes:
        object_pose: (4, 4) pose of the object in `hand`.
        camera_pose: (4, 4) pose of the camera's optical frame in `hand`.
        depth_bias: measured minus true depth, m.
        joint_positions: (J,) joint positions, rad or m.
    """

    object_pose: Floats
    camera_pose: Floats
    depth_bias: float
    joint_positions: Floats

    @property
    def size(self) -> int:
        """Number of perturbations."""
        return FIRST_JOINT + len(self.joint_positions)

    def moved(self, step: Floats) -> Unknowns:
        """Return the unknowns after a perturbation (13 + J,)."""
        return Unknowns(
            self.object_pose @ se3.exp(step[OBJECT]),
            self.camera_pose @ se3.exp(step[CAMERA]),
            self.depth_bias + float(step[DEPTH_BIAS]),
            self.joint_positions + step[FIRST_JOINT:],
        )

    def with_object(self, object_pose: Floats) -> Unknowns:
        """Return the unknowns with another pose (4, 4) of the object."""
        return replace(self, object_pose=object_pose)

    def difference(self, other: Unknowns) -> Floats:
        """Return the perturbation (13 + J,) from another point to this one."""
        return np.concatenate(
            [
                se3.log(se3.inverse(other.object_pose) @ self.object_pose),
                se3.log(se3.inverse(other.camera_pose) @ self.camera_pose),
                [self.depth_bias - other.depth_bias],
                self.joint_positions - other.joint_positions,
            ]
        )


class Scene:
    """Frames at one value of the unknowns, and derivatives of points with respect to them."""

    def __init__(
        self,
        hand: HandModel,
        unknowns: Unknowns,
        links: LinkFrames | None = None,
        object_only: bool = False,
    ) -> None:
        """Compute the frames of the hand's links.

        Args:
            hand: hand.
            unknowns: value of the unknowns.
            links: frames of the links at these joint positions; None to compute them.
            object_only: whether derivatives are those of the object's twist only.
        """
        self.unknowns = unknowns
        self.object_rotation = unknowns.object_pose[:3, :3]
        self.object_origin = unknowns.object_pose[:3, 3]
        self.camera_rotation = unknowns.camera_pose[:3, :3]
        self.camera_origin = unknowns.camera_pose[:3, 3]
        self.links = links or LinkFrames.of(hand, unknowns.joint_positions)
        self._object_only = object_only

    def to_object(self, points: Floats) -> Floats:
        """Return points (N, 3) in `hand` in the object's frame."""
        return np.asarray((points - self.object_origin) @ self.object_rotation)

    def from_camera(self, points: Floats) -> Floats:
        """Return points (N, 3) in the camera's frame in `hand`."""
        return np.asarray(points @ self.camera_rotation.T + self.camera_origin)

    def empty_jacobian(self, rows: int) -> Floats:
        """Return zeros (rows, 13 + J), or (rows, 6) for the object only."""
        return np.zeros((rows, self.width))

    @property
    def width(self) -> int:
        """Number of columns of the derivatives."""
        return OBJECT.stop if self._object_only else self.unknowns.size

    def add_object(self, jacobian: Floats, points: Floats, gradient: Floats) -> None:
        """Add the derivative of a distance to the object with respect to the object's twist.

        Args:
            jacobian: (N, 13 + J) derivatives, changed in place.
            points: (N, 3) points in the object's frame.
            gradient: (N, 3) gradients of the distance in the object's frame.
        """
        jacobian[:, 0:3] -= gradient
        jacobian[:, 3:6] -= se3.cross(points, gradient)

    def add_camera(self, jacobian: Floats, points: Floats, gradient: Floats) -> None:
        """Add the derivative with respect to the camera's twist.

        Args:
            jacobian: (N, 13 + J) derivatives, changed in place.
            points: (N, 3) points in the camera's frame.
            gradient: (N, 3) gradients with respect to these points, in the camera's axes.
        """
        if not self._object_only:
            jacobian[:, 6:9] += gradient
            jacobian[:, 9:12] += se3.cross(points, gradient)

    def add_depth_bias(self, jacobian: Floats, ray: Floats, gradient: Floats) -> None:
        """Add the derivative with respect to the bias of the depth image.

        Args:
            jacobian: (N, 13 + J) derivatives, changed in place.
            ray: (N, 3) rays with z = 1 in the camera's frame.
            gradient: (N, 3) gradients with respect to the points on them, in the camera's axes.
        """
        if not self._object_only:
            jacobian[:, DEPTH_BIAS] -= np.sum(gradient * ray, axis=1)

    def add_joints(
        self, jacobian: Floats, points: Floats, gradient: Floats, link: NDArray[np.int64]
    ) -> None:
        """Add the derivative with respect to the joints of points that move with links.

        Args:
            jacobian: (N, 13 + J) derivatives, changed in place.
            points: (N, 3) points in `hand`.
            gradient: (N, 3) gradients with respect to these points, in `hand`.
            link: (N,) index of the link of each point.
        """
        if not self._object_only:
            jacobian[:, FIRST_JOINT:] += self.links.joint_derivative(points, gradient, link)
