"""Heights whose rendered image matches the measured image (paper, equation 8).

Gauss-Newton: the renderer gives the image of the current heights and its slope derivatives. The
pixels' normal equations are summed in the grid's cells, and a linear problem gives the next
heights. Outlier pixels (specks, dirt, borders of shadows) are down-weighted more and more.

A press is predicted as the reference image times the ratio of the rendered press to the rendered
undeformed gel. So differences between the sensor model and the reference image cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import HeightPrior
from tacdiff_ros.inversion.mechanical_heights import MechanicalPrior
from tacdiff_ros.inversion.slope_equations import SlopeEquations, SlopeSolver
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.renderer import Renderer, RenderSettings, SlopeDerivatives
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

# Prior standard deviation of the traction, over Young's modulus: without contact, and per traction
# of the current heights. No adhesion: tensile tractions get half the prior standard deviation of
# compressive ones.
USUAL_TRACTION, PER_PRESSURE, PER_TENSION = 0.01, 1.0, 0.5
# The same where the pressure is known from the gel's mechanics, and the factor of the weight of the
# curvature there: tractions vanish outside of the contact, and are free inside of it.
MECHANICAL_USUAL_TRACTION, MECHANICAL_PER_PRESSURE, MECHANICAL_CURVATURE = 0.005, 4.0, 0.05
# Steep walls fit badly, and without their pixels a flat bottom is too shallow.
MECHANICAL_OUTLIER = 0.3
PRESSURE_BLUR = 1.5  # standard deviation of the blur of that pressure, in vertices
PIXEL_ERROR = 0.1  # independent error of a pixel, as a fraction of white
# Residual from which a pixel is down-weighted: in the first step, its factor per step, its minimum.
OUTLIERS = (0.5, 0.7, 0.04)
DARKEST, BRIGHTEST = 1e-3, 1.0  # pixel values; brighter ones are stored as white
PARALLAX_MM = (-0.75, -1.5)  # heights at which cells are projected; a parabola interpolates
MAX_SLOPE_STEP = 0.8
MAX_DEPTH_FRACTION = 0.9  # of the gel's thickness
ITERATIONS, GUESS_ITERATIONS, TOLERANCE = 40, 12, 1e-2  # of conjugate gradients
VISIBLE_RADIUS_MM = 0.6  # over which a vertex's information is averaged
MIN_VISIBLE = 0.02  # averaged information of a visible vertex, as a fraction of the maximum
FIRST_MOMENTUM_STEP, MOMENTUM = 5, 0.7  # steep walls converge slowly without momentum
# A frame of a stream. Fast motion leaves large residuals at the walls of the contact, which are no
# outliers in the steps after it; steps follow while a height changes by much.
FRAME_OUTLIER = 0.1  # in the first step
PER_MOTION, MOTION_DECAY = 2.5, 0.8  # outlier over the motion of the image, and its factor per step
LARGE_CHANGE_MM, EXTRA_STEPS = 0.1, 2
RENDERINGS = 2  # whose mean is taken in refits by the gel's mechanics, and where steps are damped
# Damping of a step by a pixel at the border of a shadow, over the variance of its value. Without
# markers the shading alone tells the depth, and light that is known badly, from few presses, drives
# it through the shadows; a small number of damped steps is an early stop. Real presses of a plain
# gel (benchmarks/inversion.py --only real) chose it; rendered ones have less error without it.
SHADOW_DAMPING = 4e4
INTERREFLECTION_STEPS = 3  # between two updates of the local inter-reflection
CELL_BLUR = 0.4  # standard deviation of the blur of pixel equations, in cells


@dataclass(frozen=True)
class HeightFit:
    """Fitted heights of the gel.

    Attributes:
        height_mm: (rows, columns) heights on the grid, mm; 0 at rest, negative where the gel is
            indented.
        weight: (h, w) weight of each pixel, 0 to 1.
        traction: (rows, columns) normal traction on a linear elastic layer of this shape, over
            Young's modulus; positive upwards.
        height_stddev_mm: (rows, columns) standard deviation of the heights, mm.
        visible: (rows, columns) bool, vertices that marker-free pixels show, or pixels near them.
        rms: weighted root mean square of the residuals, as a fraction of white.
        predicted: (h, w, 3) predicted pixel values, 1 for white, of the final heights or of those
            one step before.
        depth_change: relative change of the depth of the whole contact that all pixels of a frame
            ask for, down-weighted ones too; 0 for a single image.
        motion: motion of the image in the stream so far, decayed by the steps of the fit.
    """

    height_mm: Floats
    weight: Floats
    traction: Floats
    height_stddev_mm: Floats
    visible: NDArray[np.bool_]
    rms: float
    predicted: Floats
    depth_change: float = 0.0
    motion: float = 0.0


@dataclass(frozen=True)
class _Linearisation:
    """Photometric error at some heights.

    Attributes:
        equations: slope equations of all cells.
        predicted: (h, w, 3) predicted pixel values, 1 for white.
        weight: (h, w) weight of each pixel, 0 to 1.
    """

    equations: SlopeEquations
    predicted: Floats
    weight: Floats


class HeightFitter:
    """Fits the heights of one sensor at one image size.

    Attributes:
        white: pixel value from which images are white, (h, w, 3) or a number; below 1 in an
            image that was too bright before its brightness was compensated.
    """

    def __init__(
        self,
        model: SensorModel,
        grid: HeightGrid,
        prior: HeightPrior,
        size_px: tuple[int, int],
        reference: Floats | None = None,
        local_interreflection: bool = True,
    ) -> None:
        """Set up the renderer and render the undeformed gel.

        Args:
            model: calibrated sensor.
            grid: grid of the heights.
            prior: prior of the heights.
            size_px: width and height of the images, px.
            reference: (h, w, 3) reference image without markers, 1 for white; by default the
                model's own rendering of the undeformed gel.
            local_interreflection: whether to render local inter-reflection and its occlusion.
        """
        self._local_interreflection = local_interreflection
        self._mechanics: MechanicalPrior | None = None
        self._is_plain, self._damping = model.markers is None, 0.0
        self.grid = grid
        self._solver = SlopeSolver(grid, prior)
        self._max_depth_mm = MAX_DEPTH_FRACTION * (model.gel_thickness_mm or np.inf)
        self._renderer = Renderer(model.model_copy(update={"markers": None}))
        at_rest = grid.surface(np.zeros(grid.shape))
        self._renderer.set_surface(at_rest)
        self._position = at_rest.position.copy()
        self._settings = RenderSettings(*size_px, samples=1)
        self._projection = _Projection(model, grid, size_px)
        self._undeformed = self._rendered(np.zeros(grid.shape))
        flat = np.maximum(self._undeformed.value, DARKEST)
        ratio = np.ones_like(flat) if reference is None else reference / flat
        self._ratio = np.asarray(ratio, np.float32)
        self.white: NDArray[np.float32] = np.asarray(BRIGHTEST, np.float32)
        pixel_mm = model.mm_per_px * model.image.width_px / size_px[0]
        self._pixels_per_cell = (grid.spacing_mm / pixel_mm) ** 2

    def fit(
        self,
        image: Floats,
        free: NDArray[np.bool_],
        start: Floats,
        steps: int,
        start_is_close: bool = False,
        progress: Callable[[float], None] | None = None,
        evaluate_final: bool = True,
        pre_rendered: Callable[[], SlopeDerivatives] | None = None,
        mechanics: MechanicalPrior | None = None,
        motion: float | None = None,
    ) -> HeightFit:
        """Fit heights to an image.

        Args:
            image: (h, w, 3) pixel values, 1 for white.
            free: (h, w) bool, marker-free pixels.
            start: (rows, columns) initial heights, mm.
            steps: number of Gauss-Newton steps.
            start_is_close: whether the start is close to the solution, so that outliers are
                down-weighted fully from the first step on.
            progress: callback on the completed fraction.
            evaluate_final: whether residuals and weights are those of the final heights; if not,
                they are those of the heights one step before, which saves a rendering.
            pre_rendered: function from `render_ahead` that returns the rendering of `start`;
                without local inter-reflection.
            mechanics: prior of the heights from the gel's mechanics; by default none.
            motion: recent change of the image of a stream, whose last heights are the start, as a
                fraction of white: up to `EXTRA_STEPS` further steps follow fast motion. By default
                the image is a single one.
        """
        self._mechanics = mechanics
        is_frame, moving = motion is not None, motion or 0.0
        self._damping = SHADOW_DAMPING if self._is_plain and not is_frame else 0.0
        height, result, change = start, None, np.zeros(self.grid.shape)
        rendered = None if pre_rendered is None else pre_rendered()
        if rendered is None and not start.any() and mechanics is None and not self._damping:
            rendered = self._undeformed
        last = OUTLIERS[2] if mechanics is None else MECHANICAL_OUTLIER
        mean_traction, smoothing = (
            (None, 1.0)
            if mechanics is None
            else (mechanics.traction * self.grid.spacing_mm, MECHANICAL_CURVATURE)
        )
        linearised_at: tuple[Floats, SlopeDerivatives] | None = None
        self._renderer.drop_local_interreflection()
        for step in range(steps + (EXTRA_STEPS if is_frame and steps else 0)):
            if step >= steps and float(np.abs(change).max()) <= LARGE_CHANGE_MM:
                break
            is_due = step % INTERREFLECTION_STEPS == 0 and height.any()  # a flat gel has none
            if self._local_interreflection and is_due:
                self._show(height)
                self._renderer.gather_local_interreflection()
            if is_frame:
                outlier = max(OUTLIERS[2] if step else FRAME_OUTLIER, PER_MOTION * moving)
                moving *= MOTION_DECAY
            else:
                outlier = last if start_is_close else max(OUTLIERS[0] * OUTLIERS[1] ** step, last)
            rendered = rendered or self._rendered(height)
            result = self._linearised(height, image, free, outlier, rendered, self._damping)
            newton = self._solver.step(
                result.equations,
                self._loaded(height),
                self._traction_weight(height),
                ITERATIONS,
                TOLERANCE,
                mean_traction,
                smoothing,
            )
            change = newton + (MOMENTUM if step >= FIRST_MOMENTUM_STEP else 0.0) * change
            linearised_at = height, rendered
            height, rendered = np.maximum(height + change, -self._max_depth_mm), None
            if progress is not None:
                progress((step + 1) / steps)
        if evaluate_final or result is None:
            result = self._linearised(height, image, free, last, rendered)
        depth_change = 0.0
        if is_frame and linearised_at is not None:
            depth_change = self._depth_change(*linearised_at, image, free)
        return self._result(height, image, result, depth_change, moving)

    def _depth_change(
        self,
        height: Floats,
        rendered: SlopeDerivatives,
        image: Floats,
        free: NDArray[np.bool_],
    ) -> float:
        """Relative change of all heights for which the residuals of all pixels are least."""
        equations = self._linearised(height, image, free, np.inf, rendered).equations
        x, y = self._solver.slopes(height)
        xx, xy, yy = equations.matrix
        curvature = float(np.sum(xx * x * x + 2.0 * xy * x * y + yy * y * y))
        gradient = float(np.sum(equations.gradient[0] * x + equations.gradient[1] * y))
        return 0.0 if curvature <= 0.0 else -gradient / curvature

    def _result(
        self,
        height: Floats,
        image: Floats,
        final: _Linearisation,
        depth_change: float,
        motion: float,
    ) -> HeightFit:
        squared = np.mean((final.predicted - image) ** 2, axis=-1)
        weight = final.weight
        information = final.equations.matrix[[0, 2]].mean(axis=0)
        radius = round(VISIBLE_RADIUS_MM / self.grid.spacing_mm)
        nearby = cv2.GaussianBlur(information, (0, 0), radius)
        traction_weight = self._traction_weight(height)
        return HeightFit(
            height_mm=height,
            weight=weight,
            traction=self._traction(height),
            height_stddev_mm=np.asarray(
                self._solver.stddev(information, traction_weight), np.float64
            ),
            visible=nearby > MIN_VISIBLE * float(information.max()),
            rms=float(np.sqrt(np.sum(weight * squared) / max(float(weight.sum()), 1e-9))),
            predicted=final.predicted,
            depth_change=depth_change,
            motion=motion,
        )

    def guess(self, image: Floats, free: NDArray[np.bool_]) -> Floats:
        """Estimate heights in one step from the slope derivatives of the undeformed gel.

        This is photometric stereo with the calibrated model's derivatives; nothing is rendered.

        Args:
            image: (h, w, 3) pixel values, 1 for white.
            free: (h, w) bool, marker-free pixels.

        Returns:
            (rows, columns) heights, mm.
        """
        height, self._mechanics, self._damping = np.zeros(self.grid.shape), None, 0.0
        result = self._linearised(height, image, free, OUTLIERS[0], self._undeformed)
        change = self._solver.step(
            result.equations, height, self._traction_weight(height), GUESS_ITERATIONS, TOLERANCE
        )
        return np.asarray(change, np.float64)

    def render_ahead(self, height: Floats) -> Callable[[], SlopeDerivatives]:
        """Start the rendering of a fit's initial heights, without local inter-reflection.

        Args:
            height: (rows, columns) initial heights, mm.

        Returns:
            Function that waits for the rendering and returns it.
        """
        if not height.any():
            return lambda: self._undeformed
        self._renderer.drop_local_interreflection()
        self._show(height)
        return self._renderer.begin_slope_derivatives(self._settings)

    @property
    def undeformed(self) -> Floats:
        """(h, w, 3) rendered pixel values of the undeformed gel, without the reference's ratio."""
        return np.asarray(self._undeformed.value, np.float64)

    def rendered_reference(self) -> Floats:
        """Return (h, w, 3) predicted pixel values of the undeformed gel, 1 for white."""
        return np.asarray(np.minimum(self._ratio * self._undeformed.value, BRIGHTEST))

    def _traction_weight(self, height: Floats) -> Floats:
        """(rows, columns) prior weight of the squared traction; smallest where the gel is pressed.

        The prior standard deviation grows with the traction of the current heights.
        """
        if self._mechanics is not None:
            pressed = np.maximum(-self._mechanics.traction, 0.0)
            near = cv2.GaussianBlur(pressed, (0, 0), PRESSURE_BLUR)
            contact = MECHANICAL_USUAL_TRACTION + MECHANICAL_PER_PRESSURE * near
            return np.asarray(contact**-2, np.float64)
        up = self._traction(height)
        contact = PER_PRESSURE * np.maximum(-up, 0.0) + PER_TENSION * np.maximum(up, 0.0)
        return np.asarray((USUAL_TRACTION + contact) ** -2, np.float64)

    def _loaded(self, height: Floats) -> Floats:
        """Heights less those that carry no traction."""
        return height if self._mechanics is None else height - self._mechanics.offset_mm

    def _traction(self, height: Floats) -> Floats:
        """(rows, columns) normal traction over Young's modulus, positive upwards."""
        traction = self._solver.traction(self._loaded(height)) / self.grid.spacing_mm
        return np.asarray(traction, np.float64)

    def _rendered(self, height: Floats) -> SlopeDerivatives:
        """Return the rendering of heights; in refits and with damping the mean of several."""
        self._show(height)
        if self._mechanics is None and not self._damping:
            return self._renderer.slope_derivatives(self._settings)
        return SlopeDerivatives.mean(
            [
                self._renderer.slope_derivatives(replace(self._settings, seed=seed))
                for seed in range(RENDERINGS)
            ]
        )

    def _show(self, height: Floats) -> None:
        """Give the renderer the surface with these heights on the grid, which cannot fold."""
        self._position[:, 2] = height.ravel()
        if not np.isfinite(self._position[:, 2]).all():
            raise InputError("inversion: a height is not finite")
        self._renderer.mesh.set_positions(self._position)

    def _linearised(
        self,
        height: Floats,
        image: Floats,
        free: NDArray[np.bool_],
        outlier: float,
        rendered: SlopeDerivatives | None = None,
        damping: float = 0.0,
    ) -> _Linearisation:
        """Photometric error of an image, linearised at some heights.

        Args:
            height: (rows, columns) heights, mm.
            image: (h, w, 3) pixel values, 1 for white.
            free: (h, w) bool, marker-free pixels.
            outlier: residual from which a pixel is down-weighted, as a fraction of white.
            rendered: rendering of the heights; by default they are rendered.
            damping: damping of the step by the variance of shadows.
        """
        rendered = rendered or self._rendered(height)
        unclipped = self._ratio * rendered.value
        predicted = np.minimum(unclipped, self.white)
        scale = self._ratio * (unclipped < self.white) * np.float32(1.0 / PIXEL_ERROR)
        x, y = (scale * rendered.by_slope[..., k] for k in range(2))
        residual = (predicted - image.astype(np.float32)) * np.float32(1.0 / PIXEL_ERROR)
        square = _channel_sum(residual, residual) * np.float32((PIXEL_ERROR / outlier) ** 2 / 3.0)
        weight = free / (1.0 + square) ** 2
        pairs = ((x, x), (x, y), (y, y), (x, residual), (y, residual))
        products = np.stack([weight * _channel_sum(*pair) for pair in pairs], axis=-1)
        if damping and rendered.shadow_variance is not None:
            damped = weight * _channel_sum(scale**2, rendered.shadow_variance)
            products[..., [0, 2]] += np.float32(damping) * damped[..., None]
        cells = self._projection.gather(products, height).astype(np.float64)
        cells *= self._pixels_per_cell
        return _Linearisation(_with_bounded_steps(cells), predicted.astype(np.float64), weight)


def _channel_sum(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) sum over the channels of the product of two (h, w, 3) images."""
    product = a * b
    return np.asarray(product[..., 0] + product[..., 1] + product[..., 2])


def _with_bounded_steps(cells: Floats) -> SlopeEquations:
    """Slope equations whose gradient is scaled so that no cell steps over `MAX_SLOPE_STEP`.

    Args:
        cells: (5, rows, columns) M_xx, M_xy, M_yy, b_x, b_y.
    """
    xx, xy, yy, x, y = cells
    small = 1e-3 * (xx + yy) + 1e-12
    determinant = (xx + small) * (yy + small) - xy**2
    step = np.hypot((yy + small) * x - xy * y, (xx + small) * y - xy * x) / determinant
    fraction = np.minimum(1.0, MAX_SLOPE_STEP / np.maximum(step, 1e-12))
    return SlopeEquations(cells[:3], cells[3:] * fraction)


class _Projection:
    """Pixels of the grid's cells, as a function of their heights."""

    def __init__(self, model: SensorModel, grid: HeightGrid, size_px: tuple[int, int]) -> None:
        """Fit a parabola in the height to the projected position of each cell."""
        values = parameter_values(model)
        half = 0.5 * grid.spacing_mm
        x, y = np.meshgrid(grid.x_mm + half, grid.y_mm + half)
        scale = np.array([size_px[0] / model.image.width_px, size_px[1] / model.image.height_px])
        pixels = [
            (project(values, np.stack([x, y, np.full_like(x, z)], axis=-1)) + 0.5) * scale - 0.5
            for z in (0.0, *PARALLAX_MM)
        ]
        first, second = PARALLAX_MM
        slope = [(pixels[1] - pixels[0]) / first, (pixels[2] - pixels[0]) / second]
        curvature = (slope[1] - slope[0]) / (second - first)
        self._cell_px = grid.spacing_mm / (model.mm_per_px * model.image.width_px / size_px[0])
        self._coefficients = (pixels[0], slope[0] - curvature * first, curvature)

    def gather(self, maps: Floats, height: Floats) -> Floats:
        """Maps sampled where the camera sees the cells.

        Args:
            maps: (h, w, channels) images.
            height: (rows, columns) heights of the vertices, mm.

        Returns:
            (channels, rows, columns) blurred maps at the cells; 0 outside the image.
        """
        middle = 0.25 * (height + np.roll(height, -1, axis=0))
        z = (middle + np.roll(middle, -1, axis=1))[..., None]
        constant, linear, squared = self._coefficients
        pixel = (constant + z * (linear + z * squared)).astype(np.float32)
        pixel = np.nan_to_num(pixel, nan=-1e4)
        blurred = cv2.GaussianBlur(maps.astype(np.float32), (0, 0), CELL_BLUR * self._cell_px)
        channels = [
            cv2.remap(
                np.ascontiguousarray(blurred[..., k]),
                pixel[..., 0],
                pixel[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
            )
            for k in range(maps.shape[-1])
        ]
        return np.stack(channels)
