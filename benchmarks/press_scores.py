"""Real presses of a ball: read, calibrated from, predicted, and scored in the contact disc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from taxim_presses import TaximPresses

from tacdiff_ros.calibration.calibrate import (
    Calibration,
    CalibrationSettings,
    PressImage,
    calibrate,
)
from tacdiff_ros.calibration.calibration_folder import read_image, spread_presses
from tacdiff_ros.calibration.camera_pose import fit_camera
from tacdiff_ros.calibration.contact_search import ContactSearch
from tacdiff_ros.calibration.press_fit import PressFit, PressFitter
from tacdiff_ros.calibration.press_surfaces import PressSurfaces
from tacdiff_ros.calibration.rendered_mask import refine_by_mask
from tacdiff_ros.images.fit_image import fit_image, marker_mask
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

DISC = 1.2  # of the labelled radius
NEAR = 3.0  # radii, of dots that a press moves
PLAIN_RADIUS_PX = 30.0  # of the disc where a set has no labels

Image = NDArray[np.uint8]
PressScore = dict[str, Any]


@dataclass(frozen=True)
class RealSet:
    """A background, presses of one ball, and labels (x, y, radius in px) where there are some."""

    model: SensorModel
    background: Image
    presses: dict[int, Image]
    labels: dict[int, tuple[float, float, float]]
    diameter_mm: float

    @property
    def has_dots(self) -> bool:
        """Whether the gel has dots."""
        return self.model.markers is not None

    @property
    def numbers(self) -> list[int]:
        """Of all presses."""
        return sorted(self.presses)

    @property
    def indenter(self) -> Any:
        """The ball."""
        return build_indenter(f"sphere:diameter={self.diameter_mm:g}")

    def spread(self, count: int) -> list[int]:
        """Numbers of presses that are far apart, as `tacdiff calibrate --folder` takes them."""
        images = [self.presses[k] for k in self.numbers]
        return [self.numbers[k] for k in spread_presses(self.background, images, count)]

    def calibrate(
        self, chosen: list[int], settings: CalibrationSettings | None = None
    ) -> Calibration:
        """From the chosen presses."""
        ball = self.indenter
        inputs = [PressImage(self.presses[k], ball, f"press {k}") for k in chosen]
        return calibrate(self.model, self.background, inputs, settings)


def read_set(folder: Path, size: str) -> RealSet | None:
    """A set, or None where it is not there."""
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
    found: Calibration,
    chosen: list[int],
    unseen: list[int],
    told: Callable[[PressScore], None],
) -> list[PressScore]:
    """Predict presses and compare; the pose of each is fitted to its image, the lights are not."""
    surfaces = PressSurfaces(found.model, data.indenter)
    search = ContactSearch(found.model, surfaces, found.reference.free.shape)
    fitter = PressFitter(found.model, surfaces, found.reference, found.dots)
    renderer = Renderer(found.model)
    baseline = taxim_of(data, found, chosen)
    scores = []
    for number in unseen:
        image = data.presses[number]
        dots = tracked(found, image)
        seen = fit_image(image, dots)
        start = search.find(found.reference, seen, f"press {number}").press
        fit = fitter.fit(start, seen, dots)
        renderer.show(fit.gel.surface)
        drawn = np.clip(renderer.image().astype(np.float64), 0.0, 1.0)
        result = score(data, found, number, drawn, dots, fit)
        if baseline is not None:
            theirs = data.background / 255.0 + baseline.change(fit)
            other = score(data, found, number, theirs, dots, fit)
            result |= {
                f"taxim_{key}": other[key] for key in ("correlation_masked", "gain_masked_db")
            }
        scores.append({"press": number, **result})
        told(scores[-1])
    return scores


def taxim_of(data: RealSet, found: Calibration, chosen: list[int]) -> TaximPresses | None:
    """The baseline, fitted to the presses that the calibration was made from."""
    known = []
    for number, press in zip(chosen, found.presses, strict=True):
        seen = (data.presses[number].astype(np.float64) - data.background) / 255.0
        _, plain = discs(data, found, number, press.dots, press.fit)
        known.append((press.fit, seen, plain))
    return TaximPresses.fitted(found.model, 0.5 * data.diameter_mm, known)


def tracked(found: Calibration, image: Image) -> MarkerField | None:
    """Dots of a press."""
    if found.dots is None or found.model.markers is None:
        return None
    return MarkerTracker(found.model.markers.grid, found.dots).track(image)


def score(
    data: RealSet,
    found: Calibration,
    number: int,
    drawn: NDArray[np.float64],
    dots: MarkerField | None,
    fit: PressFit,
) -> PressScore:
    """Correlation of difference images and PSNR in the disc, without dots and with them."""
    real, flat = data.presses[number] / 255.0, data.background / 255.0
    x, y, radius = data.labels.get(number, contact_of(found, fit))
    disc, plain = discs(data, found, number, dots, fit)
    result: PressScore = {}
    for name, mask in (("_masked", plain), ("", disc)):
        change, seen = (drawn - flat)[mask].ravel(), (real - flat)[mask].ravel()
        result[f"correlation{name}"] = round(float(np.corrcoef(change, seen)[0, 1]), 4)
        gain = psnr(drawn[mask], real[mask]) - psnr(flat[mask], real[mask])
        result[f"gain{name}_db"] = round(gain, 2)
    result["whole_psnr_db"] = round(psnr(drawn, real), 2)
    result["whole_unchanged_db"] = round(psnr(flat, real), 2)
    result |= dot_motion(found, dots, fit, (x, y), radius)
    result["depth_mm"] = round(fit.gel.press.depth_mm, 3)
    return result


def discs(
    data: RealSet, found: Calibration, number: int, dots: MarkerField | None, fit: PressFit
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W) pixels that are compared, and those of them off the dots."""
    x, y, radius = data.labels.get(number, contact_of(found, fit))
    shape = data.background.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(columns - x, rows - y) <= DISC * radius
    return disc, disc & ~marker_mask(shape, dots) & ~marker_mask(shape, found.dots)


def contact_of(found: Calibration, fit: PressFit) -> tuple[float, float, float]:
    """Where a press without a label is, px."""
    from tacdiff_ros.optics.projection import project
    from tacdiff_ros.sensor.parameters import parameter_values

    press = fit.gel.press
    place = project(parameter_values(found.model), [press.x_mm, press.y_mm, -press.depth_mm])
    return float(place[0]), float(place[1]), PLAIN_RADIUS_PX


def dot_motion(
    found: Calibration,
    dots: MarkerField | None,
    fit: PressFit,
    centre: tuple[float, float],
    radius: float,
) -> PressScore:
    """RMS error of the motion of dots near the contact, and of saying that none moves."""
    if dots is None or found.dots is None:
        return {"dots_px": float("nan"), "unmoved_px": float("nan")}
    near = np.linalg.norm(found.dots.position_px - centre, axis=-1) <= NEAR * radius
    near &= dots.found & found.dots.found
    error = (fit.dots_px - dots.position_px)[near]
    moved = (dots.position_px - found.dots.position_px)[near]
    return {"dots_px": round(rms(error), 3), "unmoved_px": round(rms(moved), 3)}


def rms(vectors: NDArray[np.float64]) -> float:
    """Root of the mean squared length."""
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=-1))))


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """In dB, 1 for white."""
    return float(-10.0 * np.log10(np.mean((a - b) ** 2)))


def median_row(scores: list[PressScore]) -> PressScore:
    """Medians of all columns."""
    keys = [key for key in scores[0] if key != "press"]
    medians = {key: round(float(np.median([row[key] for row in scores])), 4) for key in keys}
    return {"press": "median", **medians}


def cuboid_dots(folder: Path, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Dots of another real Mini: how well the fitted camera and dots reproject."""
    path = folder / "background.png"
    if not path.is_file():
        return []
    image, model = read_image(path), default_sensor()
    if model.markers is None:
        return []
    dots = detect_markers(image, model.markers.grid)
    mask = refine_by_mask(fit_camera(model, dots), image, dots)
    figures["real_cuboid_dot_rms_px"] = round(mask.rms_px, 4)
    figures["real_cuboid_dot_rms_on_lattice_px"] = round(mask.camera.rms_px, 4)
    return []
