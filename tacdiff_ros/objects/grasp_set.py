"""Synthetic observations of grasps with known poses: the set on which pose estimates are measured.

The sensors see the full mesh with its exact surface; estimates get a decimated mesh, joint
positions and a camera pose with errors. The truth is kept apart from the observation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.depth_noise import DepthNoise
from tacdiff_ros.objects.force_closure import balancing_forces, thinned
from tacdiff_ros.objects.gel_touch_model import GelErrors, measure_gel
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.grasp_search import (
    FRICTION,
    MAX_FORCE_N,
    STANDARD_GRAVITY,
    Grasp,
    GraspSearch,
    object_weight,
)
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.object_files import build_object
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

DECIMATED_FACES = 2000
CAMERA_DISTANCE_M = (0.4, 0.6)
CAMERA_TRIES = 60
TAXEL_STIFFNESS = 4e7  # pressure per depth of the soft cover, Pa/m
TAXEL_SUBDIVISION = 3  # points per side at which a taxel's pressure is evaluated
MEDIAN_OF_MAXWELL = 1.538  # median length of a 3-vector with unit standard deviations
MIN_VISIBLE_PX = 150


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


@dataclass(frozen=True)
class GraspTruth:
    """What the sensors cannot see directly.

    Attributes:
        pose: (4, 4) true pose of the object in the frame of the hand's root link.
        joint_positions: (J,) true joint positions, rad or m.
        camera: true camera.
        visible_fraction: fraction of the object's silhouette that the hand does not hide.
    """

    pose: Array
    joint_positions: Array
    camera: DepthCamera
    visible_fraction: float


@dataclass(frozen=True)
class GraspCase:
    """One grasp of the set.

    Attributes:
        object_name: name of the object.
        observation: what the sensors measured.
        truth: what they should have.
        starts: (K, 4, 4) poses from which estimates start.
    """

    object_name: str
    observation: GraspObservation
    truth: GraspTruth
    starts: Array


@dataclass(frozen=True)
class GraspSetSettings:
    """What a set consists of.

    Attributes:
        grasps: number of grasps.
        errors: errors of the sensors.
        occluded: whether the camera looks from behind the hand.
        start_position: median distance of the starts from the true position, m.
        start_angle_deg: median angle of the starts from the true orientation, degrees.
        starts: number of starts of each grasp.
    """

    grasps: int = 3
    errors: SensingErrors = HARD
    occluded: bool = False
    start_position: float = 0.0221
    start_angle_deg: float = 15.3
    starts: int = 1


def generate_cases(
    hand: Hand, item: RigidObject, settings: GraspSetSettings, seed: int
) -> Iterator[GraspCase]:
    """Yield grasps of one object; the same seed gives the same grasps whatever the errors.

    Args:
        hand: hand with taxels or gels.
        item: object with its full mesh.
        settings: what to generate.
        seed: seed of all random numbers.

    Raises:
        InputError: no stable grasp was found.
    """
    search = GraspSearch(hand, item)
    for number in range(settings.grasps):
        grasp = search.find(np.random.default_rng([seed, number]))
        if grasp is None:
            raise InputError(
                f"no stable grasp of {item.name} by {hand.name} found: is it too large or heavy?"
            )
        random = np.random.default_rng([seed, number, 1])
        yield simulate_case(hand, item, grasp, search, settings, random)


def simulate_case(
    hand: Hand,
    item: RigidObject,
    grasp: Grasp,
    search: GraspSearch,
    settings: GraspSetSettings,
    random: np.random.Generator,
) -> GraspCase:
    """Return the observation of one grasp, its truth and the starts of the estimates."""
    errors = settings.errors
    camera, visible = choose_camera(hand, item, grasp, settings.occluded, random)
    starts = start_poses(
        grasp.pose,
        item.centre_of_mass,
        random,
        settings.starts,
        settings.start_position,
        settings.start_angle_deg,
    )
    meshes = [(item.vertices, item.faces), *hand.meshes(grasp.joint_positions)]
    depth, label = camera.render_depth(meshes, [grasp.pose] + [np.eye(4)] * (len(meshes) - 1))
    depth, mask = errors.depth.apply(depth, label == 0, camera, random)
    gravity = STANDARD_GRAVITY * _normalized(random.standard_normal(3))
    forces = contact_forces(item, grasp, search, gravity)
    observation = GraspObservation(
        joint_positions=_measured_joints(hand, grasp.joint_positions, errors, random),
        camera=_measured_camera(camera, errors, random),
        depth=depth,
        mask=mask,
        taxel_force=_measure_taxels(hand, item, grasp, errors, random)
        if len(hand.taxels)
        else None,
        gel_touches=_measure_gels(hand, item, grasp, forces, errors, random),
        gravity=gravity,
    )
    truth = GraspTruth(grasp.pose, grasp.joint_positions, camera, visible)
    return GraspCase(item.name, observation, truth, starts)


def start_poses(
    truth: Array,
    centre: Array,
    random: np.random.Generator,
    count: int,
    position: float,
    angle_deg: float,
) -> Array:
    """Draw poses around the true one.

    Position and rotation vector have normal distributions; the object turns about its centre.

    Args:
        truth: (4, 4) true pose.
        centre: (3,) centre of mass in the object's frame, m.
        random: source of random numbers.
        count: number of poses.
        position: median distance of the centres, m.
        angle_deg: median angle, degrees.

    Returns:
        (count, 4, 4) poses.
    """
    shifts = position / MEDIAN_OF_MAXWELL * random.standard_normal((count, 3))
    turns = math.radians(angle_deg) / MEDIAN_OF_MAXWELL * random.standard_normal((count, 3))
    pivot = truth[:3, :3] @ centre + truth[:3, 3]
    poses = np.repeat(truth[None], count, axis=0)
    for pose, shift, turn in zip(poses, shifts, turns, strict=True):
        rotation = Rotation.from_rotvec(turn).as_matrix()
        pose[:3, :3] = rotation @ truth[:3, :3]
        pose[:3, 3] = pivot + shift - pose[:3, :3] @ centre
    return poses


def decimated(item: RigidObject, faces: int = DECIMATED_FACES) -> RigidObject:
    """Return the object as an estimate gets it, with a coarser mesh.

    Args:
        item: object with its full mesh.
        faces: number of triangles.

    Raises:
        InputError: fast_simplification is not installed.
    """
    if len(item.faces) <= faces:
        return item
    try:
        import fast_simplification  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(
            "decimated meshes need the package fast-simplification: pip install fast-simplification"
        ) from error
    vertices, triangles = fast_simplification.simplify(
        item.vertices.astype(np.float32), item.faces, target_count=faces
    )
    return build_object(item.name, vertices, triangles, mass=item.mass, friction=item.friction)


def choose_camera(
    hand: Hand, item: RigidObject, grasp: Grasp, occluded: bool, random: np.random.Generator
) -> tuple[DepthCamera, float]:
    """Return a camera that sees the object, and the visible fraction of its silhouette.

    Args:
        hand: hand that holds the object.
        item: object with its full mesh.
        grasp: the grasp.
        occluded: True for the view, of those tried, that the hand hides most (of which
            `MIN_VISIBLE_PX` pixels remain); False for a view of which it hides less than half.
        random: source of random numbers.
    """
    centre = grasp.pose[:3, :3] @ item.centre_of_mass + grasp.pose[:3, 3]
    views: list[tuple[float, int, DepthCamera]] = []
    for _ in range(CAMERA_TRIES // (4 if occluded else 1)):
        direction = _normalized(random.standard_normal(3))
        camera = DepthCamera.looking_at(
            centre + random.uniform(*CAMERA_DISTANCE_M) * direction,
            centre + random.normal(0, 0.01, 3),
            up=(0, 0, 1) if abs(direction[2]) < 0.9 else (1, 0, 0),
        )
        pixels, fraction = _visible(camera, hand, item, grasp)
        if pixels < MIN_VISIBLE_PX:
            continue
        views.append((fraction, len(views), camera))
        if not occluded and fraction > 0.5:
            return camera, fraction
    if not views:
        raise InputError(f"no camera sees {item.name} in the hand")
    fraction, _, camera = min(views) if occluded else max(views)
    return camera, fraction


def _visible(camera: DepthCamera, hand: Hand, item: RigidObject, grasp: Grasp) -> tuple[int, float]:
    """Return number and fraction of the object's pixels that the hand does not hide."""
    mesh = (item.vertices, item.faces)
    whole = int((camera.render_depth([mesh], [grasp.pose])[1] == 0).sum())
    meshes = [mesh, *hand.meshes(grasp.joint_positions)]
    label = camera.render_depth(meshes, [grasp.pose] + [np.eye(4)] * (len(meshes) - 1))[1]
    pixels = int((label == 0).sum())
    return pixels, pixels / max(whole, 1)


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


def _measured_joints(
    hand: Hand, truth: Array, errors: SensingErrors, random: np.random.Generator
) -> Array:
    is_slide = np.array(["P" in joint.shortname() for joint in [*hand.model.joints][1:]])
    sigma = np.where(is_slide, errors.slide, math.radians(errors.joint_deg))
    return truth + sigma * random.standard_normal(len(truth))


def _measured_camera(
    camera: DepthCamera, errors: SensingErrors, random: np.random.Generator
) -> DepthCamera:
    pose = camera.pose.copy()
    turn = math.radians(errors.camera_angle_deg) * _normalized(random.standard_normal(3))
    pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] += errors.camera_position * _normalized(random.standard_normal(3))
    return replace(camera, pose=pose)


def _measure_taxels(
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


def _measure_gels(
    hand: Hand,
    item: RigidObject,
    grasp: Grasp,
    contact: tuple[Array, Array],
    errors: SensingErrors,
    random: np.random.Generator,
) -> tuple[GelTouch, ...]:
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


def _normalized(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
