"""Inversion against surfaces whose truth is known, real balls, and the clock.

    python benchmarks/inversion.py [--quick] [--json] [--only PART] [--units N] [--data DIR]

Virtual units are kept in the user's cache; making them takes the path tracer hours. In full some
minutes beyond that; --quick under a minute once a unit is there.
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

from calibration import knowing_lens, presses_of
from press_scores import RealSet, read_set
from tables import Part, run_parts

from tacdiff_ros.calibration.calibrate import CalibrationSettings, calibrate
from tacdiff_ros.calibration.camera_pose import CameraPriors
from tacdiff_ros.evaluation.surface_error import (
    SurfaceError,
    motion_error_mm,
    moved_origin,
    surface_error,
)
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.frame_sources import open_frames
from tacdiff_ros.inversion.inversion_settings import STREAMING
from tacdiff_ros.inversion.inverter import Inversion, Inverter
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.random_sensors import (
    RandomSensor,
    VirtualSensorSettings,
    random_sensor,
    undeformed_surface,
)
from tacdiff_ros.virtual.sensor_store import cached_sensor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
VIDEO = "mini_dots_video/baseball_exp_num_1_camera_0.avi"
CALIBRATED, TEN = 2, 10  # presses that a unit is calibrated from; the ten indenters after them
GUESSES = 20
LARGE_STEPS_PRESSES, LARGE_STEPS_S = (2, 5, 11), [8.0, 60.0]  # ball, cube, text
BALL_FRACTION = 0.6  # of the contact's radius, inside which a sphere is fitted
FAR_MM = 5.0  # from the contact's centre: off contact
FRAMES, LOOPS = 100, 10


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--units", type=int, default=5, help="virtual units, ten surfaces each")
    parser.add_argument("--data", type=Path, default=DATA, help="real frames")
    options = parser.parse_args()
    names = [options.only] if options.only else (["streaming"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_virtual(options: argparse.Namespace) -> Part:
    """Ten indenters on path-traced units, each unit calibrated from its own three images."""
    settings = VirtualSensorSettings(presses=CALIBRATED + TEN)
    rows, guesses = [], []
    for seed in range(1 if options.quick else options.units):
        unit = cached_sensor(seed, settings)
        model, shift = calibrated(unit)
        inverter = Inverter(model, unit.reference)
        inverter.invert(unit.presses[0])  # compiles
        for k in range(CALIBRATED, CALIBRATED + TEN):
            found = inverter.invert(unit.presses[k])
            truth = moved_origin(unit.surfaces[k], shift)
            error, ratio = error_of(found, truth)
            row = {
                "unit": seed,
                "indenter": unit.touches[k].indenter,
                "depth_mm": round(unit.touches[k].depth_mm, 2),
                "height_rmse_mm": round(error.height_mm, 4),
                "shear_rmse_mm": round(error.in_plane_mm, 4),
                "error_over_deviation": round(ratio, 2),
                "image_rms_grey": round(found.image_rms, 2),
                "seconds": round(found.seconds, 2),
            }
            guesses.append(guess_error(inverter, unit.presses[k], truth))
            rows.append(row)
            progress(row)
    figures = {
        "surfaces": len(rows),
        "height_rmse_mm_median": float(np.median([row["height_rmse_mm"] for row in rows])),
        "height_rmse_mm_worst": max(row["height_rmse_mm"] for row in rows),
        "shear_rmse_mm_median": float(np.median([row["shear_rmse_mm"] for row in rows])),
        "shear_rmse_mm_worst": max(row["shear_rmse_mm"] for row in rows),
        "seconds_cold": max(row["seconds"] for row in rows),
        "first_guess_height_rmse_mm": round(float(np.median(guesses)), 4),
    }
    for name in dict.fromkeys(row["indenter"].split(":")[0] for row in rows):
        own = [row for row in rows if row["indenter"].split(":")[0] == name]
        for key in ("height_rmse_mm", "shear_rmse_mm", "error_over_deviation"):
            figures[f"{name}_{key}"] = round(float(np.median([row[key] for row in own])), 4)
    return rows, figures


def measure_large_steps(options: argparse.Namespace) -> Part:
    """Mitsuba's `prb` with LargeSteps on some of the same images, beside the package's inversion.

    Left out where cholespy is not installed, which LargeSteps needs.
    """
    if importlib.util.find_spec("cholespy") is None:
        print("LargeSteps needs cholespy: pip install 'cholespy>=2.1,<3'", file=sys.stderr)
        return [], {}
    from large_steps import LargeSteps

    unit = cached_sensor(0, VirtualSensorSettings(presses=CALIBRATED + TEN))
    model, shift = calibrated(unit)
    inverter = Inverter(model, unit.reference)
    baseline = LargeSteps(model, inverter.untouched.smooth)
    inverter.invert(unit.presses[0])  # compiles, after all of Mitsuba's plugins are known
    rows = []
    for k in LARGE_STEPS_PRESSES[: 1 if options.quick else None]:
        found = inverter.invert(unit.presses[k])
        truth = moved_origin(unit.surfaces[k], shift)
        row = {
            "indenter": unit.touches[k].indenter,
            "height_rmse_mm": round(error_of(found, truth)[0].height_mm, 4),
            "seconds": round(found.seconds, 2),
        }
        seen = inverter.compared(unit.presses[k], found.dots)
        surfaces = baseline.invert(seen.value, seen.free, LARGE_STEPS_S)
        for budget, surface in zip(LARGE_STEPS_S, surfaces, strict=True):
            error = surface_error(surface, truth, found.valid)
            row[f"large_steps_{budget:.0f}_s_mm"] = round(error.height_mm, 4)
        rows.append(row)
        progress(row)
    return rows, {}


def calibrated(unit: RandomSensor) -> tuple[SensorModel, np.ndarray]:
    """A unit's model from its three images, and where its origin is in the truth's frame."""
    settings = CalibrationSettings(priors=CameraPriors(None, None))
    found = calibrate(knowing_lens(unit.model), unit.reference, presses_of(unit), settings)
    if unit.model.markers is None:
        return found.model, np.zeros(3, np.float32)
    return found.model, np.append(unit.model.markers.centre_mm, 0.0).astype(np.float32)


def error_of(found: Inversion, truth: GelSurface) -> tuple[SurfaceError, float]:
    """Over what is valid; and the median ratio of the height error to what is said of it."""
    valid = found.valid.ravel()
    away = motion_error_mm(found.surface, truth)[valid]
    ratio = np.abs(away[:, 2]) / found.deviation_mm.ravel()[valid]
    return surface_error(found.surface, truth, valid), float(np.median(ratio))


def guess_error(inverter: Inverter, image: np.ndarray, truth: GelSurface) -> float:
    """Height RMSE of the first guess over the middle of the pad, mm."""
    grid = inverter.grid
    shape = (truth.rows, truth.columns)
    height = RegularGridInterpolator(
        (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64)),
        (truth.position - truth.rest)[:, 2].astype(np.float64).reshape(shape),
        bounds_error=False,
        fill_value=0.0,
    )
    x, y = np.meshgrid(grid.x_mm, grid.y_mm)
    seen = (np.abs(x) < 9.0) & (np.abs(y) < 6.5)
    away = inverter.first_guess(image) - height(np.stack([y, x], axis=-1))
    return float(np.sqrt(np.mean(away[seen] ** 2)))


def measure_real(options: argparse.Namespace) -> Part:
    """Two presses calibrate; spheres are fitted to the inverted surfaces of all others."""
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    sets = (("mini_dots_ball", "5.000mm"), ("mini_plain_ball", "6.310mm"))
    for name, size in sets:
        data = read_set(options.data / name, size)
        if data is None:
            print(f"no real frames at {options.data / name}", file=sys.stderr)
            continue
        chosen = data.spread(2)
        found = data.calibrate(chosen)
        inverter = Inverter(found.model, data.background)
        tested = [(data, k) for k in data.numbers if k not in chosen]
        other = read_set(options.data / name, "9.500mm")
        if other is not None:
            tested += [(other, k) for k in other.numbers]
        own = [ball_row(name, inverter, which, k) for which, k in tested]
        rows += own
        prefix = "real" if data.has_dots else "real_plain"
        errors = [abs(row["radius_error"]) for row in own]
        figures |= {
            f"{prefix}_radius_error": round(float(np.median(errors)), 4),
            f"{prefix}_residual_mm": round(float(np.median([r["residual_mm"] for r in own])), 4),
            f"{prefix}_off_contact_mm": round(
                float(np.median([row["off_contact_mm"] for row in own])), 4
            ),
        }
    return rows, figures


def ball_row(name: str, inverter: Inverter, data: RealSet, k: int) -> dict[str, Any]:
    """A sphere fitted to the contact of one press, by how sure its vertices are."""
    found = inverter.invert(data.presses[k])
    surface, mask = found.surface, found.contact.mask.ravel()
    points = surface.position.astype(np.float64)
    if mask.sum() < 10:
        radius, residual, centre = np.nan, np.nan, np.zeros(2)
    else:
        deepest = points[mask][np.argmin(points[mask][:, 2])]
        centre = points[mask][:, :2].mean(axis=0)
        reach = np.sqrt(found.contact.area_mm2 / np.pi) * BALL_FRACTION
        chosen = np.linalg.norm(points[:, :2] - centre, axis=1) < reach
        near, sure = points[chosen], 1.0 / found.deviation_mm.ravel()[chosen]
        sure /= np.sqrt(np.mean(sure**2))
        start = [*centre, deepest[2] + 0.5 * data.diameter_mm, 0.5 * data.diameter_mm]
        fit = least_squares(lambda s: sure * (np.linalg.norm(near - s[:3], axis=1) - s[3]), start)
        radius, residual = float(fit.x[3]), float(np.sqrt(np.mean(fit.fun**2)))
    off = found.valid.ravel() & (np.linalg.norm(points[:, :2] - centre, axis=1) > FAR_MM)
    row = {
        "set": name,
        "ball_mm": data.diameter_mm,
        "press": k,
        "depth_mm": round(found.contact.depth_mm, 3),
        "radius_mm": round(radius, 3),
        "radius_error": round(2.0 * radius / data.diameter_mm - 1.0, 4),
        "residual_mm": round(residual, 4),
        "off_contact_mm": round(float(np.sqrt(np.mean(points[off, 2] ** 2))), 4),
        "image_rms_grey": round(found.image_rms, 2),
        "seconds": round(found.seconds, 2),
    }
    progress(row)
    return row


def measure_baseline(options: argparse.Namespace) -> Part:
    """Photometric stereo with a network, trained on half of the labelled presses, on the others."""
    from photometric_stereo import PhotometricStereo

    data = read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None:
        print(f"no real frames at {options.data}", file=sys.stderr)
        return [], {}
    chosen = data.spread(2)
    mm_per_px = data.calibrate(chosen).model.mm_per_px
    rows = []
    for half in (0, 1):
        trained = [k for k in data.numbers if k % 2 == half]
        stereo = PhotometricStereo(data, trained, mm_per_px)
        for k in data.numbers:
            if k not in trained and k not in chosen:
                rows.append(stereo_row(stereo.height_mm(data.presses[k]), data, k, mm_per_px))
                progress(rows[-1])
    return rows, {
        "stereo_radius_error": round(
            float(np.median([abs(row["radius_error"]) for row in rows])), 4
        ),
        "stereo_residual_mm": round(float(np.median([row["residual_mm"] for row in rows])), 4),
        "stereo_off_contact_mm": round(
            float(np.median([row["off_contact_mm"] for row in rows])), 4
        ),
    }


def stereo_row(height_mm: np.ndarray, data: RealSet, k: int, mm_per_px: float) -> dict[str, Any]:
    """A sphere fitted to a height map inside the labelled contact."""
    x0, y0, contact_px = data.labels[k]
    y, x = np.mgrid[0 : height_mm.shape[0], 0 : height_mm.shape[1]]
    points = np.stack([mm_per_px * x, mm_per_px * y, height_mm], axis=-1).reshape(-1, 3)
    away = np.hypot(x - x0, y - y0).ravel()
    near = points[away < BALL_FRACTION * contact_px]
    start = [mm_per_px * x0, mm_per_px * y0, near[:, 2].min() + 0.5 * data.diameter_mm]
    fit = least_squares(
        lambda s: np.linalg.norm(near - s[:3], axis=1) - s[3], [*start, 0.5 * data.diameter_mm]
    )
    off = mm_per_px * away > FAR_MM
    return {
        "press": k,
        "radius_mm": round(float(fit.x[3]), 3),
        "radius_error": round(2.0 * float(fit.x[3]) / data.diameter_mm - 1.0, 4),
        "residual_mm": round(float(np.sqrt(np.mean(fit.fun**2))), 4),
        "off_contact_mm": round(float(np.sqrt(np.mean(points[off, 2] ** 2))), 4),
    }


def measure_streaming(options: argparse.Namespace) -> Part:
    """A ball pressed, slid and lifted, seen by a noisy unit; the frames are shown ten times over.

    Frames come from the live gel and the renderer at four samples on a finer mesh, not from the
    path tracer, which would take a day for them.
    """
    frames, surfaces, model, rest = recording(20 if options.quick else FRAMES)
    inverter = Inverter(model, rest, STREAMING)
    inverter.follow(frames[0])
    seconds, errors, residue = [], [], 0.0
    for _ in range(2 if options.quick else LOOPS):
        for frame, truth in zip(frames, surfaces, strict=True):
            found = inverter.follow(frame)
            seconds.append(found.seconds)
            errors.append(surface_error(found.surface, truth, found.valid).height_mm)
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
    """A stream of real frames, 9 x 7 dots, by a model calibrated on another unit; no truth."""
    path, data = options.data / VIDEO, read_set(options.data / "mini_dots_ball", "5.000mm")
    if data is None or not path.is_file():
        print(f"no real frames at {options.data}", file=sys.stderr)
        return [], {}
    frames, images = open_frames(str(path), loop=False), []
    while (image := frames.read()) is not None:
        images.append(image)
    inverter = Inverter(data.calibrate(data.spread(2)).model, images[0], STREAMING)
    inverter.follow(images[0])
    found = [inverter.follow(image) for image in images]
    seconds = [entry.seconds for entry in found]
    return [], {
        "video_frames": len(images),
        "video_hz": round(len(seconds) / sum(seconds), 1),
        "video_latency_p50_ms": round(1e3 * float(np.median(seconds)), 1),
        "video_latency_p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 1),
        "video_image_rms_grey": round(float(np.median([e.image_rms for e in found])), 2),
        "video_depth_mm_most": round(max(entry.contact.depth_mm for entry in found), 3),
    }


def recording(count: int) -> tuple[list[np.ndarray], list[GelSurface], SensorModel, np.ndarray]:
    """Frames of a touch, their surfaces, the unit's model, and its untouched image."""
    model = random_sensor(1)
    flat = undeformed_surface(model)
    renderer, random = Renderer(model), np.random.default_rng(0)

    def seen(surface: GelSurface) -> np.ndarray:
        renderer.show(surface)
        values = 255.0 * renderer.image(RenderSettings(samples=2))
        noisy = values + random.normal(0.0, 1.0, values.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    gel = LiveGel(build_indenter("sphere:diameter=8"))
    frames, surfaces = [], []
    for share in np.linspace(0.0, 1.0, count):
        depth = 1.0 * min(1.0, 4.0 * share, 4.0 * (1.0 - share))
        slide = 0.6 * min(1.0, max(0.0, 2.0 * share - 0.5))
        answer = gel.follow(IndenterPose(slide - 1.0, 0.3, depth - 0.02))
        surface = refine_surface(answer.surface(), flat.rows, flat.columns)
        frames.append(seen(surface))
        surfaces.append(surface)
    return frames, surfaces, model, seen(flat)


def progress(row: dict[str, Any]) -> None:
    """Show a row as soon as it is known."""
    print(" ".join(f"{key}={value}" for key, value in row.items()), file=sys.stderr, flush=True)


PARTS = {
    "virtual": measure_virtual,
    "large_steps": measure_large_steps,
    "real": measure_real,
    "baseline": measure_baseline,
    "streaming": measure_streaming,
    "video": measure_video,
}


if __name__ == "__main__":
    raise SystemExit(main())
