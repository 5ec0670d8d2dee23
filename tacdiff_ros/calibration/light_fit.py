"""Lights, ambient light and gamma from a reference image and presses (paper, equations 4 to 6).

A press is predicted as the reference image times the ratio of the rendered press to the rendered
undeformed gel, so that differences between the model and the reference image (its flat field)
cancel. Images are compared tone-mapped, T(x) = x / (x + 1), with weight `alpha` for the reference
image and `beta` for the presses; the adaptive weights favour pixels with a large residual and
bright pixels. The indenter's final pose is fitted along with the lights. Levenberg-Marquardt, since
the image is nearly linear in all parameters.

Limits: radiances, gains and the gel's colour can be identified only as products, so gains and
colour are fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.contact_interior import PixelSampler
from tacdiff_ros.calibration.light_images import LightImages, LightImageSet
from tacdiff_ros.calibration.light_prediction import predicted_images, with_light
from tacdiff_ros.calibration.light_vector import COLOURS, KINDS, LightVector
from tacdiff_ros.calibration.light_weights import adaptive_weights, interior_weights
from tacdiff_ros.calibration.press_motions import (
    perturbed_presses,
    press_moves,
    press_prior,
    stepped_press,
)
from tacdiff_ros.calibration.press_surfaces import Press, PressedGel, PressSurfaces
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.least_squares import DampingRule, NormalEquations, levenberg_marquardt
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

MAX_STEPS = 12
STEP = 0.02  # of finite differences, in the units of the light vector
REFERENCE_ERROR = 0.03  # residual of the reference image under the best lights, of white
PRESS_ERROR = 0.008  # residual of a press under the best lights, of white
DAMPING = DampingRule(first=1e-2, decrease=5.0, increase=8.0, maximum=1e6)
MIN_GAIN = 2e-3  # relative decrease of the cost below which the fit ends
EFFECTIVE_PIXELS = 3000.0  # number of independent pixels: errors of neighbours are correlated


@dataclass(frozen=True)
class LightFitSettings:
    """Settings of the light fit.

    Attributes:
        tone_mapping: whether to compare T(x) = x / (x + 1) instead of x.
        weight_map: whether to use adaptive weights.
        interior: whether the final fit uses the interior of each contact, where the surface is the
            indenter's own shape, with little weight on the other pixels of a press.
        local_interreflection: whether to compute the light that parts of the gel reflect to each
            other, as the inversion does.
        choose_interreflection: whether the lights are also fitted without any reflected light, and
            the fit with the lower cost is taken.
        alpha: weight of the reference image.
        beta: weight of all presses together.
    """

    tone_mapping: bool = True
    weight_map: bool = True
    interior: bool = True
    local_interreflection: bool = False
    choose_interreflection: bool = True
    alpha: float = 0.3
    beta: float = 0.7


@dataclass(frozen=True)
class PressView:
    """Image of a press, and what is known of the press.

    Attributes:
        image: image at the fit's size.
        press: initial press, also the centre of its prior.
        surfaces: gel surfaces under the indenter.
    """

    image: FitImage
    press: Press
    surfaces: PressSurfaces


@dataclass(frozen=True)
class LightFit:
    """Fitted lights of a sensor instance.

    Attributes:
        vector: fitted light vector.
        vector_covariance: (size, size) covariance of its entries.
        gels: gel under the presses, with their fitted poses.
        cost: sum of squared residuals, in units of their usual errors, and of priors.
        rms: root mean square difference of predicted and measured presses, as a fraction of white.
        steps: number of Levenberg-Marquardt steps.
    """

    vector: Floats
    vector_covariance: Floats
    gels: tuple[PressedGel, ...]
    cost: float
    rms: float
    steps: int

    @property
    def vector_stddev(self) -> Floats:
        """Standard deviations of the entries of the light vector."""
        return np.asarray(np.sqrt(np.diag(self.vector_covariance)))


def fit_lights(
    model: SensorModel,
    lights: LightVector,
    reference: FitImage,
    views: list[PressView],
    settings: LightFitSettings | None = None,
    progress: Callable[[float], None] | None = None,
    steps: int = MAX_STEPS,
    start: Floats | None = None,
) -> LightFit:
    """Fit the lights to a reference image and presses.

    Args:
        model: sensor model with a fitted camera, and with the initial lights of `lights`.
        lights: parametrisation of the lights.
        reference: reference image at the fit's size.
        views: images of presses.
        settings: settings of the fit.
        progress: callback on the completed fraction.
        steps: maximum number of Levenberg-Marquardt steps.
        start: initial light vector; by default 0, the model's lights.
    """
    problem = _Problem(model, lights, reference, views, settings or LightFitSettings())
    return problem.solve(np.zeros(lights.size) if start is None else start, steps, progress)


@dataclass(frozen=True)
class _Point:
    """Light vector and presses with their renderings.

    Attributes:
        vector: light vector.
        gels: gel under each press.
        images: light images of the undeformed gel and of the presses, with cast shadows.
        plain_images: the same without cast shadows, for derivatives.
    """

    vector: Floats
    gels: tuple[PressedGel, ...]
    images: tuple[LightImageSet, ...]
    plain_images: tuple[LightImageSet, ...]


class _Problem:
    """Least-squares problem of the lights and the presses' poses."""

    def __init__(
        self,
        model: SensorModel,
        lights: LightVector,
        reference: FitImage,
        views: list[PressView],
        settings: LightFitSettings,
    ) -> None:
        """Set up the renderers; the arguments are those of `fit_lights`."""
        height, width = reference.free.shape
        self._lights = lights
        self._views = views
        self._settings = settings
        # One renderer per surface: it keeps the surface while the lights change.
        self._renderers = [LightImages(model, width, height) for _ in range(len(views) + 1)]
        self._reference = reference.smooth
        self._free = reference.free
        self._weights = [np.ones((height, width))] * (len(views) + 1)
        self._sampler = PixelSampler(model, (height, width))
        self._flat: GelSurface | None = None
        self._has_yaw = [not view.surfaces.is_round for view in views]

    def solve(
        self, start: Floats, max_steps: int, progress: Callable[[float], None] | None
    ) -> LightFit:
        """Levenberg-Marquardt from a light vector and the views' presses.

        Args:
            start: initial light vector.
            max_steps: maximum number of steps.
            progress: callback on the completed fraction.
        """
        point = self._render(start, tuple(view.press for view in self._views), None)
        fit = levenberg_marquardt(self, point, DAMPING, max_steps, MIN_GAIN, progress)
        covariance = self._normal_equations(fit.point).covariance()
        size = self._lights.size
        covariance = covariance[:size, :size]
        return self._result(fit.point, covariance, fit.cost, fit.iterations)

    def linearise(self, point: _Point) -> NormalEquations:
        """Adapt the weights to a point, and return its normal equations."""
        self._weights = self._pixel_weights(point)
        return self._normal_equations(point)

    def cost(self, point: _Point) -> float:
        """Sum of squared residuals under the current weights."""
        return sum(float(np.sum(part**2)) for part in self._residuals(point))

    def moved(self, point: _Point, step: Floats) -> _Point:
        """The point after a step, with each change clipped."""
        size = self._lights.size
        presses, first = [], size
        for view, gel, has_yaw in zip(self._views, point.gels, self._has_yaw, strict=True):
            count = 4 if has_yaw else 3
            part = step[first : first + count]
            presses.append(stepped_press(gel.press, part, view.surfaces.max_depth_mm))
            first += count
        vector = point.vector + np.clip(step[:size], -1.5, 1.5)
        return self._render(vector, tuple(presses), point.gels)

    def _render(
        self, vector: Floats, presses: tuple[Press, ...], near: tuple[PressedGel, ...] | None
    ) -> _Point:
        """Renderings of a light vector and presses.

        Args:
            vector: light vector.
            presses: press of each view.
            near: gels of presses nearby, from which contact is solved faster; None to solve it
                from scratch.
        """
        gels = []
        for k, (view, press) in enumerate(zip(self._views, presses, strict=True)):
            moves = press_moves(self._has_yaw[k])
            if near is None:
                gels.append(view.surfaces.solve(press, moves))
            else:
                gels.append(view.surfaces.solve_near(near[k], press, moves))
        self._flat = self._flat or gels[0].flat
        surfaces = [self._flat, *(gel.surface for gel in gels)]
        placement = self._lights.placement(vector)
        images, plain = [], []
        for renderer, surface in zip(self._renderers, surfaces, strict=True):
            renderer.set_lights(placement)
            if self._settings.local_interreflection and surface is not self._flat:
                renderer.gather_local_interreflection(surface)
            plain.append(renderer.images(surface))
            shadowed = renderer.light_images(surface, shadows=True)
            images.append(LightImageSet(shadowed, plain[-1].ambient))
        return _Point(vector, tuple(gels), tuple(images), tuple(plain))

    def _measured(self) -> list[Floats]:
        """Measured pixel values of the reference image and of the presses."""
        return [self._reference, *(view.image.value for view in self._views)]

    def _residuals(self, point: _Point) -> list[Floats]:
        """Residuals of the reference image, of the presses, and of the priors."""
        predicted = self._predicted(point.vector, point.images)
        parts = [
            self._scale(k) * (self._tone_mapped(value) - self._tone_mapped(image))
            for k, (value, image) in enumerate(zip(predicted, self._measured(), strict=True))
        ]
        return [*parts, self._prior(point)]

    def _predicted(self, vector: Floats, images: tuple[LightImageSet, ...]) -> list[Floats]:
        """Predicted pixel values of the reference image and of the presses."""
        return predicted_images(self._lights, vector, self._reference, images)

    def _scale(self, k: int) -> Floats:
        """(h, w, 1) factor of a residual: adaptive weight, the image's weight and usual error."""
        settings = self._settings
        free = self._free if k == 0 else self._free & self._views[k - 1].image.free
        weight = settings.alpha if k == 0 else settings.beta / len(self._views)
        error = REFERENCE_ERROR if k == 0 else PRESS_ERROR
        count = max(int(free.sum()), 1) * COLOURS
        strength = weight * EFFECTIVE_PIXELS / count
        return np.asarray(np.sqrt(strength * free * self._weights[k]) / error)[..., None]

    def _tone_mapped(self, value: Floats) -> Floats:
        return value / (value + 1.0) if self._settings.tone_mapping else value

    def _prior(self, point: _Point) -> Floats:
        """Residuals of the priors of the light vector and of the presses."""
        parts = [point.vector]
        for view, gel, has_yaw in zip(self._views, point.gels, self._has_yaw, strict=True):
            parts.append(press_prior(view.press, gel.press, has_yaw))
        return np.concatenate(parts)

    def _pixel_weights(self, point: _Point) -> list[Floats]:
        """(h, w) weights of the reference image and of the presses, with mean 1."""
        weights = self._weights
        if self._settings.weight_map:
            predicted, measured = self._predicted(point.vector, point.images), self._measured()
            before = [measured[0], *[self._reference] * len(self._views)]
            weights = [
                adaptive_weights(value, image, np.abs(image - unchanged).mean(axis=-1))
                for value, image, unchanged in zip(predicted, measured, before, strict=True)
            ]
        if not self._settings.interior:
            return weights
        inside = [
            self._sampler.sample(gel.surface, view.surfaces.interior(gel))
            for view, gel in zip(self._views, point.gels, strict=True)
        ]
        presses = zip(weights[1:], inside, strict=True)
        return [weights[0], *(interior_weights(*pair) for pair in presses)]

    def _normal_equations(self, point: _Point) -> NormalEquations:
        """Normal equations of lights and presses under the current weights."""
        residuals = self._residuals(point)
        base = np.concatenate([part.ravel() for part in residuals])
        columns = [
            np.concatenate([part.ravel() for part in column]) for column in self._columns(point)
        ]
        return NormalEquations.of(np.stack(columns, axis=1), base)

    def _columns(self, point: _Point) -> list[list[Floats]]:
        """Derivatives of the residuals by all parameters, by finite differences.

        Cast shadows are left out: the derivatives of their sampled borders would be noise.
        """
        point = replace(point, images=point.plain_images)
        base = self._residuals(point)
        columns: list[list[Floats]] = []

        def add(perturbed: _Point, size: float) -> None:
            columns.append(
                [(a - b) / size for a, b in zip(self._residuals(perturbed), base, strict=True)]
            )

        lights = self._lights
        for kind in range(KINDS):
            images = self._with_perturbed_kind(point, kind)
            for light in range(lights.light_count):
                add(self._with_light(point, images, kind, light), STEP)
        for index in range(KINDS * lights.light_count, lights.size):
            vector = point.vector.copy()
            vector[index] += STEP
            add(replace(point, vector=vector), STEP)
        for k in range(len(self._views)):
            self._renderers[k + 1].set_lights(lights.placement(point.vector))
            for press, surface, size in perturbed_presses(point.gels[k]):
                add(self._with_press(point, k, press, surface), size)
        return columns

    def _with_perturbed_kind(self, point: _Point, kind: int) -> list[Floats]:
        """(K, h, w) light images of all surfaces, with one kind of placement perturbed."""
        vector = point.vector.copy()
        vector[self._lights.placement_slice(kind)] += STEP
        placement = self._lights.placement(vector)
        surfaces = [self._flat or point.gels[0].flat, *(gel.surface for gel in point.gels)]
        images = []
        for renderer, surface in zip(self._renderers, surfaces, strict=True):
            renderer.set_lights(placement)
            images.append(renderer.light_images(surface))
        return images

    def _with_light(self, point: _Point, perturbed: list[Floats], kind: int, light: int) -> _Point:
        """The point with one kind of placement of one light perturbed.

        Args:
            point: point without cast shadows.
            perturbed: (K, h, w) light images of all surfaces, from `_with_perturbed_kind`.
            kind: kind of placement.
            light: index of the light.
        """
        sets = tuple(
            with_light(image, other, light)
            for image, other in zip(point.images, perturbed, strict=True)
        )
        vector = point.vector.copy()
        vector[kind * self._lights.light_count + light] += STEP
        return replace(point, images=sets, vector=vector)

    def _with_press(self, point: _Point, k: int, press: Press, surface: GelSurface) -> _Point:
        """The point with another press, and its surface, in view k."""
        images = list(point.images)
        images[k + 1] = self._renderers[k + 1].images(surface)
        gels = list(point.gels)
        gels[k] = PressedGel(press, surface)
        return replace(point, images=tuple(images), gels=tuple(gels))

    def _result(self, point: _Point, covariance: Floats, cost: float, steps: int) -> LightFit:
        predicted = self._predicted(point.vector, point.images)
        differences = [
            (value - view.image.value)[view.image.free & self._free]
            for value, view in zip(predicted[1:], self._views, strict=True)
        ]
        return LightFit(
            vector=point.vector,
            vector_covariance=covariance,
            gels=point.gels,
            cost=cost,
            rms=float(np.sqrt(np.mean(np.concatenate(differences) ** 2))),
            steps=steps,
        )
