"""Accuracy of the gel solver against contact theory, robustness on ten indenters, and speed.

    python benchmarks/mechanics.py [--quick] [--json] [--only NAME]

NAME is one of solvers, accuracy, shear, convergence, contact, rim, robustness, speed, scaling,
live, depth, memory.
The full benchmark takes over an hour and a half on two cores, mostly for the ten indenters at 2 mm;
--quick takes under a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from contact_references import converged_layer_force, dimitriadis, hertz
from fit_live_gel import compare, record
from tables import dump, print_rows

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics import gel_solver
from tacdiff_ros.mechanics.contact_surface import refine_contact
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.gel_state import GelState
from tacdiff_ros.mechanics.indenters.build import SHAPES, build_indenter
from tacdiff_ros.mechanics.layer_compliance import BondedLayer
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import PadMesh, build_pad_mesh, full_matrix
from tacdiff_ros.mechanics.pardiso import CondensedFactor
from tacdiff_ros.mechanics.solver_result import SolverResult
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.mechanics.touch import NotConvergedError, SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_touch, plan_trajectory
from tacdiff_ros.sensor.sensor_file import default_sensor

INDENTERS = tuple(name for name in SHAPES if name != "mesh")
PAD_MM = (25.25, 20.75, 4.0)
COARSE, FINE = (33, 41), (49, 61)
CONTACT_MESHES = ((25, 31), COARSE, FINE, (65, 81))
LIVE_DEPTHS_MM = (0.5, 1.0, 1.5, 2.0)
DENSE = (193, 241)
DRAWN = (260, 316)  # a vertex spacing of 0.08 mm


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=[*PARTS, "one"], help="one part")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    parts = PARTS if options.only != "one" else {"one": measure_one}
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        rows, comparison = part(options.quick)
        figures.update(comparison)
        if not options.json and rows:
            print_rows(name, rows)
    if options.json:
        dump(figures)
    else:
        rows = [{"figure": key, "value": comparison} for key, comparison in figures.items()]
        if rows:
            print_rows("figures", rows)
    return 0


Part = tuple[list[dict[str, Any]], dict[str, Any]]


def measure_accuracy(quick: bool) -> Part:
    """Compare a frictionless 10 mm ball on the bonded pad and on a large block with theory."""
    default = build_pad_mesh(*PAD_MM, *(COARSE if quick else FINE))
    rows = layer_rows(default, "default mesh", quick)
    figures = {"layer_error_worst_default_mesh": worst_error(rows)}
    if not quick:
        graded_rows = layer_rows(graded_pad(), "0.14 mm in the contact", quick)
        figures["layer_error_worst"] = worst_error(graded_rows)
        rows += graded_rows
    block = measure_block(quick)
    figures["hertz_error_worst"] = worst_error(block)
    figures["force_imbalance_worst"] = max(float(row["imbalance"]) for row in [*rows, *block])
    return [*rows, *block], figures


def layer_rows(mesh: PadMesh, name: str, quick: bool) -> list[dict[str, Any]]:
    """Compare presses of three gels with the Fourier layer solution."""
    rows = []
    for ratio in (0.48,) if quick else (0.45, 0.48, 0.495):
        material = GelMaterial(friction=0.0, poisson_ratio=ratio)
        layer = BondedLayer(PAD_MM[2], material.young_modulus_mpa, ratio)
        for depth, state in press(material, mesh, quick=quick):
            force = -float(state.force[:, 2].sum())
            reference = layer_force(layer, depth)
            rows.append(
                {
                    "mesh": name,
                    "nu": ratio,
                    "depth_mm": depth,
                    "force_n": round(force, 4),
                    "theory_n": round(reference, 4),
                    "error": round(force / reference - 1.0, 4),
                    "dimitriadis_n": round(dimitriadis(layer, 5.0, depth), 4),
                    "imbalance": f"{imbalance(state):.0e}",
                }
            )
    return rows


def worst_error(rows: list[dict[str, Any]]) -> float:
    """Return the maximum relative force error."""
    return float(max(abs(row["error"]) for row in rows))


def graded_pad() -> PadMesh:
    """Return the pad mesh with cells of 0.14 mm in the contact of the ball."""
    sides = (graded(0.14, 2.5, 0.5 * side, 1.3) for side in PAD_MM[:2])
    x_mm, y_mm = (np.concatenate([-side[:0:-1], side]) for side in sides)
    return PadMesh(x_mm, y_mm, -graded(0.14, 0.14, PAD_MM[2], 1.25)[::-1])


def layer_force(layer: BondedLayer, depth_mm: float) -> float:
    """Return the force of the Fourier layer solution under a 10 mm ball, N."""
    return float(converged_layer_force(layer, 5.0, depth_mm, "sphere")[0])


def press(
    material: GelMaterial, mesh: PadMesh, quick: bool = False
) -> Iterator[tuple[float, GelState]]:
    """Press a 10 mm ball and return the state of the gel."""
    with GelSolver(mesh, material, build_indenter("sphere:diameter=10")) as solver:
        state = solver.rest()
        for depth in (0.3, 0.5) if quick else (0.1, 0.2, 0.3, 0.4, 0.5):
            state = solver.step(state, IndenterPose(depth_mm=depth))
            yield depth, state


def measure_block(quick: bool) -> list[dict[str, Any]]:
    """Compare a 10 mm ball on a block of 500 x 500 x 250 mm with Hertz."""
    material = GelMaterial(friction=0.0, poisson_ratio=0.45)
    fine, growth = (0.25, 1.7) if quick else (0.14, 1.5)
    side = graded(fine, 1.26, 250.0, growth)
    lines = np.concatenate([-side[:0:-1], side])
    mesh = PadMesh(lines, lines, -graded(fine, fine, 250.0, growth)[::-1])
    solver = GelSolver(mesh, material, build_indenter("sphere:diameter=10"))
    state, rows = solver.rest(), []
    for depth in (0.2,) if quick else (0.1, 0.15, 0.2):
        state = solver.step(state, IndenterPose(depth_mm=depth))
        force = -float(state.force[:, 2].sum())
        block = BondedLayer(250.0, material.young_modulus_mpa, material.poisson_ratio)
        reference, _ = hertz(block, 5.0, depth)
        rows.append(
            {
                "mesh": "thick block",
                "nu": 0.45,
                "depth_mm": depth,
                "force_n": round(force, 4),
                "theory_n": round(reference, 4),
                "error": round(force / reference - 1.0, 4),
                "dimitriadis_n": "",
                "imbalance": f"{imbalance(state):.0e}",
            }
        )
    return rows


def graded(fine: float, even_to: float, end: float, growth: float) -> NDArray[np.float64]:
    """Return grid lines from 0 to `end`: constant steps up to `even_to`, then growing steps."""
    lines = list(np.arange(0.0, even_to + 1e-9, fine))
    step = fine
    while lines[-1] < end:
        step *= growth
        lines.append(lines[-1] + step)
    lines[-1] = end
    return np.array(lines)


def imbalance(state: GelState) -> float:
    """Return the relative difference of the contact force and the reaction of the base."""
    force = state.force.sum(axis=0)
    return float(np.linalg.norm(force + state.elastic.base_force_n) / np.linalg.norm(force))


def measure_shear(quick: bool) -> Part:
    """Shift a pressed ball: stick stiffness and slip on three meshes, and sliding at mu N."""
    rows = []
    for lines in (COARSE,) if quick else (COARSE, FINE, (73, 91)):
        material = GelMaterial()
        mesh = build_pad_mesh(*PAD_MM, *lines)
        solver = GelSolver(mesh, material, build_indenter("sphere:diameter=10"))
        state = solver.rest()
        for depth in (0.125, 0.25, 0.375, 0.5):
            state = solver.step(state, IndenterPose(depth_mm=depth))
        row: dict[str, Any] = {"rows": lines[0], "normal_n": round(-state.force[:, 2].sum(), 4)}
        for shift in np.arange(0.1, 1.05, 0.1):
            state = solver.step(state, IndenterPose(x_mm=float(shift), depth_mm=0.5))
            if round(float(shift), 1) in (0.1, 0.3, 0.5):
                row[f"shear_{shift:.1f}_n"] = round(float(state.force[:, 0].sum()), 4)
        pull, normal = float(state.force[:, 0].sum()), -float(state.force[:, 2].sum())
        row["slide_over_mu_n"] = round(pull / (material.friction * normal), 4)
        rows.append(row)
    finest = rows[-1]
    default = rows[min(1, len(rows) - 1)]
    names = [name for name in finest if name.startswith("shear_")]
    error = max(abs(default[name] / finest[name] - 1.0) for name in names)
    return rows, {"shear_error_against_finest": round(error, 4)}


def measure_convergence(quick: bool) -> Part:
    """Compare the surface under a 5 mm ball, pressed and shifted, on finer and finer meshes."""
    meshes = [(17, 21, 4), (25, 31, 5), (33, 41, 6)]
    if not quick:
        meshes += [(49, 61, 6), (73, 91, 8)]
    surfaces, rows = [], []
    for row_count, columns, layers in meshes:
        settings = SolverSettings(rows=row_count, columns=columns, layers=layers)
        plan = Trajectory(depth_mm=1.0, translation_mm=0.5, directions=("x+",), rotation_deg=0)
        with Touch(default_sensor(), build_indenter("sphere"), settings=settings) as touch:
            *_, state = touch.run(plan_trajectory(plan, IndenterPose()))
        surfaces.append(refine_surface(state.surface, *DENSE).position.astype(np.float64))
        step: dict[str, Any] = {"mesh": f"{row_count}x{columns}x{layers}"}
        step |= {"height_rms_um": "", "in_plane_rms_um": ""}  # change from the previous mesh
        step["normal_n"] = round(-float(state.force_n[2]), 4)
        step["shear_n"] = round(float(state.force_n[0]), 4)
        if len(surfaces) > 1:
            change = surfaces[-1] - surfaces[-2]
            step["height_rms_um"] = round(1e3 * rms(change[:, 2]), 2)
            step["in_plane_rms_um"] = round(1e3 * rms(np.hypot(change[:, 0], change[:, 1])), 2)
        rows.append(step)
    return rows, {"convergence_height_rms_um": rows[-1]["height_rms_um"]}


def measure_contact(quick: bool) -> Part:
    """Press ten indenters by 0.8 mm on four meshes: force, and depth below the tip."""
    rows = []
    for name in INDENTERS[:3] if quick else INDENTERS:
        for lines in ((17, 21), (25, 31)) if quick else CONTACT_MESHES:
            rows.append(contact_row(name, lines, 0.3 if quick else 0.8))
            print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), file=sys.stderr, flush=True)
    return rows, {
        "contact_overshoot_max_mm": max(row["below_tip_mm"] for row in rows),
        "contact_penetration_max_mm": max(row["penetration_mm"] for row in rows),
        "faces_overshoot_max_mm": max(row["faces_below_tip_mm"] for row in rows),
    }


def contact_row(
    name: str, lines: tuple[int, int], depth_mm: float, start: IndenterPose | None = None
) -> dict[str, Any]:
    """Press an indenter and return its table row; `faces_*` is the solver's own flat faces."""
    indenter, settings = build_indenter(name), SolverSettings(rows=lines[0], columns=lines[1])
    plan = plan_touch(start or IndenterPose(), depth_mm)
    with Touch(default_sensor(), indenter, settings=settings) as touch:
        *_, result = touch.run(plan)
        if touch.state is None:
            raise RuntimeError("the press has no state")
        faces = touch.solver.position(touch.state)
    surface = refine_contact(result.surface, indenter, result.pose, *DRAWN)
    points = surface.position.astype(np.float64)
    points = np.concatenate([points, points[surface.triangles].mean(axis=1)])
    gap = indenter.distance(result.pose.to_indenter(points))
    return {
        "indenter": name,
        "mesh": f"{lines[0]}x{lines[1]}",
        "force_n": round(-float(result.force_n[2]), 4),
        "depth_mm": round(-float(points[:, 2].min()), 4),
        "below_tip_mm": round(max(-float(points[:, 2].min()) - depth_mm, 0.0), 4),
        "penetration_mm": round(max(-float(gap.min()), 0.0), 4),
        "faces_below_tip_mm": round(max(-float(faces[:, 2].min()) - depth_mm, 0.0), 4),
    }


def measure_rim(quick: bool) -> Part:
    """Compare the force under a cube with that on a mesh whose lines are dense at its rim."""
    if quick:
        return [], {}
    reference = rim_force(0.8)
    rows: list[dict[str, Any]] = []
    for lines in (COARSE, FINE):
        for pose in (IndenterPose(), IndenterPose(0.3, -0.2), IndenterPose(0.3, -0.2, 0.0, 0.4)):
            force = contact_row("cube", lines, 0.8, pose)["force_n"]
            rows.append(
                {
                    "mesh": f"{lines[0]}x{lines[1]}",
                    "x_mm": pose.x_mm,
                    "y_mm": pose.y_mm,
                    "yaw_rad": pose.yaw_rad,
                    "force_n": force,
                    "reference_n": round(reference, 3),
                    "error": round(force / reference - 1.0, 3),
                }
            )
    return rows, {"rim_force_error_max": max(row["error"] for row in rows)}


def rim_force(depth_mm: float) -> float:
    """Return the force in N under the default cube on a mesh with cells of 0.1 mm at its rim."""
    near = (0, 0.6, 1.2, 1.7, 2.1, 2.4, 2.6, 2.75, 2.87, 2.97, 3.07, 3.2, 3.4, 3.7, 4.2, 5, 6.2, 8)
    axes = []
    for side, far in zip(PAD_MM[:2], ((10.0,), ()), strict=True):
        half = np.array([*near, *far, side / 2])
        axes.append(np.concatenate([-half[:0:-1], half]))
    layers = 1.35 ** np.arange(8)
    heights = np.concatenate([[0.0], np.cumsum(layers)]) * (PAD_MM[2] / layers.sum())
    mesh = PadMesh(axes[0], axes[1], -heights[::-1])
    with GelSolver(mesh, GelMaterial(), build_indenter("cube")) as solver:
        state = solver.rest()
        for step in range(1, 8):
            state = solver.step(state, IndenterPose(depth_mm=depth_mm * step / 7))
    return -float(state.force[:, 2].sum())


def rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def trajectory_row(name: str, plan: Trajectory, lines: tuple[int, int]) -> dict[str, Any]:
    """Simulate a trajectory and return its table row."""
    planned = len(plan_trajectory(plan, IndenterPose()))
    states: list[SolverResult] = []
    settings = SolverSettings(rows=lines[0], columns=lines[1])
    ended, started, cpu = "", time.perf_counter(), time.process_time()
    with Touch(default_sensor(), build_indenter(name), settings=settings) as touch:
        try:
            for state in touch.run(plan_trajectory(plan, IndenterPose())):
                states.append(state)
        except NotConvergedError as error:
            ended = str(error)
    seconds = time.perf_counter() - started
    reports = [state.status.report for state in states]
    return {
        "indenter": name,
        "mesh": f"{lines[0]}x{lines[1]}",
        "steps": planned,
        "unconverged": planned - len(states),
        "cuts": sum(report.cuts for report in reports),
        "descents": sum(report.descents for report in reports),
        "iterations": sum(report.iterations for report in reports),
        "seconds": round(seconds, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "median_s": round(statistics.median(state.status.seconds for state in states), 2),
        "longest_s": round(max(state.status.seconds for state in states), 1),
        "penetration_mm": round(max(state.error_mm for state in states), 4),
        "friction_unsettled": round(max(report.friction_unsettled for report in reports), 3),
        "volume_ratio": round(min(state.status.smallest_volume_ratio for state in states), 3),
        "force_n": round(-float(states[-1].force_n[2]), 2),
        "ended": ended[:60],
    }


def measure_robustness(quick: bool) -> Part:
    """Simulate ten indenters: 2 mm press, four 2 mm translations, rotation by +-6 degrees."""
    plan = Trajectory(depth_mm=2.0, translation_mm=2.0, rotation_deg=6.0)
    if quick:
        plan = Trajectory(depth_mm=0.5, translation_mm=0.25, directions=("x+",), rotation_deg=0)
    rows = []
    for name in INDENTERS if not quick else INDENTERS[:3]:
        row = trajectory_row(name, plan, COARSE if not quick else (25, 31))
        rows.append(row)
        print(
            " ".join(f"{key}={comparison}" for key, comparison in row.items()),
            file=sys.stderr,
            flush=True,
        )
    return rows, {
        "steps": sum(row["steps"] for row in rows),
        "steps_unconverged": sum(row["unconverged"] for row in rows),
        "penetration_max_mm": max(row["penetration_mm"] for row in rows),
        "friction_unsettled_max": max(row["friction_unsettled"] for row in rows),
        "volume_ratio_min": min(row["volume_ratio"] for row in rows),
    }


def measure_speed(quick: bool) -> Part:
    """Measure the default 1 mm trajectories of all ten indenters on one thread."""
    rows = []
    plan = Trajectory()
    names = INDENTERS if not quick else ("sphere",)
    if quick:
        plan = Trajectory(depth_mm=0.5, translation_mm=0.25, directions=("x+",), rotation_deg=0)
    for lines in (COARSE,) if quick else (COARSE, FINE):
        for name in names:
            row = trajectory_row(name, plan, lines)
            rows.append(row)
            print(
                " ".join(f"{key}={comparison}" for key, comparison in row.items()),
                file=sys.stderr,
                flush=True,
            )
    figures: dict[str, Any] = {}
    for lines in (COARSE,) if quick else (COARSE, FINE):
        mesh = f"{lines[0]}x{lines[1]}"
        chosen = [row for row in rows if row["mesh"] == mesh]
        total = sum(
            row["cpu_s"] for row in chosen
        )  # on one thread, CPU time equals the wall time of an idle core
        count = sum(row["steps"] - row["unconverged"] for row in chosen)
        figures[f"seconds_per_step_{mesh}"] = round(total / count, 3)
        figures[f"steps_unconverged_1mm_{mesh}"] = sum(row["unconverged"] for row in chosen)
    return rows, {**figures, "peak_memory_mb": round(peak_mb())}


def measure_scaling(quick: bool) -> Part:
    """Measure two trajectories one after the other, then in two concurrent processes."""
    command = [sys.executable, __file__, "--only", "one"]
    started = time.perf_counter()
    for _ in range(2):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    alone = time.perf_counter() - started
    started = time.perf_counter()
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    for process in both:
        process.wait()
    together = time.perf_counter() - started
    row = {"one_by_one_s": round(alone, 1), "two_at_once_s": round(together, 1)}
    return [row], {"two_process_speedup": round(alone / together, 2)}


def measure_one(_: bool) -> Part:
    """Simulate the trajectory of one process of the scaling."""
    plan = Trajectory(depth_mm=1.0, translation_mm=1.0, directions=("x+",), rotation_deg=0)
    trajectory_row("sphere", plan, COARSE)
    return [], {}


def measure_solvers(quick: bool) -> Part:
    """Compare factorisations of the pad's stiffness: oneMKL PARDISO, and CHOLMOD if installed."""
    rows = []
    for lines in (COARSE,) if quick else (COARSE, FINE):
        pad = ElasticPad(build_pad_mesh(*PAD_MM, *lines), GelMaterial())
        _, entries = pad.stiffness(np.zeros(pad.mesh.unknown_count))
        load = np.random.default_rng(0).normal(size=pad.mesh.unknown_count)
        middle = pad.mesh.surface_nodes.reshape(lines)[
            lines[0] // 2 - 7 : lines[0] // 2 + 7, lines[1] // 2 - 7 : lines[1] // 2 + 7
        ]
        chosen = (3 * np.sort(middle.ravel())[:, None] + np.arange(3)).ravel()
        matrix = full_matrix(pad.pattern, entries)
        for precise in (True, False):
            with CondensedFactor(pad.pattern, chosen, precise) as factor:
                row = pardiso_row(factor, entries, load, matrix)
            rows.append({"precision": "double" if precise else "single", **row})
        if importlib.util.find_spec("kvxopt"):
            rows.append(cholmod_row(matrix, load))
    return rows, {}


def pardiso_row(
    factor: CondensedFactor, entries: NDArray[np.float64], load: NDArray[np.float64], matrix: Any
) -> dict[str, Any]:
    """Measure one PARDISO factorisation after the symbolic analysis, and one solution."""
    clock = time.perf_counter
    began = clock()
    schur = factor.factorise(entries)
    factorised = clock()
    half = factor.forward(load)
    solution = factor.backward(half, np.linalg.solve(schur, half[factor.chosen]))
    solved = clock()
    return {
        "solver": f"PARDISO, {len(factor.chosen)} unknowns left dense",
        "unknowns": len(load),
        "factor_s": round(factorised - began, 3),
        "solve_s": round(solved - factorised, 3),
        "residual": f"{np.abs(matrix @ solution - load).max():.0e}",
    }


def cholmod_row(matrix: Any, load: NDArray[np.float64]) -> dict[str, Any]:
    """Measure the same for CHOLMOD, which has no Schur complement."""
    import kvxopt
    from kvxopt import cholmod

    lower = sparse.tril(matrix).tocoo()
    given = kvxopt.spmatrix(lower.data, lower.row.tolist(), lower.col.tolist(), matrix.shape)
    cholmod.options["supernodal"] = 2
    clock = time.perf_counter
    symbolic = cholmod.symbolic(given)
    analysed = clock()
    cholmod.numeric(given, symbolic)
    factorised = clock()
    right = kvxopt.matrix(load)
    cholmod.solve(symbolic, right)
    return {
        "precision": "double",
        "solver": "CHOLMOD (kvxopt), nothing left dense",
        "unknowns": len(load),
        "factor_s": round(factorised - analysed, 3),
        "solve_s": round(clock() - factorised, 3),
        "residual": f"{np.abs(matrix @ np.array(right).ravel() - load).max():.0e}",
    }


def measure_live(quick: bool) -> Part:
    """Compare the live gel with the full solver on trajectories not used for its fit."""
    rows = []
    for name in INDENTERS[:1] if quick else INDENTERS:
        plan = Trajectory(translation_mm=0.8, directions=("y-", "x+"), rotation_deg=4.0)
        lines = FINE if not quick else COARSE
        recorded = record(name, *lines, plan, IndenterPose(1.7, -1.3, 0.0, 0.35))
        comparison = compare(recorded)
        rows.append(
            {
                "indenter": name,
                "poses": len(comparison.seconds),
                "height_rms_mm": round(rms(comparison.height_rms_mm), 4),
                "plane_rms_mm": round(rms(comparison.plane_rms_mm), 4),
                "height_worst_mm": round(float(comparison.height_rms_mm.max()), 4),
                "plane_worst_mm": round(float(comparison.plane_rms_mm.max()), 4),
                "force_ratio": round(float(comparison.force_ratio[-1]), 3),
                "mean_ms": round(1e3 * float(comparison.seconds.mean()), 1),
                "slowest_ms": round(1e3 * float(comparison.seconds.max()), 1),
                "converged": f"{int(comparison.converged.sum())} of {len(comparison.converged)}",
            }
        )
        print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), file=sys.stderr, flush=True)
    return rows, {
        "live_hz": round(1e3 / statistics.mean(row["mean_ms"] for row in rows), 1),
        "live_hz_slowest_indenter": round(1e3 / max(row["mean_ms"] for row in rows), 1),
        "live_surface_rms_mm": round(rms(np.array([row["height_rms_mm"] for row in rows])), 4),
        "live_in_plane_rms_mm": round(rms(np.array([row["plane_rms_mm"] for row in rows])), 4),
        "live_surface_rms_mm_worst_indenter": max(row["height_rms_mm"] for row in rows),
        "live_in_plane_rms_mm_worst_indenter": max(row["plane_rms_mm"] for row in rows),
    }


def measure_depth(quick: bool) -> Part:
    """Compare the live gel with the full solver in presses of up to 2 mm."""
    rows = []
    for name in INDENTERS[:1] if quick else INDENTERS:
        for row in depth_rows(
            name, (17, 21) if quick else COARSE, LIVE_DEPTHS_MM[: 1 if quick else 4]
        ):
            rows.append(row)
            print(" ".join(f"{k}={v}" for k, v in row.items()), file=sys.stderr, flush=True)
    return rows, {
        f"live_height_rms_max_mm_at_{depth:g}": max(
            row["height_rms_mm"] for row in rows if row["depth_mm"] == depth
        )
        for depth in {row["depth_mm"]: None for row in rows}
    }


def depth_rows(
    name: str, lines: tuple[int, int], depths_mm: tuple[float, ...]
) -> Iterator[dict[str, Any]]:
    """Press both models in the same steps and yield their difference at some depths.

    The root mean square is over the vertices that move by more than 0.05 mm in the full solver.
    """
    indenter, settings = build_indenter(name), SolverSettings(rows=lines[0], columns=lines[1])
    live = LiveGel.of_sensor(default_sensor(), indenter, grid=lines)
    with Touch(default_sensor(), indenter, settings=settings) as touch:
        for step in plan_touch(IndenterPose(), max(depths_mm)):
            solved, followed = touch.move_to(step.pose), live.step(step.pose)
            if not np.isclose(step.pose.depth_mm, depths_mm, atol=1e-6).any():
                continue
            difference = np.asarray(followed.displacement) - solved.displacement
            moves = np.linalg.norm(solved.displacement, axis=1) > 0.05
            yield {
                "indenter": name,
                "depth_mm": round(step.pose.depth_mm, 3),
                "height_rms_mm": round(rms(difference[moves, 2]), 4),
                "height_max_mm": round(float(np.abs(difference[:, 2]).max()), 4),
                "plane_rms_mm": round(rms(np.hypot(*difference[moves, :2].T)), 4),
                "force_n": round(-float(solved.force_n[2]), 3),
                "force_ratio": round(float(followed.force_n[2] / solved.force_n[2]), 3),
                "live_error_mm": round(followed.error_mm, 4),
                "live_converged": followed.converged,
            }


def measure_memory(quick: bool) -> Part:
    """Measure resident memory over 50 short trajectories; every fifth one does not converge."""
    lines, count = ((11, 13), 10) if quick else (COARSE, 50)
    names = INDENTERS[:3] if quick else INDENTERS
    rows: list[dict[str, Any]] = []
    failed = 0
    for number in range(1, count + 1):
        with no_convergence() if number % 5 == 3 else contextlib.nullcontext():
            failed += not is_short_trajectory_solved(names[number % len(names)], lines)
        if number % (count // 5) == 0:
            rows.append(
                {
                    "mesh": f"{lines[0]}x{lines[1]}",
                    "trajectories": number,
                    "failed": failed,
                    "resident_mb": round(resident_mb(), 1),
                    "peak_mb": round(peak_mb(), 1),
                    "open_factors": CondensedFactor.open_count(),
                }
            )
            print(
                " ".join(f"{key}={value}" for key, value in rows[-1].items()),
                file=sys.stderr,
                flush=True,
            )
    growth = rows[-1]["resident_mb"] - rows[0]["resident_mb"]
    return rows, {
        "memory_growth_mb": round(growth, 1),
        "memory_resident_mb": rows[-1]["resident_mb"],
        "open_factors": rows[-1]["open_factors"],
    }


def is_short_trajectory_solved(name: str, lines: tuple[int, int]) -> bool:
    """Return whether a press of 0.5 mm and a shift of 0.25 mm converge at every step."""
    plan = Trajectory(depth_mm=0.5, translation_mm=0.25, directions=("x+",), rotation_deg=0)
    settings = SolverSettings(rows=lines[0], columns=lines[1])
    with Touch(default_sensor(), build_indenter(name), settings=settings) as touch:
        try:
            for _ in touch.run(plan_trajectory(plan, IndenterPose())):
                pass
        except NotConvergedError:
            return False
    return True


@contextlib.contextmanager
def no_convergence() -> Iterator[None]:
    """Make solvers fail: no imbalance is small enough, and only one attempt is made."""
    with (
        mock.patch.object(gel_solver, "RELATIVE_TOLERANCE", 0.0),
        mock.patch.object(gel_solver, "ATTEMPTS", gel_solver.ATTEMPTS[:1]),
    ):
        yield


def resident_mb() -> float:
    """Return the current resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mb() -> float:
    """Return the peak resident memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


PARTS: dict[str, Callable[[bool], Part]] = {
    "solvers": measure_solvers,
    "accuracy": measure_accuracy,
    "shear": measure_shear,
    "convergence": measure_convergence,
    "contact": measure_contact,
    "rim": measure_rim,
    "robustness": measure_robustness,
    "speed": measure_speed,
    "scaling": measure_scaling,
    "live": measure_live,
    "depth": measure_depth,
    "memory": measure_memory,
}


if __name__ == "__main__":
    sys.exit(main())
