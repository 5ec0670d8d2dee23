"""Residuals of depth, silhouette, hand and touch, with analytic Jacobians.

Each term holds measurements that do not change, and evaluates its residuals in units of standard
deviations at a `Scene`. Distances to the object come from its distance field, positive outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.hand_model import HandModel
from tacdiff_ros.object_pose.ray_approach import nearest_approach
from tacdiff_ros.object_pose.scene import Scene
from tacdiff_ros.objects.distance_field import DistanceField

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Residuals:
    """Residuals of one term.

    Attributes:
        value: (N,) residuals in standard deviations.
        jacobian: (N, 13 + J) derivatives.
    """

    value: Floats
    jacobian: Floats


class Term(Protocol):
    """One kind of measurement."""

    @property
    def name(self) -> str:
        """Name of the kind of data."""
        ...

    @property
    def scale(self) -> float:
        """Scale of the robust loss, in standard deviations."""
        ...

    @property
    def stddev(self) -> float:
        """Standard deviation of a measurement, in its own unit."""
        ...

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        ...


@dataclass(frozen=True)
class ObjectDepth:
    """Distance of measured points of the object to its surface.

    Attributes:
        field: distance field of the object.
        ray: (N, 3) rays of the pixels, with z = 1, in the camera's frame.
        depth: (N,) measured depths, m.
        stddev: standard deviation of a distance, m.
        scale: scale of the robust loss.
    """

    field: DistanceField
    ray: Floats
    depth: Floats
    stddev: float
    scale: float
    name: str = "depth"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        measured = self.ray * (self.depth - scene.unknowns.depth_bias)[:, None]
        points = scene.to_object(scene.from_camera(measured))
        distance, gradient = self.field.distance_and_gradient(points)
        jacobian = scene.empty_jacobian(len(distance))
        scene.add_object(jacobian, points, gradient)
        in_camera = gradient @ (scene.object_rotation.T @ scene.camera_rotation)
        scene.add_camera(jacobian, measured, in_camera)
        scene.add_depth_bias(jacobian, self.ray, in_camera)
        return Residuals(distance / self.stddev, jacobian / self.stddev)


@dataclass(frozen=True)
class HandDepth:
    """Distance of measured points of the hand to the hand's surface: registers hand and camera.

    Attributes:
        hand: hand.
        ray: (N, 3) rays of the pixels, with z = 1, in the camera's frame.
        depth: (N,) measured depths, m.
        stddev: standard deviation of a distance, m.
        scale: scale of the robust loss.
    """

    hand: HandModel
    ray: Floats
    depth: Floats
    stddev: float
    scale: float
    name: str = "hand_depth"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        measured = self.ray * (self.depth - scene.unknowns.depth_bias)[:, None]
        points = scene.from_camera(measured)
        joints = scene.unknowns.joint_positions
        distance, gradient, shape = self.hand.distance(points, joints)
        jacobian = scene.empty_jacobian(len(distance))
        in_camera = gradient @ scene.camera_rotation
        scene.add_camera(jacobian, measured, in_camera)
        scene.add_depth_bias(jacobian, self.ray, in_camera)
        scene.add_joints(jacobian, points, -gradient, self.hand.shape_links[shape])
        return Residuals(distance / self.stddev, jacobian / self.stddev)


@dataclass(frozen=True)
class LinkPoints:
    """Distance of points of the hand to the object's surface, or what violates a bound of it.

    Contact: the distance is 0. Without contact, and for all points of the hand's surface, it is at
    least `bound`: only a smaller distance is a residual.

    Attributes:
        field: distance field of the object.
        point: (N, 3) points in the frames of their links, m.
        link: (N,) index of each point's link.
        one_sided: whether only distances below the bound are residuals.
        stddev: standard deviation of a distance, m.
        scale: scale of the robust loss.
        name: name of the kind of data.
        bound: distance, or least distance, m; one value, or (N,).
    """

    field: DistanceField
    point: Floats
    link: Integers
    one_sided: bool
    stddev: float
    scale: float
    name: str
    bound: Floats | float = 0.0

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        in_hand = scene.links.points(self.point, self.link)
        points = scene.to_object(in_hand)
        distance, gradient = self.field.distance_and_gradient(points)
        distance = distance - self.bound
        if self.one_sided:
            inside = distance < 0.0
            distance = np.where(inside, distance, 0.0)
            gradient = np.where(inside[:, None], gradient, 0.0)
        jacobian = scene.empty_jacobian(len(distance))
        scene.add_object(jacobian, points, gradient)
        scene.add_joints(jacobian, in_hand, gradient @ scene.object_rotation.T, self.link)
        return Residuals(distance / self.stddev, jacobian / self.stddev)


@dataclass(frozen=True)
class GelNormals:
    """Normals of the gel's surface where it touches: opposite to those of the object.

    Limit: the Jacobian neglects the curvature of the object's surface, which is 0 on flat faces.

    Attributes:
        field: distance field of the object.
        point: (N, 3) points in the frames of their links, m.
        normal: (N, 3) outward normals of the gel, in the frames of their links.
        link: (N,) index of each point's link.
        stddev: standard deviation of a component, rad.
        scale: scale of the robust loss.
    """

    field: DistanceField
    point: Floats
    normal: Floats
    link: Integers
    stddev: float
    scale: float
    name: str = "gel_normal"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        points = scene.to_object(scene.links.points(self.point, self.link))
        _, gradient = self.field.distance_and_gradient(points)
        normal = scene.links.vectors(self.normal, self.link)
        turn = scene.object_rotation
        value = (gradient @ turn.T + normal) / self.stddev
        jacobian = np.zeros((len(points), 3, scene.width))
        for axis in range(3):  # R (w x g) = -R [g] w
            jacobian[:, axis, 3:6] = se3.cross(gradient, turn[axis][None]) / self.stddev
        return Residuals(value.ravel(), jacobian.reshape(-1, scene.width))


@dataclass(frozen=True)
class Sightlines:
    """Nearest approach of sight lines to the object.

    A ray that ends behind the object must pass beside it: its greatest depth inside the
    object is a residual. A ray inside the mask must hit the object: its least distance from the
    object is a residual.

    Attributes:
        field: distance field of the object.
        ray: (N, 3) rays of the pixels, with z = 1, in the camera's frame.
        end: (N,) depth at which the ray ends, m.
        must_hit: whether the rays hit the object; else they pass beside it.
        stddev: standard deviation of a distance, m.
        scale: scale of the robust loss.
        name: name of the kind of data.
    """

    field: DistanceField
    ray: Floats
    end: Floats
    must_hit: bool
    stddev: float
    scale: float
    name: str

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        turn = scene.object_rotation.T @ scene.camera_rotation
        origin = scene.to_object(scene.camera_origin[None])[0]
        at = nearest_approach(self.field, origin, self.ray @ turn.T, self.end)
        measured = self.ray * at[:, None]
        points = origin + measured @ turn.T
        distance, gradient = self.field.distance_and_gradient(points)
        is_violated = distance > 0.0 if self.must_hit else distance < 0.0
        distance = np.where(is_violated, distance, 0.0)
        gradient = np.where(is_violated[:, None], gradient, 0.0)
        jacobian = scene.empty_jacobian(len(distance))
        scene.add_object(jacobian, points, gradient)
        scene.add_camera(jacobian, measured, gradient @ turn)
        return Residuals(distance / self.stddev, jacobian / self.stddev)
