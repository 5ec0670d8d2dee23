"""Calibration of a sensor instance from a reference image and images of presses: all stages.

The stages are the paper's: the camera from the markers without and with the layers, lights and
colour from the presses, texture of the markers. Each stage starts from the sensor file and from the
results of the stages before.

Limits: indices, thicknesses, gains and the gel's colour stay at the file's values, because images
of this kind do not determine them separately. Without markers the camera stays as well.
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
from tacdiff_ros.calibration.settled_camera import refit_camera
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import FitImage, fit_image
from tacdiff_ros.images.image_checks import (
    MAX_SATURATED_PRESS,
    check_image,
    check_press,
    fine_detail_rms,
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
BLURRED_RIM = 0.75  # rim width of markers in a blurred image, as a fraction of their diameter


@dataclass(frozen=True)
class PressImage:
    """Image of a press with a known indenter.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        indenter: indenter of the press.
        name: name of the image in messages.
    """

    image: NDArray[np.uint8]
    indenter: Indenter
    name: str = "press"


@dataclass(frozen=True)
class CalibrationSettings:
    """Settings of a calibration.

    Attributes:
        sensor_id: identifier of the sensor; None keeps that of the sensor file.
        glass: whether layers refract; False sets all indices to 1.
        priors: prior standard deviations of the lens.
        lights: settings of the light fit.
        texture: whether to fit the texture of the markers.
    """

    sensor_id: str | None = None
    glass: bool = True
    priors: CameraPriors = field(default_factory=CameraPriors)
    lights: LightFitSettings = field(default_factory=LightFitSettings)
    texture: bool = True


@dataclass(frozen=True)
class CalibratedPress:
    """Press of a calibration, under the calibrated model.

    Attributes:
        fit: fitted pose and prediction.
        image: image at the fit's size.
        markers: tracked markers of the image; None for a gel without markers.
        search_score: correlation of the contact search.
        correlation: correlation of predicted and measured image change where the gel slopes.
    """

    fit: PressFit
    image: FitImage
    markers: MarkerField | None
    search_score: float
    correlation: float


@dataclass(frozen=True)
class Calibration:
    """Calibrated sensor and the fits that it results from.

    Attributes:
        model: calibrated sensor model.
        reference: reference image at the fit's size.
        reference_markers: markers of the reference image; None for a gel without markers.
        without_glass: camera fitted without refraction; None without markers.
        with_glass: camera fitted with refraction; None without markers.
        mask: camera and markers refined by the rendered mask; None without markers.
        lights: fit of the lights, as a vector of `light_vector`.
        light_vector: parametrisation of the lights.
        presses: fitted presses.
        texture: fit of the markers' texture; None if it was not fitted.
        final_camera: camera fitted to the markers of the texture; None if it was not fitted.
        warnings: reasons to doubt the result, one sentence each.
        seconds: computation time by stage, s.
    """

    model: SensorModel
    reference: FitImage
    reference_markers: MarkerField | None
    without_glass: CameraFit | None
    with_glass: CameraFit | None
    mask: MaskFit | None
    lights: LightFit
    light_vector: LightVector
    presses: tuple[CalibratedPress, ...]
    texture: MarkerTexture | None
    final_camera: CameraFit | None
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
    """Calibrate a sensor.

    Args:
        model: initial sensor model.
        reference: (H, W, 3) uint8 RGB image of the untouched gel.
        presses: images of 1 to 16 presses with known indenters; two at different positions are
            enough.
        settings: settings of the stages.
        progress: callback on the stage and the completed fraction of the calibration; an exception
            from it aborts the calibration.

    Raises:
        InputError: an image or the sensor model cannot be used; the message says why.
    """
    settings = settings or CalibrationSettings()
    _check(model, reference, presses)
    start_mitsuba(job="calibration")
    if settings.sensor_id is not None:
        model = SensorModel.model_validate({**model.model_dump(), "sensor_id": settings.sensor_id})
    if not settings.glass:
        straight = tuple(layer.model_copy(update={"index": 1.0}) for layer in model.layers)
        model = model.model_copy(update={"layers": straight})
    return _Stages(model, reference, presses, settings, progress or _no_progress).run()


def _no_progress(_stage: str, _fraction: float) -> None:
    """Ignore progress."""


def _check(model: SensorModel, reference: NDArray[np.uint8], presses: list[PressImage]) -> None:
    """Raise InputError for inputs that cannot be calibrated from."""
    if not 1 <= len(presses) <= MAX_PRESSES:
        raise InputError(f"{len(presses)} presses, expected 1 to {MAX_PRESSES}")
    if not model.lights:
        raise InputError("the sensor file has no lights: add those of the sensor")
    check_image(reference, model, "the reference")
    for press in presses:
        check_image(press.image, model, press.name, MAX_SATURATED_PRESS)


@dataclass(frozen=True)
class _CameraFits:
    """Results of the camera stages; all None for a gel without markers."""

    markers: MarkerField | None = None
    without_glass: CameraFit | None = None
    with_glass: CameraFit | None = None
    mask: MaskFit | None = None


class _Stages:
    """Runs the stages; each one updates the sensor model for the next."""

    def __init__(
        self,
        model: SensorModel,
        image: NDArray[np.uint8],
        presses: list[PressImage],
        settings: CalibrationSettings,
        progress: Progress,
    ) -> None:
        """Store the inputs; the arguments are those of `calibrate`, with `image` the reference."""
        self._model = self._file = model
        self._image = image
        self._inputs = presses
        self._settings = settings
        self._progress = progress
        self._warnings: list[str] = []
        self._seconds: dict[str, float] = {}

    def run(self) -> Calibration:
        """Run all stages."""
        cameras = self._fit_cameras()
        started = self._begin("lighting", 0.06)
        reference = fit_image(self._image, cameras.markers)
        vector, lights, presses = self._fit_lighting(reference, cameras.markers)
        self._end("lighting", started)
        texture, final_camera = self._fit_texture(cameras.markers)
        self._progress(STAGES[-1], 1.0)
        return Calibration(
            model=self._model,
            reference=reference,
            reference_markers=cameras.markers,
            without_glass=cameras.without_glass,
            with_glass=cameras.with_glass,
            mask=cameras.mask,
            lights=lights,
            light_vector=vector,
            presses=presses,
            texture=texture,
            final_camera=final_camera,
            warnings=tuple(self._warnings),
            seconds=self._seconds,
        )

    def _fit_cameras(self) -> _CameraFits:
        """Fit the camera without and with refraction, and refine it by the mask."""
        if self._model.markers is None:
            return _CameraFits()
        started = self._begin("pose", 0.0)
        markers = detect_markers(self._image, self._model.markers.grid)
        without_glass = fit_camera(self._model, markers, self._settings.priors, glass=False)
        self._end("pose", started)
        started = self._begin("pose_with_glass", 0.02)
        with_glass = fit_camera(self._model, markers, self._settings.priors)
        mask = self._refine_by_mask(with_glass, markers)
        self._end("pose_with_glass", started)
        return _CameraFits(markers, without_glass, with_glass, mask)

    def _fit_texture(
        self, markers: MarkerField | None
    ) -> tuple[MarkerTexture | None, CameraFit | None]:
        """Fit the markers' texture, and the camera to its markers, if the settings ask for it."""
        if markers is None or not self._settings.texture:
            return None, None
        started = self._begin("texture", 0.85)
        texture = fit_marker_texture(
            self._model, self._image, markers.found, self._stage_progress("texture", 0.85, 1.0)
        )
        fitted = np.isfinite(texture.marker_rms)
        self._model, final_camera = refit_camera(
            texture.model, self._file, fitted, self._settings.priors
        )
        self._end("texture", started)
        return texture, final_camera

    def _refine_by_mask(self, start: CameraFit, markers: MarkerField) -> MaskFit:
        """Refine camera and markers by the mask, and copy them to the model.

        Raises:
            InputError: the reference image is blurred.
        """
        mask = refine_by_mask(start, self._image, markers, self._settings.priors)
        scale = 1.0 + mask.size_mm.ravel() / mask.diameter_mm
        fitted = {
            "markers.offset_mm": mask.offset_mm.reshape(-1, 2),
            "markers.scale": np.clip(scale, 0.1, 2.5),
            "markers.diameter_mm": np.array(mask.diameter_mm),
        }
        self._model = with_parameter_values(mask.camera.model, fitted)
        if mask.rim_mm > BLURRED_RIM * mask.diameter_mm:
            raise InputError(
                f"the reference is blurred: the rims of its markers are {mask.rim_mm:.2f} mm wide, "
                f"the markers {mask.diameter_mm:.2f} mm; focus the camera, or clean the lens"
            )
        return mask

    def _fit_lighting(
        self, reference: FitImage, markers: MarkerField | None
    ) -> tuple[LightVector, LightFit, tuple[CalibratedPress, ...]]:
        """Fit lights and presses: rough lights, slides of the presses, final lights.

        Args:
            reference: reference image at the fit's size.
            markers: markers of the reference image; None for a gel without markers.

        Returns:
            Parametrisation of the lights, their fit, and the fitted presses.
        """
        surfaces = self._surfaces()
        tracked = [self._tracked(press, markers) for press in self._inputs]
        images = [fit_image(p.image, t) for p, t in zip(self._inputs, tracked, strict=True)]
        views, search_scores = self._find_contacts(reference, images, surfaces)
        vector = LightVector.around(self._model)
        rough = fit_lights(
            self._model,
            vector,
            reference,
            views,
            self._settings.lights,
            self._stage_progress("lighting", 0.12, 0.5),
            steps=ROUGH_STEPS,
        )
        model = vector.model(self._model, rough.vector)
        views = self._with_slides(views, tracked, model, rough, reference, markers)
        self._progress("lighting", 0.6)
        lights = fit_lights(
            self._model,
            vector,
            reference,
            views,
            self._settings.lights,
            self._stage_progress("lighting", 0.6, 0.82),
            steps=FINE_STEPS,
            start=rough.vector,
        )
        self._model = with_flat_field(vector.model(self._model, lights.vector), reference)
        presses = []
        for k, view in enumerate(views):
            fitter = PressFitter(self._model, view.surfaces, reference, markers)
            fit = fitter.evaluate(view.surfaces.solve(lights.gels[k].press, []), tracked[k])
            correlation = self._correlation(fit, view, reference)
            press = CalibratedPress(fit, view.image, tracked[k], search_scores[k], correlation)
            self._warn_of_misfit(self._inputs[k], press)
            presses.append(press)
        return vector, lights, tuple(presses)

    def _surfaces(self) -> list[PressSurfaces]:
        """Gel surfaces of each press; presses with the same indenter share them."""
        known: dict[str, PressSurfaces] = {}
        for press in self._inputs:
            spec = press.indenter.spec
            if spec not in known:
                known[spec] = PressSurfaces(self._model, press.indenter)
        return [known[press.indenter.spec] for press in self._inputs]

    def _tracked(self, press: PressImage, markers: MarkerField | None) -> MarkerField | None:
        """Markers of a press, tracked from those of the reference image."""
        if markers is None or self._model.markers is None:
            return None
        return MarkerTracker(self._model.markers.grid, markers).track(press.image)

    def _find_contacts(
        self, reference: FitImage, images: list[FitImage], surfaces: list[PressSurfaces]
    ) -> tuple[list[PressView], list[float]]:
        """Find the contacts, and rotate the model's lights to agree with their shading.

        Args:
            reference: reference image at the fit's size.
            images: image of each press at the fit's size.
            surfaces: gel surfaces of each press.

        Returns:
            View of each press, and the correlation of its contact search.
        """
        searches: dict[int, ContactSearch] = {}
        views, search_scores, gradients = [], [], []
        reference_detail = fine_detail_rms(self._image)
        for press, image, gel in zip(self._inputs, images, surfaces, strict=True):
            sharpness = fine_detail_rms(press.image) / max(reference_detail, 1e-6)
            self._warnings += check_press(reference, image, sharpness, press.name)
            if id(gel) not in searches:
                searches[id(gel)] = ContactSearch(self._model, gel, reference.free.shape)
            match = searches[id(gel)].find(reference, image, press.name)
            if match.correlation < MIN_USUAL_SEARCH_SCORE:
                self._warnings.append(
                    f"{press.name}: the contact matches {gel.indenter.spec} poorly: correlation "
                    f"{match.correlation:.2f}, usually over {MIN_USUAL_SEARCH_SCORE}"
                )
            views.append(PressView(image, match.press, gel))
            search_scores.append(match.correlation)
            slope = slopes(self._model, gel.surface(match.press), reference.free.shape)
            change = relative_change(reference, image)
            gradients.append(shading_gradient(change, slope, reference.free & image.free))
        self._model, _ = rotated_lights(self._model, gradients)
        self._progress("lighting", 0.12)
        return views, search_scores

    def _with_slides(
        self,
        views: list[PressView],
        tracked: list[MarkerField | None],
        model: SensorModel,
        rough: LightFit,
        reference: FitImage,
        markers: MarkerField | None,
    ) -> list[PressView]:
        """Views whose presses have slides and twists, fitted to the markers' motion.

        Args:
            views: views of the presses.
            tracked: markers of each press.
            model: sensor model with the rough lights.
            rough: rough fit of the lights, with the presses fitted along.
            reference: reference image at the fit's size.
            markers: markers of the reference image.
        """
        result = []
        for view, press_markers, gel in zip(views, tracked, rough.gels, strict=True):
            fitter = PressFitter(model, view.surfaces, reference, markers)
            press = gel.press
            if press_markers is not None:
                fit = fitter.fit(press, view.image, press_markers, steps=SLIDE_STEPS)
                press = fit.gel.press
            result.append(PressView(view.image, press, view.surfaces))
        return result

    def _correlation(self, fit: PressFit, view: PressView, reference: FitImage) -> float:
        """Correlation of predicted and measured image change where the gel slopes."""
        steep = np.linalg.norm(slopes(self._model, fit.gel.surface, reference.free.shape), axis=-1)
        chosen = (steep > 0.05) & reference.free & view.image.free
        predicted = fit.predicted - reference.smooth
        measured = view.image.value - reference.smooth
        return float(np.corrcoef(predicted[chosen].ravel(), measured[chosen].ravel())[0, 1])

    def _warn_of_misfit(self, given: PressImage, press: CalibratedPress) -> None:
        """Add warnings for a press whose shading or markers do not fit its indenter."""
        if not press.correlation >= MIN_USUAL_CORRELATION:
            self._warnings.append(
                f"{given.name}: predicted and measured shading under the contact have a "
                f"correlation of {press.correlation:.2f}, usually over {MIN_USUAL_CORRELATION}: is "
                f"the indenter {given.indenter.spec}?"
            )
        if press.fit.marker_rms_px > DOUBTFUL_MARKERS_PX:
            self._warnings.append(
                f"{given.name}: its markers are {press.fit.marker_rms_px:.1f} px (RMS) from their "
                f"predicted positions, usually under {DOUBTFUL_MARKERS_PX} px: is the indenter "
                f"{given.indenter.spec}?"
            )

    def _begin(self, stage: str, fraction: float) -> float:
        """Report the start of a stage and return its start time, s."""
        self._progress(stage, fraction)
        return time.perf_counter()

    def _end(self, stage: str, started: float) -> None:
        """Record the duration of a stage."""
        self._seconds[stage] = round(time.perf_counter() - started, 2)

    def _stage_progress(self, stage: str, low: float, high: float) -> Callable[[float], None]:
        """Callback that maps a stage's own fraction to the range from low to high."""
        return lambda fraction: self._progress(stage, low + fraction * (high - low))


@dataclass(frozen=True)
class FittedNumber:
    """One fitted parameter of the sensor model.

    Attributes:
        name: name as in `parameter_values`, with an index if the parameter has several values.
        file: value in the sensor file before the calibration.
        value: value after the calibration.
        stddev: standard deviation of the value, to first order.
        prior_stddev: prior standard deviation of the value.
    """

    name: str
    file: float
    value: float
    stddev: float
    prior_stddev: float


def fitted_numbers(calibration: Calibration, before: SensorModel) -> list[FittedNumber]:
    """Return all fitted parameters except those of single markers and the flat field.

    Args:
        calibration: result of a calibration.
        before: sensor model before the calibration.
    """
    values, old = parameter_values(calibration.model), parameter_values(before)
    vector = calibration.light_vector
    stddev = vector.stddevs(calibration.lights.vector, calibration.lights.vector_stddev)
    prior = vector.stddevs(np.zeros(vector.size), np.ones(vector.size))
    camera = calibration.final_camera or calibration.with_glass
    if camera is not None:
        stddev = {**camera.stddev, **stddev}
        prior = {**camera.prior_stddev, **prior}
    return [
        FittedNumber(
            name=name if values[name].size == 1 else f"{name}[{k}]",
            file=float(old[name].ravel()[k]),
            value=float(values[name].ravel()[k]),
            stddev=float(np.ravel(stddev[name])[k]),
            prior_stddev=float(np.ravel(prior[name])[k]),
        )
        for name in sorted(stddev)
        for k in range(values[name].size)
    ]


def residuals(calibration: Calibration) -> dict[str, float]:
    """Return the residuals of all stages, by names that end in their physical dimension."""
    figures: dict[str, float] = {}
    without_glass, with_glass = calibration.without_glass, calibration.with_glass
    mask = calibration.mask
    if without_glass is not None and with_glass is not None and mask is not None:
        figures["dot_rms_without_glass_px"] = without_glass.rms_px
        figures["dot_rms_on_lattice_px"] = with_glass.rms_px
        figures["dot_rms_px"] = mask.rms_px
        figures["dots_broken"] = float(mask.broken.sum())
        figures["dot_diameter_mm"] = mask.diameter_mm
        figures["mask_error"] = mask.mask_error
    figures["press_rms_grey"] = 255.0 * calibration.lights.rms
    figures["press_correlation"] = min(press.correlation for press in calibration.presses)
    marker_rms = [
        press.fit.marker_rms_px for press in calibration.presses if press.markers is not None
    ]
    if marker_rms:
        figures["press_dot_rms_px"] = max(marker_rms)
    if calibration.texture is not None and calibration.final_camera is not None:
        figures["texture_rms_grey"] = 255.0 * calibration.texture.rms
        figures["texture_dot_rms_px"] = calibration.final_camera.rms_px
    return {name: round(value, 4) for name, value in figures.items()}
