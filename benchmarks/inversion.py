"""Accuracy of the inversion on virtual sensors and real balls, and its speed.

    python benchmarks/inversion.py [--quick] [--json] [--only PART] [--units N] [--data DIR]

Virtual sensors are cached; creating them takes the path tracer hours. With cached sensors, the full
benchmark takes some minutes, --quick under a minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ball_bulge import ball_bulge
from brightness_drift import measure_drift
from calibration import knowing_lens, presses_of
from cuboid import measure_cuboid
from fast_presses import measure_fast_presses, renderer_of
from press_scores import RealSet, read_set
from tables import Part, run_parts

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_inputs import CalibrationSettings
from tacdiff_ros.calibration.camera_pose import CameraPriors
from tacdiff_ros.evaluation.surface_error import (
    SurfaceError,
    motion_error_mm,
    moved_origin,
    surface_error,
)
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.frame_sources import open_frames
from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inversion_settings import STREAMING, InversionSettings
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import (
    RandomPress,
    RandomSensor,
    SurfaceLoads,
    VirtualSensorSettings,
    pressed_gel,
    random_press,
    random_sensor,
    undeformed_surface,
    visible_surface,
)
from tacdiff_ros.virtual.sensor_store import cached_loads, cached_sensor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
VIDEO = "mini_dots_video/baseball_exp_num_1_camera_0.avi"
CALIBRATED, TEN = 2, 10  # presses for the calibration, followed by ten test indenters
GUESSES = 20
LARGE_STEPS_PRESSES, LARGE_STEPS_S = (2, 5, 11), [8.0, 60.0]  # ball, cube, text
CALIBRATING = (2, 6)  # presses from which a real sensor is calibrated
BALL_FRACTION = 0.6  # radius of the sphere fit / contact radius
CENTRINGS = 3  # fits of a sphere, each around the axis of the last one
FAR_MM = 5.0  # distance from the contact centre of points outside the contact
FRAMES, LOOPS = 100, 10
FLAT = ("cylinder", "cube", "hexagon", "cross", "text")  # indenters with a flat bottom


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument(
        "--units", type=int, default=5, help="number of virtual sensors, ten surfaces each"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real frames")
    options = parser.parse_args()
    names = [options.only] if options.only else (["streaming"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_virtual(options: argparse.Namespace) -> Part:
    """Invert ten indenters on path-traced sensors, each calibrated from three of its images."""
    settings = VirtualSensorSettings(presses=CALIBRATED + TEN)
    rows, guesses = [], []
    for seed in range(1 if options.quick else options.units):
        sensor = cached_sensor(seed, settings)
        model, shift = calibrated(sensor)
        inverter = Inverter(model, sensor.reference)
        inverter.invert(sensor.presses[0])  # compiles
        for k in range(CALIBRATED, CALIBRATED + TEN):
            truth = moved_origin(sensor.surfaces[k], shift)
            loads = cached_loads(seed, k, settings)
            inversion = inverter.invert(sensor.presses[k])
            row = {"unit": seed, **touch_row(inversion, truth, loads, sensor.touches[k], shift)}
            guesses.append(guess_error(inverter, sensor.presses[k], truth))
            rows.append(row)
            progress(row)
    figures = {
        "surfaces": len(rows),
        "height_rmse_mm_median": float(np.median([row["height_rmse_mm"] for row in rows])),
        "height_rmse_mm_worst": max(row["height_rmse_mm"] for row in rows),
        "shear_rmse_mm_median": float(np.median([row["shear_rmse_mm"] for row in rows])),
        "shear_rmse_mm_worst": max(row["shear_rmse_mm"] for row in rows),
        "seconds_cold": max(row["seconds"] for row in rows),
        **force_summary(rows),
        "first_guess_height_rmse_mm": round(float(np.median(guesses)), 4),
    }
    for name in dict.fromkeys(row["indenter"].split(":")[0] for row in rows):
        own = [row for row in rows if row["indenter"].split(":")[0] == name]
        for key in ("height_rmse_mm", "shear_rmse_mm", "error_over_deviation"):
            figures[f"{name}_{key}"] = round(float(np.median([row[key] for row in own])), 4)
    return rows, figures


def measure_rendered(options: argparse.Namespace) -> Part:
    """Invert ten indenters with and without mechanics; images by the renderer, true sensor file."""
    settings = VirtualSensorSettings(presses=CALIBRATED + TEN)
    model = usable_exposure(random_sensor(0))
    renderer, random = Renderer(model), np.random.default_rng(0)

    def image_of(surface: GelSurface) -> np.ndarray:
        renderer.set_surface(surface)
        renderer.gather_local_interreflection()
        noisy = 255.0 * renderer.image() + random.normal(0.0, 1.0, (240, 320, 3))
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    reference = image_of(undeformed_surface(model))
    inverters = {
        mechanics: Inverter(model, reference, InversionSettings(mechanics=mechanics))
        for mechanics in (False, True)
    }
    rows, figures = [], {}
    for k in range(CALIBRATED, CALIBRATED + (1 if options.quick else TEN)):
        press = random_press(0, k, settings)
        state = pressed_gel(model, press, settings)
        truth = visible_surface(model, press, state)
        image, loads = image_of(truth), SurfaceLoads.of(state)
        for mechanics, inverter in inverters.items():
            row = touch_row(inverter.invert(image), truth, loads, press, np.zeros(3, np.float32))
            rows.append({"mechanics": mechanics, **row})
            progress(rows[-1])
    for mechanics in inverters:
        own = [row for row in rows if row["mechanics"] == mechanics]
        name = "rendered" if mechanics else "rendered_without_mechanics"
        for key in ("height_rmse_mm", "shear_rmse_mm"):
            figures[f"{name}_{key}"] = float(np.median([row[key] for row in own]))
        figures |= {f"{name}_{key}": value for key, value in force_summary(own).items()}
    return rows, figures


def touch_row(
    inversion: Inversion,
    truth: GelSurface,
    loads: SurfaceLoads,
    press: RandomPress,
    shift: np.ndarray,
) -> dict[str, Any]:
    """Return the errors of one inverted touch."""
    error, ratios = error_of(inversion, truth)
    return {
        "indenter": press.indenter,
        "depth_mm": round(press.depth_mm, 2),
        "height_rmse_mm": round(error.height_mm, 4),
        "shear_rmse_mm": round(error.in_plane_mm, 4),
        "error_over_deviation": round(float(np.median(ratios)), 2),
        "error_over_deviation_p90": round(float(np.quantile(ratios, 0.9)), 2),
        "max_depth_mm": round(-float(inversion.surface.position[:, 2].min()), 3),
        **force_errors(inversion, loads, shift),
        "image_rms_grey": round(inversion.image_rms, 2),
        "seconds": round(inversion.seconds, 2),
    }


def measure_large_steps(options: argparse.Namespace) -> Part:
    """Compare Mitsuba's `prb` with LargeSteps and the package's inversion on the same images.

    Skipped if cholespy, which LargeSteps needs, is not installed.
    """
    if importlib.util.find_spec("cholespy") is None:
        print("LargeSteps needs cholespy: pip install 'cholespy>=2.1,<3'", file=sys.stderr)
        return [], {}
    from large_steps import LargeSteps

    sensor = cached_sensor(0, VirtualSensorSettings(presses=CALIBRATED + TEN))
    model, shift = calibrated(sensor)
    inverter = Inverter(model, sensor.reference)
    baseline = LargeSteps(model, inverter.reference.smooth)
    inverter.invert(sensor.presses[0])  # compiles, after all of Mitsuba's plugins are known
    rows = []
    for k in LARGE_STEPS_PRESSES[: 1 if options.quick else None]:
        inversion = inverter.invert(sensor.presses[k])
        truth = moved_origin(sensor.surfaces[k], shift)
        row = {
            "indenter": sensor.touches[k].indenter,
            "height_rmse_mm": round(error_of(inversion, truth)[0].height_mm, 4),
            "seconds": round(inversion.seconds, 2),
        }
        prepared = inverter.prepare_image(sensor.presses[k], inversion.markers)
        surfaces = baseline.invert(prepared.value, prepared.free, LARGE_STEPS_S)
        for budget, surface in zip(LARGE_STEPS_S, surfaces, strict=True):
            error = surface_error(surface, truth, inversion.valid)
            row[f"large_steps_{budget:.0f}_s_mm"] = round(error.height_mm, 4)
        rows.append(row)
        progress(row)
    return rows, {}


def calibrated(sensor: RandomSensor) -> tuple[SensorModel, np.ndarray]:
    """Return the calibrated model of a sensor, and its origin in the true frame, (3,) mm."""
    settings = CalibrationSettings(priors=CameraPriors(None, None))
    calibration = calibrate(
        knowing_lens(sensor.model), sensor.reference, presses_of(sensor), settings
    )
    if sensor.model.markers is None:
        return calibration.model, np.zeros(3, np.float32)
    return calibration.model, np.append(sensor.model.markers.centre_mm, 0.0).astype(np.float32)


def error_of(inversion: Inversion, truth: GelSurface) -> tuple[SurfaceError, np.ndarray]:
    """Return the error over the valid area, and its height errors / estimated stddevs."""
    valid = inversion.valid.ravel()
    away = motion_error_mm(inversion.surface, truth)[valid]
    ratio = np.abs(away[:, 2]) / inversion.height_stddev_mm.ravel()[valid]
    return surface_error(inversion.surface, truth, valid), ratio


def force_errors(inversion: Inversion, loads: SurfaceLoads, shift: np.ndarray) -> dict[str, float]:
    """Return the relative errors of force and torque, and the correlation of the tractions."""
    forces = inversion.forces
    if forces is None:
        return {}
    force = loads.force_n.sum(axis=0)
    torque = np.cross(loads.position_mm - shift, loads.force_n).sum(axis=0)
    error = forces.force_n - force
    sideways = float(np.linalg.norm(error[:2]) / np.linalg.norm(force[:2]))
    stddev = np.concatenate([forces.force_stddev_n, forces.torque_stddev_n_mm])
    away = np.concatenate([error, forces.torque_n_mm - torque])
    twist = float(np.linalg.norm(away[3:]) / np.linalg.norm(torque))
    return {
        "normal_force_n": round(-float(force[2]), 3),
        "normal_force_error": round(float(error[2] / force[2]), 4),
        "tangential_force_error": round(sideways, 4),
        "tangential_fraction": round(float(np.linalg.norm(force[:2]) / -force[2]), 3),
        "torque_error": round(twist, 4),
        "force_error_over_deviation": round(float(np.median(np.abs(away) / stddev)), 2),
        "traction_correlation": round(
            traction_correlation(inversion.surface, forces, loads, shift), 4
        ),
    }


def traction_correlation(
    surface: GelSurface, forces: ContactForces, loads: SurfaceLoads, shift: np.ndarray
) -> float:
    """Return the correlation of all traction components at the true vertices."""
    field = np.concatenate([forces.traction_mpa, -forces.pressure_mpa[..., None]], axis=-1)
    axes = (surface.y_mm.astype(np.float64), surface.x_mm.astype(np.float64))
    estimate = RegularGridInterpolator(axes, field, bounds_error=False, fill_value=0.0)
    at = (loads.rest_mm - shift)[:, 1::-1]
    true = loads.force_n / loads.area_mm2[:, None]
    return float(np.corrcoef(estimate(at).ravel(), true.ravel())[0, 1])


def force_summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return medians over all presses; tangential errors where that force is not small."""

    def median(key: str, own: list[dict[str, Any]] = rows) -> float:
        values = [abs(row[key]) for row in own if key in row]
        return round(float(np.median(values)), 4) if values else float("nan")

    flat = [row for row in rows if row["indenter"].split(":")[0] in FLAT]
    return {
        "normal_force_error": median("normal_force_error"),
        "normal_force_error_worst": max(abs(row["normal_force_error"]) for row in rows),
        "tangential_force_error": median("tangential_force_error"),
        "torque_error": median("torque_error"),
        "traction_correlation": median("traction_correlation"),
        "flat_height_rmse_mm": median("height_rmse_mm", flat),
        "sigma_ratio_median": median("error_over_deviation"),
        "sigma_ratio_p90": median("error_over_deviation_p90"),
        "force_sigma_ratio_median": median("force_error_over_deviation"),
        "max_depth_mm": max(row["max_depth_mm"] for row in rows),
    }


def guess_error(inverter: Inverter, image: np.ndarray, truth: GelSurface) -> float:
    """Return the height RMSE of the first guess over the centre of the pad, mm."""
    grid = inverter.grid
    shape = (truth.rows, truth.columns)
    height = RegularGridInterpolator(
        (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64)),
        (truth.position - truth.rest)[:, 2].astype(np.float64).reshape(shape),
        bounds_error=False,
        fill_value=0.0,
    )
    x, y = np.meshgrid(grid.x_mm, grid.y_mm)
    central = (np.abs(x) < 9.0) & (np.abs(y) < 6.5)
    away = inverter.first_guess(image) - height(np.stack([y, x], axis=-1))
    return float(np.sqrt(np.mean(away[central] ** 2)))


def measure_real(options: argparse.Namespace) -> Part:
    """Calibrate from two and from six presses, and fit spheres to the inverted surfaces."""
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    sets = (("mini_dots_ball", ("5.000mm",)), ("mini_plain_ball", ("6.310mm", "9.500mm")))
    for name, sizes in sets:
        balls = [read_set(options.data / name, size) for size in sizes]
        data = balls[0]
        if data is None:
            print(f"no real frames at {options.data / name}", file=sys.stderr)
            continue
        for count in CALIBRATING:
            chosen = data.spread(count)
            inverter = Inverter(data.calibrate(chosen).model, data.background)
            prefix = "real" if data.has_markers else "real_plain"
            prefix += "" if count == CALIBRATING[0] else "_six"
            for ball in balls:
                unseen = [k for k in ball.numbers if ball is not data or k not in chosen]
                own = [ball_row(f"{name}, {count}", inverter, ball, k) for k in unseen]
                rows += own
                other = "" if ball is data else "_other_ball"
                figures |= ball_figures(f"{prefix}{other}", own)
            seen = [ball_row(f"{name}, own", inverter, data, k) for k in chosen]
            rows += seen
            figures[f"{prefix}_in_sample_radius_error"] = median_error(seen)
    if "real_in_sample_radius_error" in figures:
        figures["in_sample_radius_error"] = figures["real_in_sample_radius_error"]
    return rows, figures


def ball_figures(prefix: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the figures of some presses of one ball; a press without a sphere counts as 100 %."""
    errors = np.nan_to_num([abs(row["radius_error"]) for row in rows], nan=1.0)
    return {
        f"{prefix}_radius_error": median_error(rows),
        f"{prefix}_radius_error_p90": round(float(np.percentile(errors, 90)), 4),
        f"{prefix}_residual_mm": round(float(np.nanmedian([r["residual_mm"] for r in rows])), 4),
        **{
            f"{prefix}_{name}": round(float(np.median([row[name] for row in rows])), 4)
            for name in ("off_contact_mm", "off_contact_height_mm", "off_contact_over_deviation")
            if name in rows[0]
        },
    }


def median_error(rows: list[dict[str, Any]]) -> float:
    """Return the median radius error of some presses."""
    errors = np.nan_to_num([abs(row["radius_error"]) for row in rows], nan=1.0)
    return round(float(np.median(errors)), 4)


def ball_row(name: str, inverter: Inverter, data: RealSet, k: int) -> dict[str, Any]:
    """Fit a sphere to the contact of one press, weighted by the estimated accuracy."""
    inversion = inverter.invert(data.presses[k])
    surface, mask = inversion.surface, inversion.contact.mask.ravel()
    points = surface.position.astype(np.float64)
    stddev = inversion.height_stddev_mm.ravel()
    centre, radius, residual = np.zeros(2), np.nan, np.nan
    if mask.sum() >= 10:
        reach = np.sqrt(inversion.contact.area_mm2 / np.pi) * BALL_FRACTION
        centre, radius, residual = fitted_sphere(points, stddev, mask, reach, data.diameter_mm)
    away = np.linalg.norm(points[:, :2] - centre, axis=1)
    off = inversion.valid.ravel() & (away > FAR_MM)
    bulge = ball_bulge(data.diameter_mm, inversion.contact.depth_mm, away[off])
    off_error = points[off, 2] - bulge
    row = {
        "set": name,
        "ball_mm": data.diameter_mm,
        "press": k,
        "depth_mm": round(inversion.contact.depth_mm, 3),
        "radius_mm": round(radius, 3),
        "radius_error": round(2.0 * radius / data.diameter_mm - 1.0, 4),
        "residual_mm": round(residual, 4),
        "off_contact_mm": round(float(np.sqrt(np.mean(off_error**2))), 4),
        "off_contact_height_mm": round(float(np.sqrt(np.mean(points[off, 2] ** 2))), 4),
        "off_contact_over_deviation": round(float(np.median(np.abs(off_error) / stddev[off])), 2),
        "image_rms_grey": round(inversion.image_rms, 2),
        "seconds": round(inversion.seconds, 2),
    }
    progress(row)
    return row


def fitted_sphere(
    points: np.ndarray, stddev: np.ndarray, mask: np.ndarray, reach: float, diameter_mm: float
) -> tuple[np.ndarray, float, float]:
    """Fit a sphere to the points within reach of its own axis.

    Returns:
        (x, y) of its centre, its radius and the RMS residual, mm.
    """
    deepest = points[mask][np.argmin(points[mask][:, 2])]
    ball = np.array([*deepest[:2], deepest[2] + 0.5 * diameter_mm, 0.5 * diameter_mm])
    for _ in range(CENTRINGS):
        chosen = np.linalg.norm(points[:, :2] - ball[:2], axis=1) < reach
        weight = 1.0 / stddev[chosen]
        weight /= np.sqrt(np.mean(weight**2))
        near = points[chosen]
        fit = least_squares(
            lambda s, near=near, weight=weight: (
                weight * (np.linalg.norm(near - s[:3], axis=1) - s[3])
            ),
            ball,
        )
        ball = fit.x
    return ball[:2], float(ball[3]), float(np.sqrt(np.mean(fit.fun**2)))


def measure_baseline(options: argparse.Namespace) -> Part:
    """Evaluate photometric stereo, trained on the calibrating presses and on half of all."""
    from photometric_stereo import PhotometricStereo

    data = read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None:
        print(f"no real frames at {options.data}", file=sys.stderr)
        return [], {}
    mm_per_px = data.calibrate(data.spread(2)).model.mm_per_px
    used = {f"{count}": [data.spread(count)] for count in CALIBRATING}
    used["half"] = [[k for k in data.numbers if k % 2 == half] for half in (0, 1)]
    rows, figures = [], {}
    for name, trainings in used.items():
        own = []
        for trained in trainings:
            stereo = PhotometricStereo(data, trained, mm_per_px)
            for k in data.numbers:
                if k not in trained:
                    row = stereo_row(stereo.height_mm(data.presses[k]), data, k, mm_per_px)
                    own.append({"trained": name, **row})
                    progress(own[-1])
        rows += own
        figures |= ball_figures("stereo" if name == "half" else f"stereo_{name}", own)
    return rows, figures


def stereo_row(height_mm: np.ndarray, data: RealSet, k: int, mm_per_px: float) -> dict[str, Any]:
    """Fit a sphere to a height map inside the labelled contact."""
    x0, y0, contact_px = data.labels[k]
    y, x = np.mgrid[0 : height_mm.shape[0], 0 : height_mm.shape[1]]
    points = np.stack([mm_per_px * x, mm_per_px * y, height_mm], axis=-1).reshape(-1, 3)
    away = np.hypot(x - x0, y - y0).ravel()
    near = points[away < BALL_FRACTION * contact_px]
    start = [mm_per_px * x0, mm_per_px * y0, near[:, 2].min() + 0.5 * data.diameter_mm]
    fit = least_squares(
        lambda s: np.linalg.norm(near - s[:3], axis=1) - s[3], [*start, 0.5 * data.diameter_mm]
    )
    away = mm_per_px * away
    off = away > FAR_MM
    bulge = ball_bulge(data.diameter_mm, -float(near[:, 2].min()), away[off])
    return {
        "press": k,
        "radius_mm": round(float(fit.x[3]), 3),
        "radius_error": round(2.0 * float(fit.x[3]) / data.diameter_mm - 1.0, 4),
        "residual_mm": round(float(np.sqrt(np.mean(fit.fun**2))), 4),
        "off_contact_mm": round(float(np.sqrt(np.mean((points[off, 2] - bulge) ** 2))), 4),
    }


def measure_streaming(options: argparse.Namespace) -> Part:
    """Invert a stream of a ball pressed, slid and lifted on a noisy sensor, repeated ten times.

    With `--quick` it moves five times as fast, up to 0.2 mm a frame.
    Frames come from the live gel and the renderer at four samples on a finer mesh, because the path
    tracer would take a day.
    """
    frames, surfaces, model, rest = recording(20 if options.quick else FRAMES)
    inverter = Inverter(model, rest, STREAMING)
    inverter.follow(frames[0])
    seconds, errors, residue = [], [], 0.0
    for _ in range(2 if options.quick else LOOPS):
        for frame, truth in zip(frames, surfaces, strict=True):
            inversion = inverter.follow(frame)
            seconds.append(inversion.seconds)
            errors.append(surface_error(inversion.surface, truth, inversion.valid).height_mm)
        last = inverter.follow(rest)
        residue = float(np.abs(last.surface.position[:, 2]).max())
    guesses = []
    for frame in frames[:GUESSES]:
        started = time.perf_counter()
        inverter.first_guess(frame)
        guesses.append(time.perf_counter() - started)
    figures = {
        "streaming_frames": len(seconds),
        "streaming_hz": round(1.0 / float(np.mean(seconds)), 2),
        "streaming_latency_p50_ms": round(1e3 * float(np.median(seconds)), 1),
        "streaming_latency_p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 1),
        "streaming_height_rmse_mm": round(float(np.sqrt(np.mean(np.square(errors)))), 4),
        "streaming_height_rmse_mm_worst": round(max(errors), 4),
        "drift_mm": round(residue, 5),
        "first_guess_ms": round(1e3 * float(np.median(guesses)), 1),
    }
    return [], figures


def measure_video(options: argparse.Namespace) -> Part:
    """Invert a stream of real frames with a model calibrated on another sensor; no ground truth."""
    path, data = options.data / VIDEO, read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None or not path.is_file():
        print(f"no real frames at {options.data}", file=sys.stderr)
        return [], {}
    frames, images = open_frames(str(path), loop=False), []
    while (image := frames.read()) is not None:
        images.append(image)
    inverter = Inverter(data.calibrate(data.spread(2)).model, images[0], STREAMING)
    inverter.follow(images[0])
    inversions = [inverter.follow(image) for image in images]
    seconds = [entry.seconds for entry in inversions]
    return [], {
        "video_frames": len(images),
        "video_hz": round(len(seconds) / sum(seconds), 1),
        "video_latency_p50_ms": round(1e3 * float(np.median(seconds)), 1),
        "video_latency_p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 1),
        "video_image_rms_grey": round(float(np.median([e.image_rms for e in inversions])), 2),
        "video_depth_mm_most": round(max(entry.contact.depth_mm for entry in inversions), 3),
    }


def recording(count: int) -> tuple[list[np.ndarray], list[GelSurface], SensorModel, np.ndarray]:
    """Return frames of a touch, their surfaces, the sensor model, and the reference image."""
    model = random_sensor(1)
    flat = undeformed_surface(model)
    render = renderer_of(model)
    gel = LiveGel(build_indenter("sphere:diameter=8"))
    frames, surfaces = [], []
    for fraction in np.linspace(0.0, 1.0, count):
        depth = 1.0 * min(1.0, 4.0 * fraction, 4.0 * (1.0 - fraction))
        slide = 0.6 * min(1.0, max(0.0, 2.0 * fraction - 0.5))
        state = gel.step(IndenterPose(slide - 1.0, 0.3, depth - 0.02))
        surface = refine_surface(state.surface, flat.rows, flat.columns)
        frames.append(render(surface))
        surfaces.append(surface)
    return frames, surfaces, model, render(flat)


def progress(row: dict[str, Any]) -> None:
    """Print a row on stderr as soon as it is available."""
    print(" ".join(f"{key}={value}" for key, value in row.items()), file=sys.stderr, flush=True)


PARTS = {
    "virtual": measure_virtual,
    "rendered": measure_rendered,
    "large_steps": measure_large_steps,
    "real": measure_real,
    "baseline": measure_baseline,
    "cuboid": lambda options: measure_cuboid(options, calibrated),
    "drift": measure_drift,
    "streaming": measure_streaming,
    "fast_presses": measure_fast_presses,
    "video": measure_video,
}


if __name__ == "__main__":
    raise SystemExit(main())
