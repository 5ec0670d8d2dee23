"""One sensor unit from an image of its untouched gel and some of presses: all stages in order.

The stages are the paper's: the camera from the dots without and with the layers, lights and colour
from the presses, texture of the dots. Each starts from the sensor file and from what the stage
before found.

Limits: indices, thicknesses, gains and the gel's colour stay as the file has them: no image of this
kind tells them from other numbers. Without dots the camera stays as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.calibration.camera_pose import CameraFit, CameraPriors, fit_camera
from tacdiff_ros.calibration.contact_search import ContactSearch, relative_change, slopes
from tacdiff_ros.calibration.flat_field import with_flat_field
from tacdiff_ros.calibration.light_fit import LightFit, LightFitSettings, PressView, fit_lights
from tacdiff_ros.calibration.light_start import rotated_lights, shading_gradient
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.marker_texture import MarkerTexture, fit_marker_texture
from tacdiff_ros.calibration.press_fit import PressFit, PressFitter
from tacdiff_ros.calibration.press_surfaces import PressSurfaces
from tacdiff_ros.calibration.rendered_mask import MaskFit, refine_by_mask
from tacdiff_ros.calibration.settled_camera import settled_camera
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import FitImage, fit_image
from tacdiff_ros.images.image_checks import (
    MAX_SATURATED_PRESS,
    check_image,
    check_press,
    detail,
)
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

STAGES = ("pose", "pose_with_glass", "lighting", "texture")
MAX_PRESSES = 16
ROUGH_STEPS, FINE_STEPS = 7, 5
SLIDE_STEPS = 2
MIN_USUAL_SEARCH_SCORE, MIN_USUAL_CORRELATION, DOUBTFUL_MARKERS_PX = 0.6, 0.95, 1.2
BLURRED_RIM = 0.75  # of the dots' diameter


@dataclass(frozen=True)
class PressImage:
    """A press of a known indenter.

    Attributes:
        image: (H, W, 3) uint8.
        indenter: what was pressed.
        name: for messages.
    """

    image: NDArray[np.uint8]
    indenter: Indenter
    name: str = "press"


@dataclass(frozen=True)
class CalibrationSettings:
    """How a unit is calibrated.

    Attributes:
        sensor_id: name of the unit; None keeps the file's.
        glass: model refraction; without, all indices are set to 1.
        priors: of the lens.
        lights: of the fit of lights.
        texture: fit the dots' texture.
    """

    sensor_id: str | None = None
    glass: bool = True
    priors: CameraPriors = field(default_factory=CameraPriors)
    lights: LightFitSettings = field(default_factory=LightFitSettings)
    texture: bool = True


@dataclass(frozen=True)
class CalibratedPress:
    """What the calibration says of one of its presses.

    Attributes:
        fit: pose and prediction.
        image: as it was compared.
        dots: that were seen; None for a gel without.
        search_score: correlation of the contact search.
        correlation: of predicted and seen change where the gel slopes.
    """

    fit: PressFit
    image: FitImage
    dots: MarkerField | None
    search_score: float
    correlation: float


@dataclass(frozen=True)
class Calibration:
    """A calibrated unit and the evidence.

    Attributes:
        model: the result.
        reference: the untouched gel, as it was compared.
        dots: of the untouched gel.
        without_glass: camera fitted without refraction.
        with_glass: camera fitted with it.
        mask: the same refined by the rendered mask.
        lights: how the lights were fitted, in `light_vector`'s numbers.
        light_vector: those numbers.
        presses: what was made of them.
        texture: of the dots.
        settled: camera fitted to the texture's dots.
        warnings: what should be looked at.
        seconds: by stage.
    """

    model: SensorModel
    reference: FitImage
    dots: MarkerField | None
    without_glass: CameraFit | None
    with_glass: CameraFit | None
    mask: MaskFit | None
    lights: LightFit
    light_vector: LightVector
    presses: tuple[CalibratedPress, ...]
    texture: MarkerTexture | None
    settled: CameraFit | None
    warnings: tuple[str, ...]
    seconds: dict[str, float]


@one_blas_thread
def calibrate(
    model: SensorModel,
    reference: NDArray[np.uint8],
    presses: list[PressImage],
    settings: CalibrationSettings | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate a unit.

    Args:
        model: the sensor file to start from.
        reference: (H, W, 3) uint8 of the untouched gel.
        presses: of known indenters, 1 to 16; two at different places do.
        settings: of the stages.
        progress: told a stage and the share of all that is done; what it raises ends the work.

    Raises:
        InputError: an image or the sensor file cannot be used, and why.
    """
    settings = settings or CalibrationSettings()
    _check(model, reference, presses)
    start_mitsuba(job="calibration")
    if settings.sensor_id is not None:
        model = SensorModel.model_validate({**model.model_dump(), "sensor_id": settings.sensor_id})
    if not settings.glass:
        straight = tuple(layer.model_copy(update={"index": 1.0}) for layer in model.layers)
        model = model.model_copy(update={"layers": straight})
    return _Run(model, reference, presses, settings, progress or _quiet).calibration()


def _quiet(_stage: str, _share: float) -> None:
    """Progress that nobody asked for."""


def _check(model: SensorModel, reference: NDArray[np.uint8], presses: list[PressImage]) -> None:
    if not 1 <= len(presses) <= MAX_PRESSES:
        raise InputError(f"{len(presses)} presses, expected 1 to {MAX_PRESSES}")
    if not model.lights:
        raise InputError("the sensor file has no lights: give it those that the unit has")
    check_image(reference, model, "the reference")
    for press in presses:
        check_image(press.image, model, press.name, MAX_SATURATED_PRESS)


class _Run:
    """The stages, sharing what they found."""

    def __init__(
        self,
        model: SensorModel,
        image: NDArray[np.uint8],
        presses: list[PressImage],
        settings: CalibrationSettings,
        progress: Progress,
    ) -> None:
        self._model = self._file = model
        self._image = image
        self._inputs = presses
        self._settings = settings
        self._progress = progress
        self._warnings: list[str] = []
        self._seconds: dict[str, float] = {}

    def calibration(self) -> Calibration:
        """Run all stages."""
        dots = without = with_glass = mask = texture = settled = None
        if self._model.markers is not None:
            started = self._begin("pose", 0.0)
            dots = detect_markers(self._image, self._model.markers.grid)
            without = fit_camera(self._model, dots, self._settings.priors, glass=False)
            self._end("pose", started)
            started = self._begin("pose_with_glass", 0.02)
            with_glass = fit_camera(self._model, dots, self._settings.priors)
            mask = self._refined(with_glass, dots)
            self._end("pose_with_glass", started)
        started = self._begin("lighting", 0.06)
        reference = fit_image(self._image, dots)
        vector, lights, presses = self._lighting(reference, dots)
        self._end("lighting", started)
        if dots is not None and self._settings.texture:
            started = self._begin("texture", 0.85)
            texture = fit_marker_texture(
                self._model, self._image, dots.found, self._told("texture", 0.85, 1.0)
            )
            fitted = np.isfinite(texture.dot_rms)
            self._model, settled = settled_camera(
                texture.model, self._file, fitted, self._settings.priors
            )
            self._end("texture", started)
        self._progress(STAGES[-1], 1.0)
        return Calibration(
            self._model,
            reference,
            dots,
            without,
            with_glass,
            mask,
            lights,
            vector,
            presses,
            texture,
            settled,
            tuple(self._warnings),
            self._seconds,
        )

    def _refined(self, start: CameraFit, dots: MarkerField) -> MaskFit:
        """Camera and dots by the mask; the model takes them over."""
        mask = refine_by_mask(start, self._image, dots, self._settings.priors)
        scale = 1.0 + mask.size_mm.ravel() / mask.diameter_mm
        own = {
            "markers.offset_mm": mask.offset_mm.reshape(-1, 2),
            "markers.scale": np.clip(scale, 0.1, 2.5),
            "markers.diameter_mm": np.array(mask.diameter_mm),
        }
        self._model = with_parameter_values(mask.camera.model, own)
        if mask.rim_mm > BLURRED_RIM * mask.diameter_mm:
            raise InputError(
                f"the reference is blurred: the rims of its dots are {mask.rim_mm:.2f} mm wide, "
                f"the dots {mask.diameter_mm:.2f} mm; focus the camera, or clean the lens"
            )
        return mask

    def _lighting(
        self, reference: FitImage, dots: MarkerField | None
    ) -> tuple[LightVector, LightFit, tuple[CalibratedPress, ...]]:
        surfaces = self._surfaces()
        tracked = [self._tracked(press, dots) for press in self._inputs]
        images = [fit_image(p.image, t) for p, t in zip(self._inputs, tracked, strict=True)]
        views, search_scores = self._found(reference, images, surfaces)
        vector = LightVector.of(self._model)
        rough = fit_lights(
            self._model,
            vector,
            reference,
            views,
            self._settings.lights,
            self._told("lighting", 0.12, 0.5),
            steps=ROUGH_STEPS,
        )
        views = self._slid(
            views, tracked, vector.model(self._model, rough.vector), rough, reference, dots
        )
        self._progress("lighting", 0.6)
        lights = fit_lights(
            self._model,
            vector,
            reference,
            views,
            self._settings.lights,
            self._told("lighting", 0.6, 0.82),
            steps=FINE_STEPS,
            start=rough.vector,
        )
        self._model = with_flat_field(vector.model(self._model, lights.vector), reference)
        presses = tuple(
            self._judged(k, views[k], lights, reference, tracked[k], dots, search_scores[k])
            for k in range(len(views))
        )
        return vector, lights, presses

    def _surfaces(self) -> list[PressSurfaces]:
        """One table per indenter."""
        known: dict[str, PressSurfaces] = {}
        for press in self._inputs:
            spec = press.indenter.spec
            if spec not in known:
                known[spec] = PressSurfaces(self._model, press.indenter)
        return [known[press.indenter.spec] for press in self._inputs]

    def _tracked(self, press: PressImage, dots: MarkerField | None) -> MarkerField | None:
        if dots is None or self._model.markers is None:
            return None
        return MarkerTracker(self._model.markers.grid, dots).track(press.image)

    def _found(
        self, reference: FitImage, images: list[FitImage], surfaces: list[PressSurfaces]
    ) -> tuple[list[PressView], list[float]]:
        """Where the presses touch; the lights are turned to where shading says they are."""
        searches: dict[int, ContactSearch] = {}
        views, search_scores, gradients = [], [], []
        sharpness = detail(self._image)
        for press, image, gel in zip(self._inputs, images, surfaces, strict=True):
            sharp = detail(press.image) / max(sharpness, 1e-6)
            self._warnings += check_press(reference, image, sharp, press.name)
            if id(gel) not in searches:
                searches[id(gel)] = ContactSearch(self._model, gel, reference.free.shape)
            found = searches[id(gel)].find(reference, image, press.name)
            if found.correlation < MIN_USUAL_SEARCH_SCORE:
                self._warnings.append(
                    f"{press.name}: the contact looks little like {gel.indenter.spec}: correlation "
                    f"{found.correlation:.2f}, usually over {MIN_USUAL_SEARCH_SCORE}"
                )
            views.append(PressView(image, found.press, gel))
            search_scores.append(found.correlation)
            slope = slopes(self._model, gel.surface(found.press), reference.free.shape)
            change = relative_change(reference, image)
            gradients.append(shading_gradient(change, slope, reference.free & image.free))
        self._model, _ = rotated_lights(self._model, gradients)
        self._progress("lighting", 0.12)
        return views, search_scores

    def _slid(
        self,
        views: list[PressView],
        tracked: list[MarkerField | None],
        model: SensorModel,
        rough: LightFit,
        reference: FitImage,
        dots: MarkerField | None,
    ) -> list[PressView]:
        """The presses with the slides that their dots show."""
        slid = []
        for view, field_, gel in zip(views, tracked, rough.gels, strict=True):
            fitter = PressFitter(model, view.surfaces, reference, dots)
            press = gel.press
            if field_ is not None:
                press = fitter.fit(press, view.image, field_, steps=SLIDE_STEPS).gel.press
            slid.append(PressView(view.image, press, view.surfaces))
        return slid

    def _judged(
        self,
        k: int,
        view: PressView,
        lights: LightFit,
        reference: FitImage,
        seen: MarkerField | None,
        dots: MarkerField | None,
        search_score: float,
    ) -> CalibratedPress:
        fitter = PressFitter(self._model, view.surfaces, reference, dots)
        fit = fitter.explained(view.surfaces.around(lights.gels[k].press, []), seen)
        steep = np.linalg.norm(slopes(self._model, fit.gel.surface, reference.free.shape), axis=-1)
        chosen = (steep > 0.05) & reference.free & view.image.free
        change = fit.predicted - reference.smooth
        seen_change = view.image.value - reference.smooth
        correlation = float(np.corrcoef(change[chosen].ravel(), seen_change[chosen].ravel())[0, 1])
        name = self._inputs[k].name
        if not correlation >= MIN_USUAL_CORRELATION:
            self._warnings.append(
                f"{name}: shading under the contact is explained to a correlation of "
                f"{correlation:.2f}, usually over {MIN_USUAL_CORRELATION}: is the indenter "
                f"{view.surfaces.indenter.spec}?"
            )
        if fit.dot_rms_px > DOUBTFUL_MARKERS_PX:
            self._warnings.append(
                f"{name}: its dots are {fit.dot_rms_px:.1f} px from where this press would move "
                f"them, usually under {DOUBTFUL_MARKERS_PX} px: is the indenter "
                f"{view.surfaces.indenter.spec}?"
            )
        return CalibratedPress(fit, view.image, seen, search_score, correlation)

    def _begin(self, stage: str, share: float) -> float:
        self._progress(stage, share)
        return time.perf_counter()

    def _end(self, stage: str, started: float) -> None:
        self._seconds[stage] = round(time.perf_counter() - started, 2)

    def _told(self, stage: str, low: float, high: float) -> Callable[[float], None]:
        return lambda share: self._progress(stage, low + share * (high - low))


@dataclass(frozen=True)
class FittedNumber:
    """One number of the sensor model.

    Attributes:
        name: as in `parameter_values`, with its index where there are several.
        file: value before.
        value: value after.
        deviation: standard deviation of the value, to first order.
        prior: the same before any image was seen.
    """

    name: str
    file: float
    value: float
    deviation: float
    prior: float


def fitted_numbers(found: Calibration, before: SensorModel) -> list[FittedNumber]:
    """All fitted numbers but the dots' own and the flat field."""
    values, old = parameter_values(found.model), parameter_values(before)
    vector = found.light_vector
    deviation = vector.deviations(found.lights.vector, found.lights.deviation)
    prior = vector.deviations(np.zeros(vector.size), np.ones(vector.size))
    camera = found.settled or found.with_glass
    if camera is not None:
        deviation = {**camera.deviation, **deviation}
        prior = {**camera.prior, **prior}
    return [
        FittedNumber(
            name if values[name].size == 1 else f"{name}[{k}]",
            float(old[name].ravel()[k]),
            float(values[name].ravel()[k]),
            float(np.ravel(deviation[name])[k]),
            float(np.ravel(prior[name])[k]),
        )
        for name in sorted(deviation)
        for k in range(values[name].size)
    ]


def residuals(found: Calibration) -> dict[str, float]:
    """How well the model explains its images; names carry the units."""
    figures: dict[str, float] = {}
    if found.without_glass is not None and found.with_glass is not None and found.mask is not None:
        figures["dot_rms_without_glass_px"] = found.without_glass.rms_px
        figures["dot_rms_on_lattice_px"] = found.with_glass.rms_px
        figures["dot_rms_px"] = found.mask.rms_px
        figures["dots_broken"] = float(found.mask.broken.sum())
        figures["dot_diameter_mm"] = found.mask.diameter_mm
        figures["mask_error"] = found.mask.mask_error
    figures["press_rms_grey"] = 255.0 * found.lights.rms
    figures["press_correlation"] = min(press.correlation for press in found.presses)
    dots = [press.fit.dot_rms_px for press in found.presses if press.dots is not None]
    if dots:
        figures["press_dot_rms_px"] = max(dots)
    if found.texture is not None and found.settled is not None:
        figures["texture_rms_grey"] = 255.0 * found.texture.rms
        figures["texture_dot_rms_px"] = found.settled.rms_px
    return {name: round(value, 4) for name, value in figures.items()}
