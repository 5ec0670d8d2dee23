"""Synthetic observations of grasps with known poses: the set on which pose estimates are measured.

The sensors see the full mesh with its exact surface; estimates get a decimated mesh, joint
positions and a camera pose with errors. The truth is kept apart from the observation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.grasp_search import STANDARD_GRAVITY, Grasp, GraspSearch
from tacdiff_ros.objects.grasp_sensing import (
    HARD,
    SensingErrors,
    contact_forces,
    measured_camera,
    measured_gels,
    measured_joints,
    measured_taxels,
    normalized,
)
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.object_files import build_object
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

DECIMATED_FACES = 2000
CAMERA_DISTANCE_M = (0.4, 0.6)
CAMERA_TRIES = 60
MEDIAN_OF_MAXWELL = 1.538  # median length of a 3-vector with unit standard deviations
MIN_VISIBLE_PX = 150


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
        observation: measurements of the sensors.
        truth: true poses and joint positions.
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
        settings: number and noise of the grasps.
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
    gravity = STANDARD_GRAVITY * normalized(random.standard_normal(3))
    forces = contact_forces(item, grasp, search, gravity)
    observation = GraspObservation(
        joint_positions=measured_joints(hand, grasp.joint_positions, errors, random),
        camera=measured_camera(camera, errors, random),
        depth=depth,
        mask=mask,
        taxel_force=measured_taxels(hand, item, grasp, errors, random)
        if len(hand.taxels)
        else None,
        gel_touches=measured_gels(hand, item, grasp, forces, errors, random),
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
        direction = normalized(random.standard_normal(3))
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
