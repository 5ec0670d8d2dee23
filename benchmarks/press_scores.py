"""Reads real presses of a ball, calibrates with them, predicts them, and scores the contact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from taxim_presses import TaximPresses

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_folder import spread_presses
from tacdiff_ros.calibration.calibration_inputs import CalibrationSettings, PressImage
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.calibration.camera_pose import fit_camera
from tacdiff_ros.calibration.contact_search import ContactSearch
from tacdiff_ros.calibration.press_fit import PressFit, PressFitter
from tacdiff_ros.calibration.press_surfaces import PressSurfaces
from tacdiff_ros.calibration.rendered_mask import refine_by_mask
from tacdiff_ros.images.fit_image import fit_image, marker_mask
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

DISC = 1.2  # radius of the scored disc / labelled contact radius
NEAR = 3.0  # distance of markers moved by a press / contact radius
PLAIN_RADIUS_PX = 30.0  # contact radius in a set without labels

Image = NDArray[np.uint8]
PressScore = dict[str, Any]


@dataclass(frozen=True)
class RealSet:
    """Images of presses of one ball on a real sensor.

    Attributes:
        model: initial sensor model.
        background: (H, W, 3) uint8 RGB reference image.
        presses: (H, W, 3) uint8 RGB images by press number.
        labels: labelled contact (x, y, radius) by press number, px; empty without labels.
        diameter_mm: ball diameter, mm.
    """

    model: SensorModel
    background: Image
    presses: dict[int, Image]
    labels: dict[int, tuple[float, float, float]]
    diameter_mm: float

    @property
    def has_markers(self) -> bool:
        """Whether the gel has markers."""
        return self.model.markers is not None

    @property
    def numbers(self) -> list[int]:
        """Sorted numbers of all presses."""
        return sorted(self.presses)

    @property
    def indenter(self) -> Any:
        """Indenter of the presses."""
        return build_indenter(f"sphere:diameter={self.diameter_mm:g}")

    def spread(self, count: int) -> list[int]:
        """Return numbers of presses that are far apart, as `tacdiff calibrate --folder` does."""
        images = [self.presses[k] for k in self.numbers]
        return [self.numbers[k] for k in spread_presses(self.background, images, count)]

    def calibrate(
        self, chosen: list[int], settings: CalibrationSettings | None = None
    ) -> Calibration:
        """Calibrate from the chosen presses."""
        ball = self.indenter
        inputs = [PressImage(self.presses[k], ball, f"press {k}") for k in chosen]
        return calibrate(self.model, self.background, inputs, settings)


def read_set(folder: Path, size: str) -> RealSet | None:
    """Return the set of presses with one ball size, or None if it does not exist."""
    paths = {int(path.parent.name): path for path in sorted(folder.glob(f"{size}/*/gelsight.png"))}
    if not paths:
        return None
    labels = {}
    for number, path in paths.items():
        label = path.with_name("label.npz")
        if label.is_file():
            with np.load(label, allow_pickle=False) as data:
                x, y = data["center"]
                labels[number] = (float(x), float(y), float(data["radius"]))
    model = default_sensor()
    if "plain" in folder.name:
        model = model.model_copy(update={"markers": None})
    return RealSet(
        model,
        read_image(folder / "background.png"),
        {number: read_image(path) for number, path in paths.items()},
        labels,
        float(size.removesuffix("mm")),
    )


def score_presses(
    data: RealSet,
    calibration: Calibration,
    chosen: list[int],
    unseen: list[int],
    progress: Callable[[PressScore], None],
) -> list[PressScore]:
    """Predict the images of presses and compare them with the measured images.

    The pose of each press is fitted to its image; the lights are not refitted.

    Args:
        data: set of presses.
        calibration: calibration from the chosen presses.
        chosen: numbers of the presses used for the calibration.
        unseen: numbers of the presses to predict.
        progress: callback that receives each score.
    """
    surfaces = PressSurfaces(calibration.model, data.indenter)
    search = ContactSearch(calibration.model, surfaces, calibration.reference.free.shape)
    fitter = PressFitter(
        calibration.model, surfaces, calibration.reference, calibration.reference_markers
    )
    renderer = Renderer(calibration.model)
    baseline = taxim_of(data, calibration, chosen)
    scores = []
    for number in unseen:
        image = data.presses[number]
        field = tracked(calibration, image)
        measured = fit_image(image, field)
        start = search.find(calibration.reference, measured, f"press {number}").press
        fit = fitter.fit(start, measured, field)
        renderer.set_surface(fit.gel.surface)
        rendered = np.clip(renderer.image().astype(np.float64), 0.0, 1.0)
        result = score(data, calibration, number, rendered, field, fit)
        if baseline is not None:
            theirs = data.background / 255.0 + baseline.change(fit)
            other = score(data, calibration, number, theirs, field, fit)
            result |= {
                f"taxim_{key}": other[key] for key in ("correlation_masked", "gain_masked_db")
            }
        scores.append({"press": number, **result})
        progress(scores[-1])
    return scores


def taxim_of(data: RealSet, calibration: Calibration, chosen: list[int]) -> TaximPresses | None:
    """Return the Taxim baseline, fitted to the presses used for the calibration."""
    known = []
    for number, press in zip(chosen, calibration.presses, strict=True):
        measured = (data.presses[number].astype(np.float64) - data.background) / 255.0
        _, plain = discs(data, calibration, number, press.markers, press.fit)
        known.append((press.fit, measured, plain))
    return TaximPresses.fitted(calibration.model, 0.5 * data.diameter_mm, known)


def tracked(calibration: Calibration, image: Image) -> MarkerField | None:
    """Return the tracked markers of a press, or None for a gel without markers."""
    if calibration.reference_markers is None or calibration.model.markers is None:
        return None
    return MarkerTracker(calibration.model.markers.grid, calibration.reference_markers).track(image)


def score(
    data: RealSet,
    calibration: Calibration,
    number: int,
    rendered: NDArray[np.float64],
    field: MarkerField | None,
    fit: PressFit,
) -> PressScore:
    """Return correlation of difference images and PSNR in the disc, without and with markers."""
    real, flat = data.presses[number] / 255.0, data.background / 255.0
    x, y, radius = data.labels.get(number, contact_of(calibration, fit))
    disc, plain = discs(data, calibration, number, field, fit)
    result: PressScore = {}
    for name, mask in (("_masked", plain), ("", disc)):
        change, measured = (rendered - flat)[mask].ravel(), (real - flat)[mask].ravel()
        result[f"correlation{name}"] = round(float(np.corrcoef(change, measured)[0, 1]), 4)
        gain = psnr(rendered[mask], real[mask]) - psnr(flat[mask], real[mask])
        result[f"gain{name}_db"] = round(gain, 2)
    result["whole_psnr_db"] = round(psnr(rendered, real), 2)
    result["whole_unchanged_db"] = round(psnr(flat, real), 2)
    result |= marker_motion(calibration, field, fit, (x, y), radius)
    result["depth_mm"] = round(fit.gel.press.depth_mm, 3)
    return result


def discs(
    data: RealSet, calibration: Calibration, number: int, field: MarkerField | None, fit: PressFit
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (H, W) masks of the scored disc, and of the disc without markers."""
    x, y, radius = data.labels.get(number, contact_of(calibration, fit))
    shape = data.background.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(columns - x, rows - y) <= DISC * radius
    return disc, disc & ~marker_mask(shape, field) & ~marker_mask(
        shape, calibration.reference_markers
    )


def contact_of(calibration: Calibration, fit: PressFit) -> tuple[float, float, float]:
    """Return centre x, y and radius of a press without label, px."""
    from tacdiff_ros.optics.projection import project
    from tacdiff_ros.sensor.parameters import parameter_values

    press = fit.gel.press
    position_px = project(
        parameter_values(calibration.model), [press.x_mm, press.y_mm, -press.depth_mm]
    )
    return float(position_px[0]), float(position_px[1]), PLAIN_RADIUS_PX


def marker_motion(
    calibration: Calibration,
    field: MarkerField | None,
    fit: PressFit,
    centre: tuple[float, float],
    radius: float,
) -> PressScore:
    """Return the RMS error of predicted marker motion near the contact, and of zero motion."""
    if field is None or calibration.reference_markers is None:
        return {"dots_px": float("nan"), "unmoved_px": float("nan")}
    near = (
        np.linalg.norm(calibration.reference_markers.position_px - centre, axis=-1) <= NEAR * radius
    )
    near &= field.found & calibration.reference_markers.found
    error = (fit.markers_px - field.position_px)[near]
    moved = (field.position_px - calibration.reference_markers.position_px)[near]
    return {"dots_px": round(rms(error), 3), "unmoved_px": round(rms(moved), 3)}


def rms(vectors: NDArray[np.float64]) -> float:
    """Return the root mean square length of vectors."""
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=-1))))


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the PSNR of two images with values from 0 to 1, dB."""
    return float(-10.0 * np.log10(np.mean((a - b) ** 2)))


def median_row(scores: list[PressScore]) -> PressScore:
    """Return the medians of all columns."""
    keys = [key for key in scores[0] if key != "press"]
    medians = {key: round(float(np.median([row[key] for row in scores])), 4) for key in keys}
    return {"press": "median", **medians}


def cuboid_marker_figures(folder: Path, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Add reprojection errors of camera and markers of another real Mini to the figures."""
    path = folder / "background.png"
    if not path.is_file():
        return []
    image, model = read_image(path), default_sensor()
    if model.markers is None:
        return []
    field = detect_markers(image, model.markers.grid)
    mask = refine_by_mask(fit_camera(model, field), image, field)
    figures["real_cuboid_dot_rms_px"] = round(mask.rms_px, 4)
    figures["real_cuboid_dot_rms_on_lattice_px"] = round(mask.camera.rms_px, 4)
    return []
