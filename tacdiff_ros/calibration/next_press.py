"""Where one more press would improve a calibration most, from the covariance of its lights.

A press elsewhere, its heights scaled by 1 + e, changes the image in almost the same way as an error
of the lights does. To first order, the lights' covariance therefore gives the standard deviation of
e at every position: the relative error of the slopes, and of a ball's radius, that the inversion of
a press there has to expect. The next press belongs at the position with the largest one.

Limits: errors that the model of the lights cannot represent do not appear in the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.contact_interior import PixelSampler
from tacdiff_ros.calibration.light_fit import LightFit
from tacdiff_ros.calibration.light_images import (
    STEP,
    LightImages,
    LightImageSet,
    perturbed_light_images,
)
from tacdiff_ros.calibration.light_prediction import LightChange, Prediction, light_changes
from tacdiff_ros.calibration.light_residuals import ComparedImage, LightResiduals
from tacdiff_ros.calibration.light_vector import COLOURS, LightVector
from tacdiff_ros.calibration.press_surfaces import PressedGel, PressSurfaces, shifted
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.optics.projection import unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

FRACTIONS = (0.15, 0.5, 0.85)  # of the image's width and height, where presses are considered
COLUMN_NAMES, ROW_NAMES = ("left", "centre", "right"), ("top", "centre", "bottom")
SCALE_STEP = 0.02


@dataclass(frozen=True)
class PressPosition:
    """A position on the gel where a press was considered.

    Attributes:
        name: part of the image, such as `top left`.
        x_mm: x in the frame `gel`, mm.
        y_mm: y in the frame `gel`, mm.
        slope_stddev: standard deviation of the relative error of slopes there.
    """

    name: str
    x_mm: float
    y_mm: float
    slope_stddev: float


def considered_presses(
    model: SensorModel,
    lights: LightVector,
    fit: LightFit,
    reference: FitImage,
    surfaces: PressSurfaces,
) -> tuple[PressPosition, ...]:
    """Return positions all over the image, the most uncertain one first.

    Args:
        model: sensor model with a fitted camera, and with the initial lights of `lights`.
        lights: parametrisation of the lights.
        fit: fit of the lights.
        reference: reference image at the fit's size.
        surfaces: gel surfaces under the indenter of the fit's first press.
    """
    named = [_named_position(model, row, column) for row in range(3) for column in range(3)]
    observer = _Observer(model, lights, fit, reference, surfaces)
    stddevs = observer.slope_stddevs([(x_mm, y_mm) for _, x_mm, y_mm in named])
    positions = [PressPosition(*where, sigma) for where, sigma in zip(named, stddevs, strict=True)]
    return tuple(sorted(positions, key=lambda position: -position.slope_stddev))


def _named_position(model: SensorModel, row: int, column: int) -> tuple[str, float, float]:
    """Name and position (x, y), mm, of a part of the image."""
    pixel = np.array([FRACTIONS[column], FRACTIONS[row]])
    pixel = pixel * [model.image.width_px, model.image.height_px] - 0.5
    x_mm, y_mm, _ = unproject(parameter_values(model), pixel)
    names = dict.fromkeys((ROW_NAMES[row], COLUMN_NAMES[column]))
    return " ".join(names), float(x_mm), float(y_mm)


class _Observer:
    """Propagates the covariance of the lights to the slopes of presses."""

    def __init__(
        self,
        model: SensorModel,
        lights: LightVector,
        fit: LightFit,
        reference: FitImage,
        surfaces: PressSurfaces,
    ) -> None:
        """Create a renderer; the arguments are those of `considered_presses`."""
        height, width = reference.free.shape
        self._lights, self._fit, self._surfaces = lights, fit, surfaces
        self._free, self._reference = reference.free, reference.smooth
        whole = ComparedImage(self._reference, self._free, COLOURS * float(self._free.sum()), 1.0)
        self._residuals = LightResiduals([whole, whole], tone_mapping=False)
        self._renderer = LightImages(model, width, height)
        self._sampler = PixelSampler(model, (height, width))
        self._gel = fit.gels[0]

    def slope_stddevs(self, positions_mm: list[tuple[float, float]]) -> list[float]:
        """Return the standard deviations of the relative error of slopes of presses.

        Args:
            positions_mm: x and y of each press, mm.
        """
        lights, vector = self._lights, self._fit.vector
        gels = [self._at(x_mm, y_mm) for x_mm, y_mm in positions_mm]
        surfaces = dict(enumerate([self._gel.flat, *(gel.surface for gel in gels)]))
        self._renderer.set_lights(lights.placement(vector))
        images = self._renderer.images(surfaces)
        perturbed = perturbed_light_images(self._renderer, lights, vector, surfaces)
        self._renderer.set_lights(lights.placement(vector))
        scaled = self._renderer.images({k: _scaled(gel.surface) for k, gel in enumerate(gels, 1)})
        stddevs = []
        for k, gel in enumerate(gels, 1):
            pair = (images[0], images[k])
            moved = [(kind[0], kind[k]) for kind in perturbed]
            changes = list(light_changes(lights, vector, pair, moved, STEP))
            prediction = Prediction.of(lights, vector, self._reference, pair)
            stddevs.append(self._stddev(gel, prediction, scaled[k], changes))
        return stddevs

    def _at(self, x_mm: float, y_mm: float) -> PressedGel:
        """The first press of the fit, at another position."""
        press = self._gel.press
        surface = shifted(self._gel.surface, x_mm - press.x_mm, y_mm - press.y_mm)
        return PressedGel(replace(press, x_mm=x_mm, y_mm=y_mm), surface)

    def _stddev(
        self,
        gel: PressedGel,
        prediction: Prediction,
        scaled: LightImageSet,
        changes: list[LightChange],
    ) -> float:
        """Standard deviation of the relative error of slopes of one press.

        Args:
            gel: gel under the press.
            prediction: predicted images of the undeformed gel and of the press.
            scaled: light images of the press with its heights scaled.
            changes: derivatives of both shadings by the light vector.
        """
        lights, vector = self._lights, self._fit.vector
        other = scaled.combined(lights.radiance(vector), lights.ambient(vector))
        change = (other - prediction.shading[1]) / SCALE_STEP
        by_scale = self._residuals.by_press(prediction, 1, [change])[0]
        by_light = self._residuals.by_light(prediction, changes)[1]
        inside = self._sampler.sample(gel.surface, self._surfaces.interior(gel))[self._free]
        weighted = np.repeat(inside, COLOURS) * by_scale
        square = float(weighted @ by_scale)
        if square <= 0.0:
            return float("inf")
        sensitivity = by_light @ weighted / square
        return float(np.sqrt(sensitivity @ self._fit.vector_covariance @ sensitivity))


def _scaled(surface: GelSurface) -> GelSurface:
    """The surface with its motion enlarged by `SCALE_STEP`."""
    motion = surface.position.astype(np.float64) - surface.rest
    return surface.moved(surface.rest + (1.0 + SCALE_STEP) * motion, may_overhang=True)
