"""Random stable grasps of an object: a pose in the hand and joint positions that touch it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.objects.force_closure import is_stable, thinned
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

SURFACE_SPACING_M = 0.003
CLOSING_STEPS_RAD = (0.03, 0.01, 0.003, 0.001)
MAX_FLEXION_RAD = 1.8
MAX_CONTACT_DEPTH_M = 0.001  # of a finger in contact
MAX_DEPTH_M = 0.0015  # of any part of the hand in the object
FRICTION = 0.6
MAX_FORCE_N = 100.0
DENSITY = 500.0  # of objects of unknown mass, kg/m3
STANDARD_GRAVITY = 9.81
GAP_M = (0.0, 0.008)  # between palm and object
JAW_OPENING_M = 0.076
GEL_DEPTH_M = (0.0006, 0.0014)
MIN_GEL_CONTACT = 12  # surface points of a gel in contact
ANTIPODAL_DEG = 18.0
APPROACHES = 10  # directions of the hand that are tried for a pair of points
MAX_LEVER_M = 0.04  # from the middle of the gels to the centre of mass


@dataclass(frozen=True)
class Grasp:
    """A grasp as it truly is.

    Attributes:
        pose: (4, 4) pose of the object in the frame of the hand's root link.
        joint_positions: (J,) joint positions, rad or m.
    """

    pose: Array
    joint_positions: Array


class GraspSearch:
    """Draws random grasps of one object by one hand and keeps the stable ones."""

    def __init__(self, hand: Hand, item: RigidObject) -> None:
        self._hand, self._item = hand, item
        self._link, self._points, self._normals = hand.surface_points(SURFACE_SPACING_M)
        self._fingers = _fingers(hand)
        self._carried = _carried_links(hand)

    def find(self, random: np.random.Generator, tries: int = 3000) -> Grasp | None:
        """Return a stable grasp, or None after `tries` candidates."""
        for _ in range(tries):
            candidate = self._pinch(random) if self._hand.gel_pads else self._enclose(random)
            if candidate is not None and self.is_stable(candidate):
                return candidate
        return None

    def is_stable(self, grasp: Grasp) -> bool:
        """Whether the contacts of a grasp hold the object whatever the direction of gravity."""
        points, normals, depth = self.contacts(grasp)
        if len(points) < 2 or depth.max() > MAX_DEPTH_M + self._softness():
            return False
        chosen = thinned(points, depth)
        centre = grasp.pose[:3, :3] @ self._item.centre_of_mass + grasp.pose[:3, 3]
        return is_stable(
            points[chosen],
            normals[chosen],
            centre,
            object_weight(self._item),
            self._item.friction or FRICTION,
            MAX_FORCE_N,
        )

    def contacts(self, grasp: Grasp) -> tuple[Array, Array, Array]:
        """Return points (N, 3), normals into the object (N, 3) and depths (N,) of all contacts."""
        distance, gradient, points = self._distances(grasp)
        inside = distance < 0
        normals = -gradient[inside]
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return points[inside], normals, -distance[inside]

    def _softness(self) -> float:
        return max((shape.max_indentation for shape in self._hand.shapes), default=0.0)

    def _distances(self, grasp: Grasp) -> tuple[Array, Array, Array]:
        """Return distance to the object, its gradient, and position of the hand's points."""
        transforms = self._hand.link_transforms(grasp.joint_positions)[self._link]
        points = np.einsum("nij,nj->ni", transforms[:, :3, :3], self._points)
        points += transforms[:, :3, 3]
        rotation = grasp.pose[:3, :3]
        local = (points - grasp.pose[:3, 3]) @ rotation
        distance, gradient = self._item.distance.distance_and_gradient(local)
        return distance, gradient @ rotation.T, points

    def _link_clearance(self, grasp: Grasp) -> Array:
        """Return the least distance (L,) of each link to the object, m."""
        clearance = np.full(len(self._hand.links), np.inf)
        np.minimum.at(clearance, self._link, self._distances(grasp)[0])
        return clearance

    def _enclose(self, random: np.random.Generator) -> Grasp | None:
        """Place the object before the palm and close all fingers around it."""
        joints = self._open_hand(random)
        pose = np.eye(4)
        pose[:3, :3] = Rotation.random(random_state=random).as_matrix()
        target = np.array([0.0, random.uniform(-0.02, 0.02), random.uniform(-0.04, 0.06)])
        centre = pose[:3, :3] @ self._item.centre_of_mass
        pose[:3, 3] = target - centre
        pose[0, 3] += self._approach(pose, joints) + random.uniform(*GAP_M)
        grasp = Grasp(pose, joints)
        if self._link_clearance(grasp).min() < -1e-4:
            return None
        closed = self._close(grasp)
        return closed if self._touching(closed) >= 2 and not self._crossed(closed) else None

    def _open_hand(self, random: np.random.Generator) -> Array:
        """Return joint positions with straight fingers and an opposed thumb."""
        joints = np.clip(np.zeros(len(self._hand.joint_names)), self._hand.lower, self._hand.upper)
        for finger in self._fingers:
            spread, *flexion = finger
            joints[spread] = random.uniform(-0.1, 0.1)
            if self._is_thumb(finger):
                joints[spread] = random.uniform(1.0, 1.39)
                joints[flexion[0]] = random.uniform(0.0, 0.6)
        return np.clip(joints, self._hand.lower, self._hand.upper)

    def _is_thumb(self, finger: list[int]) -> bool:
        return bool(self._hand.lower[finger[0]] > 0)

    def _approach(self, pose: Array, joints: Array) -> float:
        """Return the shift along x at which the object touches the open hand, m."""
        low, high = 0.0, 0.4
        for _ in range(14):
            middle = (low + high) / 2
            moved = pose.copy()
            moved[0, 3] += middle
            free = self._link_clearance(Grasp(moved, joints)).min() > 0
            low, high = (low, middle) if free else (middle, high)
        return high

    def _close(self, grasp: Grasp) -> Grasp:
        """Flex all fingers until each phalanx touches or a joint reaches its limit."""
        joints = grasp.joint_positions.copy()
        flexion = [finger[2:] if self._is_thumb(finger) else finger[1:] for finger in self._fingers]
        for step in CLOSING_STEPS_RAD:
            blocked: set[int] = set()
            for _ in range(round(MAX_FLEXION_RAD / step)):
                active = [j for finger in flexion for j in finger if j not in blocked]
                if not active:
                    break
                joints = self._flex(grasp.pose, joints, step, active, flexion, blocked)
        return Grasp(grasp.pose, joints)

    def _flex(
        self,
        pose: Array,
        joints: Array,
        step: float,
        active: list[int],
        flexion: list[list[int]],
        blocked: set[int],
    ) -> Array:
        """Return the joint positions after one step; joints that cannot go on become `blocked`."""
        flexed = joints.copy()
        flexed[active] = np.minimum(joints[active] + step, self._hand.upper[active])
        clearance = self._link_clearance(Grasp(pose, flexed))
        for finger in flexion:
            hits = [j for j in finger if self._joint_clearance(j, clearance) < -MAX_CONTACT_DEPTH_M]
            if hits:  # the joints that move this phalanx stop; distal joints go on
                blocked.update(finger[: finger.index(hits[-1]) + 1])
                flexed[finger] = joints[finger]
        blocked.update(j for j in active if flexed[j] >= self._hand.upper[j])
        return flexed

    def _joint_clearance(self, joint: int, clearance: Array) -> float:
        """Return the clearance of the links that a joint carries directly, m."""
        return min((float(clearance[link]) for link in self._carried[joint]), default=np.inf)

    def _touching(self, grasp: Grasp) -> int:
        """Return how many fingers touch the object."""
        clearance = self._link_clearance(grasp)
        return sum(
            any(self._joint_clearance(joint, clearance) < 0 for joint in finger)
            for finger in self._fingers
        )

    def _crossed(self, grasp: Grasp) -> bool:
        """Whether the thumb penetrates another finger."""
        transforms = self._hand.link_transforms(grasp.joint_positions)
        thumbs = [f for f in self._fingers if self._is_thumb(f)]
        own = {link for f in thumbs for joint in f for link in self._carried.get(joint, [])}
        selected = np.isin(self._link, list(own))
        placed = transforms[self._link[selected]]
        points = np.einsum("nij,nj->ni", placed[:, :3, :3], self._points[selected])
        points += placed[:, :3, 3]
        others = [
            i for i, link in enumerate(self._hand.shape_links) if link not in own and link > 0
        ]
        for index in others:
            shape, pose = self._hand.shapes[index], transforms[self._hand.shape_links[index]]
            local = (points - pose[:3, 3]) @ pose[:3, :3]
            if len(local) and shape.distance_and_gradient(local)[0].min() < -0.002:
                return True
        return False

    def _pinch(self, random: np.random.Generator) -> Grasp | None:
        """Place the gels of two opposed fingers on two opposed surface points."""
        pair = self._antipodal_pair(random)
        if pair is None:
            return None
        for approach in random.uniform(0, 2 * np.pi, APPROACHES):
            pose = self._between_gels(*pair, approach, random)
            if self._link_clearance(Grasp(pose, self._hand.upper)).min() > 0:
                return self._close_jaws(pose, random)
        return None

    def _between_gels(
        self, first: Array, second: Array, approach: float, random: np.random.Generator
    ) -> Array:
        """Return the pose that puts two points of the object onto the line between the gels."""
        axis = (second - first) / np.linalg.norm(second - first)
        u, v = np.linalg.svd(axis[None])[2][1:]
        forward = np.cos(approach) * u + np.sin(approach) * v
        rotation = np.stack([np.cross(axis, forward), axis, forward])  # object to hand
        centre = self._hand.gel_poses(np.zeros(2)).mean(axis=0)[:3, 3]
        offset = np.array([random.uniform(-4e-3, 4e-3), 0, random.uniform(-5e-3, 5e-3)])
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = centre + offset - rotation @ ((first + second) / 2)
        return pose

    def _antipodal_pair(self, random: np.random.Generator) -> tuple[Array, Array] | None:
        """Return two points (3,) of the surface with opposite normals, within the jaw's opening."""
        points, normals = self._item.surface_points(1000, int(random.integers(1 << 31)))
        first = points[0]
        line = points - first
        length = np.linalg.norm(line, axis=1)
        direction = line / np.maximum(length, 1e-9)[:, None]
        limit = np.cos(np.radians(ANTIPODAL_DEG))
        good = (direction @ -normals[0] > limit) & (length < JAW_OPENING_M) & (length > 4e-3)
        good &= np.einsum("ij,ij->i", direction, normals) > limit
        middle = (points + first) / 2 - self._item.centre_of_mass
        good &= np.linalg.norm(middle, axis=1) < MAX_LEVER_M
        if not good.any():
            return None
        return first, points[random.choice(np.flatnonzero(good))]

    def _close_jaws(self, pose: Array, random: np.random.Generator) -> Grasp | None:
        """Move each jaw until its gel is indented; None if a rigid part would touch."""
        joints = self._hand.upper.copy()
        for jaw, pad in enumerate(self._hand.gel_pads):
            link = self._hand.links.index(pad.link)
            depth, low, high = random.uniform(*GEL_DEPTH_M), 0.0, float(self._hand.upper[jaw])
            for _ in range(14):
                joints[jaw] = (low + high) / 2
                clearance = self._link_clearance(Grasp(pose, joints))[link]
                low, high = (joints[jaw], high) if clearance < -depth else (low, joints[jaw])
        grasp = Grasp(pose, joints)
        clearance = self._link_clearance(grasp)
        gels = [self._hand.links.index(pad.link) for pad in self._hand.gel_pads]
        if np.delete(clearance, gels).min() < 0 or (clearance[gels] > -GEL_DEPTH_M[0] / 2).any():
            return None
        inside = self._distances(grasp)[0] < 0
        if min((inside & (self._link == gel)).sum() for gel in gels) < MIN_GEL_CONTACT:
            return None
        return grasp


def object_weight(item: RigidObject) -> float:
    """Return the weight of an object, by its volume if the mass is unknown, N."""
    return STANDARD_GRAVITY * (item.mass or min(0.6, DENSITY * item.volume))


def _carried_links(hand: Hand) -> dict[int, list[int]]:
    """Return the indices of the links that each joint carries directly."""
    carried: dict[int, list[int]] = {}
    for link, frame in enumerate(hand.frames):
        joint = int(hand.model.frames[frame].parentJoint) - 1
        carried.setdefault(joint, []).append(link)
    return carried


def _fingers(hand: Hand) -> list[list[int]]:
    """Return the joints of each finger, from the palm outward."""
    parents = [int(hand.model.parents[j]) - 1 for j in range(1, hand.model.njoints)]
    fingers: list[list[int]] = []
    for joint, parent in enumerate(parents):
        chain = next((finger for finger in fingers if finger[-1] == parent), None)
        if chain is None:
            fingers.append([joint])
        else:
            chain.append(joint)
    return fingers
