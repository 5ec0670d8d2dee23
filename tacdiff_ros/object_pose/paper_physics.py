"""Physics loss of the baseline: one step of penalty contact with Coulomb friction.

The object is perturbed by velocities in all directions; the loss is the kinetic energy that is left
after one step with contact and gravity, as in Grasp'D (Turpin et al., ECCV 2022). Points of the
hand that do not touch get a leaky gradient, so that contacts can be made.

Limits: the curvature of the object's surface is neglected in the gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose.paper_motion import Loss, gather
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

POINT_SPACING_M = 0.005
REACH_M = 0.02  # distance up to which points of the hand get a leaky gradient
LEAK = 0.05  # slope of the leaky gradient, as a fraction of that in contact
PRESSURE_PER_DEPTH = 4e7  # Pa/m
FRICTION = 0.6
FRICTION_SPEED = 0.01  # speed at which friction reaches its limit, m/s
PERTURBATION = 0.05  # speed of the perturbations, m/s
TIME_STEP_S = 2e-3
DEFAULT_MASS_KG = 0.3


class PhysicsLoss:
    """Energy that is left of perturbations of an object in a fixed hand."""

    def __init__(
        self, hand: Hand, item: RigidObject, joint_positions: Array, gravity: Array | None
    ) -> None:
        """Place the hand.

        Args:
            hand: the hand.
            item: the object.
            joint_positions: (J,) joint positions, rad or m.
            gravity: (3,) gravity in the frame of the root link, m/s2; None to leave it out.
        """
        link, points, _ = hand.surface_points(POINT_SPACING_M)
        transforms = hand.link_transforms(joint_positions)[link]
        self._points = np.einsum("nij,nj->ni", transforms[:, :3, :3], points)
        self._points += transforms[:, :3, 3]
        self._item = item
        self._mass = item.mass or DEFAULT_MASS_KG
        self._radius = item.diameter / 4  # radius of gyration, for the angular part
        self._gravity = np.zeros(3) if gravity is None else gravity
        speeds = PERTURBATION * np.concatenate([np.eye(6), -np.eye(6)])
        self._perturbations = np.concatenate([np.zeros((1, 6)), speeds])

    def __call__(self, pose: Array) -> Loss:
        """Return the loss at a pose (4, 4) of the object in the frame of the root link."""
        rotation = pose[:3, :3]
        local = (self._points - pose[:3, 3]) @ rotation
        distance, gradient = self._item.distance.distance_and_gradient(local)
        near = distance < REACH_M
        centre = rotation @ self._item.centre_of_mass + pose[:3, 3]
        arm = self._points[near] - centre
        normal = gradient[near] @ rotation.T
        stiffness = PRESSURE_PER_DEPTH * POINT_SPACING_M**2
        pressing = stiffness * np.maximum(-distance[near], 0.0)
        # Derivative of the normal force by the distance, leaky without contact.
        slope = np.where(distance[near] < 0, -stiffness, -LEAK * stiffness)
        value, total = 0.0, np.zeros(6)
        for perturbation in self._perturbations:
            part = self._one_step(perturbation, arm, normal, pressing, slope)
            value += part.value
            total += part.gradient
        count = len(self._perturbations)
        return Loss(value / count, total / count)

    def value(self, pose: Array) -> float:
        """Return the loss at a pose (4, 4) alone."""
        return self(pose).value

    def _one_step(
        self, perturbation: Array, arm: Array, normal: Array, pressing: Array, slope: Array
    ) -> Loss:
        """Return the loss of one perturbation: scaled velocity after one step, squared."""
        direction = self._directions(perturbation, arm, normal)  # force per normal force
        force = pressing[:, None] * direction
        scale = TIME_STEP_S / self._mass
        linear = perturbation[:3] + scale * force.sum(axis=0) + TIME_STEP_S * self._gravity
        angular = perturbation[3:] + scale * np.cross(arm, force).sum(axis=0) / self._radius
        # Derivatives by the force of each point, by the normal force, and by the arm.
        by_force = 2 * scale * (linear + np.cross(angular, arm) / self._radius)
        by_arm = 2 * scale * np.cross(force, angular) / self._radius
        by_distance = (by_force * direction).sum(axis=1) * slope
        # The hand's points stay: the object's surface below them moves by t + w x arm.
        gradient = gather(-by_distance[:, None] * normal, arm)
        gradient[:3] -= by_arm.sum(axis=0)
        gradient[3:] += np.cross(direction, pressing[:, None] * by_force).sum(axis=0)
        return Loss(float(linear @ linear + angular @ angular), gradient)

    def _directions(self, perturbation: Array, arm: Array, normal: Array) -> Array:
        """Return the force (N, 3) on the object per normal force: normal and Coulomb friction."""
        speed = perturbation[:3] + np.cross(perturbation[3:] / self._radius, arm)
        sliding = speed - (speed * normal).sum(axis=1, keepdims=True) * normal
        length = np.linalg.norm(sliding, axis=1, keepdims=True)
        grip = FRICTION * np.minimum(length / FRICTION_SPEED, 1.0)
        return -normal - grip * sliding / np.maximum(length, 1e-12)
