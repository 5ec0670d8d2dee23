"""Residuals of forces: friction cones of measured forces, balance of torques, support of weight.

Forces act on the object. Normals of the object's surface point outward, so that a force that
presses has a negative component along them. Jacobians neglect the curvature of the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.scene import Scene
from tacdiff_ros.object_pose.terms import Residuals
from tacdiff_ros.objects.distance_field import DistanceField

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CONE_EDGES = 8
MIN_TANGENTIAL_FRACTION = 1e-9


@dataclass(frozen=True)
class FrictionCones:
    """Measured forces that lie outside of the friction cones of the object's surface.

    Attributes:
        field: distance field of the object.
        point: (N, 3) points of contact in the frames of their links, m.
        force: (N, 3) unit vectors of the forces on the object, in the frames of their links.
        link: (N,) index of each point's link.
        friction: friction coefficient.
        stddev: standard deviation of the force's direction, rad.
        scale: scale of the robust loss.
    """

    field: DistanceField
    point: Floats
    force: Floats
    link: Integers
    friction: float
    stddev: float
    scale: float
    name: str = "friction"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives: tangential force minus friction times normal force."""
        points = scene.to_object(scene.links.points(self.point, self.link))
        _, normal = self.field.distance_and_gradient(points)
        force = scene.links.vectors(self.force, self.link) @ scene.object_rotation
        pressing = -np.sum(force * normal, axis=1)
        tangential = np.sqrt(np.maximum(1.0 - pressing**2, MIN_TANGENTIAL_FRACTION))
        excess = tangential - self.friction * pressing
        slope = np.where(excess > 0.0, pressing / tangential + self.friction, 0.0)
        jacobian = scene.empty_jacobian(len(excess))
        jacobian[:, 3:6] = slope[:, None] * se3.cross(normal, force)
        return Residuals(np.maximum(excess, 0.0) / self.stddev, jacobian / self.stddev)


@dataclass(frozen=True)
class TorqueBalance:
    """Torque of all measured contact forces about the object's centre of mass.

    It is 0 at rest, whatever the weight is. Its use is the position of the object along the gel,
    which geometry may leave open.

    Attributes:
        point: (N, 3) points of contact in the frames of their links, m.
        force: (N, 3) forces on the object in the frames of their links, N.
        link: (N,) index of each point's link.
        centre: (3,) centre of mass in the object's frame, m.
        stddev: standard deviation of the torque, N m.
        scale: scale of the robust loss.
    """

    point: Floats
    force: Floats
    link: Integers
    centre: Floats
    stddev: float
    scale: float
    name: str = "torque"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        points = scene.links.points(self.point, self.link)
        force = scene.links.vectors(self.force, self.link)
        total = force.sum(axis=0)
        centre = scene.object_origin + scene.object_rotation @ self.centre
        torque = np.sum(np.cross(points - centre, force), axis=0)
        jacobian = scene.empty_jacobian(3)
        lever = se3.skew(total) @ scene.object_rotation
        jacobian[:, 0:3] = lever
        jacobian[:, 3:6] = -lever @ se3.skew(self.centre)
        return Residuals(torque / self.stddev, jacobian / self.stddev)


@dataclass(frozen=True)
class WeightSupport:
    """Part of the weight that no forces inside the friction cones of the touching points hold.

    The residual is the unbalanced wrench in units of the weight, torques divided by `length`. Its
    derivative is projected off the wrenches that the active forces can change (variable
    projection, Golub and Pereyra, 1973), so that a supported object has none.

    Attributes:
        field: distance field of the object.
        point: (N, 3) points that touch, in the frames of their links, m.
        link: (N,) index of each point's link.
        gravity: (3,) unit vector of gravity in `hand`.
        centre: (3,) centre of mass in the object's frame, m.
        length: radius of the object, m.
        friction: friction coefficient.
        stddev: standard deviation of the unbalanced fraction of the weight.
        scale: scale of the robust loss.
    """

    field: DistanceField
    point: Floats
    link: Integers
    gravity: Floats
    centre: Floats
    length: float
    friction: float
    stddev: float
    scale: float
    name: str = "support"

    def evaluate(self, scene: Scene) -> Residuals:
        """Return residuals and derivatives."""
        in_hand = scene.links.points(self.point, self.link)
        _, normal = self.field.distance_and_gradient(scene.to_object(in_hand))
        turn = scene.object_rotation
        centre = scene.object_origin + turn @ self.centre
        lever = (in_hand - centre) / self.length
        wrenches, edges = cone_wrenches(lever, -normal @ turn.T, self.friction)
        weight = np.concatenate([self.gravity, np.zeros(3)])
        forces, _ = nnls(wrenches, -weight)
        value = wrenches @ forces + weight
        contact_force = (forces.reshape(-1, CONE_EDGES)[..., None] * edges).sum(axis=1)
        jacobian = scene.empty_jacobian(6)
        jacobian[:, :6] = self._derivative(lever, contact_force, turn)
        active = wrenches[:, forces > 0.0]
        if active.shape[1]:
            left, singular, _ = np.linalg.svd(active, full_matrices=False)
            basis = left[:, singular > 1e-6 * singular[0]]
            jacobian -= basis @ (basis.T @ jacobian)
        return Residuals(value / self.stddev, jacobian / self.stddev)

    def _derivative(self, lever: Floats, force: Floats, turn: Floats) -> Floats:
        """Return the derivative (6, 6) of the wrench of forces that turn with the object."""
        derivative = np.zeros((6, 6))
        in_object = force @ turn
        for at, vector in zip(lever, in_object, strict=True):
            rotated = -turn @ se3.skew(vector)  # R (w x f)
            derivative[:3, 3:] += rotated
            derivative[3:, 3:] += se3.skew(at) @ rotated
        total = se3.skew(force.sum(axis=0)) @ turn / self.length  # -dcentre x F
        derivative[3:, :3] += total
        derivative[3:, 3:] -= total @ se3.skew(self.centre)
        return derivative


def cone_wrenches(lever: Floats, inward: Floats, friction: float) -> tuple[Floats, Floats]:
    """Return the wrenches of unit forces along the edges of friction cones.

    Args:
        lever: (N, 3) points of contact relative to the centre of mass.
        inward: (N, 3) normals into the object.
        friction: friction coefficient.

    Returns:
        (6, N * CONE_EDGES) forces and torques, and (N, CONE_EDGES, 3) forces.
    """
    helper = np.where(np.abs(inward[:, :1]) < 0.7, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(inward, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    second = np.cross(inward, first)
    angle = 2.0 * np.pi * np.arange(CONE_EDGES) / CONE_EDGES
    tangent = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
    edges = inward[:, None] + friction * tangent
    torques = np.cross(lever[:, None], edges)
    wrenches = np.concatenate([edges, torques], axis=2).reshape(-1, 6).T
    return np.ascontiguousarray(wrenches), edges
