"""Bad input to object poses: refused, not identified, or a right pose in spite of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from object_pose_cases import Case, cases, observable_error
from tables import Part

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.object_pose.refiner import PoseRefiner
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.grasp_set import GraspSetSettings
from tacdiff_ros.objects.object_files import build_object

RIGHT_MM = 10.0  # error below which a pose counts as right
Change = Callable[[Case], tuple[GraspObservation, object]]


def measure_bad_input(options: argparse.Namespace) -> Part:
    """Change one grasp of each object in every way, and report what comes of it."""
    rows, wrong, unwarned = [], 0, 0
    for case in cases(options.items, "allegro", GraspSetSettings(grasps=1), options.seed):
        for name, change in CHANGES.items():
            try:
                observation, item = change(case)
                refiner = PoseRefiner(item, case.hand)
                estimate = refiner.refine(observation, case.grasp.starts[0])
            except InputError as error:
                outcome, error_mm, reason = "refused", float("nan"), str(error)
                warnings: tuple[str, ...] = ()
                passing = float("nan")
            else:
                outcome, reason, warnings = estimate.verdict, estimate.reason, estimate.warnings
                error_mm, _ = observable_error(case, estimate.best.object_pose, np.zeros((0, 6)))
                passing = free_space_loss(estimate)
                is_wrong = outcome not in ("not identified", "floating") and error_mm > RIGHT_MM
                wrong += is_wrong
                unwarned += is_wrong and not warnings
            rows.append(
                {
                    "object": case.grasp.object_name,
                    "input": name,
                    "outcome": outcome,
                    "error_mm": round(error_mm, 1),
                    "reason": reason[:90],
                    "warnings": len(warnings),
                    "free_space_loss": passing,
                }
            )
    return rows, {
        "bad_input_confident_wrong": wrong,
        "bad_input_wrong_without_warning": unwarned,
        "bad_inputs": len(rows),
    }


def free_space_loss(estimate: PoseEstimate) -> float:
    """Return the mean loss of sight lines beside the object; NaN without a camera."""
    agreement = estimate.agreement.get("free_space")
    return float("nan") if agreement is None else round(float(agreement.mean_loss), 3)


def _changed(case: Case, **fields: object) -> tuple[GraspObservation, object]:
    return replace(case.grasp.observation, **fields), case.item


def _open_mesh(case: Case) -> tuple[GraspObservation, object]:
    item = case.full
    centres = item.vertices[item.faces].mean(axis=1)
    keep = centres[:, 2] < np.median(centres[:, 2])
    return case.grasp.observation, build_object(
        "half", item.vertices, item.faces[keep], cache=False
    )


def _scaled_mesh(case: Case, factor: float) -> tuple[GraspObservation, object]:
    item = build_object("scaled", factor * case.full.vertices, case.full.faces, cache=False)
    return case.grasp.observation, item


def _other_hand(case: Case) -> tuple[GraspObservation, object]:
    joints = case.grasp.observation.joint_positions
    return _changed(case, joint_positions=np.zeros_like(joints))


def _away(case: Case) -> tuple[GraspObservation, object]:
    """The mask marks the background beside hand and object."""
    depth = np.full(case.grasp.observation.depth.shape, 0.9, np.float32)
    mask = np.zeros(depth.shape, bool)
    mask[:40, :40] = True
    return _changed(case, depth=depth, mask=mask)


CHANGES: dict[str, Change] = {
    "nothing changed": lambda case: _changed(case),
    "empty mask": lambda case: _changed(case, mask=np.zeros_like(case.grasp.observation.mask)),
    "depth in mm": lambda case: _changed(case, depth=1000.0 * case.grasp.observation.depth),
    "no depth": lambda case: _changed(case, depth=np.zeros_like(case.grasp.observation.depth)),
    "joints of an open hand": _other_hand,
    "no contact": lambda case: _changed(
        case, taxel_force=np.zeros_like(case.grasp.observation.taxel_force)
    ),
    "object not in the hand": _away,
    "mask of everything": lambda case: _changed(case, mask=case.grasp.observation.depth > 0.0),
    "half of the mesh": _open_mesh,
    "mesh in mm": lambda case: _scaled_mesh(case, 1000.0),
    "mesh 30 % too large": lambda case: _scaled_mesh(case, 1.3),
}
