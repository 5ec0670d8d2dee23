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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.contact_interior import PixelSampler
from tacdiff_ros.calibration.light_images import (
    STEP,
    LightImages,
    LightImageSet,
    Surfaces,
    perturbed_light_images,
)
from tacdiff_ros.calibration.light_prediction import LightChange, Prediction, light_changes
from tacdiff_ros.calibration.light_residuals import ComparedImage, LightResiduals
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.light_weights import adaptive_weights, interior_weights
from tacdiff_ros.calibration.press_motions import (
    perturbed_surfaces,
    press_prior,
    press_prior_scale,
    stepped_press,
)
from tacdiff_ros.calibration.press_surfaces import Press, PressedGel, PressSurfaces
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.least_squares import DampingRule, NormalEquations, levenberg_marquardt
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

MAX_STEPS = 12
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
    local_interreflection: bool = True
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
        vector_covariance: (size, size) covariance of its entries, as linearised before the last
            step.
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
    start = np.zeros(lights.size) if start is None else start
    return problem.solve(start, steps, progress)


@dataclass(frozen=True)
class _Point:
    """Light vector and presses with their renderings.

    Attributes:
        vector: light vector.
        gels: gel under each press.
        prediction: predicted images, with cast shadows.
        plain_images: light images of the undeformed gel and of the presses, without cast shadows.
    """

    vector: Floats
    gels: tuple[PressedGel, ...]
    prediction: Prediction
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
        """Set up the renderer; the arguments are those of `fit_lights`."""
        height, width = reference.free.shape
        self._lights = lights
        self._views = views
        self._settings = settings
        self._renderer = LightImages(model, width, height)
        self._reference = reference.smooth
        self._residuals = LightResiduals(
            _compared_images(reference, views, settings), settings.tone_mapping
        )
        self._sampler = PixelSampler(model, (height, width))
        self._flat: GelSurface | None = None
        self._latest: NormalEquations | None = None
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
        gels = tuple(view.surfaces.solve(view.press) for view in self._views)
        point = self._render(start, gels)
        fit = levenberg_marquardt(self, point, DAMPING, max_steps, MIN_GAIN, progress)
        size = self._lights.size
        equations = self._latest or self._normal_equations(fit.point)  # none after 0 steps
        covariance = equations.covariance()[:size, :size]
        return self._result(fit.point, covariance, fit.cost, fit.iterations)

    def linearise(self, point: _Point) -> NormalEquations:
        """Adapt the weights to a point, and return its normal equations."""
        self._residuals.set_weights(self._pixel_weights(point))
        self._latest = self._normal_equations(point)
        return self._latest

    def cost(self, point: _Point) -> float:
        """Sum of squared residuals under the current weights."""
        parts = [*self._residuals.values(point.prediction), self._prior(point)]
        return sum(float(part @ part) for part in parts)

    def moved(self, point: _Point, step: Floats) -> _Point:
        """The point after a step, with each change clipped."""
        size = self._lights.size
        gels, first = [], size
        for view, gel, has_yaw in zip(self._views, point.gels, self._has_yaw, strict=True):
            count = 4 if has_yaw else 3
            part = step[first : first + count]
            press = stepped_press(gel.press, part, view.surfaces.max_depth_mm)
            gels.append(view.surfaces.solve_near(gel, press))
            first += count
        return self._render(point.vector + np.clip(step[:size], -1.5, 1.5), tuple(gels))

    def _render(self, vector: Floats, gels: tuple[PressedGel, ...]) -> _Point:
        """Renderings of a light vector and presses."""
        self._flat = self._flat or gels[0].flat
        surfaces = self._surfaces(gels)
        self._renderer.set_lights(self._lights.placement(vector))
        if self._settings.local_interreflection:
            self._renderer.gather_local_interreflection(_presses_of(surfaces))
        shadowed = self._renderer.light_images(_presses_of(surfaces), shadows=True)
        plain = self._renderer.images(surfaces)
        images = [replace(plain[k], light=light) for k, light in shadowed.items()]
        prediction = Prediction.of(self._lights, vector, self._reference, [plain[0], *images])
        return _Point(vector, gels, prediction, tuple(plain.values()))

    def _surfaces(self, gels: Sequence[PressedGel]) -> dict[int, GelSurface]:
        """The undeformed gel, number 0, and the surfaces of the presses."""
        flat = self._flat or gels[0].flat
        return dict(enumerate([flat, *(gel.surface for gel in gels)]))

    def _prior(self, point: _Point) -> Floats:
        """Residuals of the priors of the light vector and of the presses."""
        parts = [point.vector]
        for view, gel, has_yaw in zip(self._views, point.gels, self._has_yaw, strict=True):
            parts.append(press_prior(view.press, gel.press, has_yaw))
        return np.concatenate(parts)

    def _prior_scale(self) -> Floats:
        """Derivatives of the residuals of the priors, each by its own parameter."""
        parts = [press_prior_scale(has_yaw) for has_yaw in self._has_yaw]
        return np.concatenate([np.ones(self._lights.size), *parts])

    def _pixel_weights(self, point: _Point) -> list[Floats]:
        """(h, w) weights of the reference image and of the presses, with mean 1."""
        weights = [np.ones(image.free.shape) for image in self._residuals.images]
        if self._settings.weight_map:
            measured = [image.value for image in self._residuals.images]
            before = [measured[0], *[self._reference] * len(self._views)]
            weights = [
                adaptive_weights(value, image, np.abs(image - unchanged).mean(axis=-1))
                for value, image, unchanged in zip(
                    point.prediction.value, measured, before, strict=True
                )
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
        """Normal equations of lights and presses under the current weights.

        Cast shadows are left out of the derivatives: those of their sampled borders would be noise.
        """
        plain = Prediction.of(self._lights, point.vector, self._reference, point.plain_images)
        by_light = self._residuals.by_light(plain, self._light_changes(point))
        by_press = self._by_press(point, plain)
        lights = np.arange(self._lights.size)
        size = self._lights.size
        parts = []
        for k, residual in enumerate(self._residuals.values(point.prediction)):
            columns, index = by_light[k], lights
            if k > 0:
                own = by_press[k - 1]
                columns = np.concatenate([columns, own])
                index = np.concatenate([lights, np.arange(size, size + len(own))])
                size += len(own)
            parts.append((index, NormalEquations.of(columns.T, residual)))
        scale = self._prior_scale()
        equations = NormalEquations.assembled(size, parts)
        return equations.with_prior(scale**2, self._prior(point) / scale)

    def _light_changes(self, point: _Point) -> list[LightChange]:
        """Derivatives of the shadings by the light vector, by finite differences."""
        surfaces = self._surfaces(point.gels)
        perturbed = perturbed_light_images(self._renderer, self._lights, point.vector, surfaces)
        return list(light_changes(self._lights, point.vector, point.plain_images, perturbed, STEP))

    def _by_press(self, point: _Point, plain: Prediction) -> list[Floats]:
        """(parameters, residuals) derivatives of the residuals of each press by its motions."""
        radiance, ambient = self._lights.radiance(point.vector), self._lights.ambient(point.vector)
        self._renderer.set_lights(self._lights.placement(point.vector))
        pairs = zip(self._views, point.gels, strict=True)
        perturbed = [perturbed_surfaces(view.surfaces, gel) for view, gel in pairs]
        changes: list[list[Floats]] = [[] for _ in perturbed]
        for step in range(max(len(motions) for motions in perturbed)):
            moved = {
                k: motions[step] for k, motions in enumerate(perturbed, 1) if step < len(motions)
            }
            images = self._renderer.images({k: motion[0] for k, motion in moved.items()})
            for k, (_, size) in moved.items():
                shading = images[k].combined(radiance, ambient)
                changes[k - 1].append((shading - plain.shading[k]) / size)
        return [self._residuals.by_press(plain, k, change) for k, change in enumerate(changes, 1)]

    def _result(self, point: _Point, covariance: Floats, cost: float, steps: int) -> LightFit:
        free = self._residuals.images[0].free
        differences = [
            (value - view.image.value)[view.image.free & free]
            for value, view in zip(point.prediction.value[1:], self._views, strict=True)
        ]
        return LightFit(
            vector=point.vector,
            vector_covariance=covariance,
            gels=point.gels,
            cost=cost,
            rms=float(np.sqrt(np.mean(np.concatenate(differences) ** 2))),
            steps=steps,
        )


def _compared_images(
    reference: FitImage, views: list[PressView], settings: LightFitSettings
) -> list[ComparedImage]:
    """The reference image and the presses, with their weights; see `fit_lights`."""
    strength = EFFECTIVE_PIXELS * settings.alpha
    compared = [ComparedImage(reference.smooth, reference.free, strength, REFERENCE_ERROR)]
    strength = EFFECTIVE_PIXELS * settings.beta / len(views)
    for view in views:
        free = reference.free & view.image.free
        compared.append(ComparedImage(view.image.value, free, strength, PRESS_ERROR))
    return compared


def _presses_of(surfaces: Surfaces) -> Surfaces:
    """The surfaces without the undeformed gel."""
    return {k: surface for k, surface in surfaces.items() if k > 0}
