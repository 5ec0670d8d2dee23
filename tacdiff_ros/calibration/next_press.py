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
from tacdiff_ros.calibration.light_fit import STEP, LightFit
from tacdiff_ros.calibration.light_images import LightImages, LightImageSet
from tacdiff_ros.calibration.light_prediction import predicted_images, with_light
from tacdiff_ros.calibration.light_vector import KINDS, LightVector
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
    observer = _Observer(model, lights, fit, reference, surfaces)
    positions = [
        _considered(model, observer, row, column) for row in range(3) for column in range(3)
    ]
    return tuple(sorted(positions, key=lambda position: -position.slope_stddev))


def _considered(model: SensorModel, observer: _Observer, row: int, column: int) -> PressPosition:
    pixel = np.array([FRACTIONS[column], FRACTIONS[row]])
    pixel = pixel * [model.image.width_px, model.image.height_px] - 0.5
    x_mm, y_mm, _ = unproject(parameter_values(model), pixel)
    names = dict.fromkeys((ROW_NAMES[row], COLUMN_NAMES[column]))
    stddev = observer.slope_stddev(float(x_mm), float(y_mm))
    return PressPosition(" ".join(names), float(x_mm), float(y_mm), stddev)


class _Observer:
    """Propagates the covariance of the lights to the slopes of a press."""

    def __init__(
        self,
        model: SensorModel,
        lights: LightVector,
        fit: LightFit,
        reference: FitImage,
        surfaces: PressSurfaces,
    ) -> None:
        """Render the undeformed gel; the arguments are those of `considered_presses`."""
        height, width = reference.free.shape
        self._lights, self._fit, self._surfaces = lights, fit, surfaces
        self._reference = reference
        self._renderer = LightImages(model, width, height)
        self._sampler = PixelSampler(model, (height, width))
        self._gel = fit.gels[0]
        self._flat = self._images(self._gel.flat)

    def slope_stddev(self, x_mm: float, y_mm: float) -> float:
        """Return the standard deviation of the relative error of slopes of a press.

        Args:
            x_mm: x of the press, mm.
            y_mm: y of the press, mm.
        """
        press = self._gel.press
        surface = shifted(self._gel.surface, x_mm - press.x_mm, y_mm - press.y_mm)
        moved = PressedGel(replace(press, x_mm=x_mm, y_mm=y_mm), surface)
        inside = self._surfaces.interior(moved)
        weight = self._sampler.sample(surface, inside) * self._reference.free
        images = self._images(surface)
        by_scale = self._by_scale(surface, images[0])
        by_light = self._by_light(images)
        square = float(np.sum(weight[..., None] * by_scale**2))
        if square <= 0.0:
            return float("inf")
        sensitivity = np.array(
            [np.sum(weight[..., None] * by_scale * column) / square for column in by_light]
        )
        return float(np.sqrt(sensitivity @ self._fit.vector_covariance @ sensitivity))

    def _images(self, surface: GelSurface) -> list[LightImageSet]:
        """Light images of a surface: at the fit, and with each kind of placement perturbed."""
        vector = self._fit.vector
        self._renderer.set_lights(self._lights.placement(vector))
        sets = [self._renderer.images(surface)]
        for kind in range(KINDS):
            perturbed = vector.copy()
            perturbed[self._lights.placement_slice(kind)] += STEP
            self._renderer.set_lights(self._lights.placement(perturbed))
            sets.append(LightImageSet(self._renderer.light_images(surface), sets[0].ambient))
        return sets

    def _by_scale(self, surface: GelSurface, images: LightImageSet) -> Floats:
        """(h, w, 3) derivative of the image by the relative scale of the heights."""
        motion = surface.position.astype(np.float64) - surface.rest
        scaled = surface.moved(surface.rest + (1.0 + SCALE_STEP) * motion, may_overhang=True)
        vector = self._fit.vector
        self._renderer.set_lights(self._lights.placement(vector))
        other = self._renderer.images(scaled)
        flat = self._flat[0]
        change = self._predicted(vector, flat, other) - self._predicted(vector, flat, images)
        return change / SCALE_STEP

    def _by_light(self, images: list[LightImageSet]) -> list[Floats]:
        """(h, w, 3) derivatives of the image by all parameters of the lights."""
        vector, base = self._fit.vector, self._predicted(self._fit.vector, self._flat[0], images[0])
        columns = []
        for index in range(self._lights.size):
            perturbed = vector.copy()
            perturbed[index] += STEP
            kind, light = divmod(index, self._lights.light_count)
            flat, press = self._flat[0], images[0]
            if kind < KINDS:
                flat = with_light(flat, self._flat[kind + 1].light, light)
                press = with_light(press, images[kind + 1].light, light)
            columns.append((self._predicted(perturbed, flat, press) - base) / STEP)
        return columns

    def _predicted(self, vector: Floats, flat: LightImageSet, press: LightImageSet) -> Floats:
        """(h, w, 3) predicted pixel values of a press."""
        return predicted_images(self._lights, vector, self._reference.smooth, (flat, press))[1]
