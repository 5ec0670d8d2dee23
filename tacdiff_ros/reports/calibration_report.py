"""HTML report of a calibration: markers, images before and after, parameters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_figures import fitted_numbers, residuals
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.evaluation.verdict import calibration_verdict
from tacdiff_ros.markers.blobs import darkness_map
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

# Titles of the figures of `calibration_figures.residuals` and of the times.
FIGURE_TITLES = {
    "dot_rms_without_glass_px": "markers, RMS residual on a perfect lattice without refraction, px",
    "dot_rms_on_lattice_px": "markers, RMS residual on a perfect lattice, px",
    "dot_rms_px": "markers, RMS residual with individual positions, px",
    "dots_broken": "markers that differ from a disc (damaged or cut off)",
    "dot_diameter_mm": "diameter of a marker, mm",
    "mask_error": "mask of the markers, RMS difference, fraction of full ink",
    "press_rms_grey": "presses, RMS residual, grey levels",
    "press_correlation": "presses, correlation of predicted and measured shading, lowest",
    "press_dot_rms_px": "presses, RMS error of the markers' motion, highest, px",
    "texture_rms_grey": "markers' texture, RMS residual, grey levels",
    "texture_dot_rms_px": "markers' texture, RMS residual of the positions, px",
    "seconds_pose": "time: camera without glass, s",
    "seconds_pose_with_glass": "time: camera with glass, s",
    "seconds_lighting": "time: lights and presses, s",
    "seconds_texture": "time: texture of the markers, s",
}
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
        sensor=calibration.model,
        verdict=calibration_verdict(residuals(calibration)),
        presses=_press_table(calibration),
        lights=_light_table(calibration.model),
        warnings=calibration.warnings,
        figures=_titled({**residuals(calibration), **seconds}),
        markers=masks,
        residuals=figure_png(_plot_residuals(calibration)) if masks else "",
        images=[(caption, image_png(picture)) for caption, picture in pictures],
        positions=calibration.positions,
        parameters=_parameter_rows(calibration, before),
    )


def _titled(figures: dict[str, float]) -> dict[str, str]:
    """Figures as texts by readable title."""
    return {FIGURE_TITLES.get(name, name): f"{value:.3g}" for name, value in figures.items()}


def _press_table(calibration: Calibration) -> list[list[str]]:
    """Rows of texts: position, depth and fit of each press; the first row is the header."""
    head = ["press", "x [mm]", "y [mm]", "depth [mm]", "slide x, y [mm]", "yaw [deg]"]
    rows = [[*head, "correlation", "markers, RMS [px]"]]
    for k, entry in enumerate(calibration.presses, start=1):
        press, slide = entry.fit.gel.press, entry.fit.gel.press.slide_mm
        markers = entry.fit.marker_rms_px
        rows.append(
            [
                *(str(k), f"{press.x_mm:.2f}", f"{press.y_mm:.2f}", f"{press.depth_mm:.2f}"),
                *(_list(slide, 2), f"{np.degrees(press.yaw_rad):.0f}"),
                *(f"{entry.correlation:.3f}", f"{markers:.2f}" if np.isfinite(markers) else ""),
            ]
        )
    return rows


def _light_table(model: SensorModel) -> list[list[str]]:
    """Rows of texts: position, aim and radiance of each light; the first row is the header."""
    head = ["light", "kind", "centre x, y, z [mm]", "azimuth, tilt, roll [deg]"]
    rows = [[*head, "half length, width [mm]", "exponent", "radiance R, G, B"]]
    for light in model.lights:
        angles = (light.azimuth_deg, light.tilt_deg, light.roll_deg)
        rows.append(
            [
                *(light.name, light.kind, _list(light.centre_mm, 2), _list(angles, 1)),
                _list((light.half_length_mm, light.half_width_mm), 2),
                *(f"{light.exponent:.2f}", _list(light.radiance, 1)),
            ]
        )
    return rows


def _list(values: Iterable[float], digits: int) -> str:
    return ", ".join(f"{round(value, digits) + 0.0:.{digits}f}" for value in values)


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
        (
            f"from individual positions, RMS {mask.rms_px:.3f} px without broken markers",
            mask.residual_px,
        ),
    )
    for axis, (title, residual_px) in zip(axes, plots, strict=True):
        known = np.isfinite(residual_px).all(axis=-1) & markers.found
        position, arrow = markers.position_px[known], residual_px[known]
        max_px = max(float(np.linalg.norm(arrow, axis=1).max()), 1e-6)
        axis.quiver(*position.T, *arrow.T, angles="xy", scale_units="xy", scale=max_px / 20.0)
        axis.set_title(f"{title}\nlongest arrow {max_px:.2f} px")
        axis.set_aspect("equal")
        axis.set(xlabel="x [px]", ylabel="y [px]")
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
