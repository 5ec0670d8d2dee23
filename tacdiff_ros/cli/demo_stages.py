"""Stages of the demonstration after recording: each gives a chapter of its report.

The truth is the virtual sensor's own: another unit, gel, mesh and noise than the model that is
fitted, but the same kind of renderer, as it must keep up with a camera. How calibration and
inversion do on path-traced images is for `benchmarks/calibration.py` and `inversion.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import Calibration, PressImage, calibrate, residuals
from tacdiff_ros.evaluation.agreement import side_by_side
from tacdiff_ros.evaluation.surface_error import motion_error_mm, surface_error
from tacdiff_ros.inversion.inverter import Inversion, Inverter
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.projection import project
from tacdiff_ros.recording.bag_reading import RecordedRun, images
from tacdiff_ros.replay.recorded_presses import RecordedPress, RecordedPresses
from tacdiff_ros.replay.recorded_truth import LiveComparisons, true_surfaces
from tacdiff_ros.reports.story_report import Chapter
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

CALIBRATED_FROM = 2
SHOWN_STEPS = ("indent", "translate_x+", "rotate_+")
INVERTED_STEPS = ("indent", "translate_x+")
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Calibrated:
    """The unit as it was found.

    Attributes:
        found: the calibration.
        reference: untouched image it was made from.
        presses: likewise.
        seconds: that it took.
    """

    found: Calibration
    reference: Image
    presses: tuple[RecordedPress, ...]
    seconds: float


@dataclass(frozen=True)
class Inverted:
    """One image turned back into the gel's surface.

    Attributes:
        step: of the protocol.
        image: (H, W, 3) uint8.
        found: surface.
        truth: surface.
        height_rmse_mm: over what the camera sees.
        in_plane_rmse_mm: likewise, per axis.
    """

    step: str
    image: Image
    found: Inversion
    truth: GelSurface
    height_rmse_mm: float
    in_plane_rmse_mm: float


def calibrate_from(run: RecordedPresses) -> Calibrated:
    """A unit from three images of a run, starting with the default sensor file."""
    started = time.perf_counter()
    presses = run.spread(CALIBRATED_FROM)
    ball = build_indenter(run.indenter)
    inputs = [PressImage(press.image, ball, f"trial {press.trial}") for press in presses]
    found = calibrate(default_sensor(), run.reference, inputs)
    return Calibrated(found, run.reference, presses, time.perf_counter() - started)


def calibration_chapter(done: Calibrated, truth: SensorModel) -> Chapter:
    """Three images in, a sensor file out."""
    fitted = project(parameter_values(done.found.model), marker_positions_mm(done.found.model))
    true = project(parameter_values(truth), marker_positions_mm(truth))
    away_px = np.linalg.norm(fitted - true, axis=-1)
    figures = residuals(done.found)
    return Chapter(
        "Calibrated from three images",
        "The untouched gel and two presses of a 5 mm ball give camera, lights, colour and dots of "
        "this unit, which differs from the default sensor file in all of them.",
        {
            "dots of the fitted model against the true ones, RMS": f"{_rms(away_px):.3f} px",
            "presses, predicted against seen": f"{figures['press_rms_grey']:.2f} grey levels",
            "seconds": f"{done.seconds:.0f}",
        },
        [
            (
                "untouched, and the two presses",
                np.concatenate([done.reference, *(press.image for press in done.presses)], axis=1),
            )
        ],
        [("overlays, residuals, every number with its deviation", "calibration.html")],
    )


def live_figures(live: LiveComparisons) -> dict[str, float]:
    """Medians over the frames that show a contact."""
    touching = np.isfinite(live.contact_psnr_db)
    return {
        "live_frames": len(live.stamp_ns),
        "live_contact_psnr_db": _median(live.contact_psnr_db),
        "live_background_psnr_db": _median(live.background_psnr_db[touching]),
        "live_marker_px": _median(live.marker_px[touching]),
        "live_deformation_mm": _median(live.deformation_mm[touching]),
    }


def live_chapter(run: RecordedRun, live: LiveComparisons, simulator: str) -> Chapter:
    """Real and simulated images side by side while the robot moved."""
    figures = live_figures(live)
    pictures: list[tuple[str, Image | Figure]] = [
        (f"{step}: sensor, twin, difference x 4", picture)
        for step, picture in _pairs(run, SHOWN_STEPS)
    ]
    return Chapter(
        "Simulated live, and compared",
        f"The robot's state moves the twin (live gel, {simulator}); the comparator pairs its "
        "images with the sensor's by their stamps. The indenter is one that the calibration "
        "never saw.",
        {
            "frames compared": figures["live_frames"],
            "PSNR in the contact, median": f"{figures['live_contact_psnr_db']:.1f} dB "
            f"(nothing happened: {figures['live_background_psnr_db']:.1f} dB)",
            "dots, RMS distance": f"{figures['live_marker_px']:.2f} px",
            "height of the gel, RMS error": f"{figures['live_deformation_mm']:.3f} mm",
        },
        [*pictures, ("agreement over time", _agreement_plot(live))],
    )


def invert_stills(run: RecordedRun, calibrated: Calibrated, truth: SensorModel) -> list[Inverted]:
    """Images of steps at rest, inverted and held against the true surfaces.

    Raises:
        InputError: the bag lacks images or true surfaces.
    """
    stamps = still_stamps(run, INVERTED_STEPS)
    surfaces = true_surfaces(run.bag, truth, set(stamps.values()))
    pictures = _images(run, set(stamps.values()), None)
    inverter = Inverter(calibrated.found.model, calibrated.reference)
    done = []
    for step, stamp in stamps.items():
        if stamp not in surfaces or stamp not in pictures:
            continue
        found = inverter.invert(pictures[stamp])
        error = surface_error(found.surface, surfaces[stamp], found.valid)
        done.append(
            Inverted(
                step,
                pictures[stamp],
                found,
                surfaces[stamp],
                error.height_mm,
                error.in_plane_mm,
            )
        )
    return done


def inversion_chapter(inverted: list[Inverted]) -> Chapter:
    """One image in, the deformed gel out."""
    return Chapter(
        "Turned back into the deformed gel",
        "One image and the calibrated model give the gel's surface, its shear and its deviation.",
        {
            f"{entry.step}: height, in-plane RMS error; seconds": f"{entry.height_rmse_mm:.3f} mm, "
            f"{entry.in_plane_rmse_mm:.3f} mm; {entry.found.seconds:.1f}"
            for entry in inverted
        },
        [(f"{entry.step}: found, true, difference, mm", _height_plot(entry)) for entry in inverted],
    )


def still_stamps(run: RecordedRun, steps: tuple[str, ...]) -> dict[str, int]:
    """The last image of each step of the first trial, when the arm had come to rest."""
    columns = run.columns
    first = columns["trial"] == columns["trial"].min()
    found: dict[str, int] = {}
    for step in steps:
        rows = np.flatnonzero(first & (columns["step"] == step))
        if len(rows):
            found[step] = int(columns["stamp_ns"][rows[-1]])
    return found


def _pairs(run: RecordedRun, steps: tuple[str, ...]) -> list[tuple[str, Image]]:
    stamps = still_stamps(run, steps)
    real = _images(run, set(stamps.values()), None)
    simulated = _images(run, set(stamps.values()), "/simulated/image_raw")
    return [
        (step, side_by_side(simulated[stamp], real[stamp]))
        for step, stamp in stamps.items()
        if stamp in real and stamp in simulated
    ]


def _images(run: RecordedRun, stamps: set[int], topic: str | None) -> dict[int, Image]:
    return {stamp: np.array(image) for stamp, image in images(run.bag, topic) if stamp in stamps}


def _agreement_plot(live: LiveComparisons) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    psnr, height = figure.subplots(2, 1, sharex=True)
    seconds = 1e-9 * (live.stamp_ns - live.stamp_ns[0])
    psnr.plot(seconds, live.contact_psnr_db, ".", label="twin")
    psnr.plot(seconds, live.background_psnr_db, ".", color="C7", label="nothing happened")
    psnr.set_ylabel("PSNR in the\ncontact [dB]")
    psnr.legend()
    height.plot(seconds, live.deformation_mm, ".", color="C2")
    height.set(ylabel="height error,\nRMS [mm]", xlabel="time [s]")
    return figure


def _height_plot(entry: Inverted) -> Figure:
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    axes = figure.subplots(1, 3)
    surface = entry.found.surface
    found = surface.position[:, 2].reshape(surface.rows, surface.columns)
    truth = entry.truth.position[:, 2].reshape(entry.truth.rows, entry.truth.columns)
    away = _height_away(entry)
    low = float(truth.min())
    half = [float(np.abs(line).max()) for line in (surface.x_mm, surface.y_mm)]
    extent = (-half[0], half[0], half[1], -half[1])
    for axis, values, limits, colours in (
        (axes[0], found, (low, 0.1), "viridis"),
        (axes[1], truth, (low, 0.1), "viridis"),
        (axes[2], away, (-0.1, 0.1), "RdBu"),
    ):
        shown = axis.imshow(values, vmin=limits[0], vmax=limits[1], cmap=colours, extent=extent)
        figure.colorbar(shown, ax=axis, shrink=0.8)
    return figure


def _height_away(entry: Inverted) -> NDArray[np.float64]:
    surface = entry.found.surface
    away = motion_error_mm(surface, entry.truth)[:, 2].reshape(surface.rows, surface.columns)
    return np.where(entry.found.valid, away, np.nan)


def _rms(values: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
