"""Calibration of virtual sensors with known ground truth, and of real sensors.

    python benchmarks/calibration.py [--quick] [--json] [--only PART] [--units N] [--data DIR]

The full benchmark takes about two hours on two cores, mostly for the path tracer (virtual sensors
are cached); --quick takes under a minute once one virtual sensor is cached.
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

from press_scores import (
    PressScore,
    RealSet,
    cuboid_marker_figures,
    median_row,
    read_set,
    score_presses,
)
from tables import Part, run_parts

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_figures import residuals
from tacdiff_ros.calibration.calibration_inputs import CalibrationSettings, PressImage
from tacdiff_ros.calibration.calibration_result import Calibration
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
CALIBRATED, UNSEEN = 2, 1  # presses of a virtual sensor
WITHOUT_GLASS = 5  # sensors that are also calibrated without refraction, for comparison
ASSUMED_DIAMETERS_MM = (3.2, 4.0, 5.0, 6.25, 7.5)
CONVERGED_PSNR_DB, CONVERGED_MARKERS_PX = 30.0, 0.5
EPSILON = 1e-4  # finite-difference step of camera position (mm) and angle (rad)


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--units", type=int, default=20, help="number of virtual sensors")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real frames")
    options = parser.parse_args()
    if options.units < 1:
        parser.error(f"--units is {options.units}, expected at least 1")
    names = [options.only] if options.only else (["virtual"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_virtual(options: argparse.Namespace) -> Part:
    """Calibrate random path-traced sensors, starting from the default sensor file.

    Layers and lens are given; pose, markers, lights, colours and response are unknown.
    """
    count = 1 if options.quick else options.units
    settings = VirtualSensorSettings(presses=CALIBRATED + UNSEEN)
    rows = []
    for seed in range(count):
        sensor = cached_sensor(seed, settings)
        started = time.perf_counter()
        calibration = calibrate(
            knowing_lens(sensor.model),
            sensor.reference,
            presses_of(sensor),
            CalibrationSettings(priors=CameraPriors(None, None)),
        )
        seconds = time.perf_counter() - started
        rows.append({"unit": seed, **truth_row(sensor, calibration), "seconds": round(seconds, 1)})
        progress(rows[-1])
        if seed < WITHOUT_GLASS and not options.quick:
            bare = calibrate(
                knowing_lens(sensor.model),
                sensor.reference,
                presses_of(sensor),
                CalibrationSettings(glass=False, priors=CameraPriors(None, None)),
            )
            rows.append({"unit": f"{seed} no glass", **truth_row(sensor, bare), "seconds": ""})
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
    """Return the default sensor model with the layers and lens of the true model."""
    camera = default_sensor().camera.model_copy(
        update={
            "focal_px": truth.camera.focal_px,
            "centre_px": truth.camera.centre_px,
            "distortion": truth.camera.distortion,
        }
    )
    return default_sensor().model_copy(update={"layers": truth.layers, "camera": camera})


def presses_of(sensor: RandomSensor) -> list[PressImage]:
    """Return the presses from which a virtual sensor is calibrated."""
    return [
        PressImage(sensor.presses[k], build_indenter(sensor.touches[k].indenter), f"press {k + 1}")
        for k in range(CALIBRATED)
    ]


def print_bound_deg(truth: SensorModel) -> float:
    """Return the rotation error of the camera caused by the marker offsets alone, degrees.

    A camera is fitted to the marker lattice. A deviation of the print from the lattice cannot be
    distinguished from a rotation of the camera, so this error is a lower bound for every method.
    """
    values, lattice = parameter_values(truth), lattice_positions_mm(truth.markers).reshape(-1, 3)
    positions = project(values, lattice)
    columns = []
    for name in ("camera.position_mm", "camera.rotation_rad"):
        for axis in range(3):
            moved = {**values, name: values[name] + EPSILON * np.eye(3)[axis]}
            columns.append((project(moved, lattice) - positions).ravel() / EPSILON)
    printed = (project(values, marker_positions_mm(truth).reshape(-1, 3)) - positions).ravel()
    solution = np.linalg.lstsq(np.stack(columns, axis=1), printed, rcond=None)[0]
    return float(np.degrees(np.linalg.norm(solution[3:])))


def truth_row(sensor: RandomSensor, calibration: Calibration) -> dict[str, Any]:
    """Return the errors of a calibration of a virtual sensor.

    The origin of the calibrated model is at the true centre of the marker pattern.
    """
    true, fitted = parameter_values(sensor.model), parameter_values(calibration.model)
    positions = project(true, marker_positions_mm(sensor.model))
    away = np.linalg.norm(
        project(fitted, marker_positions_mm(calibration.model)) - positions, axis=-1
    )
    centre = np.append(true["markers.centre_mm"], 0.0)
    shift = fitted["camera.position_mm"] - (true["camera.position_mm"] - centre)
    turn = np.linalg.norm(fitted["camera.rotation_rad"] - true["camera.rotation_rad"])
    renderer = Renderer(calibration.model)
    errors = []
    for image, surface in zip(
        sensor.presses[CALIBRATED:], sensor.surfaces[CALIBRATED:], strict=True
    ):
        origin = centre.astype(np.float32)
        renderer.set_surface(
            GelSurface(
                surface.rest - origin,
                surface.position - origin,
                surface.rows,
                surface.columns,
                surface.may_overhang,
            )
        )
        rendered = np.clip(renderer.image(), 0.0, 1.0)
        errors.append(np.mean((rendered - image / 255.0) ** 2))
    return {
        "dot_rms_px": round(float(np.sqrt(np.mean(away**2))), 4),
        "angle_deg": round(float(np.degrees(turn)), 4),
        "print_deg": round(print_bound_deg(sensor.model), 4),
        "place_mm": round(float(np.linalg.norm(shift)), 4),
        "psnr_db": round(float(-10.0 * np.log10(max(errors))), 2),
        "press_rms_grey": residuals(calibration)["press_rms_grey"],
        "warnings": len(calibration.warnings),
    }


def measure_real(options: argparse.Namespace) -> Part:
    """Calibrate real sensors from two presses and predict all other presses."""
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for name, size in (("mini_dots_ball", "5.000mm"), ("mini_plain_ball", "6.310mm")):
        data = read_set(options.data / name, size)
        if data is None:
            print(f"no real frames at {options.data / name}", file=sys.stderr)
            continue
        chosen = data.spread(2)
        calibration = data.calibrate(chosen)
        scores = score_presses(
            data, calibration, chosen, [k for k in data.numbers if k not in chosen], progress
        )
        rows += [{"set": name, **row} for row in [*scores, median_row(scores)]]
        figures |= real_figures(data, calibration, scores)
    rows += cuboid_marker_figures(options.data / "mini_dots_cuboid", figures)
    return rows, figures


def real_figures(
    data: RealSet, calibration: Calibration, scores: list[PressScore]
) -> dict[str, Any]:
    """Return the means over the presses that were not used for the calibration."""

    def mean(key: str) -> float:
        return round(float(np.mean([row[key] for row in scores])), 4)

    figures = {
        "shading_correlation": mean("correlation_masked"),
        "shading_gain_db": mean("gain_masked_db"),
        "whole_psnr_db": mean("whole_psnr_db"),
        "calibration_seconds": round(sum(calibration.seconds.values()), 1),
    }
    if "taxim_gain_masked_db" in scores[0]:
        figures["taxim_correlation"] = mean("taxim_correlation_masked")
        figures["taxim_gain_db"] = mean("taxim_gain_masked_db")
    if data.has_markers:
        figures |= {
            "dot_rms_px": residuals(calibration)["dot_rms_px"],
            "dot_diameter_error": marker_diameter_error(calibration),
            "contact_correlation": mean("correlation"),
            "contact_gain_db": mean("gain_db"),
            "dot_motion_px": mean("dots_px"),
            "dot_motion_unmoved_px": mean("unmoved_px"),
        }
    prefix = "real" if data.has_markers else "real_plain"
    return {f"{prefix}_{key}": value for key, value in figures.items()}


def marker_diameter_error(calibration: Calibration) -> float:
    """Return the median relative difference of rendered and real detected marker diameters."""
    if calibration.reference_markers is None or calibration.model.markers is None:
        return float("nan")
    rendered = np.clip(np.rint(255.0 * Renderer(calibration.model).image()), 0, 255).astype(
        np.uint8
    )
    ours = detect_markers(rendered, calibration.model.markers.grid).diameter_px
    return round(
        float(np.nanmedian(np.abs(ours / calibration.reference_markers.diameter_px - 1.0))), 4
    )


def measure_ablations(options: argparse.Namespace) -> Part:
    """Measure the contribution of each part of the fit on real presses not used for the fit."""
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
        "whole contact": (with_lights(interior=False), 2),
        "reflected light": (with_lights(choose_interreflection=False), 2),
        "no local inter-reflection": (with_lights(local_interreflection=False), 2),
        "one press": (plain, 1),
        "three presses": (plain, 3),
        "five presses": (plain, 5),
    }
    used = set(data.spread(5))
    unseen = [k for k in data.numbers if k not in used][::3]
    rows = []
    for name, (settings, count) in variants.items():
        chosen = data.spread(count)
        calibration = data.calibrate(chosen, settings)
        scores = score_presses(data, calibration, chosen, unseen, lambda _row: None)
        rows.append({"variant": name, **median_row(scores)})
        progress(rows[-1])
    return rows, {}


def measure_diameters(options: argparse.Namespace) -> Part:
    """Calibrate with wrong diameters of a real 5 mm ball; return residuals and warnings."""
    data = read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None:
        print(f"no real frames at {options.data / 'mini_dots_ball'}", file=sys.stderr)
        return [], {}
    rows = []
    for assumed_mm in ASSUMED_DIAMETERS_MM:
        calibration = dataclasses.replace(data, diameter_mm=assumed_mm).calibrate(data.spread(2))
        figures = residuals(calibration)
        keys = ("press_rms_grey", "press_correlation", "press_dot_rms_px")
        rows.append(
            {
                "told_mm": assumed_mm,
                **{key: figures[key] for key in keys},
                "warned": bool(calibration.warnings),
            }
        )
        progress(rows[-1])
    return rows, {}


def with_lights(**changes: bool) -> CalibrationSettings:
    """Return settings with parts of the light fit switched off."""
    return CalibrationSettings(lights=LightFitSettings(**changes))


def progress(row: dict[str, Any]) -> None:
    """Print a row on stderr as soon as it is available."""
    print(" ".join(f"{key}={value}" for key, value in row.items()), file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "virtual": measure_virtual,
    "real": measure_real,
    "ablations": measure_ablations,
    "diameters": measure_diameters,
}


if __name__ == "__main__":
    raise SystemExit(main())
