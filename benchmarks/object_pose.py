"""Accuracy and speed of object poses in the hand, beside the method of the literature and ICP.

    python benchmarks/object_pose.py [--quick] [--json] [--only PART] [--grasps N] [--objects N]

Objects are those of the data set YCB in `--data`; without it, two built ones. Sensors see the full
meshes, estimates get decimated ones. One core: about 3 s a grasp and part, --quick under a minute.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from object_pose_bad_input import free_space_loss, measure_bad_input
from object_pose_cases import Case, cases, evaluation, objects, observable_error, twist_error
from object_pose_images import measure_images
from object_pose_literature import measure_ideal, measure_iterations, measure_literature
from tables import Part, run_parts

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
from tacdiff_ros.object_pose.pose_settings import PoseSettings
from tacdiff_ros.object_pose.refiner import PoseRefiner, PoseTracker
from tacdiff_ros.objects.grasp_set import GraspSetSettings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ADDS_MM = 5.0
CHI2_90_OF_6 = 10.645  # 90 % quantile of chi-squared with 6 degrees of freedom
FAR = {"start_position": 0.04, "start_angle_deg": 40.0}
TRACKED_FRAMES = 10
TOUCH_ABLATIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "no traction": {"use_friction": False, "use_support": False},
}


def main() -> int:
    """Run the benchmark; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two objects, one grasp")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--grasps", type=int, default=3, help="grasps of each object")
    parser.add_argument("--objects", type=int, default=12, help="number of objects")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with ycb/")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.quick:
        options.grasps, options.objects = 1, min(options.objects, 2)
    options.items = objects(options.data, options.objects)
    return run_parts(PARTS, [options.only] if options.only else [*PARTS], options)


def refine(case: Case, from_nothing: bool = False, **settings: Any) -> PoseEstimate:
    """Return the estimate of a case."""
    refiner = PoseRefiner(case.item, case.hand, PoseSettings(**settings))
    start = None if from_nothing else case.grasp.starts[0]
    return refiner.refine(case.grasp.observation, start)


def measure(
    options: argparse.Namespace, settings: GraspSetSettings, from_nothing: bool = False
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return the rows of all cases, and medians, quantiles and fractions by name."""
    rows = []
    chosen = replace(settings, grasps=options.grasps)
    for case in cases(options.items, "allegro", chosen, options.seed):
        started = time.process_time()
        estimate = refine(case, from_nothing)
        seconds = time.process_time() - started
        pose = estimate.best.object_pose
        scores = evaluation(case).scores(pose)
        error = twist_error(case, pose)
        distance = float(error @ np.linalg.solve(estimate.best.object_covariance, error))
        rows.append(
            {
                "object": case.grasp.object_name,
                "position_cm": round(scores.position_cm, 3),
                "orientation_deg": round(scores.orientation_deg, 2),
                "intersection_error_cm3": round(scores.intersection_error_cm3, 3),
                "contact_area_error_cm2": round(scores.contact_area_error_cm2, 2),
                "adds_mm": round(scores.adds_mm, 2),
                "mahalanobis2": round(distance, 1),
                "weight": round(estimate.best.weight, 3),
                "visible": round(case.grasp.truth.visible_fraction, 2),
                "free_space_loss": free_space_loss(estimate),
                "verdict": estimate.verdict,
                "seconds": round(seconds, 2),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows, summary(rows)


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return medians, 90 % quantiles and fractions of the rows."""
    figures: dict[str, float] = {}
    for name in (
        "position_cm",
        "orientation_deg",
        "intersection_error_cm3",
        "contact_area_error_cm2",
    ):
        values = [row[name] for row in rows]
        figures[name] = round(float(np.median(values)), 3)
        figures[f"{name}_90"] = round(float(np.quantile(values, 0.9)), 3)
    good = np.array([row["adds_mm"] < ADDS_MM for row in rows])
    trusted = np.array([row["verdict"] != "not identified" for row in rows])
    figures["adds_5mm_fraction"] = round(float(good.mean()), 3)
    figures["confident_wrong_fraction"] = round(float((trusted & ~good).mean()), 3)
    figures["seconds"] = round(float(np.median([row["seconds"] for row in rows])), 2)
    inside = np.array([row["mahalanobis2"] < CHI2_90_OF_6 for row in rows])
    figures["coverage_90"] = round(float(inside.mean()), 3)
    if trusted.any():
        figures["coverage_90_identified"] = round(float(inside[trusted].mean()), 3)
    return figures


def renamed(figures: dict[str, float], suffix: str) -> dict[str, float]:
    """Return the figures with a suffix on every name."""
    return {f"{name}_{suffix}": value for name, value in figures.items()}


def measure_hard(options: argparse.Namespace) -> Part:
    """Starts of 2.2 cm and 15 degrees, all errors of sensing."""
    return measure(options, GraspSetSettings())


def measure_far(options: argparse.Namespace) -> Part:
    """Starts of 4 cm and 40 degrees."""
    rows, figures = measure(options, GraspSetSettings(**FAR))
    return rows, renamed(figures, "from_40_deg")


def measure_occluded(options: argparse.Namespace) -> Part:
    """A camera whose view the hand hides for the most part."""
    rows, figures = measure(options, GraspSetSettings(occluded=True))
    return rows, renamed(figures, "occluded")


def measure_nothing(options: argparse.Namespace) -> Part:
    """No pose to start from."""
    rows, figures = measure(options, GraspSetSettings(), from_nothing=True)
    return rows, renamed(figures, "from_nothing")


def measure_tracking(options: argparse.Namespace) -> Part:
    """Processor time of a tracking step, and its error after some frames."""
    rows = []
    settings = GraspSetSettings(grasps=1)
    for case in cases(options.items, "allegro", settings, options.seed):
        refiner = PoseRefiner(case.item, case.hand)
        tracker = PoseTracker(refiner, refiner.refine(case.grasp.observation, case.grasp.starts[0]))
        tracker.track(case.grasp.observation)
        started = time.process_time()
        for _ in range(TRACKED_FRAMES):
            estimate = tracker.track(case.grasp.observation)
        milliseconds = 1e3 * (time.process_time() - started) / TRACKED_FRAMES
        millimetres, degrees = observable_error(case, estimate.best.object_pose, np.zeros((0, 6)))
        rows.append(
            {
                "object": case.grasp.object_name,
                "tracking_ms": round(milliseconds, 1),
                "error_mm": round(millimetres, 2),
                "error_deg": round(degrees, 2),
            }
        )
    return rows, {"tracking_ms": float(np.median([row["tracking_ms"] for row in rows]))}


def measure_touch(options: argparse.Namespace) -> Part:
    """Two Minis and no camera: errors in the directions that are called observable."""
    rows, errors = [], []
    settings = GraspSetSettings(grasps=options.grasps, start_position=0.005, start_angle_deg=8.0)
    for case in cases(options.items, "franka", settings, options.seed):
        seen = replace(case.grasp.observation, camera=None, depth=None, mask=None)
        case = replace(case, grasp=replace(case.grasp, observation=seen))
        row: dict[str, Any] = {"object": case.grasp.object_name}
        for name, change in TOUCH_ABLATIONS.items():
            estimate = refine(
                case, **change, start_position_stddev=0.005, start_rotation_stddev=0.15
            )
            twists = np.array([each.twist for each in estimate.open_directions]).reshape(-1, 6)
            millimetres, degrees = observable_error(case, estimate.best.object_pose, twists)
            row |= {f"{name} mm": round(millimetres, 2), f"{name} deg": round(degrees, 2)}
            row[f"{name} open"] = len(twists)
        row["unobservable"] = "; ".join(each.words for each in estimate.open_directions)
        rows.append(row)
        errors.append((row["all mm"], row["all deg"]))
    if not errors:
        raise InputError("no object fits between the jaws: give --data with smaller objects")
    median, worse = np.median(errors, axis=0), np.quantile(errors, 0.9, axis=0)
    return rows, {
        "touch_only_mm": round(float(median[0]), 3),
        "touch_only_deg": round(float(median[1]), 3),
        "touch_only_mm_90": round(float(worse[0]), 3),
        "touch_only_deg_90": round(float(worse[1]), 3),
    }


PARTS = {
    "hard": measure_hard,
    "far": measure_far,
    "occluded": measure_occluded,
    "nothing": measure_nothing,
    "tracking": measure_tracking,
    "touch": measure_touch,
    "images": measure_images,
    "bad-input": measure_bad_input,
    "literature": measure_literature,
    "literature-ideal": measure_ideal,
    "literature-iterations": measure_iterations,
}

if __name__ == "__main__":
    raise SystemExit(main())
