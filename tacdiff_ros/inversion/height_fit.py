"""Heights whose rendered image agrees with the one that was seen (paper, equation 8).

Gauss-Newton: the renderer gives the image of the current heights and its change by slope; what
pixels say is gathered in the grid's cells, and a linear problem gives the next heights. Pixels that
do not fit (specks, dirt, borders of shadows) count less and less.

A press is predicted as the reference times the ratio of the rendered press to the rendered
untouched gel, so that what the sensor file lacks of the reference drops out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import HeightPrior
from tacdiff_ros.inversion.slope_equations import SlopeEquations, SlopeSolver
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.renderer import Renderer, RenderSettings, SlopeDerivatives
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

# Over Young's modulus: where nothing touches, and per traction there; nothing sticks to the gel, so
# what pulls at it is less likely than what presses.
USUAL_TRACTION, PER_PRESSURE, PER_TENSION = 0.01, 1.0, 0.5
PIXEL_ERROR = 0.1  # of a pixel as far as its neighbours do not share it, of white
OUTLIERS = (0.5, 0.7, 0.04)  # difference from which a pixel counts less: first, its fall, last
DARKEST, BRIGHTEST = 1e-3, 1.0  # pixel values; brighter ones are stored as white
PARALLAX_MM = (-0.75, -1.5)  # heights at which places are projected; between them a parabola
MAX_SLOPE_STEP = 0.8
ITERATIONS, GUESS_ITERATIONS, TOLERANCE = 40, 12, 1e-2  # of conjugate gradients
SEEN_MM, MIN_SEEN = 0.6, 0.02  # around a vertex; information there over the largest
FIRST_MOMENTUM_STEP, MOMENTUM = 5, 0.7  # steep walls come slowly: each step goes on in part
NEAR_LIGHT_STEPS = 3  # after which the light between parts of the surface is gathered anew
CELL_BLUR = 0.4  # of a cell: what pixels say is averaged over


@dataclass(frozen=True)
class HeightFit:
    """Heights of the gel.

    Attributes:
        height_mm: (rows, columns) on the grid, 0 at rest, negative where the gel is indented.
        weight: (h, w) 0 to 1, how much each pixel counted.
        traction: (rows, columns) what would press a linear layer so, over Young's modulus; up is +.
        deviation_mm: (rows, columns) standard deviation of the heights.
        seen: (rows, columns) bool, vertices that pixels between the dots, or close to them, show.
        rms: root of the mean squared difference over the pixels that count, of white.
    """

    height_mm: Floats
    weight: Floats
    traction: Floats
    deviation_mm: Floats
    seen: NDArray[np.bool_]
    rms: float


class HeightFitter:
    """Fits the heights of one sensor at one image size."""

    def __init__(
        self,
        model: SensorModel,
        grid: HeightGrid,
        prior: HeightPrior,
        size_px: tuple[int, int],
        reference: Floats | None = None,
        local_interreflection: bool = True,
    ) -> None:
        """A sensor.

        Args:
            model: calibrated.
            grid: of the heights.
            prior: of the heights.
            size_px: width and height of the images.
            reference: (h, w, 3) the untouched gel without dots, 1 for white; by default the
                model's own rendering of it.
            local_interreflection: render local inter-reflection and its occlusion.
        """
        self._local_interreflection = local_interreflection
        self.grid = grid
        self._solver = SlopeSolver(grid, prior)
        self._renderer = Renderer(model.model_copy(update={"markers": None}))
        at_rest = grid.surface(np.zeros(grid.shape))
        self._renderer.show(at_rest)
        self._position = at_rest.position.copy()
        self._settings = RenderSettings(*size_px, samples=1)
        self._projection = _Projection(model, grid, size_px)
        self._untouched = self._rendered(np.zeros(grid.shape))
        flat = np.maximum(self._untouched.value, DARKEST)
        ratio = np.ones_like(flat) if reference is None else reference / flat
        self._ratio = np.asarray(ratio, np.float32)
        pixel_mm = model.mm_per_px * model.image.width_px / size_px[0]
        self._pixels_per_cell = (grid.spacing_mm / pixel_mm) ** 2

    def fit(
        self,
        image: Floats,
        free: NDArray[np.bool_],
        start: Floats,
        steps: int,
        settled: bool = False,
        progress: Callable[[float], None] | None = None,
        checked: bool = True,
        drawn: Callable[[], SlopeDerivatives] | None = None,
    ) -> HeightFit:
        """Heights from an image.

        Args:
            image: (h, w, 3) pixel values, 1 for white.
            free: (h, w) pixels that show the gel between the dots.
            start: (rows, columns) mm heights to start from.
            steps: of Gauss-Newton.
            settled: the start is near, so that pixels which do not fit count less at once.
            progress: told the share that is done.
            checked: the prediction is of the final heights, not of those one step before.
            drawn: gives the images of `start`, see `render_ahead`; without local inter-reflection.
        """
        height, seen, change = start, None, np.zeros(self.grid.shape)
        ahead = None if drawn is None else drawn()
        self._renderer.drop_local_interreflection()
        for step in range(steps):
            if self._local_interreflection and step % NEAR_LIGHT_STEPS == 0:
                self._show(height)
                self._renderer.gather_local_interreflection()
            outlier = (
                OUTLIERS[2] if settled else max(OUTLIERS[0] * OUTLIERS[1] ** step, OUTLIERS[2])
            )
            seen = self._equations(height, image, free, outlier, ahead)
            ahead = None
            solved = self._solver.step(seen[0], height, self._calm(height), ITERATIONS, TOLERANCE)
            change = solved + (MOMENTUM if step >= FIRST_MOMENTUM_STEP else 0.0) * change
            height = height + change
            if progress is not None:
                progress((step + 1) / steps)
        if checked or seen is None:
            seen = self._equations(height, image, free, OUTLIERS[2], ahead)
        return self._result(height, image, *seen)

    def _result(
        self,
        height: Floats,
        image: Floats,
        equations: SlopeEquations,
        predicted: Floats,
        weight: Floats,
    ) -> HeightFit:
        difference = np.mean((predicted - image) ** 2, axis=-1)
        rms = float(np.sqrt(np.sum(weight * difference) / max(float(weight.sum()), 1e-9)))
        information = equations.matrix[[0, 2]].mean(axis=0)
        reach = round(SEEN_MM / self.grid.spacing_mm)
        near = cv2.GaussianBlur(information, (0, 0), reach) > MIN_SEEN * float(information.max())
        return HeightFit(
            height,
            weight,
            np.asarray(self._solver.traction(height) / self.grid.spacing_mm, np.float64),
            np.asarray(self._solver.deviation(information, self._calm(height)), np.float64),
            near,
            rms,
        )

    def guess(self, image: Floats, free: NDArray[np.bool_]) -> Floats:
        """(rows, columns) mm heights by the change of the untouched image with slope, at once.

        Photometric stereo with what the calibrated model says of each pixel; nothing is rendered.
        """
        height = np.zeros(self.grid.shape)
        equations = self._equations(height, image, free, OUTLIERS[0], self._untouched)[0]
        found = self._solver.step(
            equations, height, self._calm(height), GUESS_ITERATIONS, TOLERANCE
        )
        return np.asarray(found, np.float64)

    def render_ahead(self, height: Floats) -> Callable[[], SlopeDerivatives]:
        """Begin to draw heights from which a fit will start; without local inter-reflection."""
        if not height.any():
            return lambda: self._untouched
        self._renderer.drop_local_interreflection()
        self._show(height)
        return self._renderer.begin_slope_derivatives(self._settings)

    def untouched(self) -> Floats:
        """(h, w, 3) pixel values of the gel at rest, as this sensor shows it."""
        return np.asarray(np.minimum(self._ratio * self._untouched.value, BRIGHTEST))

    def _calm(self, height: Floats) -> Floats:
        """(rows, columns) how surely nothing touches the gel: least where it is pressed."""
        up = self._solver.traction(height) / self.grid.spacing_mm
        usual = PER_PRESSURE * np.maximum(-up, 0.0) + PER_TENSION * np.maximum(up, 0.0)
        return np.asarray((USUAL_TRACTION + usual) ** -2, np.float64)

    def _rendered(self, height: Floats) -> SlopeDerivatives:
        self._show(height)
        return self._renderer.slope_derivatives(self._settings)

    def _show(self, height: Floats) -> None:
        """Heights over the grid's places, which cannot fold."""
        self._position[:, 2] = height.ravel()
        if not np.isfinite(self._position[:, 2]).all():
            raise InputError("inversion: a height is not finite")
        self._renderer.mesh.show_positions(self._position)

    def _equations(
        self,
        height: Floats,
        image: Floats,
        free: NDArray[np.bool_],
        outlier: float,
        drawn: SlopeDerivatives | None = None,
    ) -> tuple[SlopeEquations, Floats, Floats]:
        """What the image says about slopes; the prediction, and the weights of its pixels."""
        drawn = drawn or self._rendered(height)
        unclipped = self._ratio * drawn.value
        predicted = np.minimum(unclipped, np.float32(BRIGHTEST))
        scale = self._ratio * (unclipped < BRIGHTEST) * np.float32(1.0 / PIXEL_ERROR)
        x, y = (scale * drawn.by_slope[..., k] for k in range(2))
        residual = (predicted - image.astype(np.float32)) * np.float32(1.0 / PIXEL_ERROR)
        square = _channel_sum(residual, residual) * np.float32((PIXEL_ERROR / outlier) ** 2 / 3.0)
        weight = free / (1.0 + square) ** 2
        pairs = ((x, x), (x, y), (y, y), (x, residual), (y, residual))
        said = np.stack([weight * _channel_sum(*pair) for pair in pairs], axis=-1)
        cells = self._projection.gathered(said, height).astype(np.float64)
        cells *= self._pixels_per_cell
        return _bounded(cells), predicted.astype(np.float64), weight


def _channel_sum(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) of a product (h, w, 3) over its channels."""
    product = a * b
    return np.asarray(product[..., 0] + product[..., 1] + product[..., 2])


def _bounded(cells: Floats) -> SlopeEquations:
    """Equations of which no cell asks for more than `MAX_SLOPE_STEP` at once."""
    xx, xy, yy, x, y = cells
    small = 1e-3 * (xx + yy) + 1e-12
    determinant = (xx + small) * (yy + small) - xy**2
    wanted = np.hypot((yy + small) * x - xy * y, (xx + small) * y - xy * x) / determinant
    share = np.minimum(1.0, MAX_SLOPE_STEP / np.maximum(wanted, 1e-12))
    return SlopeEquations(cells[:3], cells[3:] * share)


class _Projection:
    """Pixels that see the grid's cells, by their heights."""

    def __init__(self, model: SensorModel, grid: HeightGrid, size_px: tuple[int, int]) -> None:
        values = parameter_values(model)
        half = 0.5 * grid.spacing_mm
        x, y = np.meshgrid(grid.x_mm + half, grid.y_mm + half)
        scale = np.array([size_px[0] / model.image.width_px, size_px[1] / model.image.height_px])
        seen = [
            (project(values, np.stack([x, y, np.full_like(x, z)], axis=-1)) + 0.5) * scale - 0.5
            for z in (0.0, *PARALLAX_MM)
        ]
        first, second = PARALLAX_MM
        slope = [(seen[1] - seen[0]) / first, (seen[2] - seen[0]) / second]
        bend = (slope[1] - slope[0]) / (second - first)
        self._cell_px = grid.spacing_mm / (model.mm_per_px * model.image.width_px / size_px[0])
        self._coefficients = (seen[0], slope[0] - bend * first, bend)

    def gathered(self, maps: Floats, height: Floats) -> Floats:
        """(channels, rows, columns) of maps (h, w, channels) where the cells are seen."""
        middle = 0.25 * (height + np.roll(height, -1, axis=0))
        z = (middle + np.roll(middle, -1, axis=1))[..., None]
        still, linear, squared = self._coefficients
        place = (still + z * (linear + z * squared)).astype(np.float32)
        place = np.nan_to_num(place, nan=-1e4)
        blurred = cv2.GaussianBlur(maps.astype(np.float32), (0, 0), CELL_BLUR * self._cell_px)
        channels = [
            cv2.remap(
                np.ascontiguousarray(blurred[..., k]),
                place[..., 0],
                place[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
            )
            for k in range(maps.shape[-1])
        ]
        return np.stack(channels)
