"""A calibration as one page with pictures: dots, images before and after, parameters."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import Calibration, fitted_numbers, residuals
from tacdiff_ros.markers.blobs import darkness_map
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

MATCHED, MISSING, EXTRA = (60, 170, 60), (220, 50, 50), (50, 80, 220)
INK = 0.4  # darkness from which a pixel belongs to a dot
DIFFERENCE_GAIN = 4.0
ZOOM = 2


def write_calibration_report(
    found: Calibration, before: SensorModel, reference: Image, presses: list[Image], path: Path
) -> None:
    """Write the report of a calibration.

    Args:
        found: the result.
        before: the sensor file it started from.
        reference: (H, W, 3) uint8, as it was calibrated from.
        presses: likewise.
        path: HTML file; written beside and renamed.

    Raises:
        InputError: the file cannot be written.
    """
    flat = found.presses[0].fit.gel.flat
    old, new = _Drawing(before), _Drawing(found.model)
    pictures = _row("untouched", old.image(flat), new.image(flat), reference)
    for k, (press, image) in enumerate(zip(found.presses, presses, strict=True), start=1):
        surface = press.fit.gel.surface
        pictures += _row(f"press {k}", old.image(surface), new.image(surface), image)
    has_dots = found.mask is not None and found.model.markers is not None
    write_page(
        path,
        "calibration_report.html.j2",
        sensor_id=found.model.sensor_id,
        warnings=found.warnings,
        figures={**residuals(found), **{f"seconds_{k}": v for k, v in found.seconds.items()}},
        dots=_dot_pictures(found, before, reference, old, new, flat) if has_dots else [],
        residuals=figure_png(_plot_residuals(found)) if has_dots else "",
        images=[(caption, image_png(picture)) for caption, picture in pictures],
        parameters=_rows(found, before),
    )


class _Drawing:
    """Images of one model."""

    def __init__(self, model: SensorModel) -> None:
        from tacdiff_ros.optics.renderer import Renderer

        self._renderer = Renderer(model)

    def image(self, surface: GelSurface) -> Image:
        self._renderer.show(surface)
        return to_uint8(self._renderer.image())


def _row(name: str, before: Image, after: Image, real: Image) -> list[tuple[str, Image]]:
    difference = 127.5 + DIFFERENCE_GAIN * (after.astype(np.float64) - real)
    return [
        (f"{name}: before", before),
        (f"{name}: after", after),
        (f"{name}: real", real),
        (f"{name}: after less real", np.asarray(np.clip(difference, 0, 255), np.uint8)),
    ]


def _dot_pictures(
    found: Calibration,
    before: SensorModel,
    reference: Image,
    old: _Drawing,
    new: _Drawing,
    flat: GelSurface,
) -> list[tuple[str, str]]:
    markers = before.markers
    if markers is None:
        return []
    pitch_px = markers.pitch_mm[0] / before.mm_per_px
    real = darkness_map(reference, pitch_px) > INK
    pictures = []
    for name, drawing in (("before", old), ("after", new)):
        drawn = darkness_map(drawing.image(flat), pitch_px) > INK
        share = (real & drawn).sum() / max((real | drawn).sum(), 1)
        caption = f"{name}: {100 * share:.0f} % of the union overlaps"
        pictures.append((caption, image_png(_overlay(reference, real, drawn))))
    return pictures


def _overlay(image: Image, real: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> Image:
    grey = np.repeat((0.5 * image.mean(axis=-1, keepdims=True) + 100).astype(np.uint8), 3, axis=-1)
    for mask, colour in ((real & drawn, MATCHED), (real & ~drawn, MISSING), (drawn & ~real, EXTRA)):
        grey[mask] = colour
    size = (image.shape[1] * ZOOM, image.shape[0] * ZOOM)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _plot_residuals(found: Calibration) -> Figure:
    """Dots: how far they are from a perfect lattice, and what is left with their own places."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    mask, dots = found.mask, found.dots
    if mask is None or dots is None:
        return figure
    for axis, (title, away) in zip(
        axes,
        (
            (f"off a perfect lattice, RMS {mask.camera.rms_px:.2f} px", mask.camera.residual_px),
            (f"with each dot's own place, RMS {mask.rms_px:.3f} px", mask.residual_px),
        ),
        strict=True,
    ):
        known = np.isfinite(away).all(axis=-1) & dots.found
        place, arrow = dots.position_px[known], away[known]
        longest = max(float(np.linalg.norm(arrow, axis=1).max()), 1e-6)
        axis.quiver(*place.T, *arrow.T, angles="xy", scale_units="xy", scale=longest / 20.0)
        axis.set_title(f"{title}; longest arrow {longest:.2f} px")
        axis.set_aspect("equal")
    axes[0].set_ylim(found.model.image.height_px, 0)
    return figure


def _rows(found: Calibration, before: SensorModel) -> list[dict[str, str]]:
    rows = []
    for number in fitted_numbers(found, before):
        row = dataclasses.asdict(number)
        name = row.pop("name")
        rows.append({"name": name, **{key: _text(value) for key, value in row.items()}})
    for k, layer in enumerate(before.layers):
        held = {"deviation": "held", "prior": "held"}
        value = f"{layer.index:g}"
        rows.append({"name": f"layers.index[{k}]", "file": value, "value": value, **held})
    return rows


def _text(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "unknown"
