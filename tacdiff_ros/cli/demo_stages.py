"""Stages of the demonstration after recording; each one returns a chapter of the report.

The ground truth is the virtual sensor. Its parameters, gel, mesh and noise differ from the fitted
model; its renderer is of the same kind, because it must keep up with a camera. The accuracy of
calibration and inversion on path-traced images is measured by `benchmarks/calibration.py` and
`benchmarks/inversion.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_figures import residuals
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.evaluation.agreement import side_by_side
from tacdiff_ros.evaluation.surface_error import motion_error_mm, surface_error
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.inversion.inverter import Inverter
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

CALIBRATION_PRESSES = 2
PICTURED_STEPS = ("indent", "translate_x+", "rotate_+")
INVERTED_STEPS = ("indent", "translate_x+")
CONTACT_DEPTH_FRACTION = 0.3  # of the deepest point: the gel below it counts as contact
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class DemoCalibration:
    """Calibration of the virtual sensor with its input images.

    Attributes:
        result: calibration result.
        reference: (H, W, 3) uint8 RGB reference image.
        presses: presses used for the calibration.
        seconds: duration of the calibration, s.
    """

    result: Calibration
    reference: Image
    presses: tuple[RecordedPress, ...]
    seconds: float


@dataclass(frozen=True)
class DemoInversion:
    """Inversion of one image, compared with the true gel surface.

    Attributes:
        step: protocol step at which the image was taken.
        image: (H, W, 3) uint8 RGB image.
        estimate: inversion result.
        truth: true gel surface.
        height_rmse_mm: RMS error of the height over the visible area, mm.
        in_plane_rmse_mm: RMS error per in-plane axis over the visible area, mm.
    """

    step: str
    image: Image
    estimate: Inversion
    truth: GelSurface
    height_rmse_mm: float
    in_plane_rmse_mm: float


def calibrate_from(run: RecordedPresses) -> DemoCalibration:
    """Calibrate the sensor from three images of a run, starting from the default sensor file.

    Args:
        run: recorded presses with a reference image.
    """
    started = time.perf_counter()
    presses = run.spread(CALIBRATION_PRESSES)
    ball = build_indenter(run.indenter)
    inputs = [PressImage(press.image, ball, f"trial {press.trial}") for press in presses]
    result = calibrate(default_sensor(), run.reference, inputs)
    return DemoCalibration(
        result=result,
        reference=run.reference,
        presses=presses,
        seconds=time.perf_counter() - started,
    )


def calibration_chapter(calibrated: DemoCalibration, truth: SensorModel) -> Chapter:
    """Return the report chapter about the calibration.

    Args:
        calibrated: calibration of the virtual sensor.
        truth: true model of the virtual sensor.
    """
    model = calibrated.result.model
    fitted = project(parameter_values(model), marker_positions_mm(model))
    true = project(parameter_values(truth), marker_positions_mm(truth))
    error_px = np.linalg.norm(fitted - true, axis=-1)
    figures = residuals(calibrated.result)
    return Chapter(
        "Calibrated from three images",
        "Camera, lights, colour and markers of this sensor are estimated from a reference image "
        "and two presses of a 5 mm ball; all of them differ from the default sensor file.",
        {
            "marker positions, fitted against true, RMS": f"{_rms(error_px):.3f} px",
            "press images, residual, RMS": f"{figures['press_rms_grey']:.2f} grey levels",
            "seconds": f"{calibrated.seconds:.0f}",
        },
        [
            (
                "reference image and two presses",
                np.concatenate(
                    [calibrated.reference, *(press.image for press in calibrated.presses)], axis=1
                ),
            )
        ],
        [("overlays, residuals, parameters with standard deviations", "calibration.html")],
    )


def live_figures(live: LiveComparisons) -> dict[str, float]:
    """Return the medians of the live comparison over the frames in contact.

    Args:
        live: comparisons of a recorded run.
    """
    in_contact = np.isfinite(live.contact_psnr_db)
    return {
        "live_frames": len(live.stamp_ns),
        "live_contact_psnr_db": _median(live.contact_psnr_db),
        "live_background_psnr_db": _median(live.background_psnr_db[in_contact]),
        "live_marker_px": _median(live.marker_px[in_contact]),
        "live_deformation_mm": _median(live.deformation_mm[in_contact]),
    }


def live_chapter(run: RecordedRun, live: LiveComparisons, simulator: str) -> Chapter:
    """Return the report chapter about the live simulation.

    Args:
        run: recorded run.
        live: comparisons of the run.
        simulator: name of the renderer, for the text.
    """
    figures = live_figures(live)
    pictures: list[tuple[str, Image | Figure]] = [
        (f"{step}: sensor, twin, difference x 4", picture)
        for step, picture in _pairs(run, PICTURED_STEPS)
    ]
    return Chapter(
        "Simulated live, and compared",
        f"The robot state drives the twin (live gel, {simulator}); the comparator pairs its "
        "images with the sensor's images by time stamp. The calibration did not use this "
        "indenter.",
        {
            "frames compared": figures["live_frames"],
            "PSNR in the contact, median": f"{figures['live_contact_psnr_db']:.1f} dB "
            f"(reference image: {figures['live_background_psnr_db']:.1f} dB)",
            "markers, RMS distance": f"{figures['live_marker_px']:.2f} px",
            "height of the gel, RMS error": f"{figures['live_deformation_mm']:.3f} mm",
        },
        [*pictures, ("agreement over time", _agreement_plot(live))],
    )


def invert_stills(
    run: RecordedRun, calibrated: DemoCalibration, truth: SensorModel
) -> list[DemoInversion]:
    """Invert the images of static steps and compare them with the true surfaces.

    Args:
        run: recorded run.
        calibrated: calibration whose model is used.
        truth: true model of the virtual sensor.

    Raises:
        InputError: the bag has no images or true surfaces.
    """
    stamps = still_stamps(run, INVERTED_STEPS)
    surfaces = true_surfaces(run.bag, truth, set(stamps.values()))
    pictures = _images(run.images(), stamps.values())
    inverter = Inverter(calibrated.result.model, calibrated.reference)
    inversions = []
    for step, stamp in stamps.items():
        if stamp not in surfaces or stamp not in pictures:
            continue
        estimate = inverter.invert(pictures[stamp])
        error = surface_error(estimate.surface, surfaces[stamp], estimate.valid)
        inversions.append(
            DemoInversion(
                step=step,
                image=pictures[stamp],
                estimate=estimate,
                truth=surfaces[stamp],
                height_rmse_mm=error.height_mm,
                in_plane_rmse_mm=error.in_plane_mm,
            )
        )
    return inversions


def inversion_chapter(inversions: list[DemoInversion]) -> Chapter:
    """Return the report chapter about the inversions."""
    return Chapter(
        "Inverted to the deformed gel",
        "The gel surface, its shear and its standard deviation, estimated from one image. Depths "
        "count from the undeformed gel; those of the acquisition count from the detected contact, "
        "and are smaller by a tenth of a millimetre or two.",
        {title: text for entry in inversions for title, text in _inversion_figures(entry).items()},
        [
            (f"{entry.step}: height of the gel, estimated, true, and their difference", plot)
            for entry in inversions
            for plot in (_height_plot(entry),)
        ],
    )


def _inversion_figures(entry: DemoInversion) -> dict[str, str]:
    """Errors of one inversion as texts by title."""
    contact_mm, estimated_mm, true_mm = _contact_error(entry)
    return {
        f"{entry.step}: median depth of the contact, estimated (true)": f"{estimated_mm:.2f} mm "
        f"({true_mm:.2f})",
        f"{entry.step}: height error, RMS, in the contact (whole gel)": f"{contact_mm:.3f} mm "
        f"({entry.height_rmse_mm:.3f})",
        f"{entry.step}: in-plane error, RMS, whole gel": f"{entry.in_plane_rmse_mm:.3f} mm",
        f"{entry.step}: seconds": f"{entry.estimate.seconds:.1f}",
    }


def still_stamps(run: RecordedRun, steps: tuple[str, ...]) -> dict[str, int]:
    """Return the stamp of the last image of each step of the first trial, with the arm at rest.

    Args:
        run: recorded run.
        steps: names of protocol steps; steps that the run lacks are omitted.

    Returns:
        Image stamps by step, ns.
    """
    columns = run.columns
    first = columns["trial"] == columns["trial"].min()
    stamps: dict[str, int] = {}
    for step in steps:
        rows = np.flatnonzero(first & (columns["step"] == step))
        if len(rows):
            stamps[step] = int(columns["stamp_ns"][rows[-1]])
    return stamps


def _pairs(run: RecordedRun, steps: tuple[str, ...]) -> list[tuple[str, Image]]:
    stamps = still_stamps(run, steps)
    real = _images(run.images(), stamps.values())
    simulated = _images(images(run.bag, "/simulated/image_raw"), stamps.values())
    return [
        (step, side_by_side(simulated[stamp], real[stamp]))
        for step, stamp in stamps.items()
        if stamp in real and stamp in simulated
    ]


def _images(recorded: Iterable[tuple[int, Image]], stamps: Iterable[int]) -> dict[int, Image]:
    wanted = set(stamps)
    return {stamp: np.array(image) for stamp, image in recorded if stamp in wanted}


def _agreement_plot(live: LiveComparisons) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    psnr, height = figure.subplots(2, 1, sharex=True)
    seconds = 1e-9 * (live.stamp_ns - live.stamp_ns[0])
    psnr.plot(seconds, live.contact_psnr_db, ".", label="twin")
    psnr.plot(seconds, live.background_psnr_db, ".", color="C7", label="reference image")
    psnr.set_ylabel("PSNR in the\ncontact [dB]")
    psnr.legend()
    height.plot(seconds, live.deformation_mm, ".", color="C2")
    height.set(ylabel="height error,\nRMS [mm]", xlabel="time [s]")
    return figure


def _height_plot(entry: DemoInversion) -> Figure:
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    axes = figure.subplots(1, 3)
    surface = entry.estimate.surface
    estimate = surface.position[:, 2].reshape(surface.rows, surface.columns)
    truth = entry.truth.position[:, 2].reshape(entry.truth.rows, entry.truth.columns)
    error = _height_error(entry)
    low = float(truth.min())
    half = [float(np.abs(line).max()) for line in (surface.x_mm, surface.y_mm)]
    extent = (-half[0], half[0], half[1], -half[1])
    max_error_mm = float(np.nanmax(np.abs(error)))
    for axis, values, limits, colours, label in (
        (axes[0], estimate, (low, 0.1), "viridis", "estimated height [mm]"),
        (axes[1], truth, (low, 0.1), "viridis", "true height [mm]"),
        (
            axes[2],
            error,
            (-max_error_mm, max_error_mm),
            "RdBu_r",
            "estimated - true [mm], blue: too deep",
        ),
    ):
        image = axis.imshow(values, vmin=limits[0], vmax=limits[1], cmap=colours, extent=extent)
        figure.colorbar(image, ax=axis, shrink=0.8, label=label)
        axis.set(xlabel="x [mm]", ylabel="y [mm]")
    return figure


def _contact_error(entry: DemoInversion) -> tuple[float, float, float]:
    """RMS height error inside the contact, and its median depth, estimated and true, mm."""
    surface, true_mm = entry.estimate.surface, entry.truth.position[:, 2]
    error = _height_error(entry)
    height = surface.position[:, 2].reshape(surface.rows, surface.columns)
    inside = height < CONTACT_DEPTH_FRACTION * float(true_mm.min())
    inside &= np.isfinite(error)
    depth_mm = -height[inside]
    true_depth_mm = depth_mm + error[inside]
    return _rms(error[inside]), float(np.median(depth_mm)), float(np.median(true_depth_mm))


def _height_error(entry: DemoInversion) -> NDArray[np.float64]:
    surface = entry.estimate.surface
    error = motion_error_mm(surface, entry.truth)[:, 2].reshape(surface.rows, surface.columns)
    return np.where(entry.estimate.valid, error, np.nan)


def _rms(values: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
