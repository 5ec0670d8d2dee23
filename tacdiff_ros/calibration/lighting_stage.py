"""Lighting stage of a calibration: lights and colour from presses whose contacts are searched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.calibration.calibration_result import CalibratedPress
from tacdiff_ros.calibration.contact_search import ContactSearch, relative_change, slopes
from tacdiff_ros.calibration.flat_field import with_flat_field
from tacdiff_ros.calibration.light_fit import LightFit, LightFitSettings, PressView, fit_lights
from tacdiff_ros.calibration.light_start import rotated_lights, shading_gradient
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.next_press import PressPosition, considered_presses
from tacdiff_ros.calibration.press_fit import PressFitter
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.calibration.stage_progress import StageProgress
from tacdiff_ros.images.brightness import at_brightness, check_brightness, relative_brightness
from tacdiff_ros.images.fit_image import FitImage, fit_image, halved
from tacdiff_ros.images.image_checks import check_order, check_press, fine_detail_rms
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.sensor_model import SensorModel

STAGE = "lighting"
ROUGH_STEPS, FINE_STEPS, DIRECT_STEPS = 7, 5, 8
FIXED_GAMMA = 1e-4  # spread of gamma under direct light, with which it would compensate reflections
SLIDE_STEPS = 2
MIN_USUAL_SEARCH_SCORE, MIN_USUAL_CORRELATION, DOUBTFUL_MARKERS_PX = 0.6, 0.95, 1.2
STEEP = 0.05  # minimum slope of the pixels whose correlation is computed


@dataclass(frozen=True)
class Lighting:
    """Result of the lighting stage.

    Attributes:
        model: sensor model with fitted lights and flat field.
        light_vector: parametrisation of the lights.
        lights: fit of the lights.
        presses: fitted presses.
        positions: positions of a further press, the most uncertain one first.
        warnings: reasons to doubt the result, one sentence each.
    """

    model: SensorModel
    light_vector: LightVector
    lights: LightFit
    presses: tuple[CalibratedPress, ...]
    positions: tuple[PressPosition, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Contacts:
    """Contacts that were found in the images.

    Attributes:
        model: sensor model, its lights rotated to agree with the contacts' shading.
        reference: reference image at the fit's size.
        views: view of each press.
        scores: correlation of each press's contact search.
    """

    model: SensorModel
    reference: FitImage
    views: list[PressView]
    scores: list[float]


class LightingStage:
    """Fits lights and presses: rough lights, slides of the presses, final lights."""

    def __init__(
        self,
        model: SensorModel,
        image: NDArray[np.uint8],
        markers: MarkerField | None,
        inputs: list[PressImage],
        settings: LightFitSettings,
        progress: StageProgress,
    ) -> None:
        """Prepare the images.

        Args:
            model: sensor model with a fitted camera.
            image: (H, W, 3) uint8 RGB reference image.
            markers: markers of the reference image; None for a gel without markers.
            inputs: images of presses with known indenters.
            settings: settings of the light fit.
            progress: progress of the calibration.
        """
        self._model = model
        self._image = image
        self._markers = markers
        self._inputs = inputs
        self._settings = settings
        self._progress = progress
        self._warnings: list[str] = []
        self.reference = fit_image(image, markers)

    def run(self) -> Lighting:
        """Fit lights and presses.

        Raises:
            InputError: an image shows no contact with its indenter.
        """
        tracked = [self._tracked(press) for press in self._inputs]
        contacts = self._find_contacts(tracked)
        vector = LightVector.around(contacts.model)
        # The contacts are not known well enough yet for their interior and its reflections.
        everywhere = replace(self._settings, interior=False, local_interreflection=False)
        rough = self._fit_lights(_coarse(contacts), vector, ROUGH_STEPS, everywhere, (0.12, 0.5))
        contacts = self._with_slides(contacts, tracked, vector, rough)
        lights = self._fit_lights(
            contacts, vector, FINE_STEPS, self._settings, (0.56, 0.7), rough.vector
        )
        if self._settings.choose_interreflection and contacts.model.interreflection.bounces:
            direct = _with_direct_light_only(contacts)
            linear = replace(vector, gamma_spread=FIXED_GAMMA)
            fit = self._fit_lights(
                direct, linear, DIRECT_STEPS, self._settings, (0.7, 0.82), rough.vector
            )
            if fit.cost < lights.cost:
                contacts, vector, lights = direct, linear, fit
        return self._lighting(contacts, tracked, vector, lights)

    def _fit_lights(
        self,
        contacts: _Contacts,
        vector: LightVector,
        steps: int,
        settings: LightFitSettings,
        fractions: tuple[float, float],
        start: NDArray[np.float64] | None = None,
    ) -> LightFit:
        """Fit the lights.

        Args:
            contacts: contacts with their initial presses.
            vector: parametrisation of the lights.
            steps: maximum number of steps.
            settings: settings of the fit.
            fractions: completed fraction of the calibration before and after.
            start: initial light vector; None for the model's lights.
        """
        return fit_lights(
            contacts.model,
            vector,
            contacts.reference,
            contacts.views,
            settings,
            self._progress.within(STAGE, *fractions),
            steps=steps,
            start=start,
        )

    def _lighting(
        self,
        contacts: _Contacts,
        tracked: list[MarkerField | None],
        vector: LightVector,
        lights: LightFit,
    ) -> Lighting:
        """The result; the arguments are those of `run`."""
        model = with_flat_field(vector.model(contacts.model, lights.vector), self.reference)
        presses = tuple(
            self._calibrated_press(model, view, gel.press, markers, score)
            for view, gel, markers, score in zip(
                contacts.views, lights.gels, tracked, contacts.scores, strict=True
            )
        )
        for given, press in zip(self._inputs, presses, strict=True):
            self._warnings += misfits(given, press)
        positions = considered_presses(
            contacts.model, vector, lights, halved(self.reference), contacts.views[0].surfaces
        )
        return Lighting(model, vector, lights, presses, positions, tuple(self._warnings))

    def _tracked(self, press: PressImage) -> MarkerField | None:
        """Markers of a press, tracked from those of the reference image."""
        if self._markers is None or self._model.markers is None:
            return None
        return MarkerTracker(self._model.markers.grid, self._markers).track(press.image)

    def _surfaces(self) -> list[PressSurfaces]:
        """Gel surfaces of each press; presses with the same indenter share them."""
        known: dict[str, PressSurfaces] = {}
        for press in self._inputs:
            spec = press.indenter.spec
            if spec not in known:
                known[spec] = PressSurfaces(self._model, press.indenter)
        return [known[press.indenter.spec] for press in self._inputs]

    def _find_contacts(self, tracked: list[MarkerField | None]) -> _Contacts:
        """Find the contacts, and rotate the model's lights to agree with their shading."""
        model, reference = self._model, self.reference
        shape = reference.free.shape
        searches: dict[int, ContactSearch] = {}
        views, scores, gradients = [], [], []
        reference_detail = fine_detail_rms(self._image)
        for press, markers, gel in zip(self._inputs, tracked, self._surfaces(), strict=True):
            image = self._at_reference_brightness(press, markers)
            sharpness = fine_detail_rms(press.image) / max(reference_detail, 1e-6)
            self._warnings += check_press(reference, image, sharpness, press.name)
            if id(gel) not in searches:
                searches[id(gel)] = ContactSearch(model, gel, shape)
            match = searches[id(gel)].find(reference, image, press.name)
            if match.correlation < MIN_USUAL_SEARCH_SCORE:
                self._warnings.append(
                    f"{press.name}: the contact matches {gel.indenter.spec} poorly: correlation "
                    f"{match.correlation:.2f}, usually over {MIN_USUAL_SEARCH_SCORE}"
                )
            views.append(PressView(image, match.press, gel))
            scores.append(match.correlation)
            slope = slopes(model, gel.surface(match.press), shape)
            change = relative_change(reference, image)
            gradients.append(shading_gradient(change, slope, reference.free & image.free))
        model, _ = rotated_lights(model, gradients)
        self._progress.report(STAGE, 0.12)
        return _Contacts(model, reference, views, scores)

    def _at_reference_brightness(self, press: PressImage, markers: MarkerField | None) -> FitImage:
        """The image of a press at the fit's size and at the brightness of the reference.

        Raises:
            InputError: the reference shows a contact and the press none, or their brightness
                differs too much.
        """
        image = fit_image(press.image, markers)
        gain = relative_brightness(self.reference, image)
        self._warnings += check_brightness(gain, press.name)
        image = at_brightness(image, gain)
        check_order(self.reference, image, press.name)
        return image

    def _with_slides(
        self,
        contacts: _Contacts,
        tracked: list[MarkerField | None],
        vector: LightVector,
        lights: LightFit,
    ) -> _Contacts:
        """Contacts whose presses have slides and twists, fitted to the markers' motion.

        Args:
            contacts: contacts found in the images.
            tracked: markers of each press; None for a gel without markers.
            vector: parametrisation of the lights.
            lights: fit of the lights, with the presses fitted along.
        """
        model = vector.model(contacts.model, lights.vector)
        views = []
        for view, markers, gel in zip(contacts.views, tracked, lights.gels, strict=True):
            press = gel.press
            if markers is not None:
                fitter = PressFitter(model, view.surfaces, self.reference, self._markers)
                press = fitter.fit(press, view.image, markers, steps=SLIDE_STEPS).gel.press
            views.append(replace(view, press=press))
        return replace(contacts, views=views)

    def _calibrated_press(
        self,
        model: SensorModel,
        view: PressView,
        press: Press,
        markers: MarkerField | None,
        search_score: float,
    ) -> CalibratedPress:
        """Evaluate a press under the calibrated model.

        Args:
            model: sensor model with fitted lights and flat field.
            view: view of the press.
            press: fitted press.
            markers: markers of the press; None for a gel without markers.
            search_score: correlation of the contact search.
        """
        fitter = PressFitter(model, view.surfaces, self.reference, self._markers)
        fit = fitter.evaluate(view.surfaces.solve(press), markers)
        steepness = slopes(model, fit.gel.surface, self.reference.free.shape)
        chosen = np.linalg.norm(steepness, axis=-1) > STEEP
        chosen &= self.reference.free & view.image.free
        predicted = (fit.predicted - self.reference.smooth)[chosen]
        measured = (view.image.value - self.reference.smooth)[chosen]
        correlation = float(np.corrcoef(predicted.ravel(), measured.ravel())[0, 1])
        return CalibratedPress(fit, view.image, markers, search_score, correlation)


def _coarse(contacts: _Contacts) -> _Contacts:
    """The contacts in images of half the size."""
    views = [replace(view, image=halved(view.image)) for view in contacts.views]
    return replace(contacts, reference=halved(contacts.reference), views=views)


def _with_direct_light_only(contacts: _Contacts) -> _Contacts:
    """The contacts on a sensor whose layers reflect nothing."""
    interreflection = contacts.model.interreflection.model_copy(update={"bounces": 0})
    model = contacts.model.model_copy(update={"interreflection": interreflection})
    return replace(contacts, model=model)


def misfits(given: PressImage, press: CalibratedPress) -> list[str]:
    """Return warnings for a press whose shading or markers do not fit its indenter.

    Args:
        given: image of the press.
        press: the press under the calibrated model.
    """
    warnings = []
    if not press.correlation >= MIN_USUAL_CORRELATION:
        warnings.append(
            f"{given.name}: predicted and measured shading under the contact have a "
            f"correlation of {press.correlation:.2f}, usually over {MIN_USUAL_CORRELATION}: is "
            f"the indenter {given.indenter.spec}?"
        )
    if press.fit.marker_rms_px > DOUBTFUL_MARKERS_PX:
        warnings.append(
            f"{given.name}: its markers are {press.fit.marker_rms_px:.1f} px (RMS) from their "
            f"predicted positions, usually under {DOUBTFUL_MARKERS_PX} px: is the indenter "
            f"{given.indenter.spec}?"
        )
    return warnings
