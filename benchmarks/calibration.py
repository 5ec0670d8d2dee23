"""Calibration against virtual units whose truth is known, and against real presses.

    python benchmarks/calibration.py [--quick] [--json] [--only PART] [--units N] [--data DIR]

In full about two hours on two cores, most of it the path tracer's (virtual units are kept
in the user's cache); --quick under a minute once one unit is there.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from press_scores import PressScore, RealSet, cuboid_dots, median_row, read_set, score_presses
from tables import Part, run_parts

from tacdiff_ros.calibration.calibrate import (
    Calibration,
    CalibrationSettings,
    PressImage,
    calibrate,
    residuals,
)
from tacdiff_ros.calibration.camera_pose import CameraPriors
from tacdiff_ros.calibration.light_fit import LightFitSettings
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm, marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.random_sensors import RandomSensor, VirtualSensorSettings
from tacdiff_ros.virtual.sensor_store import cached_sensor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CALIBRATED, UNSEEN = 2, 1  # presses of a virtual unit
WITHOUT_GLASS = 5  # units that are also calibrated so, to show what it costs
TOLD_MM = (3.2, 4.0, 5.0, 6.25, 7.5)
CONVERGED_PSNR_DB, CONVERGED_MARKERS_PX = 30.0, 0.5
NUDGE = 1e-4  # of a camera's place and angle, for derivatives


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--units", type=int, default=20, help="virtual units")
    parser.add_argument("--data", type=Path, default=DATA, help="real frames")
    options = parser.parse_args()
    if options.units < 1:
        parser.error(f"--units is {options.units}, expected at least 1")
    names = [options.only] if options.only else (["virtual"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_virtual(options: argparse.Namespace) -> Part:
    """Random units from the path tracer and the full solver, calibrated from the default file.

    Layers and lens are given; the truth's pose, dots, lights, colours and response are not.
    """
    count = 1 if options.quick else options.units
    settings = VirtualSensorSettings(presses=CALIBRATED + UNSEEN)
    rows = []
    for seed in range(count):
        unit = cached_sensor(seed, settings)
        started = time.perf_counter()
        found = calibrate(
            knowing_lens(unit.model),
            unit.reference,
            presses_of(unit),
            CalibrationSettings(priors=CameraPriors(None, None)),
        )
        seconds = time.perf_counter() - started
        rows.append({"unit": seed, **truth_row(unit, found), "seconds": round(seconds, 1)})
        progress(rows[-1])
        if seed < WITHOUT_GLASS and not options.quick:
            bare = calibrate(
                knowing_lens(unit.model),
                unit.reference,
                presses_of(unit),
                CalibrationSettings(glass=False, priors=CameraPriors(None, None)),
            )
            rows.append({"unit": f"{seed} no glass", **truth_row(unit, bare), "seconds": ""})
            progress(rows[-1])
    own = [row for row in rows if isinstance(row["unit"], int)]
    converged = [
        row
        for row in own
        if row["psnr_db"] >= CONVERGED_PSNR_DB and row["dot_rms_px"] <= CONVERGED_MARKERS_PX
    ]
    figures = {
        "virtual_dot_rms_px": max(row["dot_rms_px"] for row in own),
        "virtual_pose_error_deg": max(row["angle_deg"] for row in own),
        "virtual_pose_error_deg_median": float(np.median([row["angle_deg"] for row in own])),
        "virtual_print_bound_deg": max(row["print_deg"] for row in own),
        "virtual_pose_error_mm": max(row["place_mm"] for row in own),
        "virtual_psnr_db": min(row["psnr_db"] for row in own),
        "virtual_psnr_db_median": float(np.median([row["psnr_db"] for row in own])),
        "units_converged": len(converged),
        "units": len(own),
        "seconds": max(row["seconds"] for row in own),
    }
    return rows, figures


def knowing_lens(truth: SensorModel) -> SensorModel:
    """The default file with a unit's layers and lens, and nothing else of it."""
    camera = default_sensor().camera.model_copy(
        update={
            "focal_px": truth.camera.focal_px,
            "centre_px": truth.camera.centre_px,
            "distortion": truth.camera.distortion,
        }
    )
    return default_sensor().model_copy(update={"layers": truth.layers, "camera": camera})


def presses_of(unit: RandomSensor) -> list[PressImage]:
    """The presses that a unit is calibrated from."""
    return [
        PressImage(unit.presses[k], build_indenter(unit.touches[k].indenter), f"press {k + 1}")
        for k in range(CALIBRATED)
    ]


def print_bound_deg(truth: SensorModel) -> float:
    """Angle by which the dots' own offsets turn the best camera, were all else known.

    The dots' lattice is what a camera can be fitted to; how far a print is off it cannot be told
    from a turned camera. So this much is lost to any method.
    """
    values, lattice = parameter_values(truth), lattice_positions_mm(truth.markers).reshape(-1, 3)
    seen = project(values, lattice)
    columns = []
    for name in ("camera.position_mm", "camera.rotation_rad"):
        for axis in range(3):
            moved = {**values, name: values[name] + NUDGE * np.eye(3)[axis]}
            columns.append((project(moved, lattice) - seen).ravel() / NUDGE)
    printed = (project(values, marker_positions_mm(truth).reshape(-1, 3)) - seen).ravel()
    found = np.linalg.lstsq(np.stack(columns, axis=1), printed, rcond=None)[0]
    return float(np.degrees(np.linalg.norm(found[3:])))


def truth_row(unit: RandomSensor, found: Calibration) -> dict[str, Any]:
    """A calibration beside the truth; the truth's pattern centre is where the fit's origin is."""
    true, fitted = parameter_values(unit.model), parameter_values(found.model)
    seen = project(true, marker_positions_mm(unit.model))
    away = np.linalg.norm(project(fitted, marker_positions_mm(found.model)) - seen, axis=-1)
    centre = np.append(true["markers.centre_mm"], 0.0)
    shift = fitted["camera.position_mm"] - (true["camera.position_mm"] - centre)
    turn = np.linalg.norm(fitted["camera.rotation_rad"] - true["camera.rotation_rad"])
    renderer = Renderer(found.model)
    errors = []
    for image, surface in zip(unit.presses[CALIBRATED:], unit.surfaces[CALIBRATED:], strict=True):
        origin = centre.astype(np.float32)
        renderer.show(
            GelSurface(
                surface.rest - origin,
                surface.position - origin,
                surface.rows,
                surface.columns,
                surface.may_overhang,
            )
        )
        drawn = np.clip(renderer.image(), 0.0, 1.0)
        errors.append(np.mean((drawn - image / 255.0) ** 2))
    return {
        "dot_rms_px": round(float(np.sqrt(np.mean(away**2))), 4),
        "angle_deg": round(float(np.degrees(turn)), 4),
        "print_deg": round(print_bound_deg(unit.model), 4),
        "place_mm": round(float(np.linalg.norm(shift)), 4),
        "psnr_db": round(float(-10.0 * np.log10(max(errors))), 2),
        "press_rms_grey": residuals(found)["press_rms_grey"],
        "warnings": len(found.warnings),
    }


def measure_real(options: argparse.Namespace) -> Part:
    """Two presses calibrate, all others are predicted."""
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for name, size in (("mini_dots_ball", "5.000mm"), ("mini_plain_ball", "6.310mm")):
        data = read_set(options.data / name, size)
        if data is None:
            print(f"no real frames at {options.data / name}", file=sys.stderr)
            continue
        chosen = data.spread(2)
        found = data.calibrate(chosen)
        scores = score_presses(
            data, found, chosen, [k for k in data.numbers if k not in chosen], progress
        )
        rows += [{"set": name, **row} for row in [*scores, median_row(scores)]]
        figures |= real_figures(data, found, scores)
    rows += cuboid_dots(options.data / "mini_dots_cuboid", figures)
    return rows, figures


def real_figures(data: RealSet, found: Calibration, scores: list[PressScore]) -> dict[str, Any]:
    """Means over the unseen presses."""

    def mean(key: str) -> float:
        return round(float(np.mean([row[key] for row in scores])), 4)

    figures = {
        "shading_correlation": mean("correlation_masked"),
        "shading_gain_db": mean("gain_masked_db"),
        "whole_psnr_db": mean("whole_psnr_db"),
        "calibration_seconds": round(sum(found.seconds.values()), 1),
    }
    if "taxim_gain_masked_db" in scores[0]:
        figures["taxim_correlation"] = mean("taxim_correlation_masked")
        figures["taxim_gain_db"] = mean("taxim_gain_masked_db")
    if data.has_dots:
        figures |= {
            "dot_rms_px": residuals(found)["dot_rms_px"],
            "dot_diameter_error": dot_diameter_error(found),
            "contact_correlation": mean("correlation"),
            "contact_gain_db": mean("gain_db"),
            "dot_motion_px": mean("dots_px"),
            "dot_motion_unmoved_px": mean("unmoved_px"),
        }
    prefix = "real" if data.has_dots else "real_plain"
    return {f"{prefix}_{key}": value for key, value in figures.items()}


def dot_diameter_error(found: Calibration) -> float:
    """Median relative difference of the dots' diameters, drawn and real, as they are detected."""
    if found.dots is None or found.model.markers is None:
        return float("nan")
    drawn = np.clip(np.rint(255.0 * Renderer(found.model).image()), 0, 255).astype(np.uint8)
    ours = detect_markers(drawn, found.model.markers.grid).diameter_px
    return round(float(np.nanmedian(np.abs(ours / found.dots.diameter_px - 1.0))), 4)


def measure_ablations(options: argparse.Namespace) -> Part:
    """What each part of the fit buys, on real presses that it did not see."""
    data = read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None:
        print(f"no real frames at {options.data / 'mini_dots_ball'}", file=sys.stderr)
        return [], {}
    plain = CalibrationSettings()
    variants = {
        "all": (plain, 2),
        "no glass": (CalibrationSettings(glass=False), 2),
        "no tone mapping": (with_lights(tone_mapping=False), 2),
        "no weight map": (with_lights(weight_map=False), 2),
        "one press": (plain, 1),
        "three presses": (plain, 3),
        "five presses": (plain, 5),
    }
    used = set(data.spread(5))
    unseen = [k for k in data.numbers if k not in used][::3]
    rows = []
    for name, (settings, count) in variants.items():
        chosen = data.spread(count)
        found = data.calibrate(chosen, settings)
        scores = score_presses(data, found, chosen, unseen, lambda _row: None)
        rows.append({"variant": name, **median_row(scores)})
        progress(rows[-1])
    return rows, {}


def measure_diameters(options: argparse.Namespace) -> Part:
    """What the fit says when it is told a wrong diameter for a real ball of 5 mm."""
    data = read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None:
        print(f"no real frames at {options.data / 'mini_dots_ball'}", file=sys.stderr)
        return [], {}
    rows = []
    for told in TOLD_MM:
        found = dataclasses.replace(data, diameter_mm=told).calibrate(data.spread(2))
        figures = residuals(found)
        kept = ("press_rms_grey", "press_correlation", "press_dot_rms_px")
        rows.append(
            {"told_mm": told, **{key: figures[key] for key in kept}, "warned": bool(found.warnings)}
        )
        progress(rows[-1])
    return rows, {}


def with_lights(**changes: bool) -> CalibrationSettings:
    """Settings with parts of the lights' fit switched off."""
    return CalibrationSettings(lights=LightFitSettings(**changes))


def progress(row: dict[str, Any]) -> None:
    """A row, as soon as it is known."""
    print(" ".join(f"{key}={value}" for key, value in row.items()), file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "virtual": measure_virtual,
    "real": measure_real,
    "ablations": measure_ablations,
    "diameters": measure_diameters,
}


if __name__ == "__main__":
    raise SystemExit(main())
