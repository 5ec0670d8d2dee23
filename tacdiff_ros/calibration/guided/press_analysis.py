"""What the presses taken so far will tell a calibration, before it is computed.

The contact of each press is searched and roughly fitted. The information matrix of the lights at
these contacts then predicts the standard deviations that a calibration will report, and the
position where one more press tells most.

Limits: the prediction is made with the lights of the initial sensor model, and knows neither errors
of that model nor of the ball: on real presses, radii of balls are off by more (`MEASURED_ERROR`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.contact_search import MIN_CORRELATION, ContactSearch
from tacdiff_ros.calibration.light_fit import LightFitSettings, PressView, fit_lights
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.next_press import PressPosition, considered_presses
from tacdiff_ros.calibration.press_surfaces import Press, PressSurfaces
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.brightness import at_brightness, check_brightness, relative_brightness
from tacdiff_ros.images.fit_image import fit_image
from tacdiff_ros.images.image_checks import (
    MAX_SATURATED_PRESS,
    check_image,
    check_order,
    check_press,
    fine_detail_rms,
)
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

ROUGH_STEPS = 2  # of the fit of one press
MIN_DEPTH_MM, MAX_DEPTH_MM = 0.25, 1.6
MAX_DEPTH_RADII = 0.7  # depth, in radii of the ball, beyond which the ball cannot have this size
LIKELY_CORRELATION = 0.6  # of the contact search; real balls of the right diameter: 0.86 and more
NOMINAL = LightFitSettings(interior=False, choose_interreflection=False)
# Median error of radii of real balls after a calibration, docs/inversion.md.
MEASURED_ERROR = "5 % on real gels with markers, 7 to 10 % on plain ones"


@dataclass(frozen=True)
class AnalysedPress:
    """One press with its contact.

    Attributes:
        view: image at the fit's size, with the fitted press.
        correlation: correlation of the contact search.
        warnings: reasons to doubt the press, one sentence each.
    """

    view: PressView
    correlation: float
    warnings: tuple[str, ...]

    @property
    def press(self) -> Press:
        """The press, fitted with the lights of the initial sensor model."""
        return self.view.press


@dataclass(frozen=True)
class Prediction:
    """What a calibration from the presses taken so far would know.

    Attributes:
        positions: positions of a further press, the one that tells most first.
        stddev: predicted standard deviation by name and unit.
        prior_stddev: standard deviation of the same without any press.
    """

    positions: tuple[PressPosition, ...]
    stddev: dict[str, float]
    prior_stddev: dict[str, float]

    @property
    def radius_error(self) -> float:
        """Standard deviation of the relative error of a ball's radius, at the worst position."""
        return self.positions[0].slope_stddev

    @property
    def lines(self) -> list[str]:
        """The prediction as text, one fact a line."""
        worst, best = self.positions[0], self.positions[-1]
        return [
            f"expected error of a ball's radius: {100 * best.slope_stddev:.1f} % ({best.name}) to "
            f"{100 * worst.slope_stddev:.1f} % ({worst.name})",
            *(
                f"{name}: standard deviation {value:.2g}, without presses "
                f"{self.prior_stddev[name]:.2g}"
                for name, value in self.stddev.items()
            ),
            f"errors of the model come on top: measured radii were off by {MEASURED_ERROR}",
        ]


class PressAnalyst:
    """Finds the contacts of presses on one sensor, and predicts what they tell."""

    def __init__(self, model: SensorModel, reference: Image, markers: MarkerField | None) -> None:
        """Prepare the reference image.

        Args:
            model: initial sensor model.
            reference: (H, W, 3) uint8 RGB image of the untouched gel.
            markers: markers of the reference image; None for a gel without markers.
        """
        start_mitsuba(job="calibration")
        self._model, self._markers = model, markers
        self._image = reference
        self._reference = fit_image(reference, markers)
        self._lights = LightVector.around(model)
        self._searches: dict[float, tuple[PressSurfaces, ContactSearch]] = {}

    def analyse(self, image: Image, diameter_mm: float, name: str) -> AnalysedPress:
        """Find the contact in an image of a press, and check it.

        Args:
            image: (H, W, 3) uint8 RGB image of the press.
            diameter_mm: diameter of the ball, mm.
            name: name of the press in messages.

        Raises:
            InputError: the image cannot be used, shows no contact with a ball of this diameter, or
                the press is too flat or too deep.
        """
        check_image(image, self._model, name, MAX_SATURATED_PRESS)
        reduced = fit_image(image, self._tracked(image))
        gain = relative_brightness(self._reference, reduced)
        warnings = check_brightness(gain, name)
        reduced = at_brightness(reduced, gain)
        check_order(self._reference, reduced, name)
        sharpness = fine_detail_rms(image) / max(fine_detail_rms(self._image), 1e-6)
        warnings += check_press(self._reference, reduced, sharpness, name)
        surfaces, search = self._search(diameter_mm)
        match = search.find(self._reference, reduced, name)
        if match.correlation < LIKELY_CORRELATION:
            warnings.append(
                f"{name}: the contact looks little like a ball of {diameter_mm:g} mm (correlation "
                f"{match.correlation:.2f}, usually over {LIKELY_CORRELATION}, refused under "
                f"{MIN_CORRELATION})"
            )
        view = PressView(reduced, match.press, surfaces)
        fit = fit_lights(
            self._model, self._lights, self._reference, [view], NOMINAL, steps=ROUGH_STEPS
        )
        press = fit.gels[0].press
        _check_depth(press.depth_mm, diameter_mm, name)
        fitted = PressView(reduced, press, surfaces)
        return AnalysedPress(fitted, match.correlation, tuple(warnings))

    def predict(self, presses: list[AnalysedPress]) -> Prediction:
        """Predict what a calibration from these presses would know.

        Args:
            presses: one or more analysed presses.
        """
        views = [press.view for press in presses]
        fit = fit_lights(self._model, self._lights, self._reference, views, NOMINAL, steps=0)
        positions = considered_presses(
            self._model, self._lights, fit, self._reference, views[0].surfaces
        )
        prior = np.ones(self._lights.size)
        return Prediction(positions, self._stddevs(fit.vector_stddev), self._stddevs(prior))

    def _stddevs(self, vector_stddev: NDArray[np.float64]) -> dict[str, float]:
        """Largest standard deviation of each kind of fitted parameter, by name and unit."""
        lights = self._lights
        stddev = lights.stddevs(np.zeros(lights.size), vector_stddev)
        radiance = lights.start["lights.radiance"]
        brightest = np.argmax(radiance, axis=1)[:, None]
        relative = np.take_along_axis(stddev["lights.radiance"] / radiance, brightest, axis=1)
        azimuth_deg = np.degrees(stddev["lights.azimuth_rad"])
        return {
            "position of the lights in mm": float(stddev["lights.centre_mm"].max()),
            "direction of the lights in degrees": float(azimuth_deg.max()),
            "brightness of the lights in %": float(100.0 * relative.max()),
        }

    def _tracked(self, image: Image) -> MarkerField | None:
        """Markers of a press, tracked from those of the reference image."""
        if self._markers is None or self._model.markers is None:
            return None
        return MarkerTracker(self._model.markers.grid, self._markers).track(image)

    def _search(self, diameter_mm: float) -> tuple[PressSurfaces, ContactSearch]:
        """Surfaces and contact search of a ball; computed once per diameter."""
        if diameter_mm not in self._searches:
            ball = build_indenter(f"sphere:diameter={diameter_mm:g}")
            surfaces = PressSurfaces(self._model, ball)
            search = ContactSearch(self._model, surfaces, self._reference.free.shape)
            self._searches[diameter_mm] = surfaces, search
        return self._searches[diameter_mm]


def _check_depth(depth_mm: float, diameter_mm: float, name: str) -> None:
    """Raise InputError for a press that is too flat or too deep, or a ball of another size."""
    if depth_mm < MIN_DEPTH_MM:
        raise InputError(
            f"{name} is only {depth_mm:.1f} mm deep, expected {MIN_DEPTH_MM:g} mm or more: press "
            "about 1 mm deep"
        )
    if depth_mm > 0.5 * MAX_DEPTH_RADII * diameter_mm:
        raise InputError(
            f"{name}: the contact is too wide for a ball of {diameter_mm:g} mm, which would be "
            f"{depth_mm:.1f} mm deep: is its diameter larger? Otherwise press less"
        )
    if depth_mm > MAX_DEPTH_MM:
        raise InputError(
            f"{name} is {depth_mm:.1f} mm deep, expected up to {MAX_DEPTH_MM:g} mm: press less"
        )
