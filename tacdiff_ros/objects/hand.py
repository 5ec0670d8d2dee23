"""A robot hand: kinematics, collision shapes, taxels and the gels of GelSight Minis."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.collision_shape import KINDS, CollisionShape, nearest_primitive

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Taxels:
    """Taxels on the links of a hand, each a small flat force sensor.

    Attributes:
        link: (T,) int64 index of the link in `Hand.links`.
        position: (T, 3) centres on the surface, in the frame of the link, m.
        normal: (T, 3) outward unit normals, in the frame of the link.
        area: (T,) areas, m2.
    """

    link: NDArray[np.int64]
    position: Array
    normal: Array
    area: Array

    @classmethod
    def none(cls) -> Taxels:
        """Return an empty set."""
        return cls(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)), np.empty(0))

    def __len__(self) -> int:
        return len(self.link)


@dataclass(frozen=True)
class GelPad:
    """The gel of a GelSight Mini on a hand; `pose` is its frame `gel`.

    Attributes:
        name: name of the sensor.
        link: name of the link that carries it.
        pose: (4, 4) transform from frame `gel` (centre of the untouched surface, x right and y down
            in the image, z toward the touched object) to the frame of the link.
        size: (2,) width along x and height along y, m.
    """

    name: str
    link: str
    pose: Array
    size: tuple[float, float]


@dataclass(frozen=True)
class Hand:
    """A robot hand with given link geometry; all poses are in the frame of its root link.

    Attributes:
        name: name of the robot in its URDF.
        joint_names: names of the J movable joints, in the order of joint positions.
        lower: (J,) lower limits, rad or m; -inf without a limit.
        upper: (J,) upper limits, rad or m.
        links: names of the L links, the root first.
        shapes: collision shapes of the links.
        taxels: taxels, possibly none.
        gel_pads: gels, possibly none.
        model: kinematic model of pinocchio.
        frames: (L,) indices of the links' frames in the model.
    """

    name: str
    joint_names: tuple[str, ...]
    lower: Array
    upper: Array
    links: tuple[str, ...]
    shapes: tuple[CollisionShape, ...]
    taxels: Taxels
    gel_pads: tuple[GelPad, ...]
    model: Any = field(repr=False, compare=False)
    frames: tuple[int, ...] = field(repr=False)

    def link_transforms(self, joint_positions: ArrayLike) -> Array:
        """Return the poses (L, 4, 4) of all links.

        Args:
            joint_positions: (J,) joint positions in the order of `joint_names`, rad or m.

        Raises:
            InputError: the number of positions differs from that of the joints, or one is not
                finite.
        """
        import pinocchio as pin

        data = self.model.createData()
        pin.framesForwardKinematics(self.model, data, self._configuration(joint_positions))
        return np.array([data.oMf[frame].homogeneous for frame in self.frames])

    def link_poses(self, joint_positions: ArrayLike) -> dict[str, Array]:
        """Return the pose (4, 4) of each link by its name; see `link_transforms`."""
        return dict(zip(self.links, self.link_transforms(joint_positions), strict=True))

    def link_jacobians(self, joint_positions: ArrayLike) -> Array:
        """Return the derivatives of all link poses by the joint positions.

        Args:
            joint_positions: (J,) joint positions, rad or m.

        Returns:
            (L, 6, J) velocities of the link's origin (rows 0 to 2) and angular velocities (rows 3
            to 5) per unit of joint velocity, along the axes of the root link.
        """
        import pinocchio as pin

        data = self.model.createData()
        pin.computeJointJacobians(self.model, data, self._configuration(joint_positions))
        pin.updateFramePlacements(self.model, data)
        frame = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return np.array([pin.getFrameJacobian(self.model, data, i, frame) for i in self.frames])

    def shape_transforms(self, joint_positions: ArrayLike) -> Array:
        """Return the poses (S, 4, 4) of the frames of all collision shapes."""
        transforms = self.link_transforms(joint_positions)
        return np.array(
            [transforms[i] @ s.pose for i, s in zip(self.shape_links, self.shapes, strict=True)]
        )

    @cached_property
    def shape_links(self) -> NDArray[np.int64]:
        """(S,) index of each collision shape's link in `links`."""
        return np.array([self.links.index(shape.link) for shape in self.shapes], np.int64)

    @cached_property
    def shape_kinds(self) -> NDArray[np.int64]:
        """(S,) kinds of the collision shapes, indices into `KINDS`."""
        return np.array([KINDS.index(shape.kind) for shape in self.shapes], np.int64)

    @cached_property
    def shape_sizes(self) -> Array:
        """(S, 3) sizes of the collision shapes, m."""
        return np.array([shape.size for shape in self.shapes], float).reshape(-1, 3)

    def distance(
        self, points: ArrayLike, joint_positions: ArrayLike
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        """Return the signed distances of points to the hand, negative inside.

        Args:
            points: (N, 3) positions in the frame of the root link, m.
            joint_positions: (J,) joint positions, rad or m.

        Returns:
            distance: (N,) signed distances to the nearest collision shape, m.
            gradient: (N, 3) unit gradients.
            shape: (N,) indices of the nearest shapes.
        """
        queries = np.ascontiguousarray(points, float).reshape(-1, 3)
        poses = self.shape_transforms(joint_positions)
        distance, gradient = np.empty(len(queries)), np.zeros((len(queries), 3))
        shape = np.empty(len(queries), np.int64)
        nearest_primitive(
            queries, self.shape_kinds, self.shape_sizes, poses, distance, gradient, shape
        )
        for s in np.flatnonzero([item.kind == "mesh" for item in self.shapes]):
            self._nearest_mesh(int(s), queries, poses[s], (distance, gradient, shape))
        return distance, gradient, shape

    def _nearest_mesh(
        self, s: int, points: Array, pose: Array, nearest: tuple[Array, Array, NDArray[np.int64]]
    ) -> None:
        """Replace the nearest distances where collision mesh `s` is nearer."""
        mesh = self.shapes[s].distance
        assert mesh is not None  # noqa: S101 (checked by CollisionShape)
        values, slopes = mesh.distance_and_gradient((points - pose[:3, 3]) @ pose[:3, :3])
        distance, gradient, shape = nearest
        nearer = values < distance
        distance[nearer] = values[nearer]
        gradient[nearer] = slopes[nearer] @ pose[:3, :3].T
        shape[nearer] = s

    def surface_points(self, spacing: float) -> tuple[NDArray[np.int64], Array, Array]:
        """Sample the surfaces of all collision shapes, without points inside a neighbouring shape.

        Args:
            spacing: approximate distance between points, m.

        Returns:
            link: (N,) index of each point's link.
            points: (N, 3) positions in the frame of the link, m.
            normals: (N, 3) outward unit normals in the frame of the link.
        """
        parts = []
        for link, shape in zip(self.shape_links, self.shapes, strict=True):
            points, normals = shape.surface_points(spacing)
            siblings = [other for other in self.shapes if other.link == shape.link]
            depth = np.min([other.distance_and_gradient(points)[0] for other in siblings], axis=0)
            kept = depth > -1e-4
            parts.append((np.full(kept.sum(), link), points[kept], normals[kept]))
        if not parts:
            return np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]

    def meshes(self, joint_positions: ArrayLike) -> list[tuple[Array, NDArray[np.int32]]]:
        """Return a watertight mesh (vertices, faces) of each collision shape at joint positions."""
        transforms = self.link_transforms(joint_positions)
        result = []
        for link, shape in zip(self.shape_links, self.shapes, strict=True):
            vertices, faces = shape.mesh()
            result.append((vertices @ transforms[link, :3, :3].T + transforms[link, :3, 3], faces))
        return result

    def taxel_positions(self, joint_positions: ArrayLike) -> tuple[Array, Array]:
        """Return the positions (T, 3) in m and outward normals (T, 3) of the taxels."""
        transforms = self.link_transforms(joint_positions)[self.taxels.link]
        rotations = transforms[:, :3, :3]
        position = np.einsum("nij,nj->ni", rotations, self.taxels.position) + transforms[:, :3, 3]
        return position, np.einsum("nij,nj->ni", rotations, self.taxels.normal)

    def gel_poses(self, joint_positions: ArrayLike) -> Array:
        """Return the poses (G, 4, 4) of the frames `gel`."""
        poses = self.link_poses(joint_positions)
        return np.array([poses[pad.link] @ pad.pose for pad in self.gel_pads]).reshape(-1, 4, 4)

    def ordered(self, positions: dict[str, float]) -> Array:
        """Return joint positions (J,) in the hand's order from positions by name.

        Args:
            positions: joint position by joint name; other joints, such as the arm's, are ignored.

        Raises:
            InputError: a joint of the hand has no position.
        """
        missing = [name for name in self.joint_names if name not in positions]
        if missing:
            raise InputError(
                f"joint positions lack {', '.join(missing[:4])} of hand {self.name}: expected all "
                f"of {len(self.joint_names)} joints; is it the right URDF?"
            )
        return np.array([positions[name] for name in self.joint_names], float)

    def _configuration(self, joint_positions: ArrayLike) -> Array:
        """Return pinocchio's configuration, which has two numbers for a continuous joint."""
        given = np.asarray(joint_positions, float).reshape(-1)
        if len(given) != len(self.joint_names) or not np.isfinite(given).all():
            raise InputError(
                f"{len(given)} joint positions for hand {self.name}, expected "
                f"{len(self.joint_names)} finite numbers: {', '.join(self.joint_names)}"
            )
        if self.model.nq == len(given):
            return given
        parts = [
            [q] if joint.nq == 1 else [np.cos(q), np.sin(q)]
            for q, joint in zip(given, [*self.model.joints][1:], strict=True)
        ]
        return np.concatenate(parts)
