"""Object poses from tactile images: the whole chain from the object's mesh to the pose.

The object's full mesh presses the live gels, true sensor models render the images, and sensor files
calibrated from three other images invert them.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from object_pose_cases import SYMMETRY_STEPS, object_folders
from tables import Part

from tacdiff_ros.cli.grasp_demo import calibrated_sensor, pose_errors
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.object_pose import closest_symmetric_truth
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.nodes.conversion.object_pose import from_gel_points
from tacdiff_ros.nodes.conversion.surface import to_inverted_points
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.refiner import PoseRefiner
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.grasp_set import decimated
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.rigid_object import RigidObject
from tacdiff_ros.virtual.grasp_scene import OPENING_M, GraspScene, HandMotion, write_bracket
from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

Floats = NDArray[np.float64]
HAND = "franka_two_minis"
SEEDS = (0, 1)  # of the two sensors
GRAVITY = np.array([0.0, 0.0, 9.81])  # in a hand that points down
CLOSED, OPEN = HandMotion(np.eye(4), 0.0), HandMotion(np.eye(4), OPENING_M)
UNITS = ("mm", "deg")


@dataclass(frozen=True)
class ImageCase:
    """One grasp that was looked at and touched.

    Attributes:
        item: object with its full mesh.
        observation: measurements.
        truth: (4, 4) true pose.
        surface_error: for each gel, median distance of its contact from the object, m.
    """

    item: RigidObject
    observation: GraspObservation
    truth: Floats
    surface_error: list[float]


def measure_images(options: Namespace) -> Part:
    """Errors with camera, with the gels besides, and with the gels alone."""
    rows, errors = [], []
    hand = load_hand(HAND)
    for case in _cases(options):
        refiner = PoseRefiner(decimated(case.item), hand)
        row: dict[str, Any] = {"object": case.item.name}
        seen = case.observation
        for name, observation in (
            ("camera", replace(seen, gel_touches=())),
            ("camera and gels", seen),
            ("gels", replace(seen, camera=None, depth=None, mask=None)),
        ):
            estimate = refiner.refine(observation)
            millimetres, degrees = _errors(case, estimate.best.object_pose)
            row |= {f"{name} mm": round(millimetres, 2), f"{name} deg": round(degrees, 2)}
            row[f"{name}: identified"] = estimate.is_identified
        row["gel mm"] = " ".join(f"{1e3 * error:.3f}" for error in case.surface_error)
        rows.append(row)
        errors.append([row[f"{name} {u}"] for name in ("camera", "camera and gels") for u in UNITS])
        print(" ".join(f"{k}={v}" for k, v in row.items()), file=sys.stderr, flush=True)
    if not errors:
        raise InputError("no object could be grasped")
    median = np.median(errors, axis=0)
    names = [f"images_{name}_{unit}" for name in ("camera", "both") for unit in UNITS]
    figures = {name: round(float(value), 3) for name, value in zip(names, median, strict=True)}
    gels = np.abs([error for row in rows for error in map(float, row["gel mm"].split())])
    return rows, {**figures, "images_gel_distance_mm": round(float(np.median(gels)), 3)}


def _cases(options: Namespace) -> Iterator[ImageCase]:
    """Yield a grasp of each object that the hand can hold and whose mesh is closed."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        write_bracket(scratch / "bracket.stl")
        meshes = [scratch / "bracket.stl", *object_folders(options.data, options.objects)]
        inverters: list[Inverter] = []
        for mesh in meshes:
            models = [virtual_sensor_model(seed) for seed in SEEDS]
            try:
                scene = GraspScene(mesh, load_hand(HAND), models, options.seed, scratch)
                scene.hang(GRAVITY)
                if not inverters:
                    inverters = [
                        Inverter(calibrated_sensor(seed), scene.touch(gel, OPEN))
                        for gel, seed in enumerate(SEEDS)
                    ]
                yield _case(scene, inverters)
            except InputError as error:
                print(f"left out: {mesh.stem}: {error}", file=sys.stderr)


def _case(scene: GraspScene, inverters: list[Inverter]) -> ImageCase:
    touches, distances = [], []
    truth = scene.object_in_hand(CLOSED)
    poses = scene.hand.gel_poses(scene.true_joint_positions(CLOSED))
    for gel, (inverter, pad) in enumerate(zip(inverters, scene.hand.gel_pads, strict=True)):
        scene.touch(gel, OPEN)
        inversion = inverter.invert(scene.touch(gel, CLOSED))
        touch = from_gel_points(to_inverted_points(inversion, Time(), "gel"), pad.name)
        points = se3.apply(se3.inverse(truth) @ poses[gel], touch.points[touch.contact])
        distances.append(float(np.median(scene.item.distance.distance(points))))
        touches.append(touch)
    depth, mask = scene.depth_and_mask(CLOSED)
    observation = GraspObservation(
        scene.joint_positions(CLOSED),
        scene.reported_camera(CLOSED),
        depth,
        mask,
        gel_touches=tuple(touches),
        gravity=GRAVITY,
    )
    return ImageCase(scene.item, observation, truth, distances)


def _errors(case: ImageCase, pose: Floats) -> tuple[float, float]:
    """Return the distance of the centres of mass, mm, and the angle to the nearest symmetry."""
    truth = closest_symmetric_truth(pose, case.truth, case.item.symmetry_transforms(SYMMETRY_STEPS))
    return pose_errors(case.item, pose, truth)
