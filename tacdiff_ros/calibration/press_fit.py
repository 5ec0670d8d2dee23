"""Pose, slide and twist of a press from one image: shading and marker motion.

Shading determines position and depth of the indenter at the end, the marker motion its slide and
twist after the press. Gauss-Newton on all of it at once, with known lights. Only the part of a
slide that friction transmits to the gel is observed; slip leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from tacdiff_ros.calibration.press_surfaces import Press, PressedGel, PressSurfaces, shifted
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

MAX_STEPS = 5
STEP_MM, STEP_RAD = 0.03, 0.02
# Prior standard deviations: slide and twist around 0, the others around the start.
SLIDE_MM, TWIST_RAD, DEPTH_MM, POSITION_MM, YAW_RAD = 0.3, 0.1, 0.5, 1.0, 0.3
SHADING_ERROR, MARKER_ERROR_PX = 0.008, 0.15
EFFECTIVE_PIXELS = 100.0
FAR_PX = 2.0  # residual above which a marker is down-weighted
MIN_GAIN = 2e-3  # relative decrease of the cost below which the fit ends
DARKEST = 1e-4
SHADOW_SAMPLES = 2
MIN_STEP_FRACTION = 0.1  # at which the line search of a Gauss-Newton step ends


@dataclass(frozen=True)
class PressFit:
    """Fitted press.

    Attributes:
        gel: the press and the gel under it.
        predicted: (h, w, 3) predicted pixel values without markers, 1 for white.
        markers_px: (rows, columns, 2) predicted marker positions, px; NaN for markers that the
            reference image does not show.
        marker_rms_px: root mean square distance of predicted and detected markers, px; NaN without
            markers.
    """

    gel: PressedGel
    predicted: Floats
    markers_px: Floats
    marker_rms_px: float


@dataclass(frozen=True)
class _Target:
    """What a press is fitted to.

    Attributes:
        start: initial press, also the centre of the priors.
        image: image of the press at the fit's size.
        markers: markers of the image; None to fit shading only.
    """

    start: Press
    image: FitImage
    markers: MarkerField | None


class PressFitter:
    """Fits presses of one indenter on one calibrated sensor."""

    def __init__(
        self,
        model: SensorModel,
        surfaces: PressSurfaces,
        reference: FitImage,
        markers: MarkerField | None = None,
    ) -> None:
        """Set up the renderer of a sensor.

        Args:
            model: sensor model with fitted camera and lights; its flat field is not used.
            surfaces: gel surfaces under the indenter.
            reference: reference image at the fit's size.
            markers: markers of the reference image; None for a gel without markers.
        """
        from tacdiff_ros.optics.renderer import Renderer, RenderSettings

        height, width = reference.free.shape
        self._surfaces = surfaces
        self._values = parameter_values(model)
        self._inverse_gamma = 1.0 / self._values["response.gamma"]
        bare = model.response.model_copy(update={"gamma": (1.0, 1.0, 1.0)})
        plain = {"markers": None, "flat_field": None, "response": bare}
        self._renderer = Renderer(model.model_copy(update=plain))
        self._shadowed = RenderSettings(width, height, samples=SHADOW_SAMPLES)
        self._plain = RenderSettings(width, height, samples=1, shadows=False)
        self._reference, self._free = reference.smooth, reference.free
        self._flat: dict[bool, Floats] = {}
        self._markers = markers
        self._rest = None if markers is None else unproject(self._values, markers.position_px)

    def fit(
        self,
        start: Press,
        image: FitImage,
        markers: MarkerField | None = None,
        steps: int = MAX_STEPS,
    ) -> PressFit:
        """Fit a press to an image.

        Args:
            start: initial press.
            image: image of the press at the fit's size.
            markers: markers of the image; None to fit shading only.
            steps: maximum number of Gauss-Newton steps.

        Raises:
            InputError: the indenter left the pad.
        """
        target = _Target(start, image, markers)
        gel = self._gel(start)
        for _ in range(steps):
            residual = self._residual(gel, target)
            jacobian = self._jacobian(gel, target)
            before = float(residual @ residual)
            step = -np.linalg.solve(jacobian.T @ jacobian, jacobian.T @ residual)
            trial, cost = self._line_search(gel, target, step, before)
            if cost >= before:
                break
            gel = trial
            if before - cost < MIN_GAIN * before:
                break
        return self.evaluate(gel, markers)

    def _jacobian(self, gel: PressedGel, target: _Target) -> Floats:
        """Derivatives of the residual by differences; without shadows, whose borders are noisy."""
        plain = self._residual(gel, target, shadows=False)
        columns = [
            (self._residual(perturbed, target, shadows=False) - plain) / size
            for perturbed, size in self._perturbed(gel)
        ]
        return np.stack(columns, axis=1)

    def _line_search(
        self, gel: PressedGel, target: _Target, step: Floats, before: float
    ) -> tuple[PressedGel, float]:
        """Shorten a step until the cost falls below the one before; the last trial and its cost."""
        fraction = 1.0
        while True:
            trial = self._gel(self._stepped(gel.press, fraction * step))
            residual = self._residual(trial, target)
            cost = float(residual @ residual)
            fraction /= 3.0
            if cost < before or not fraction > MIN_STEP_FRACTION:
                return trial, cost

    def evaluate(self, gel: PressedGel, markers: MarkerField | None) -> PressFit:
        """Predict image and markers of a known press, and compare the markers.

        Args:
            gel: press and gel under it.
            markers: detected markers of the press; None without markers.
        """
        return PressFit(
            gel=gel,
            predicted=self.predict(gel.surface),
            markers_px=self._projected(gel.surface),
            marker_rms_px=self._marker_rms(gel, markers),
        )

    def predict(self, surface: GelSurface, shadows: bool = True) -> Floats:
        """Predict an image: the reference image times the ratio of rendered shadings.

        Args:
            surface: deformed gel surface.
            shadows: whether the surface casts shadows.

        Returns:
            (h, w, 3) pixel values without markers, 1 for white.
        """
        if shadows not in self._flat:
            self._flat[shadows] = self._shaded(surface.moved(surface.rest), shadows)
        ratio = self._shaded(surface, shadows) / self._flat[shadows]
        return np.asarray(self._reference * ratio**self._inverse_gamma)

    def _shaded(self, surface: GelSurface, shadows: bool) -> Floats:
        self._renderer.set_surface(surface)
        settings = self._shadowed if shadows else self._plain
        return np.maximum(self._renderer.image(settings).astype(np.float64), DARKEST)

    def _gel(self, press: Press) -> PressedGel:
        """Gel under a press, with the motions that `_perturbed` needs."""
        moves = [
            IndenterPose(depth_mm=STEP_MM),
            IndenterPose(x_mm=STEP_MM),
            IndenterPose(y_mm=STEP_MM),
            IndenterPose(yaw_rad=STEP_RAD),
        ]
        return self._surfaces.solve(press, moves)

    def _perturbed(self, gel: PressedGel) -> list[tuple[PressedGel, float]]:
        """Presses with one parameter perturbed, and the sizes of the perturbations.

        The parameters are x, y, depth, slide x and y, and twist, or twist with yaw for an indenter
        that is not rotationally symmetric.
        """
        press, (deeper, along_x, along_y, twisted) = gel.press, gel.moved_surfaces
        dx, dy = press.slide_mm
        surface = gel.surface
        twist_rad = press.twist_rad + STEP_RAD
        if self._surfaces.is_round:
            twist = replace(press, twist_rad=twist_rad)
        else:
            twist = replace(press, yaw_rad=press.yaw_rad + STEP_RAD, twist_rad=twist_rad)
        perturbed = [
            (replace(press, x_mm=press.x_mm + STEP_MM), shifted(surface, STEP_MM, 0.0), STEP_MM),
            (replace(press, y_mm=press.y_mm + STEP_MM), shifted(surface, 0.0, STEP_MM), STEP_MM),
            (replace(press, depth_mm=press.depth_mm + STEP_MM), deeper, STEP_MM),
            # A longer slide to the same end: the gel moved on, then translated back.
            (
                replace(press, slide_mm=(dx + STEP_MM, dy)),
                shifted(along_x, -STEP_MM, 0.0),
                STEP_MM,
            ),
            (
                replace(press, slide_mm=(dx, dy + STEP_MM)),
                shifted(along_y, 0.0, -STEP_MM),
                STEP_MM,
            ),
            (twist, twisted, STEP_RAD),
        ]
        return [(PressedGel(press_, surface_), size) for press_, surface_, size in perturbed]

    def _stepped(self, press: Press, step: Floats) -> Press:
        """The press after a step (6,), with step, depth and slide clipped."""
        x, y, depth, slide_x, slide_y, twist = np.clip(step, -0.5, 0.5).tolist()
        slide = (press.slide_mm[0] + slide_x, press.slide_mm[1] + slide_y)
        return replace(
            press,
            x_mm=press.x_mm + x,
            y_mm=press.y_mm + y,
            depth_mm=min(max(press.depth_mm + depth, 0.05), self._surfaces.max_depth_mm),
            yaw_rad=press.yaw_rad + (0.0 if self._surfaces.is_round else twist),
            slide_mm=(float(np.clip(slide[0], -1.5, 1.5)), float(np.clip(slide[1], -1.5, 1.5))),
            twist_rad=press.twist_rad + twist,
        )

    def _residual(self, gel: PressedGel, target: _Target, shadows: bool = True) -> Floats:
        """Residuals of shading, priors and markers, in units of their standard deviations."""
        image, start = target.image, target.start
        free = self._free & image.free
        change = np.abs(image.value - self._reference).mean(axis=-1)
        relative = change / change[free].mean()
        weight = np.sqrt(free * EFFECTIVE_PIXELS / free.sum() * (0.3 + relative))
        shading = weight[..., None] * (
            (self.predict(gel.surface, shadows) - image.value) / SHADING_ERROR
        )
        press = gel.press
        prior = [
            (press.x_mm - start.x_mm) / POSITION_MM,
            (press.y_mm - start.y_mm) / POSITION_MM,
            (press.depth_mm - start.depth_mm) / DEPTH_MM,
            press.slide_mm[0] / SLIDE_MM,
            press.slide_mm[1] / SLIDE_MM,
            press.twist_rad / TWIST_RAD,
            (press.yaw_rad - start.yaw_rad) / YAW_RAD,
        ]
        parts = [shading.ravel(), np.array(prior)]
        if target.markers is not None and self._markers is not None:
            error = self._marker_error_px(gel, target.markers)
            size = np.linalg.norm(error, axis=-1, keepdims=True)
            parts.append((error / np.sqrt(1.0 + (size / FAR_PX) ** 2) / MARKER_ERROR_PX).ravel())
        return np.concatenate(parts)

    def _marker_error_px(self, gel: PressedGel, markers: MarkerField) -> Floats:
        """(n, 2) predicted minus detected marker positions, px.

        They are those of the n markers found both in the reference image and in the press.
        """
        assert self._markers is not None  # noqa: S101
        in_both = self._markers.found & markers.found
        return np.asarray((self._projected(gel.surface) - markers.position_px)[in_both])

    def _projected(self, surface: GelSurface) -> Floats:
        """(rows, columns, 2) marker positions on a surface, px; empty without markers."""
        if self._rest is None:
            return np.zeros((0, 0, 2))
        return project(self._values, self._rest + displacement_at(surface, self._rest))

    def _marker_rms(self, gel: PressedGel, markers: MarkerField | None) -> float:
        if markers is None or self._markers is None:
            return float("nan")
        return float(np.sqrt(np.mean(np.sum(self._marker_error_px(gel, markers) ** 2, axis=-1))))


def displacement_at(surface: GelSurface, rest_mm: Floats) -> Floats:
    """Return the displacement of the gel at material points.

    Args:
        surface: deformed gel surface on a regular grid.
        rest_mm: (..., 3) or (..., 2) positions of the points in the undeformed gel, mm; may be NaN.

    Returns:
        (..., 3) displacement, mm; NaN where the position is NaN.
    """
    motion = (surface.position.astype(np.float64) - surface.rest).reshape(
        surface.rows, surface.columns, 3
    )
    x, y = surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64)
    known = np.isfinite(rest_mm[..., 0])
    column, row = (np.where(known, rest_mm[..., k], 0.0) for k in range(2))
    parts = [
        RectBivariateSpline(y, x, motion[..., k], kx=2, ky=2).ev(row, column) for k in range(3)
    ]
    return np.where(known[..., None], np.stack(parts, axis=-1), np.nan)
