"""The published method and ICP on the cases of the benchmark: its tables I to IV on this set.

Baselines see the same observations as the estimator, and are judged by the same metrics. One grasp
of each object; about 20 s a grasp and run of 400 iterations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from icp_poses import refine_by_icp
from object_pose_cases import Case, cases, evaluation
from tables import Part

from tacdiff_ros.object_pose.paper_method import SOURCES, PaperSettings, refine_by_paper
from tacdiff_ros.object_pose.refiner import PoseRefiner
from tacdiff_ros.objects.grasp_sensing import HARD, IDEAL
from tacdiff_ros.objects.grasp_set import GraspSetSettings

STARTS = {"exact": (0.0065, 7.0), "noisy": (0.0221, 15.3)}  # medians, m and degrees
ITERATIONS, QUICK_ITERATIONS = 400, 30
TABLE_4, QUICK_TABLE_4 = (0, 100, 200, 400, 600, 1000), (0, 10, 30)
COLUMNS = ("position_cm", "orientation_deg", "contact_area_cm2", "intersection_cm3")
DEVIATIONS = ("contact_area_error_cm2", "intersection_error_cm3")
Method = Callable[[Case], np.ndarray]


def measure_literature(options: argparse.Namespace) -> Part:
    """Medians of the published method, of its parts, of ICP and of the estimator."""
    iterations = QUICK_ITERATIONS if options.quick else ITERATIONS
    rows: list[dict[str, Any]] = []
    for start, (position, angle) in STARTS.items():
        settings = GraspSetSettings(1, HARD, start_position=position, start_angle_deg=angle)
        methods = compared(iterations)
        if start == "exact":
            methods |= single_gradients(iterations)
        rows += _medians(f"{start} start", methods, settings, options)
    named = {(row["set"], row["method"]): row for row in rows}
    figures = {}
    for method, key in (("published", "paper_method"), ("ICP", "icp")):
        row = named["noisy start", method]
        figures[f"{key}_position_cm"] = row["position_cm"]
        figures[f"{key}_orientation_deg"] = row["orientation_deg"]
    return rows, figures


def measure_ideal(options: argparse.Namespace) -> Part:
    """Medians of the same methods where sensors have no errors."""
    methods = compared(QUICK_ITERATIONS if options.quick else ITERATIONS)
    return _medians("no sensing errors", methods, GraspSetSettings(1, IDEAL), options), {}


def compared(iterations: int) -> dict[str, Method]:
    """Return the methods of the tables I and III by name."""
    return {
        "start": lambda case: case.grasp.starts[0],
        "ICP": lambda case: _icp(case, False, iterations),
        "ICP, checkpoint": lambda case: _icp(case, True, iterations),
        "published": lambda case: _published(case, iterations),
        "published, no checkpoint": lambda case: _published(case, iterations, checkpoint=False),
        "published, no regularisation": lambda case: _published(
            case, iterations, regularisation=0.0
        ),
        "ours": _ours,
    }


def single_gradients(iterations: int) -> dict[str, Method]:
    """Return each gradient alone, and physics with checkpoint (table II)."""

    def alone(source: str, checkpoint: bool) -> Method:
        return lambda case: _published(case, iterations, sources=(source,), checkpoint=checkpoint)

    methods = {f"{source} alone": alone(source, False) for source in SOURCES}
    return methods | {"physics alone, checkpoint": alone("physics", True)}


def measure_iterations(options: argparse.Namespace) -> Part:
    """Errors against iterations, without regularisation and checkpoint (table IV)."""
    counts = QUICK_TABLE_4 if options.quick else TABLE_4
    rows = []
    for start, (position, angle) in STARTS.items():
        settings = GraspSetSettings(1, HARD, start_position=position, start_angle_deg=angle)
        scores: dict[int, list[Any]] = {count: [] for count in counts}
        for case in cases(options.items, "allegro", settings, options.seed):
            plain = PaperSettings(max(counts), regularisation=0.0, checkpoint=False)
            path = _run(case, plain).path
            print(start, case.grasp.object_name, len(path), "poses", file=sys.stderr, flush=True)
            judge = evaluation(case)
            for count in counts:
                scores[count].append(judge.scores(path[min(count, len(path) - 1)]))
        rows += [
            _row(f"{start} start, {count} iterations", "published", found, 0.0)
            for count, found in scores.items()
        ]
    return rows, {}


def _medians(
    name: str, methods: dict[str, Method], settings: GraspSetSettings, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return one row of medians for each method."""
    scores: dict[str, list[Any]] = {method: [] for method in methods}
    seconds = dict.fromkeys(methods, 0.0)
    for case in cases(options.items, "allegro", settings, options.seed):
        judge = evaluation(case)
        for method, estimate in methods.items():
            started = time.process_time()
            pose = estimate(case)
            seconds[method] += time.process_time() - started
            scores[method].append(judge.scores(pose))
            print(name, case.grasp.object_name, method, scores[method][-1], file=sys.stderr)
    return [
        _row(name, method, found, seconds[method] / max(len(found), 1))
        for method, found in scores.items()
        if found
    ]


def _row(name: str, method: str, scores: list[Any], seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"set": name, "method": method}
    for column in (*COLUMNS, *DEVIATIONS, "adds_mm"):
        row[column] = round(float(np.median([getattr(s, column) for s in scores])), 2)
    return row | {"seconds": round(seconds, 1)}


def _icp(case: Case, checkpoint: bool, iterations: int) -> np.ndarray:
    grasp = case.grasp
    return refine_by_icp(case.item, grasp.observation, grasp.starts[0], checkpoint, iterations)


def _run(case: Case, settings: PaperSettings) -> Any:
    grasp = case.grasp
    return refine_by_paper(case.hand, case.item, grasp.observation, grasp.starts[0], settings)


def _published(case: Case, iterations: int, **changes: Any) -> np.ndarray:
    return np.asarray(_run(case, PaperSettings(iterations, **changes)).pose)


def _ours(case: Case) -> np.ndarray:
    refiner = PoseRefiner(case.item, case.hand)
    return refiner.refine(case.grasp.observation, case.grasp.starts[0]).best.object_pose
