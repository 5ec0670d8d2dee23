"""How an indenter was pressed, slid and turned, from one image: shading and the dots' motion.

Shading tells where the indenter ended and how deep, the dots how far it slid and turned on the way.
Gauss-Newton on all of it at once, with lights that are known already. Of a slide only the shear is
seen that friction held; what slipped through leaves no trace.
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
SLIDE_MM, TWIST_RAD, DEPTH_MM, PLACE_MM, YAW_RAD = 0.3, 0.1, 0.5, 1.0, 0.3
SHADING_ERROR, MARKER_ERROR_PX = 0.008, 0.15
EFFECTIVE_PIXELS = 100.0
FAR_PX = 2.0  # dots that move farther off than this count less and less
ENOUGH = 2e-3  # of the cost, below which the fit ends
DARKEST = 1e-4
SHADOW_SAMPLES = 2
MAX_DEPTH_FRACTION = 0.48


@dataclass(frozen=True)
class PressFit:
    """A press.

    Attributes:
        gel: the press and the gel under it.
        predicted: (h, w, 3) pixel values without dots.
        dots_px: (rows, columns, 2) where the dots are predicted; NaN where none was seen before.
        dot_rms_px: root of the mean squared distance of predicted and seen dots; NaN without dots.
    """

    gel: PressedGel
    predicted: Floats
    dots_px: Floats
    dot_rms_px: float


class PressFitter:
    """Fits presses of one indenter on one calibrated sensor."""

    def __init__(
        self,
        model: SensorModel,
        surfaces: PressSurfaces,
        reference: FitImage,
        dots: MarkerField | None = None,
    ) -> None:
        """A sensor.

        Args:
            model: with camera and lights; its flat field is not used.
            surfaces: the gel under the indenter.
            reference: the untouched gel.
            dots: of the untouched gel.
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
        self._dots = dots
        self._rest = None if dots is None else unproject(self._values, dots.position_px)
        self._deepest_mm = MAX_DEPTH_FRACTION * float(model.layers[-1].thickness_mm or 4.0)

    def fit(
        self,
        start: Press,
        image: FitImage,
        dots: MarkerField | None = None,
        steps: int = MAX_STEPS,
    ) -> PressFit:
        """Fit a press.

        Args:
            start: where the indenter is thought to be.
            image: what was seen.
            dots: in it.
            steps: at most.

        Raises:
            InputError: the indenter left the pad.
        """
        gel, cost = self._gel(start), np.inf
        for _ in range(steps):
            residual = self._residual(gel, start, image, dots)
            plain = self._residual(gel, start, image, dots, shadows=False)
            jacobian = np.stack(
                [
                    (self._residual(moved, start, image, dots, shadows=False) - plain) / size
                    for moved, size in self._perturbed(gel)
                ],
                axis=1,
            )
            before = float(residual @ residual)
            step = -np.linalg.solve(jacobian.T @ jacobian, jacobian.T @ residual)
            share, best = 1.0, before
            while share > 0.1:
                trial = self._gel(self._stepped(gel.press, share * step))
                moved = self._residual(trial, start, image, dots)
                cost = float(moved @ moved)
                if cost < best:
                    break
                share /= 3.0
            if cost >= best:
                break
            gel = trial
            if best - cost < ENOUGH * best:
                break
        return self.explained(gel, dots)

    def explained(self, gel: PressedGel, dots: MarkerField | None) -> PressFit:
        """What a press of a known pose predicts, beside the dots that were seen."""
        predicted = self.predicted(gel.surface)
        return PressFit(gel, predicted, self._projected(gel.surface), self._dot_rms(gel, dots))

    def predicted(self, surface: GelSurface, shadows: bool = True) -> Floats:
        """(h, w, 3) pixel values of a surface: the reference times the ratio of shading."""
        if shadows not in self._flat:
            self._flat[shadows] = self._shaded(surface.moved(surface.rest), shadows)
        ratio = self._shaded(surface, shadows) / self._flat[shadows]
        return np.asarray(self._reference * ratio**self._inverse_gamma)

    def _shaded(self, surface: GelSurface, shadows: bool) -> Floats:
        self._renderer.show(surface)
        settings = self._shadowed if shadows else self._plain
        return np.maximum(self._renderer.image(settings).astype(np.float64), DARKEST)

    def _gel(self, press: Press) -> PressedGel:
        moves = [
            IndenterPose(depth_mm=STEP_MM),
            IndenterPose(x_mm=STEP_MM),
            IndenterPose(y_mm=STEP_MM),
            IndenterPose(yaw_rad=STEP_RAD),
        ]
        return self._surfaces.around(press, moves)

    def _perturbed(self, gel: PressedGel) -> list[tuple[PressedGel, float]]:
        """A press moved along its unknowns: x, y, depth, slide x and y, twist and yaw."""
        press, (deeper, along_x, along_y, turned) = gel.press, gel.moved
        dx, dy = press.slide_mm
        there = {
            "x": replace(press, x_mm=press.x_mm + STEP_MM),
            "y": replace(press, y_mm=press.y_mm + STEP_MM),
            "depth": replace(press, depth_mm=press.depth_mm + STEP_MM),
            "slide x": replace(press, slide_mm=(dx + STEP_MM, dy)),
            "slide y": replace(press, slide_mm=(dx, dy + STEP_MM)),
            "twist": replace(press, twist_rad=press.twist_rad + STEP_RAD),
        }
        surface = gel.surface
        moved = [
            (there["x"], shifted(surface, STEP_MM, 0.0), STEP_MM),
            (there["y"], shifted(surface, 0.0, STEP_MM), STEP_MM),
            (there["depth"], deeper, STEP_MM),
            (there["slide x"], shifted(along_x, -STEP_MM, 0.0), STEP_MM),
            (there["slide y"], shifted(along_y, 0.0, -STEP_MM), STEP_MM),
        ]
        if self._surfaces.is_round:
            moved.append((there["twist"], turned, STEP_RAD))
        else:
            yawed = replace(
                press, yaw_rad=press.yaw_rad + STEP_RAD, twist_rad=press.twist_rad + STEP_RAD
            )
            moved.append((yawed, turned, STEP_RAD))
        return [(PressedGel(to, there_), size) for to, there_, size in moved]

    def _stepped(self, press: Press, step: Floats) -> Press:
        x, y, depth, slide_x, slide_y, turn = np.clip(step, -0.5, 0.5).tolist()
        slide = (press.slide_mm[0] + slide_x, press.slide_mm[1] + slide_y)
        return replace(
            press,
            x_mm=press.x_mm + x,
            y_mm=press.y_mm + y,
            depth_mm=min(max(press.depth_mm + depth, 0.05), self._deepest_mm),
            yaw_rad=press.yaw_rad + (0.0 if self._surfaces.is_round else turn),
            slide_mm=(float(np.clip(slide[0], -1.5, 1.5)), float(np.clip(slide[1], -1.5, 1.5))),
            twist_rad=press.twist_rad + turn,
        )

    def _residual(
        self,
        gel: PressedGel,
        start: Press,
        image: FitImage,
        dots: MarkerField | None,
        shadows: bool = True,
    ) -> Floats:
        free = self._free & image.free
        moved = np.abs(image.value - self._reference).mean(axis=-1)
        weight = np.sqrt(free * EFFECTIVE_PIXELS / free.sum() * (0.3 + moved / moved[free].mean()))
        shading = weight[..., None] * (
            (self.predicted(gel.surface, shadows) - image.value) / SHADING_ERROR
        )
        press = gel.press
        prior = [
            (press.x_mm - start.x_mm) / PLACE_MM,
            (press.y_mm - start.y_mm) / PLACE_MM,
            (press.depth_mm - start.depth_mm) / DEPTH_MM,
            press.slide_mm[0] / SLIDE_MM,
            press.slide_mm[1] / SLIDE_MM,
            press.twist_rad / TWIST_RAD,
            (press.yaw_rad - start.yaw_rad) / YAW_RAD,
        ]
        parts = [shading.ravel(), np.array(prior)]
        if dots is not None and self._dots is not None:
            away = self._away_px(gel, dots)
            size = np.linalg.norm(away, axis=-1, keepdims=True)
            parts.append((away / np.sqrt(1.0 + (size / FAR_PX) ** 2) / MARKER_ERROR_PX).ravel())
        return np.concatenate(parts)

    def _away_px(self, gel: PressedGel, dots: MarkerField) -> Floats:
        """(dots, 2) predicted less seen, of the dots seen before and now."""
        assert self._dots is not None  # noqa: S101
        both = self._dots.found & dots.found
        return np.asarray((self._projected(gel.surface) - dots.position_px)[both])

    def _projected(self, surface: GelSurface) -> Floats:
        if self._rest is None:
            return np.zeros((0, 0, 2))
        return project(self._values, self._rest + displacement_at(surface, self._rest))

    def _dot_rms(self, gel: PressedGel, dots: MarkerField | None) -> float:
        if dots is None or self._dots is None:
            return float("nan")
        return float(np.sqrt(np.mean(np.sum(self._away_px(gel, dots) ** 2, axis=-1))))


def displacement_at(surface: GelSurface, rest_mm: Floats) -> Floats:
    """Displacement (..., 3) mm of the gel at rest places (..., 3) or (..., 2); NaN stays NaN."""
    moved = (surface.position.astype(np.float64) - surface.rest).reshape(
        surface.rows, surface.columns, 3
    )
    x, y = surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64)
    known = np.isfinite(rest_mm[..., 0])
    column, row = (np.where(known, rest_mm[..., k], 0.0) for k in range(2))
    parts = [RectBivariateSpline(y, x, moved[..., k], kx=2, ky=2).ev(row, column) for k in range(3)]
    return np.where(known[..., None], np.stack(parts, axis=-1), np.nan)
