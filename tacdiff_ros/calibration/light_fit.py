"""Lights, ambient light and gamma from a reference and presses (paper, equations 4 to 6).

A press is predicted as the reference times the ratio of the rendered press to the rendered
untouched gel: what the model lacks of the reference (its flat field) drops out. Images are compared
tone-mapped, T(x) = x / (x + 1), with `alpha` for the untouched gel and `beta` for the presses; the
adaptive weights favour what still differs most, and what is lit. Where the indenter ended is
fitted along with the lights. Levenberg-Marquardt, as the image is nearly linear in everything.

Limits: radiances, gains and the gel's colour show only as products: gains and colour are held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.light_images import LightImages, LightImageSet
from tacdiff_ros.calibration.light_vector import COLOURS, KINDS, LightVector
from tacdiff_ros.calibration.press_surfaces import Press, PressedGel, PressSurfaces, shifted
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

MAX_STEPS = 12
NUDGE = 0.02  # of the vector's units, for differences
STEP_MM, STEP_RAD = 0.02, 0.01
DEEPER_TURNED = [IndenterPose(depth_mm=STEP_MM), IndenterPose(yaw_rad=STEP_RAD)]
PLACE_MM, DEPTH_MM, YAW_RAD = 0.5, 0.3, 0.2  # usual errors of the poses that were found first
REFERENCE_ERROR = 0.03  # how far lights alone explain the untouched gel, of white
PRESS_ERROR = 0.008  # how far they explain a press with the reference
FIRST_DAMPING, MAX_DAMPING = 1e-2, 1e6
MIN_GAIN = 2e-3  # of the cost, below which the fit ends
DARKEST = 1e-4
EFFECTIVE_PIXELS = 3000.0  # errors of neighbouring pixels go together
SHALLOWEST_MM, MAX_DEPTH_FRACTION = 0.05, 0.48  # of the gel's thickness


@dataclass(frozen=True)
class LightFitSettings:
    """How the lights are fitted.

    Attributes:
        tone_mapping: compare T(x) = x / (x + 1) instead of x.
        weight_map: favour what differs and what is lit.
        alpha: share of the untouched gel.
        beta: share of the presses.
    """

    tone_mapping: bool = True
    weight_map: bool = True
    alpha: float = 0.3
    beta: float = 0.7


@dataclass(frozen=True)
class PressView:
    """A press to fit.

    Attributes:
        image: what was seen.
        press: where the indenter is thought to be.
        surfaces: the gel under that indenter.
    """

    image: FitImage
    press: Press
    surfaces: PressSurfaces


@dataclass(frozen=True)
class LightFit:
    """Lights of one sensor unit.

    Attributes:
        vector: fitted lights.
        deviation: standard deviations of the vector.
        gels: the gel under the presses, whose poses were fitted along.
        rms: root of the mean squared difference of predicted and seen presses, of white.
        steps: Levenberg-Marquardt steps.
    """

    vector: Floats
    deviation: Floats
    gels: tuple[PressedGel, ...]
    rms: float
    steps: int


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
    """Fit the lights.

    Args:
        model: with its camera fitted; its lights are where `lights` starts.
        lights: what is fitted.
        reference: the untouched gel.
        views: presses.
        settings: of the fit.
        progress: told the share that is done.
        steps: at most.
        start: vector to start from; the lights' start by default.
    """
    problem = _Problem(model, lights, reference, views, settings or LightFitSettings())
    return problem.solve(np.zeros(lights.size) if start is None else start, steps, progress)


@dataclass(frozen=True)
class _Point:
    """A place of the search."""

    vector: Floats
    gels: tuple[PressedGel, ...]
    units: tuple[LightImageSet, ...]  # of the untouched gel and of the presses
    plain: tuple[LightImageSet, ...]  # the same without cast shadows, for derivatives


class _Problem:
    def __init__(
        self,
        model: SensorModel,
        lights: LightVector,
        reference: FitImage,
        views: list[PressView],
        settings: LightFitSettings,
    ) -> None:
        height, width = reference.free.shape
        self._lights = lights
        self._views = views
        self._settings = settings
        self._units = [LightImages(model, width, height) for _ in range(len(views) + 1)]
        self._reference = reference.smooth
        self._free = reference.free
        self._weights = [np.ones((height, width))] * (len(views) + 1)
        self._flat: GelSurface | None = None
        self._thickness_mm = float(model.layers[-1].thickness_mm or 4.0)
        self._yaws = [not view.surfaces.is_round for view in views]

    def solve(
        self, start: Floats, most_steps: int, progress: Callable[[float], None] | None
    ) -> LightFit:
        """Levenberg-Marquardt from a vector and the views' presses."""
        point = self._at(start, tuple(view.press for view in self._views), None)
        damping, steps = FIRST_DAMPING, 0
        for steps in range(1, most_steps + 1):
            if self._settings.weight_map:
                self._weights = self._adapted(point)
            cost = self._cost(point)
            matrix, gradient = self._normal(point)
            gain = 0.0
            while damping < MAX_DAMPING:
                trial = self._moved(point, matrix, gradient, damping)
                gain = cost - self._cost(trial)
                if gain > 0:
                    point, damping = trial, damping / 5.0
                    break
                damping *= 8.0
            if progress is not None:
                progress(steps / most_steps)
            if gain < MIN_GAIN * cost:
                break
        matrix, _ = self._normal(point)
        return self._result(point, np.sqrt(np.diag(np.linalg.inv(matrix))), steps)

    def _at(
        self, vector: Floats, presses: tuple[Press, ...], near: tuple[PressedGel, ...] | None
    ) -> _Point:
        """Rendered at a vector and presses; with gels of presses near them it goes faster."""
        gels = []
        for k, (view, press) in enumerate(zip(self._views, presses, strict=True)):
            moves = DEEPER_TURNED if self._yaws[k] else DEEPER_TURNED[:1]
            if near is None:
                gels.append(view.surfaces.around(press, moves))
            else:
                gels.append(view.surfaces.near(near[k], press, moves))
        self._flat = self._flat or gels[0].flat
        surfaces = [self._flat, *(gel.surface for gel in gels)]
        placement = self._lights.placement(vector)
        units, plain = [], []
        for unit, surface in zip(self._units, surfaces, strict=True):
            unit.place(placement)
            plain.append(unit.images(surface))
            units.append(LightImageSet(unit.light_images(surface, shadows=True), plain[-1].ambient))
        return _Point(vector, tuple(gels), tuple(units), tuple(plain))

    def _residuals(self, point: _Point) -> list[Floats]:
        """Of the untouched gel, of the presses, and of the priors."""
        values = self._values(point.vector, point.units)
        seen = [self._reference, *(view.image.value for view in self._views)]
        parts = [
            self._scale(k) * (self._tone(value) - self._tone(image))
            for k, (value, image) in enumerate(zip(values, seen, strict=True))
        ]
        return [*parts, self._prior(point)]

    def _values(self, vector: Floats, units: tuple[LightImageSet, ...]) -> list[Floats]:
        """Pixel values of the untouched gel by the lights alone, and of presses by the ratio."""
        radiance, ambient = self._lights.radiance(vector), self._lights.ambient(vector)
        inverse = 1.0 / self._lights.gamma(vector)
        lit = [np.maximum(unit.lit(radiance, ambient), DARKEST) for unit in units]
        ratios = [self._reference * (press / lit[0]) ** inverse for press in lit[1:]]
        return [lit[0] ** inverse, *ratios]

    def _scale(self, k: int) -> Floats:
        """(h, w, 1) factor of a residual: weights, the part's share, and its usual error."""
        settings = self._settings
        free = self._free if k == 0 else self._free & self._views[k - 1].image.free
        share = settings.alpha if k == 0 else settings.beta / len(self._views)
        error = REFERENCE_ERROR if k == 0 else PRESS_ERROR
        count = max(int(free.sum()), 1) * COLOURS
        strength = share * EFFECTIVE_PIXELS / count
        return np.asarray(np.sqrt(strength * free * self._weights[k]) / error)[..., None]

    def _tone(self, value: Floats) -> Floats:
        return value / (value + 1.0) if self._settings.tone_mapping else value

    def _prior(self, point: _Point) -> Floats:
        parts = [point.vector]
        for view, gel, yaws in zip(self._views, point.gels, self._yaws, strict=True):
            first, press = view.press, gel.press
            parts.append(
                np.array(
                    [
                        (press.x_mm - first.x_mm) / PLACE_MM,
                        (press.y_mm - first.y_mm) / PLACE_MM,
                        (press.depth_mm - first.depth_mm) / DEPTH_MM,
                        *([(press.yaw_rad - first.yaw_rad) / YAW_RAD] if yaws else []),
                    ]
                )
            )
        return np.concatenate(parts)

    def _cost(self, point: _Point) -> float:
        return sum(float(np.sum(part**2)) for part in self._residuals(point))

    def _adapted(self, point: _Point) -> list[Floats]:
        """Weights (h, w), 1 on average: more where images differ, and where light is strong."""
        values = self._values(point.vector, point.units)
        seen = [self._reference, *(view.image.value for view in self._views)]
        weights = []
        for k, (value, image) in enumerate(zip(values, seen, strict=True)):
            bright = image.mean(axis=-1) / max(float(image.mean()), 1e-6)
            moved = np.abs(image - self._reference).mean(axis=-1) if k else np.zeros_like(bright)
            error = np.abs(value - image).mean(axis=-1)
            weight = bright * (0.2 + _levelled(error) + 2.0 * _levelled(moved))
            weights.append(weight / weight.mean())
        return weights

    def _normal(self, point: _Point) -> tuple[Floats, Floats]:
        """Gauss-Newton matrix and gradient of half the cost."""
        residuals = self._residuals(point)
        base = np.concatenate([part.ravel() for part in residuals])
        columns = [
            np.concatenate([part.ravel() for part in column]) for column in self._columns(point)
        ]
        jacobian = np.stack(columns, axis=1)
        return jacobian.T @ jacobian, jacobian.T @ base

    def _columns(self, point: _Point) -> list[list[Floats]]:
        """Derivatives of the residuals by all unknowns, by differences.

        Cast shadows are left out of them: their sampled borders would be all noise.
        """
        point = replace(point, units=point.plain)
        base = self._residuals(point)
        columns: list[list[Floats]] = []

        def add(moved: _Point, size: float) -> None:
            columns.append(
                [(a - b) / size for a, b in zip(self._residuals(moved), base, strict=True)]
            )

        lights = self._lights
        for kind in range(KINDS):
            perturbed = self._perturbed_sensors(point, kind)
            for light in range(lights.lights):
                add(self._with_light(point, perturbed, kind, light), NUDGE)
        for number in range(KINDS * lights.lights, lights.size):
            vector = point.vector.copy()
            vector[number] += NUDGE
            add(replace(point, vector=vector), NUDGE)
        for k in range(len(self._views)):
            self._units[k + 1].place(lights.placement(point.vector))
            for press, surface, size in _perturbed(point.gels[k]):
                add(self._with_press(point, k, press, surface), size)
        return columns

    def _perturbed_sensors(self, point: _Point, kind: int) -> list[Floats]:
        """(K, h, w) of the untouched gel and of the presses, one kind of placement perturbed."""
        vector = point.vector.copy()
        vector[self._lights.kind(kind)] += NUDGE
        placement = self._lights.placement(vector)
        surfaces = [self._flat or point.gels[0].flat, *(gel.surface for gel in point.gels)]
        images = []
        for unit, surface in zip(self._units, surfaces, strict=True):
            unit.place(placement)
            images.append(unit.light_images(surface))
        return images

    def _with_light(self, point: _Point, perturbed: list[Floats], kind: int, light: int) -> _Point:
        units = []
        for unit, moved in zip(point.units, perturbed, strict=True):
            images = unit.light.copy()
            images[light] = moved[light]
            units.append(LightImageSet(images, unit.ambient))
        vector = point.vector.copy()
        vector[kind * self._lights.lights + light] += NUDGE
        return replace(point, units=tuple(units), vector=vector)

    def _with_press(self, point: _Point, k: int, press: Press, surface: GelSurface) -> _Point:
        units = list(point.units)
        units[k + 1] = self._units[k + 1].images(surface)
        gels = list(point.gels)
        gels[k] = PressedGel(press, surface)
        return replace(point, units=tuple(units), gels=tuple(gels))

    def _moved(self, point: _Point, matrix: Floats, gradient: Floats, damping: float) -> _Point:
        damped = matrix + damping * np.diag(np.diag(matrix))
        step = np.asarray(-np.linalg.solve(damped, gradient), np.float64)
        size = self._lights.size
        presses, place = [], size
        for gel, yaws in zip(point.gels, self._yaws, strict=True):
            count = 4 if yaws else 3
            presses.append(self._stepped(gel.press, step[place : place + count]))
            place += count
        moved = point.vector + np.clip(step[:size], -1.5, 1.5)
        return self._at(moved, tuple(presses), point.gels)

    def _stepped(self, press: Press, step: Floats) -> Press:
        """A press moved by (x, y, depth) or (x, y, depth, yaw), not too far at once."""
        x, y, depth = (float(np.clip(part, -1.0, 1.0)) for part in step[:3])
        deepest = MAX_DEPTH_FRACTION * self._thickness_mm
        return replace(
            press,
            x_mm=press.x_mm + x,
            y_mm=press.y_mm + y,
            depth_mm=min(max(press.depth_mm + depth, SHALLOWEST_MM), deepest),
            yaw_rad=press.yaw_rad + float(step[3:].sum()),
        )

    def _result(self, point: _Point, deviation: Floats, steps: int) -> LightFit:
        values = self._values(point.vector, point.units)
        differences = [
            (value - view.image.value)[view.image.free & self._free]
            for value, view in zip(values[1:], self._views, strict=True)
        ]
        rms = float(np.sqrt(np.mean(np.concatenate(differences) ** 2)))
        return LightFit(
            point.vector,
            deviation,
            point.gels,
            rms,
            steps,
        )


def _perturbed(gel: PressedGel) -> list[tuple[Press, GelSurface, float]]:
    """A press moved along x, y, depth and, where it counts, yaw; and by how much."""
    press, surface = gel.press, gel.surface
    moved = [
        (replace(press, x_mm=press.x_mm + STEP_MM), shifted(surface, STEP_MM, 0.0), STEP_MM),
        (replace(press, y_mm=press.y_mm + STEP_MM), shifted(surface, 0.0, STEP_MM), STEP_MM),
        (replace(press, depth_mm=press.depth_mm + STEP_MM), gel.moved[0], STEP_MM),
    ]
    if len(gel.moved) > 1:
        turned = replace(press, yaw_rad=press.yaw_rad + STEP_RAD)
        moved.append((turned, gel.moved[1], STEP_RAD))
    return moved


def _levelled(image: Floats) -> Floats:
    """An image smoothed, in units of its largest value."""
    import cv2

    smooth = cv2.GaussianBlur(image, (0, 0), 2.0)
    return np.asarray(smooth / max(float(smooth.max()), 1e-9))
