"""Each dot's own place, size, darkness and shape, and the rim of all (paper, equation 7).

Every dot is rendered with the whole model and compared with the image in a window of its own. One
number of all dots at a time is changed for the derivatives, since windows do not overlap.
Gauss-Newton with weak priors, so that a broken dot looks broken and a good one stays round.

Limits: ink is one darkness per dot, and its outline three harmonics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import Values, parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

STEPS = 4
WINDOW = 0.46  # of the pitch, half the side
ERROR = 0.015  # of an image explained as well as can be, of white
OFFSET_MM, SCALE, DARKNESS, SHAPE = 0.05, 0.15, 0.05, 0.06  # how much dots differ
EDGE, HEIGHT, SOFTNESS = 0.5, 0.4, 0.4  # logarithms; how much prints differ
NUDGE = 0.05  # of these
MAX_SHAPE = 0.19

Floats = NDArray[np.float64]

OWN = (
    ("markers.offset_mm", 0, OFFSET_MM),
    ("markers.offset_mm", 1, OFFSET_MM),
    ("markers.scale", None, SCALE),
    ("markers.darkness", None, DARKNESS),
    *(("markers.shape", k, SHAPE) for k in range(4)),
)
SHARED = (
    ("markers.edge_mm", EDGE, (0.005, 0.4)),
    ("markers.height_mm", HEIGHT, (0.002, 0.08)),
    ("markers.softness_mm", SOFTNESS, (0.03, 0.3)),
)


@dataclass(frozen=True)
class MarkerTexture:
    """Dots of one sensor unit.

    Attributes:
        model: with the fitted dots.
        before_rms: root of the mean squared difference in the windows before, of white.
        rms: the same after.
        dot_rms: (rows, columns) of each dot after; NaN where it was not fitted.
    """

    model: SensorModel
    before_rms: float
    rms: float
    dot_rms: Floats


def fit_marker_texture(
    model: SensorModel,
    image: NDArray[np.uint8],
    used: NDArray[np.bool_],
    progress: Callable[[float], None] | None = None,
) -> MarkerTexture:
    """Fit the dots of the untouched gel.

    Args:
        model: with camera, lights and flat field, and the dots' places to some pixels.
        image: (H, W, 3) uint8 at the model's size.
        used: (rows, columns) bool, dots to fit.
        progress: told the share that is done.
    """
    problem = _Windows(model, image, used)
    values = _kept(parameter_values(model))
    prior = {name: value.copy() for name, value in values.items()}
    before = seen = problem.residual(values)
    for step in range(STEPS):
        trial = problem.own_step(values, prior, seen)
        after = problem.residual(trial)
        better = np.sum(after**2, axis=(1, 2)) < np.sum(seen**2, axis=(1, 2))
        values = _chosen(values, trial, problem.index[better])
        values, seen = problem.shared_step(values, prior)
        if progress is not None:
            progress((step + 1) / STEPS)
    rms = np.full(used.shape, np.nan)
    rms.ravel()[problem.index] = np.sqrt(np.mean(seen**2, axis=(1, 2)))
    return MarkerTexture(
        with_parameter_values(model, values),
        float(np.sqrt(np.mean(before**2))),
        float(np.sqrt(np.mean(seen**2))),
        rms,
    )


class _Windows:
    """Renders all dots and looks at each in its window."""

    def __init__(
        self, model: SensorModel, image: NDArray[np.uint8], used: NDArray[np.bool_]
    ) -> None:
        from tacdiff_ros.optics.renderer import Renderer, RenderSettings

        self._renderer = Renderer(model)
        self._settings = RenderSettings(shadows=False)
        self._image = image.astype(np.float64) / 255.0
        values, markers = parameter_values(model), model.markers
        assert markers is not None  # noqa: S101
        pixel = project(values, marker_positions_mm(model)).reshape(-1, 2)
        half = int(WINDOW * min(markers.pitch_mm) / model.mm_per_px)
        radius = 0.5 * markers.diameter_mm / model.mm_per_px
        last = np.array(image.shape[1::-1]) - 1
        whole = ((pixel > radius) & (pixel < last - radius)).all(axis=1)
        self.index = np.flatnonzero(used.ravel() & whole)
        span = np.arange(-half, half + 1)
        middle = np.rint(pixel[self.index]).astype(int)
        columns = middle[:, 0, None, None] + span
        rows = middle[:, 1, None, None] + span[:, None]
        inside = (columns >= 0) & (columns <= last[0]) & (rows >= 0) & (rows <= last[1])
        self._inside = inside.reshape(len(self.index), -1, 1)
        self._columns, self._rows = np.clip(columns, 0, last[0]), np.clip(rows, 0, last[1])

    def residual(self, values: Values) -> Floats:
        """(dots, pixels, 3) rendered less seen; 0 beside the image."""
        import mitsuba as mi

        for name, value in values.items():
            flat = np.ascontiguousarray(value, np.float32).ravel()
            self._renderer.parameters[name] = mi.Float(flat)
        image = self._renderer.image(self._settings).astype(np.float64) - self._image
        windows = image[self._rows, self._columns].reshape(len(self.index), -1, 3)
        return np.asarray(windows * self._inside)

    def own_step(self, values: Values, prior: Values, seen: Floats) -> Values:
        """A Gauss-Newton step of each dot's own numbers."""
        columns, away = [], []
        for name, part, spread in OWN:
            perturbed = {**values, name: values[name].copy()}
            _part(perturbed[name], part)[...] += _inward(name, values[name], part) * NUDGE * spread
            size = NUDGE * _inward(name, values[name], part)[self.index]
            columns.append((self.residual(perturbed) - seen) / size[:, None, None])
            off = _part(values[name], part) - _part(prior[name], part)
            away.append(off[self.index] / spread)
        jacobian = np.stack(columns, axis=-1).reshape(len(self.index), -1, len(OWN)) / ERROR
        strength = np.einsum("kpi,kpj->kij", jacobian, jacobian) + np.eye(len(OWN))
        pull = np.einsum("kpi,kp->ki", jacobian, seen.reshape(len(self.index), -1) / ERROR)
        step = -np.linalg.solve(strength, (pull + np.stack(away, axis=-1))[..., None])[..., 0]
        moved = {name: value.copy() for name, value in values.items()}
        for number, (name, part, spread) in enumerate(OWN):
            _part(moved[name], part)[self.index] += np.clip(step[:, number], -2, 2) * spread
        return _possible(moved)

    def shared_step(self, values: Values, prior: Values) -> tuple[Values, Floats]:
        """A Gauss-Newton step of what all dots share, if it helps."""
        seen = self.residual(values)
        columns, away = [], []
        for name, spread, _ in SHARED:
            perturbed = {**values, name: values[name] * np.exp(NUDGE * spread)}
            columns.append((self.residual(perturbed) - seen).ravel() / NUDGE / ERROR)
            away.append(float(np.log(values[name] / prior[name])) / spread)
        jacobian = np.stack(columns, axis=-1)
        pull = jacobian.T @ (seen.ravel() / ERROR) + np.array(away)
        step = -np.linalg.solve(jacobian.T @ jacobian + np.eye(len(SHARED)), pull)
        moved = dict(values)
        for (name, spread, bounds), part in zip(SHARED, np.clip(step, -1, 1), strict=True):
            moved[name] = np.clip(values[name] * np.exp(spread * part), *bounds)
        after = self.residual(moved)
        return (moved, after) if np.sum(after**2) < np.sum(seen**2) else (values, seen)


def _kept(values: Values) -> Values:
    names = {name for name, *_ in (*OWN, *SHARED)}
    return {name: value for name, value in values.items() if name in names}


def _part(value: Floats, part: int | None) -> Floats:
    return value if part is None else value[:, part]


def _inward(name: str, value: Floats, part: int | None) -> Floats:
    """(dots,) 1 or -1: the way in which a number may be changed."""
    if name == "markers.darkness":
        return np.full(len(value), -1.0)
    return np.where(_part(value, part) > 0, -1.0, 1.0)


def _possible(values: Values) -> Values:
    values["markers.scale"] = np.clip(values["markers.scale"], 0.05, 2.5)
    values["markers.darkness"] = np.clip(values["markers.darkness"], 0.05, 1.0)
    values["markers.shape"] = np.clip(values["markers.shape"], -MAX_SHAPE, MAX_SHAPE)
    return values


def _chosen(values: Values, trial: Values, better: NDArray[np.int_]) -> Values:
    """The trial's numbers of some dots."""
    chosen = {name: value.copy() for name, value in values.items()}
    for name in {name for name, *_ in OWN}:
        chosen[name][better] = trial[name][better]
    return chosen
