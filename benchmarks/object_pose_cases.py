"""Objects, grasps and errors for the benchmark of object poses."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.object_pose import CONTACT_POINTS, IntersectionVolume, PoseEvaluation
from tacdiff_ros.object_pose import se3
from tacdiff_ros.objects.grasp_set import GraspCase, GraspSetSettings, decimated, generate_cases
from tacdiff_ros.objects.hand import Hand
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import build_object, load_object
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
SYMMETRY_STEPS = 720  # of an axis of revolution: half a degree
HANDS = {"allegro": "allegro_xela", "franka": "franka_two_minis"}


@dataclass(frozen=True)
class Case:
    """One grasp with the object as the estimate gets it.

    Attributes:
        grasp: observation and truth.
        full: object with its full mesh.
        item: object with a decimated mesh.
        hand: hand.
    """

    grasp: GraspCase
    full: RigidObject
    item: RigidObject
    hand: Hand


def object_folders(data: Path, count: int) -> list[Path]:
    """Return the folders of the first objects; empty if there are none."""
    folder = data / "ycb"
    return (
        sorted(path for path in folder.iterdir() if path.is_dir())[:count]
        if folder.is_dir()
        else []
    )


def built_objects() -> list[RigidObject]:
    """Return an L-shaped and a mug-like object, for machines without the data."""
    leg = trimesh.creation.box([0.04, 0.04, 0.12])
    foot = trimesh.creation.box([0.09, 0.04, 0.04])
    foot.apply_translation([0.025, 0.0, -0.04])
    angle = trimesh.boolean.union([leg, foot], engine="manifold")
    cup = trimesh.creation.cylinder(radius=0.035, height=0.09)
    grip = trimesh.creation.box([0.05, 0.012, 0.06])
    grip.apply_translation([0.045, 0.0, 0.0])
    mug = trimesh.boolean.union([cup, grip], engine="manifold")
    return [
        build_object(name, mesh.subdivide().vertices, mesh.subdivide().faces)
        for name, mesh in (("angle", angle), ("cup", mug))
    ]


def objects(data: Path, count: int) -> list[RigidObject]:
    """Return the first objects of the data, or the built ones without data."""
    return [load_object(path) for path in object_folders(data, count)] or built_objects()[:count]


def cases(
    items: Sequence[RigidObject], hand_name: str, settings: GraspSetSettings, seed: int
) -> Iterator[Case]:
    """Yield the grasps of all objects that the hand can hold.

    Args:
        items: objects with their full meshes.
        hand_name: "allegro" or "franka".
        settings: number and noise of the grasps of each object.
        seed: seed of all random numbers.
    """
    hand = load_hand(HANDS[hand_name])
    for full in items:
        coarse = decimated(full)
        try:
            for grasp in generate_cases(hand, full, settings, seed):
                yield Case(grasp, full, coarse, hand)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)


def evaluation(case: Case) -> PoseEvaluation:
    """Return what estimates of a case are compared with."""
    truth = case.grasp.truth
    joints = truth.joint_positions
    points, _ = case.full.surface_points(CONTACT_POINTS)
    return PoseEvaluation(
        truth=truth.pose,
        symmetries=case.full.symmetry_transforms(SYMMETRY_STEPS),
        points=points,
        area=float(case.full.face_areas.sum()),
        hand_distance=lambda at: case.hand.distance(at, joints)[0],
        intersection=IntersectionVolume(
            (case.full.vertices, case.full.faces), case.hand.meshes(joints)
        ),
    )


def twist_error(case: Case, estimate: Floats) -> Floats:
    """Return the error (6,) of an estimate to the nearest symmetric truth, in the object's frame.

    Rotations are about the object's origin; the nearest one has the least error of its surface.
    """
    copies = case.full.symmetry_transforms(360)
    radius = 0.5 * case.full.diameter
    unit = np.array([1.0, 1.0, 1.0, radius, radius, radius])
    inverse = se3.inverse(estimate)
    twists = [se3.log(inverse @ case.grasp.truth.pose @ copy) for copy in copies]
    return np.asarray(min(twists, key=lambda twist: float(np.linalg.norm(unit * twist))))


def observable_error(case: Case, estimate: Floats, open_twists: Floats) -> tuple[float, float]:
    """Return the error in the directions that an estimate calls observable, mm and degrees.

    Args:
        case: case.
        estimate: (4, 4) estimated pose.
        open_twists: (K, 6) directions that the estimate leaves open.
    """
    radius = 0.5 * case.full.diameter
    unit = np.array([1.0, 1.0, 1.0, radius, radius, radius])
    error = unit * twist_error(case, estimate)
    if len(open_twists):
        basis = np.linalg.qr((unit * open_twists).T)[0]
        error = error - basis @ (basis.T @ error)
    return 1e3 * float(np.linalg.norm(error[:3])), math.degrees(
        float(np.linalg.norm(error[3:])) / radius
    )
