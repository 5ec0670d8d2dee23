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
from tacdiff_ros.least_squares import (
    DampingRule,
    NormalEquations,
    ShortenedStep,
    levenberg_marquardt,
)
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
MOVES = [
    IndenterPose(depth_mm=STEP_MM),
    IndenterPose(x_mm=STEP_MM),
    IndenterPose(y_mm=STEP_MM),
    IndenterPose(yaw_rad=STEP_RAD),
]
# Line search: the full Gauss-Newton step, a third of it, a ninth of it.
LINE_SEARCH = DampingRule(first=0.0, decrease=np.inf, increase=4.0, restart=2.0, maximum=20.0)


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
        self._reference = reference
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
        problem = _Problem(
            fitter=self,
            surfaces=self._surfaces,
            reference=self._reference,
            start=start,
            image=image,
            markers=markers,
        )
        fit = levenberg_marquardt(problem, problem.gel(start), LINE_SEARCH, steps, MIN_GAIN)
        return self.evaluate(fit.point, markers)

    def evaluate(self, gel: PressedGel, markers: MarkerField | None) -> PressFit:
        """Predict image and markers of a known press, and compare the markers.

        Args:
            gel: press and gel under it.
            markers: detected markers of the press; None without markers.
        """
        marker_rms_px = float("nan")
        if markers is not None and self._markers is not None:
            error = self.marker_error_px(gel.surface, markers)
            marker_rms_px = float(np.sqrt(np.mean(np.sum(error**2, axis=-1))))
        return PressFit(
            gel=gel,
            predicted=self.predict(gel.surface),
            markers_px=self._projected(gel.surface),
            marker_rms_px=marker_rms_px,
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
        return np.asarray(self._reference.smooth * ratio**self._inverse_gamma)

    def _shaded(self, surface: GelSurface, shadows: bool) -> Floats:
        self._renderer.set_surface(surface)
        settings = self._shadowed if shadows else self._plain
        return np.maximum(self._renderer.image(settings).astype(np.float64), DARKEST)

    def marker_error_px(self, surface: GelSurface, markers: MarkerField) -> Floats:
        """Return predicted minus detected marker positions.

        Args:
            surface: deformed gel surface.
            markers: detected markers of the press.

        Returns:
            (n, 2) px, of the n markers found both in the reference image and in the press; n is 0
            without markers in the reference image.
        """
        if self._markers is None:
            return np.zeros((0, 2))
        in_both = self._markers.found & markers.found
        return np.asarray((self._projected(surface) - markers.position_px)[in_both])

    def _projected(self, surface: GelSurface) -> Floats:
        """(rows, columns, 2) marker positions on a surface, px; empty without markers."""
        if self._rest is None:
            return np.zeros((0, 0, 2))
        return project(self._values, self._rest + displacement_at(surface, self._rest))


@dataclass(frozen=True)
class _Problem:
    """Least-squares problem of one press; its points are the pressed gels.

    Attributes:
        fitter: predicts images and markers.
        surfaces: gel surfaces under the indenter.
        reference: reference image at the fit's size.
        start: initial press, also the centre of the priors.
        image: image of the press at the fit's size.
        markers: markers of the image; None to fit shading only.
    """

    fitter: PressFitter
    surfaces: PressSurfaces
    reference: FitImage
    start: Press
    image: FitImage
    markers: MarkerField | None

    def linearise(self, gel: PressedGel) -> ShortenedStep:
        """Gauss-Newton step; the derivatives leave out shadows, whose borders are noisy."""
        plain = self._residual(gel, shadows=False)
        columns = [
            (self._residual(perturbed, shadows=False) - plain) / size
            for perturbed, size in self._perturbed(gel)
        ]
        equations = NormalEquations.of(np.stack(columns, axis=1), self._residual(gel))
        return ShortenedStep(equations.step(), equations.cost)

    def cost(self, gel: PressedGel) -> float:
        """Sum of squared residuals."""
        return float(np.sum(self._residual(gel) ** 2))

    def moved(self, gel: PressedGel, step: Floats) -> PressedGel:
        """The gel after a step (6,), with step, depth and slide clipped."""
        return self.gel(self._stepped(gel.press, step))

    def gel(self, press: Press) -> PressedGel:
        """Gel under a press."""
        return self.surfaces.solve(press)

    def _perturbed(self, gel: PressedGel) -> list[tuple[PressedGel, float]]:
        """Presses with one parameter perturbed, and the sizes of the perturbations.

        The parameters are x, y, depth, slide x and y, and twist, or twist with yaw for an indenter
        that is not rotationally symmetric.
        """
        press, (deeper, along_x, along_y, twisted) = gel.press, self.surfaces.moved(gel, MOVES)
        dx, dy = press.slide_mm
        surface = gel.surface
        twist_rad = press.twist_rad + STEP_RAD
        if self.surfaces.is_round:
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
            depth_mm=min(max(press.depth_mm + depth, 0.05), self.surfaces.max_depth_mm),
            yaw_rad=press.yaw_rad + (0.0 if self.surfaces.is_round else twist),
            slide_mm=(float(np.clip(slide[0], -1.5, 1.5)), float(np.clip(slide[1], -1.5, 1.5))),
            twist_rad=press.twist_rad + twist,
        )

    def _residual(self, gel: PressedGel, shadows: bool = True) -> Floats:
        """Residuals of shading, priors and markers, in units of their standard deviations."""
        image, start = self.image, self.start
        free = self.reference.free & image.free
        change = np.abs(image.value - self.reference.smooth).mean(axis=-1)
        relative = change / change[free].mean()
        weight = np.sqrt(free * EFFECTIVE_PIXELS / free.sum() * (0.3 + relative))
        shading = weight[..., None] * (
            (self.fitter.predict(gel.surface, shadows) - image.value) / SHADING_ERROR
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
        if self.markers is not None:
            error = self.fitter.marker_error_px(gel.surface, self.markers)
            size = np.linalg.norm(error, axis=-1, keepdims=True)
            parts.append((error / np.sqrt(1.0 + (size / FAR_PX) ** 2) / MARKER_ERROR_PX).ravel())
        return np.concatenate(parts)


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
