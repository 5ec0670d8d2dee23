"""Position, size, darkness and shape of each marker, and the common rim (paper, equation 7).

Every marker is rendered with the whole model and compared with the image in its own window. Since
windows do not overlap, one rendering with the same parameter of all markers perturbed gives the
derivatives of all markers by it. Gauss-Newton with weak priors, so that a broken marker is fitted
as broken and an intact one stays round.

Limits: ink has one darkness per marker, and its outline has three harmonics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.least_squares import NormalEquations
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import Values, parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

STEPS = 4
WINDOW = 0.46  # half side of a window, as a fraction of the pitch
ERROR = 0.015  # residual of a perfectly fitted window, as a fraction of white
# Usual differences between the markers of a sensor, and between sensors (logarithms).
OFFSET_MM, SCALE, DARKNESS, SHAPE = 0.05, 0.15, 0.05, 0.06
EDGE, HEIGHT, SOFTNESS = 0.5, 0.4, 0.4
STEP = 0.05  # of finite differences, in units of these
MAX_SHAPE = 0.19

Floats = NDArray[np.float64]

# Parameters of each marker: name, column, usual difference.
OWN = (
    ("markers.offset_mm", 0, OFFSET_MM),
    ("markers.offset_mm", 1, OFFSET_MM),
    ("markers.scale", None, SCALE),
    ("markers.darkness", None, DARKNESS),
    *(("markers.shape", k, SHAPE) for k in range(4)),
)
# Parameters common to all markers: name, usual difference, bounds in mm.
SHARED = (
    ("markers.edge_mm", EDGE, (0.005, 0.4)),
    ("markers.height_mm", HEIGHT, (0.002, 0.08)),
    ("markers.softness_mm", SOFTNESS, (0.03, 0.3)),
)


@dataclass(frozen=True)
class MarkerTexture:
    """Fitted markers of a sensor instance.

    Attributes:
        model: sensor model with the fitted markers.
        before_rms: root mean square residual in the windows before the fit, as a fraction of white.
        rms: root mean square residual in the windows after the fit, as a fraction of white.
        marker_rms: (rows, columns) root mean square residual of each marker after the fit; NaN for
            markers that were not fitted.
    """

    model: SensorModel
    before_rms: float
    rms: float
    marker_rms: Floats


def fit_marker_texture(
    model: SensorModel,
    image: NDArray[np.uint8],
    used: NDArray[np.bool_],
    progress: Callable[[float], None] | None = None,
) -> MarkerTexture:
    """Fit the markers of the reference image.

    Args:
        model: sensor model with fitted camera, lights and flat field, and marker positions that are
            correct to some pixels.
        image: (H, W, 3) uint8 RGB reference image at the model's size.
        used: (rows, columns) bool, markers to fit.
        progress: callback on the completed fraction.
    """
    problem = _Windows(model, image, used)
    values = _fitted_values(parameter_values(model))
    prior = {name: value.copy() for name, value in values.items()}
    before = residual = problem.residual(values)
    for step in range(STEPS):
        trial = problem.own_step(values, prior, residual)
        after = problem.residual(trial)
        better = np.sum(after**2, axis=(1, 2)) < np.sum(residual**2, axis=(1, 2))
        values = _with_markers_of(values, trial, problem.index[better])
        values, residual = problem.shared_step(values, prior)
        if progress is not None:
            progress((step + 1) / STEPS)
    marker_rms = np.full(used.shape, np.nan)
    marker_rms.ravel()[problem.index] = np.sqrt(np.mean(residual**2, axis=(1, 2)))
    return MarkerTexture(
        model=with_parameter_values(model, values),
        before_rms=float(np.sqrt(np.mean(before**2))),
        rms=float(np.sqrt(np.mean(residual**2))),
        marker_rms=marker_rms,
    )


class _Windows:
    """Least-squares problem of K markers, each with its own window.

    Attributes:
        index: (K,) flat indices of the fitted markers.
    """

    def __init__(
        self, model: SensorModel, image: NDArray[np.uint8], used: NDArray[np.bool_]
    ) -> None:
        """Set up the renderer and the windows of markers that are wholly inside the image.

        Args:
            model: sensor model with the initial markers.
            image: (H, W, 3) uint8 RGB reference image.
            used: (rows, columns) bool, markers to fit.
        """
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
        centre = np.rint(pixel[self.index]).astype(int)
        columns = centre[:, 0, None, None] + span
        rows = centre[:, 1, None, None] + span[:, None]
        inside = (columns >= 0) & (columns <= last[0]) & (rows >= 0) & (rows <= last[1])
        self._inside = inside.reshape(len(self.index), -1, 1)
        self._columns, self._rows = np.clip(columns, 0, last[0]), np.clip(rows, 0, last[1])

    def residual(self, values: Values) -> Floats:
        """(K, pixels, 3) rendered minus measured values, 1 for white; 0 outside the image."""
        import mitsuba as mi

        for name, value in values.items():
            flat = np.ascontiguousarray(value, np.float32).ravel()
            self._renderer.parameters[name] = mi.Float(flat)
        image = self._renderer.image(self._settings).astype(np.float64) - self._image
        windows = image[self._rows, self._columns].reshape(len(self.index), -1, 3)
        return np.asarray(windows * self._inside)

    def own_step(self, values: Values, prior: Values, residual: Floats) -> Values:
        """Values after a Gauss-Newton step of each marker's own parameters.

        Args:
            values: current values by name.
            prior: values at the centre of the priors.
            residual: residual of the current values.
        """
        columns, from_prior = [], []
        for name, part, spread in OWN:
            perturbed = {**values, name: values[name].copy()}
            direction = _inward(name, values[name], part)
            _part(perturbed[name], part)[...] += direction * STEP * spread
            size = STEP * direction[self.index]
            columns.append((self.residual(perturbed) - residual) / size[:, None, None])
            difference = _part(values[name], part) - _part(prior[name], part)
            from_prior.append(difference[self.index] / spread)
        jacobian = np.stack(columns, axis=-1).reshape(len(self.index), -1, len(OWN)) / ERROR
        scaled = residual.reshape(len(self.index), -1) / ERROR
        equations = NormalEquations.of(jacobian, scaled)
        step = equations.with_prior(np.ones(len(OWN)), np.stack(from_prior, axis=-1)).step()
        trial = {name: value.copy() for name, value in values.items()}
        for number, (name, part, spread) in enumerate(OWN):
            _part(trial[name], part)[self.index] += np.clip(step[:, number], -2, 2) * spread
        return _clipped(trial)

    def shared_step(self, values: Values, prior: Values) -> tuple[Values, Floats]:
        """Values and residual after a Gauss-Newton step of the common parameters, if it helps.

        Args:
            values: current values by name.
            prior: values at the centre of the priors.
        """
        residual = self.residual(values)
        columns, from_prior = [], []
        for name, spread, _ in SHARED:
            perturbed = {**values, name: values[name] * np.exp(STEP * spread)}
            columns.append((self.residual(perturbed) - residual).ravel() / STEP / ERROR)
            from_prior.append(float(np.log(values[name] / prior[name])) / spread)
        equations = NormalEquations.of(np.stack(columns, axis=-1), residual.ravel() / ERROR)
        step = equations.with_prior(np.ones(len(SHARED)), np.array(from_prior)).step()
        trial = dict(values)
        for (name, spread, bounds), part in zip(SHARED, np.clip(step, -1, 1), strict=True):
            trial[name] = np.clip(values[name] * np.exp(spread * part), *bounds)
        after = self.residual(trial)
        improved = np.sum(after**2) < np.sum(residual**2)
        return (trial, after) if improved else (values, residual)


def _fitted_values(values: Values) -> Values:
    """The values that are fitted here."""
    names = {name for name, *_ in (*OWN, *SHARED)}
    return {name: value for name, value in values.items() if name in names}


def _part(value: Floats, part: int | None) -> Floats:
    """View of one column of a parameter, or of all of it."""
    return value if part is None else value[:, part]


def _inward(name: str, value: Floats, part: int | None) -> Floats:
    """(markers,) 1 or -1: the direction of a perturbation that stays within bounds."""
    if name == "markers.darkness":
        return np.full(len(value), -1.0)
    return np.where(_part(value, part) > 0, -1.0, 1.0)


def _clipped(values: Values) -> Values:
    """The values, with the markers' own parameters clipped to their bounds in place."""
    values["markers.scale"] = np.clip(values["markers.scale"], 0.05, 2.5)
    values["markers.darkness"] = np.clip(values["markers.darkness"], 0.05, 1.0)
    values["markers.shape"] = np.clip(values["markers.shape"], -MAX_SHAPE, MAX_SHAPE)
    return values


def _with_markers_of(values: Values, trial: Values, better: NDArray[np.int_]) -> Values:
    """The values, with those of some markers (flat indices) taken from the trial."""
    merged = {name: value.copy() for name, value in values.items()}
    for name in {name for name, *_ in OWN}:
        merged[name][better] = trial[name][better]
    return merged
