"""HTML report of a calibration: markers, images before and after, parameters."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_figures import fitted_numbers, residuals
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.markers.blobs import darkness_map
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

MATCHED, MISSING, EXTRA = (60, 170, 60), (220, 50, 50), (50, 80, 220)
MIN_DARKNESS = 0.4  # darkness above which a pixel belongs to a marker
DIFFERENCE_GAIN = 4.0  # factor of the difference images
ZOOM = 2  # enlargement of the marker masks


def write_calibration_report(
    calibration: Calibration,
    before: SensorModel,
    reference: Image,
    presses: list[Image],
    path: Path,
) -> None:
    """Write the report of a calibration.

    Args:
        calibration: result of the calibration.
        before: sensor model that the calibration started from.
        reference: (H, W, 3) uint8 reference image that was used for the calibration.
        presses: (H, W, 3) uint8 images of the presses that were used for the calibration.
        path: HTML file; it is written under a temporary name and renamed.

    Raises:
        InputError: the file cannot be written.
    """
    flat = calibration.presses[0].fit.gel.flat
    old, new = _ModelRenderer(before), _ModelRenderer(calibration.model)
    pictures = _comparison("reference", old.image(flat), new.image(flat), reference)
    for k, (press, image) in enumerate(zip(calibration.presses, presses, strict=True), start=1):
        surface = press.fit.gel.surface
        pictures += _comparison(f"press {k}", old.image(surface), new.image(surface), image)
    masks = []
    if calibration.mask is not None and calibration.model.markers is not None:
        images = {"before": old.image(flat), "after": new.image(flat)}
        masks = _marker_masks(before, reference, images)
    seconds = {f"seconds_{name}": value for name, value in calibration.seconds.items()}
    write_page(
        path,
        "calibration_report.html.j2",
        sensor_id=calibration.model.sensor_id,
        warnings=calibration.warnings,
        figures={**residuals(calibration), **seconds},
        markers=masks,
        residuals=figure_png(_plot_residuals(calibration)) if masks else "",
        images=[(caption, image_png(picture)) for caption, picture in pictures],
        positions=calibration.positions,
        parameters=_parameter_rows(calibration, before),
    )


class _ModelRenderer:
    """Renders images of one sensor model."""

    def __init__(self, model: SensorModel) -> None:
        from tacdiff_ros.optics.renderer import Renderer

        self._renderer = Renderer(model)

    def image(self, surface: GelSurface) -> Image:
        """(H, W, 3) uint8 image of a gel surface."""
        self._renderer.set_surface(surface)
        return to_uint8(self._renderer.image())


def _comparison(name: str, before: Image, after: Image, real: Image) -> list[tuple[str, Image]]:
    """Captions and images: rendered before and after, real, and the amplified difference."""
    difference = 127.5 + DIFFERENCE_GAIN * (after.astype(np.float64) - real)
    return [
        (f"{name}: before", before),
        (f"{name}: after", after),
        (f"{name}: real", real),
        (f"{name}: after minus real", np.asarray(np.clip(difference, 0, 255), np.uint8)),
    ]


def _marker_masks(
    before: SensorModel, reference: Image, rendered: dict[str, Image]
) -> list[tuple[str, str]]:
    """Captions and PNG images of the rendered marker masks, compared with the real mask.

    Args:
        before: sensor model that the calibration started from.
        reference: (H, W, 3) uint8 reference image.
        rendered: (H, W, 3) uint8 rendered images of the undeformed gel by caption.
    """
    markers = before.markers
    if markers is None:
        return []
    pitch_px = markers.pitch_mm[0] / before.mm_per_px
    real_mask = darkness_map(reference, pitch_px) > MIN_DARKNESS
    pictures = []
    for name, image in rendered.items():
        mask = darkness_map(image, pitch_px) > MIN_DARKNESS
        overlap = (real_mask & mask).sum() / max((real_mask | mask).sum(), 1)
        caption = f"{name}: intersection over union {100 * overlap:.0f} %"
        pictures.append((caption, image_png(_mask_overlay(reference, real_mask, mask))))
    return pictures


def _mask_overlay(image: Image, real: NDArray[np.bool_], rendered: NDArray[np.bool_]) -> Image:
    """Enlarged grey image with the pixels of two (H, W) masks in colour.

    The colours are `MATCHED` for pixels in both masks, `MISSING` for those only in the real one and
    `EXTRA` for those only in the rendered one.
    """
    grey = np.repeat((0.5 * image.mean(axis=-1, keepdims=True) + 100).astype(np.uint8), 3, axis=-1)
    grey[real & rendered] = MATCHED
    grey[real & ~rendered] = MISSING
    grey[rendered & ~real] = EXTRA
    size = (image.shape[1] * ZOOM, image.shape[0] * ZOOM)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _plot_residuals(calibration: Calibration) -> Figure:
    """Plot of the marker residuals: from a perfect lattice, and from individual positions."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    mask, markers = calibration.mask, calibration.reference_markers
    if mask is None or markers is None:
        return figure
    plots = (
        (f"from a perfect lattice, RMS {mask.camera.rms_px:.2f} px", mask.camera.residual_px),
        (f"from individual positions, RMS {mask.rms_px:.3f} px", mask.residual_px),
    )
    for axis, (title, residual_px) in zip(axes, plots, strict=True):
        known = np.isfinite(residual_px).all(axis=-1) & markers.found
        position, arrow = markers.position_px[known], residual_px[known]
        max_px = max(float(np.linalg.norm(arrow, axis=1).max()), 1e-6)
        axis.quiver(*position.T, *arrow.T, angles="xy", scale_units="xy", scale=max_px / 20.0)
        axis.set_title(f"{title}; longest arrow {max_px:.2f} px")
        axis.set_aspect("equal")
    axes[0].set_ylim(calibration.model.image.height_px, 0)
    return figure


def _parameter_rows(calibration: Calibration, before: SensorModel) -> list[dict[str, str]]:
    """Rows of the parameter table: fitted parameters, and then the layers' fixed indices."""
    rows = [
        {
            "name": number.name,
            "file": _text(number.file),
            "value": _text(number.value),
            "stddev": _text(number.stddev),
            "prior_stddev": _text(number.prior_stddev),
        }
        for number in fitted_numbers(calibration, before)
    ]
    for k, layer in enumerate(before.layers):
        fixed = {"stddev": "fixed", "prior_stddev": "fixed"}
        value = f"{layer.index:g}"
        rows.append({"name": f"layers.index[{k}]", "file": value, "value": value, **fixed})
    return rows


def _text(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "unknown"
