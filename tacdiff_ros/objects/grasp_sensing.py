"""Measurements of a grasp with the errors of joints, camera, taxels and gels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.depth_noise import DepthNoise
from tacdiff_ros.objects.force_closure import balancing_forces, thinned
from tacdiff_ros.objects.gel_touch_model import GelErrors, measure_gel
from tacdiff_ros.objects.grasp_observation import GelTouch
from tacdiff_ros.objects.grasp_search import (
    FRICTION,
    MAX_FORCE_N,
    STANDARD_GRAVITY,
    Grasp,
    GraspSearch,
    object_weight,
)
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

TAXEL_STIFFNESS = 4e7  # pressure per depth of the soft cover, Pa/m
TAXEL_SUBDIVISION = 3  # points per side at which a taxel's pressure is evaluated


@dataclass(frozen=True)
class SensingErrors:
    """Errors of the sensors; those of a calibration are one draw per grasp.

    Attributes:
        camera_position: length of the error of the camera's position, m.
        camera_angle_deg: angle of the error of its orientation, degrees.
        joint_deg: standard deviation of the error of each revolute joint, degrees.
        slide: standard deviation of the error of each prismatic joint, m.
        depth: errors of depth image and mask.
        lost_taxels: fraction of the taxels that always read zero.
        taxel_noise: standard deviation of each force component, N.
        gel: errors of the gels' surfaces; None for true ones.
    """

    camera_position: float = 0.0
    camera_angle_deg: float = 0.0
    joint_deg: float = 0.0
    slide: float = 0.0
    depth: DepthNoise = field(default_factory=DepthNoise)
    lost_taxels: float = 0.0
    taxel_noise: float = 0.0
    gel: GelErrors | None = None


IDEAL = SensingErrors()
HARD = SensingErrors(
    camera_position=0.004,
    camera_angle_deg=1.0,
    joint_deg=1.5,
    slide=2e-4,
    depth=DepthNoise(
        bias=0.002, noise=0.002, flying_fraction=0.04, hole_fraction=0.02, mask_bleeding=3.0
    ),
    lost_taxels=0.1,
    taxel_noise=0.005,
    gel=GelErrors(),
)
ERRORS = {"ideal": IDEAL, "hard": HARD}


def contact_forces(
    item: RigidObject, grasp: Grasp, search: GraspSearch, gravity: Array
) -> tuple[Array, Array]:
    """Return contact points (N, 3), m, and forces on the object (N, 3), N, that balance gravity."""
    points, normals, depth = search.contacts(grasp)
    chosen = thinned(points, depth)
    centre = grasp.pose[:3, :3] @ item.centre_of_mass + grasp.pose[:3, 3]
    weight = object_weight(item) / STANDARD_GRAVITY * gravity
    friction = item.friction or FRICTION
    forces = balancing_forces(
        points[chosen], normals[chosen], centre, weight, friction, 2 * MAX_FORCE_N
    )
    return points[chosen], np.zeros((len(chosen), 3)) if forces is None else forces


def measured_joints(
    hand: Hand, truth: Array, errors: SensingErrors, random: np.random.Generator
) -> Array:
    """Return joint positions (J,) with errors, rad or m."""
    is_slide = np.array(["P" in joint.shortname() for joint in [*hand.model.joints][1:]])
    sigma = np.where(is_slide, errors.slide, math.radians(errors.joint_deg))
    return truth + sigma * random.standard_normal(len(truth))


def measured_camera(
    camera: DepthCamera, errors: SensingErrors, random: np.random.Generator
) -> DepthCamera:
    """Return a camera with an error of its pose."""
    pose = camera.pose.copy()
    turn = math.radians(errors.camera_angle_deg) * normalized(random.standard_normal(3))
    pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] += errors.camera_position * normalized(random.standard_normal(3))
    return replace(camera, pose=pose)


def measured_taxels(
    hand: Hand, item: RigidObject, grasp: Grasp, errors: SensingErrors, random: np.random.Generator
) -> Array:
    """Return the measured forces (T, 3) in the frames of the taxels' links, N."""
    position, normal = hand.taxel_positions(grasp.joint_positions)
    side = np.sqrt(hand.taxels.area)[:, None]
    helper = np.where(np.abs(normal[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    u = np.cross(normal, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normal, u)
    offsets = (np.arange(TAXEL_SUBDIVISION) + 0.5) / TAXEL_SUBDIVISION - 0.5
    force = np.zeros_like(position)
    rotation = grasp.pose[:3, :3]
    for a in offsets:
        for b in offsets:
            points = position + side * (a * u + b * v)
            local = (points - grasp.pose[:3, 3]) @ rotation
            distance, gradient = item.distance.distance_and_gradient(local)
            pressure = TAXEL_STIFFNESS * np.maximum(-distance, 0.0)
            part = (pressure * hand.taxels.area / len(offsets) ** 2)[:, None]
            force += part * (gradient @ rotation.T)
    links = hand.link_transforms(grasp.joint_positions)[hand.taxels.link, :3, :3]
    force = np.einsum("nji,nj->ni", links, force)
    force += errors.taxel_noise * random.standard_normal(force.shape)
    force[random.random(len(force)) < errors.lost_taxels] = 0.0
    return force


def measured_gels(
    hand: Hand,
    item: RigidObject,
    grasp: Grasp,
    contact: tuple[Array, Array],
    errors: SensingErrors,
    random: np.random.Generator,
) -> tuple[GelTouch, ...]:
    """Return the measured surfaces of all gels.

    Args:
        hand: hand with gels.
        item: object with its full mesh.
        grasp: the grasp.
        contact: contact points (N, 3), m, and forces on the object (N, 3), N.
        errors: errors of the sensors.
        random: source of random numbers.
    """
    points, forces = contact
    touches = []
    poses = hand.gel_poses(grasp.joint_positions)
    for pad, pose in zip(hand.gel_pads, poses, strict=True):
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        here = (np.abs(local[:, :2]) < 0.5 * np.array(pad.size) + 1e-3).all(axis=1)
        here &= np.abs(local[:, 2]) < 0.005
        shear = -(forces[here].sum(axis=0) @ pose[:3, :3])[:2]
        item_pose = np.linalg.inv(pose) @ grasp.pose
        touches.append(measure_gel(item, item_pose, pad, shear, errors.gel, random))
    return tuple(touches)


def normalized(vector: Array) -> Array:
    """Return a vector (3,) scaled to length 1."""
    return vector / np.linalg.norm(vector)
